"""Stand-ins for the base images, for want of a hub to pull them from: Debian as a slim image has it, with its own Python.

They know what this machine knows of package indexes, proxies and certificates: what is built on them installs from where
this machine does.
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
#: The v1 registry with its requirements, in a virtualenv that tests/registry/release.py makes.
V1_RELEASE = os.path.join(os.environ.get('REGISTRY_ENVS') or os.path.join(CHECKOUT, '.tox'), 'registry-0.9.1')
CACHE = os.path.join(CHECKOUT, '.tox', 'bases')
SUITE = 'bookworm'
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

# mmdebstrap and not debootstrap, for it is four times as fast.
RECIPE = [
    '--variant=minbase',
    '--include=python3,ca-certificates',
    *['--dpkgopt=path-exclude=/usr/share/%s/*' % name for name in ('doc', 'locale', 'man')],
    SUITE,
]

#: Folders and files of this machine that are the same in a base.
SETTINGS = ['/etc/pip.conf', '/etc/xdg/pip', '~/.config/pip', '~/.pip', '~/.config/uv', '/etc/uv', '/etc/ssl/certs/ca-certificates.crt']
VARIABLES = re.compile('(PIP|UV|SSL)_.*|REQUESTS_CA_BUNDLE|(https?|no|all)_proxy', re.IGNORECASE)


def make_python(docker, folder):
    """The name of an image with Python 3 as `python3`, and nothing to install packages with.

    :param folder: to build it in, which is not there yet
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
    """The name of an image such as registry:0.9.1 is, whose pip finds an sdist of this checkout beside what else there is."""
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
            # The tests of the v1 registry have left theirs.
            'RUN pip uninstall --yes docker-registry-driver-swift python-swiftclient',
            'EXPOSE 5000',
            'CMD ["docker-registry"]',
        ],
    )


def build(docker, folder, name, lines):
    """The name of the image that a Dockerfile of these lines makes of a folder."""
    with open(os.path.join(folder, 'Dockerfile'), 'w') as file:
        file.write('\n'.join(lines) + '\n')
    docker('build', '--network', 'host', '--tag', name, folder)
    return name


def environment(variables):
    """Lines of a Dockerfile."""
    return ['ENV %s=%s' % (name, json.dumps(value).replace('$', '\\$')) for name, value in sorted(variables.items())]


def copy_to(root, path):
    """Have in a folder what is at a path here, if anything is; `~` is root's there."""
    source, target = os.path.expanduser(path), os.path.join(root, path.replace('~', '/root').lstrip('/'))
    if os.path.exists(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copytree(source, target, symlinks=True) if os.path.isdir(source) else shutil.copy(source, target)


def debian():
    """The path of a tar of a minimal Debian, made once for this checkout."""
    recipe = RECIPE + [mirror()]
    path = os.path.join(CACHE, '%s-%s.tar' % (SUITE, hashlib.sha256(repr(recipe).encode()).hexdigest()[:8]))
    if not os.path.exists(path):
        os.makedirs(CACHE, exist_ok=True)
        begun = path.replace('.tar', '-%d.tar' % os.getpid())
        subprocess.run([program('mmdebstrap'), '--quiet', *recipe[:-1], begun, recipe[-1]], check=True)
        os.rename(begun, path)
    return path


def mirror():
    """Where this machine has Debian from."""
    for path in sorted(glob.glob('/etc/apt/sources.list.d/*') + ['/etc/apt/sources.list']):
        if os.path.exists(path):
            with open(path) as file:
                found = re.search(r'^(?:URIs:|deb(?: \[.*?\])?) *(\S+/debian/?)(?:$| %s )' % SUITE, file.read(), re.MULTILINE)
            if found:
                return found[1]
    raise LookupError('no file of /etc/apt names a mirror of Debian %s' % SUITE)
