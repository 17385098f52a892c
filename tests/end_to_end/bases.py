"""Makes stand-ins for the base images, because tests have no hub to pull them from. They are a slim Debian with its own Python.

The images have this machine's settings for package indexes, proxies and certificates, so that builds can install packages.
"""

import glob
import hashlib
import json
import os
import re
import shutil
import subprocess

from servers import program

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
#: The virtualenv with the v1 registry and its requirements. tests/registry/release.py makes it.
V1_RELEASE = os.path.join(os.environ.get('REGISTRY_ENVS') or os.path.join(CHECKOUT, '.tox'), 'registry-0.9.1')
CACHE = os.path.join(CHECKOUT, '.tox', 'bases')
SUITE = 'bookworm'
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

# mmdebstrap is four times as fast as debootstrap.
RECIPE = [
    '--variant=minbase',
    '--include=python3,ca-certificates',
    *['--dpkgopt=path-exclude=/usr/share/%s/*' % name for name in ('doc', 'locale', 'man')],
    SUITE,
]

#: Folders and files of this machine that are copied into a base.
SETTINGS = ['/etc/pip.conf', '/etc/xdg/pip', '~/.config/pip', '~/.pip', '~/.config/uv', '/etc/uv', '/etc/ssl/certs/ca-certificates.crt']
VARIABLES = re.compile('(PIP|UV|SSL)_.*|REQUESTS_CA_BUNDLE|(https?|no|all)_proxy', re.IGNORECASE)


def make_python(docker, folder):
    """Make an image with Python 3 as `python3` and without tools to install packages. Return its name.

    :param folder: a new folder to build it in
    """
    os.makedirs(os.path.join(folder, 'settings'))
    shutil.copy(debian(), os.path.join(folder, 'debian.tar'))
    for path in SETTINGS:
        copy_to(os.path.join(folder, 'settings'), path)
    variables = {name: value for name, value in os.environ.items() if VARIABLES.fullmatch(name)}
    return build(
        docker,
        folder,
        'python-slim',
        ['FROM scratch', 'ADD debian.tar /', 'COPY settings /', *environment(dict(variables, PATH=PATH)), 'CMD ["python3"]'],
    )


def make_v1(docker, base, sdist, folder):
    """Make an image like registry:0.9.1, and return its name. Its pip also finds an sdist of this checkout."""
    os.makedirs(os.path.join(folder, 'sdist'))
    shutil.copy(sdist, os.path.join(folder, 'sdist'))
    with open(os.path.join(V1_RELEASE, 'pyvenv.cfg')) as file:
        python = re.search('^base-prefix = (.*)$', file.read(), re.MULTILINE)[1]
    for name, path in (('python', python), ('registry', V1_RELEASE)):
        shutil.copytree(path, os.path.join(folder, name), symlinks=True, ignore=shutil.ignore_patterns('test', '*.pyc', '*.a'))
    return build(
        docker,
        folder,
        'registry-v1',
        [
            'FROM ' + base,
            'COPY python %s' % python,
            'COPY registry %s' % V1_RELEASE,
            'COPY sdist /sdist',
            *environment(
                {
                    'PATH': '%s/bin:%s' % (V1_RELEASE, PATH),
                    'PIP_FIND_LINKS': '/sdist',
                    'SETTINGS_FLAVOR': 'dev',
                    'DOCKER_REGISTRY_CONFIG': os.path.join(V1_RELEASE, 'lib/python2.7/site-packages/config/config_sample.yml'),
                }
            ),
            # The tests of the v1 registry have installed these.
            'RUN pip uninstall --yes docker-registry-driver-swift python-swiftclient',
            'EXPOSE 5000',
            'CMD ["docker-registry"]',
        ],
    )


def build(docker, folder, name, lines):
    """Build an image from a folder, with these lines as its Dockerfile. Return its name."""
    with open(os.path.join(folder, 'Dockerfile'), 'w') as file:
        file.write('\n'.join(lines) + '\n')
    docker('build', '--network', 'host', '--tag', name, folder)
    return name


def environment(variables):
    """Return the lines of a Dockerfile that set these variables."""
    return ['ENV %s=%s' % (name, json.dumps(value).replace('$', '\\$')) for name, value in sorted(variables.items())]


def copy_to(root, path):
    """Copy a path of this machine into a folder, if the path exists. `~` becomes the home of root."""
    source, target = os.path.expanduser(path), os.path.join(root, path.replace('~', '/root').lstrip('/'))
    if os.path.exists(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copytree(source, target, symlinks=True) if os.path.isdir(source) else shutil.copy(source, target)


def debian():
    """Return the path of a tar file with a minimal Debian. It is made once for this checkout."""
    recipe = RECIPE + [mirror()]
    path = os.path.join(CACHE, '%s-%s.tar' % (SUITE, hashlib.sha256(repr(recipe).encode()).hexdigest()[:8]))
    if not os.path.exists(path):
        os.makedirs(CACHE, exist_ok=True)
        begun = path.replace('.tar', '-%d.tar' % os.getpid())
        subprocess.run([program('mmdebstrap'), '--quiet', *recipe[:-1], begun, recipe[-1]], check=True)
        os.rename(begun, path)
    return path


def mirror():
    """Return the address of the Debian mirror that this machine uses."""
    for path in sorted(glob.glob('/etc/apt/sources.list.d/*') + ['/etc/apt/sources.list']):
        if os.path.exists(path):
            with open(path) as file:
                found = re.search(r'^(?:URIs:|deb(?: \[.*?\])?) *(\S+/debian/?)(?:$| %s )' % SUITE, file.read(), re.MULTILINE)
            if found:
                return found[1]
    raise LookupError('no file of /etc/apt names a mirror of Debian %s' % SUITE)
