"""nginx in front of registries, with the configuration that we give to operators."""
import os

from servers import Server, free_port, program

CONFIGURATION = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'deploy', 'nginx.conf')


class Nginx(Server):
    """deploy/nginx.conf, in which nothing is changed but where things are.

    :param registries: ports, or `servers.Registry`, of two registries; it may be the same twice
    :param tls: `certificates.Files`
    :param users: path of the file of users
    """

    ready_path = '/healthz'

    def __init__(self, folder, registries, tls, users):
        port, self.scratch = free_port(), os.path.join(folder, 'nginx')
        os.makedirs(self.scratch)
        path = os.path.join(folder, 'nginx.conf')
        first, second = [getattr(registry, 'port', registry) for registry in registries]
        with open(CONFIGURATION) as source, open(path, 'w') as target:
            target.write(rendered(source.read(), {
                'listen 8443 ssl': 'listen 127.0.0.1:%d ssl; listen [::1]:%d ssl' % (port, port),
                'server registry-1:5000': 'server 127.0.0.1:%d' % first, 'server registry-2:5000': 'server 127.0.0.1:%d' % second,
                '/etc/registry/certificate.pem': tls.certificate, '/etc/registry/key.pem': tls.key, '/etc/registry/htpasswd': users,
                '/tmp/nginx': self.scratch + '/nginx'}))
        super().__init__([program('nginx'), '-c', path, '-g', 'daemon off; user root;'], folder, {}, port, tls=True)

    def stored(self):
        """Paths of the files that it keeps of bodies on their way."""
        return [os.path.join(folder, name) for folder, _, names in os.walk(self.scratch) for name in names if name != 'nginx.pid']


def rendered(text, changes):
    """The text with other words in it; each has to be there."""
    for old, new in changes.items():
        assert old in text, '%r is not in the configuration any more' % old
        text = text.replace(old, new)
    return text
