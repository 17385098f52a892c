"""nginx in front of registries, with the configuration in deploy/ that operators use."""

import os
import shutil

from servers import Server, free_port, program, written_to_disk

CONFIGURATION = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'deploy', 'nginx.conf')
NOBODY = 65534  # the user and the group that nginx runs as

# As in a container: /etc has only the operator's files, /tmp is writable, everything else is read-only.
NAMESPACE = f"""
mount --bind "$0/etc" /etc && mount --bind "$0/tmp" /tmp && mount -o remount,bind,ro /etc && mount -o remount,bind,ro /
chown {NOBODY} /dev/stdout
exec setpriv --pdeathsig TERM --reuid {NOBODY} --regid {NOBODY} --clear-groups "$@"
"""


class Nginx(Server):
    """nginx with deploy/nginx.conf. Only its own address and those of the registries are changed.

    :param registries: two ports or `servers.Registry`; both may be the same
    :param tls: `certificates.Files`
    :param changes: more changes to the configuration, {old text: new text}
    """

    ready_path = '/healthz'

    def __init__(self, folder, registries, tls, changes=()):
        port, root = free_port(), os.path.join(folder, 'nginx')
        first, second = [getattr(registry, 'port', registry) for registry in registries]
        with open(CONFIGURATION) as file:
            configuration = rendered(
                file.read(),
                {
                    'listen 8443 ssl;': 'listen 127.0.0.1:%d ssl; listen [::1]:%d ssl;' % (port, port),
                    'server registry-1:5000 max_fails': 'server 127.0.0.1:%d max_fails' % first,
                    'server registry-2:5000 max_fails': 'server 127.0.0.1:%d max_fails' % second,
                    'server registry-1:5000 backup': 'server 127.0.0.1:%d backup' % first,
                    'server registry-2:5000 backup': 'server 127.0.0.1:%d backup' % second,
                    **dict(changes),
                },
            )
        furnish(root, configuration, {'certificate.pem': tls.certificate, 'key.pem': tls.key})
        super().__init__(
            ['unshare', '--mount', 'sh', '-ec', NAMESPACE, root, program('nginx'), '-c', '/etc/registry-nginx.conf', '-g', 'daemon off;'],
            folder,
            {},
            port,
            tls=True,
        )

    def written(self):
        """Return the bytes that its workers have written to disk, mostly the log. Bytes in deleted files count, too."""
        return sum(written_to_disk(pid) for pid in self.workers)


def furnish(root, configuration, files):
    """Make the folders for `NAMESPACE`: etc with the configuration and the files for /etc/registry, and an empty tmp."""
    os.makedirs(os.path.join(root, 'etc/registry'))
    os.mkdir(os.path.join(root, 'tmp'))
    os.chown(os.path.join(root, 'tmp'), NOBODY, NOBODY)
    with open(os.path.join(root, 'etc/registry-nginx.conf'), 'w') as file:
        file.write(configuration)
    for name, path in files.items():
        target = shutil.copy(path, os.path.join(root, 'etc/registry', name))
        os.chown(target, NOBODY, NOBODY)


def rendered(text, changes):
    """Return the text with changes ({old: new}). Each old text must occur exactly once."""
    for old, new in changes.items():
        assert text.count(old) == 1, '%r must occur exactly once in the configuration' % old
        text = text.replace(old, new)
    return text
