# -*- coding: utf-8 -*-
"""Packaging, for every pip and setuptools from 2014's to today's.

There is no pyproject.toml on purpose: pip 20.3 on Python 2.7 would then build in an isolated environment, whose newest
setuptools no longer runs there.  And setuptools 5.8, which docker-registry 0.9.1 pins, knows neither `python_requires` (it
warns) nor markers in `install_requires` (it fails).  What depends on the Python goes into extras named ':marker', with == or !=,
the only comparisons that it knows.
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


def version():
    """The driver's `__version__`, without importing what may not be installed yet."""
    return str(re.search(r"^__version__ = '([^']+)'$", read('docker_registry/drivers/swift.py'), re.M).group(1))


# Beside an installed registry the registry's own pins decide which core is there: nothing is excluded on 2.7.
PYTHON_2 = [
    'docker-registry-core>=1.0,<3',
    'python-swiftclient>=3.6,<4',
]

# core 2.0.2 and 2.0.3 pin setuptools==5.8, which no Python 3.10+ can import: pip 23.0 (that of `python3.10 -m venv`) then fails
# half-way for want of setuptools, later ones leave an environment without a working setuptools.  2.0.1 is the same code for
# a driver.  An environment that has 2.0.3 already, put there with --no-deps or an installer's overrides, works too.
PYTHON_3 = [
    'docker-registry-core>=1.0,<3,!=2.0.2,!=2.0.3',
    'keystoneauth1>=4.0,<6',
    'python-swiftclient>=3.6,<5',
]

# The registry v2 API, Python 3 only.  gunicorn before 27 leaves a TLS greeting on a plain port unanswered: skopeo tries that
# first, and waits 10 seconds.
REGISTRY = [
    'bcrypt>=5,<6',
    'gunicorn>=27,<28',
    'itsdangerous>=2.1,<3',
    'PyYAML>=6,<7',
    'Werkzeug>=3,<4',
]

# docker_registry and docker_registry.drivers belong to docker-registry-core; neither has an __init__.py here or there.  Python 3
# finds all parts of such packages by itself; on 2.7 each part says where it is with a .pth file, which this asks for.
NAMESPACES = ['docker_registry', 'docker_registry.drivers']
if sys.version_info[0] == 2:
    LAYOUT = {'packages': NAMESPACES, 'namespace_packages': NAMESPACES}
else:
    LAYOUT = {
        'packages': NAMESPACES + ['docker_registry.' + name for name in find_packages('docker_registry')],
        'entry_points': {'console_scripts': ['registry-swift = docker_registry.v2.cli:main']}}

setup(
    name='docker-registry-driver-swift',
    version=version(),
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
        # Keystone v2 and v3 on 2.7.  Not by default: keystoneauth1 wants requests>=2.14, the v1 registry pins 2.3.0.
        'keystone': ['keystoneauth1>=3.4,<4'],
        'registry': REGISTRY,
    },
    zip_safe=False,
    **LAYOUT
)
