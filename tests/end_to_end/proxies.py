"""nginx in front of registries, with the configuration that we give to operators."""

import os
import shutil

from servers import Server, free_port, program, written_to_disk

CONFIGURATION = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'deploy', 'nginx.conf')
NOBODY = 65534  # the user, and the group, that it runs as

# As in a container: files of an operator in /etc and none else, a /tmp to write to, all the rest read-only.
NAMESPACE = f"""
mount --bind "$0/etc" /etc && mount --bind "$0/tmp" /tmp && mount -o remount,bind,ro /etc && mount -o remount,bind,ro /
chown {NOBODY} /dev/stdout
exec setpriv --pdeathsig TERM --reuid {NOBODY} --regid {NOBODY} --clear-groups "$@"
"""


class Nginx(Server):
    """deploy/nginx.conf, in which nothing is changed but where it listens and where the registries are.

    :param registries: ports, or `servers.Registry`, of two registries; it may be the same twice
    :param tls: `certificates.Files`
    :param users: path of the file of users
    :param without: lines of the configuration that are left out, up to their semicolons
    """

    ready_path = '/healthz'

    def __init__(self, folder, registries, tls, users, without=()):
        port, root = free_port(), os.path.join(folder, 'nginx')
        first, second = [getattr(registry, 'port', registry) for registry in registries]
        with open(CONFIGURATION) as file:
            configuration = rendered(
                file.read(),
                {
                    'listen 8443 ssl;': 'listen 127.0.0.1:%d ssl; listen [::1]:%d ssl;' % (port, port),
                    'server registry-1:5000 ': 'server 127.0.0.1:%d ' % first,
                    'server registry-2:5000 ': 'server 127.0.0.1:%d ' % second,
                    **{line + ';': '' for line in without},
                },
            )
        furnish(root, configuration, {'certificate.pem': tls.certificate, 'key.pem': tls.key, 'htpasswd': users})
        super().__init__(
            ['unshare', '--mount', 'sh', '-ec', NAMESPACE, root, program('nginx'), '-c', '/etc/registry-nginx.conf', '-g', 'daemon off;'],
            folder,
            {},
            port,
            tls=True,
        )

    def written(self):
        """Bytes that its workers wrote to disk since they started, the log above all; those in files that are gone included."""
        return sum(written_to_disk(pid) for pid in self.workers)


def furnish(root, configuration, files):
    """Folders for `NAMESPACE`: the configuration, files for /etc/registry, and an empty /tmp."""
    os.makedirs(os.path.join(root, 'etc/registry'))
    os.mkdir(os.path.join(root, 'tmp'))
    os.chown(os.path.join(root, 'tmp'), NOBODY, NOBODY)
    with open(os.path.join(root, 'etc/registry-nginx.conf'), 'w') as file:
        file.write(configuration)
    for name, path in files.items():
        target = shutil.copy(path, os.path.join(root, 'etc/registry', name))
        os.chown(target, NOBODY, NOBODY)


def rendered(text, changes):
    """The text with other words in it; each has to be there, once."""
    for old, new in changes.items():
        assert text.count(old) == 1, '%r is not in the configuration, or not only once' % old
        text = text.replace(old, new)
    return text
