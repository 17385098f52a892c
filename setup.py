# -*- coding: utf-8 -*-
"""Packaging, for every pip and setuptools from 2014 to today.

There is no pyproject.toml, on purpose.  With one, pip 20.3 on Python 2.7 builds in an isolated environment, and the newest
setuptools that it installs there does not run on 2.7.

docker-registry 0.9.1 pins setuptools 5.8.  That version does not know `python_requires` (it warns) or markers in
`install_requires` (it fails).  So requirements that depend on the Python version are extras named ':marker'.  The markers
use == and !=, the only comparisons that setuptools 5.8 knows.
"""

import io
import os
import re
import sys

from setuptools import find_packages, setup

HERE = os.path.dirname(os.path.abspath(__file__))


def read(path):
    with io.open(os.path.join(HERE, path), encoding='utf-8') as text:
        return text.read()


def fact(name):
    """The driver's `__version__` or `__url__`.  This does not import the driver, whose requirements may not be installed yet."""
    return str(re.search(r"^__%s__ = '([^']+)'$" % name, read('docker_registry/drivers/swift.py'), re.M).group(1))


# The driver imports requests itself, so it must not rely on python-swiftclient to bring it.  The v1 registry pins 2.3.0.
REQUESTS = 'requests>=2.3,<3'

# Next to an installed registry, the registry's own pins decide the version of core.  So nothing is excluded on 2.7.
PYTHON_2 = [
    'docker-registry-core>=1.0,<3',
    'python-swiftclient>=3.6,<4',
    REQUESTS,
]

# core 2.0.2 and 2.0.3 pin setuptools==5.8, which Python 3.10 and newer cannot import.  pip 23.0 (from `python3.10 -m venv`) then
# fails half-way because setuptools is gone.  Later pips leave an environment whose setuptools does not work.  For a driver,
# 2.0.1 is the same code.  An environment that already has 2.0.3, from --no-deps or an installer's overrides, works too.
PYTHON_3 = [
    'docker-registry-core>=1.0,<3,!=2.0.2,!=2.0.3',
    'keystoneauth1>=4.0,<6',
    'python-swiftclient>=3.6,<5',
    REQUESTS,
]

# The registry v2 API, on Python 3 only.  gunicorn before 27 does not respond to a TLS greeting on a plain port.  skopeo tries
# TLS first and then waits 10 seconds.
REGISTRY = [
    'bcrypt>=5,<6',
    'gevent>=25,<27',
    'gunicorn>=27,<28',
    'itsdangerous>=2.1,<3',
    # The page for browsers.  It escapes everything by itself, which str.format and string.Template do not; Werkzeug's authors keep
    # it, and it needs markupsafe only, which Werkzeug needs anyway.
    'Jinja2>=3.1.6,<4',
    'packaging',
    # Metrics: it is Prometheus' own, and the only client that adds up what several processes count.  It needs no other package.
    'prometheus-client>=0.21,<1',
    'PyYAML>=6,<7',
    # The bar of `registry-swift survey` and its like at a terminal.  It is small, needs no other package, and is what most
    # programs show.  rich and progressbar2 bring more of their own.
    'tqdm>=4.60,<5',
    'Werkzeug>=3.1.9,<4',  # the square of the time for some header fields before
]

# docker_registry and docker_registry.drivers belong to docker-registry-core.  Neither has an __init__.py, here or there.  Python 3
# finds all parts of such packages by itself.  On 2.7, each part needs a .pth file, which `namespace_packages` makes.
NAMESPACES = ['docker_registry', 'docker_registry.drivers']
if sys.version_info[0] == 2:
    LAYOUT = {'packages': NAMESPACES, 'namespace_packages': NAMESPACES}
else:
    LAYOUT = {
        'packages': NAMESPACES + ['docker_registry.' + name for name in find_packages('docker_registry')],
        'package_data': {'docker_registry.v2.http.page': ['static/*', 'templates/*']},
        'entry_points': {'console_scripts': ['registry-swift = docker_registry.v2.__main__:main']}}

setup(
    name='docker-registry-driver-swift',
    version=fact('version'),
    url=fact('url'),
    description='OpenStack Swift as the only state of a Docker registry',
    long_description=read('README.rst'),
    long_description_content_type='text/x-rst',
    license='Apache-2.0',
    keywords='docker registry openstack swift softlayer oci',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: System Administrators',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 2.7',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: System :: Archiving',
    ],
    python_requires='>=2.7, ' + ', '.join('!=3.%d.*' % minor for minor in range(10)),
    extras_require={
        ':python_version == "2.7"': PYTHON_2,
        ':python_version != "2.7"': PYTHON_3,
        # Keystone v2 and v3 on 2.7.  It is optional: keystoneauth1 needs requests>=2.14, but the v1 registry pins 2.3.0.
        'keystone': ['keystoneauth1>=3.4,<4'],
        'registry': REGISTRY,
    },
    zip_safe=False,
    **LAYOUT
)
