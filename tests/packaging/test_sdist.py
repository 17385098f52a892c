"""The files in the sdist, and its metadata."""

import re
import tarfile

import pytest
from packaging.specifiers import SpecifierSet

from environments import CHECKOUT, make_sdist


@pytest.fixture(scope='module')
def contents(tmp_path_factory):
    """The bytes of each file, by its path below the sdist's top folder."""
    with tarfile.open(make_sdist(tmp_path_factory.mktemp('sdist'))) as sdist:
        return {member.name.partition('/')[2]: sdist.extractfile(member).read() for member in sdist if member.isfile()}


@pytest.fixture(scope='module')
def about(contents):
    return contents['PKG-INFO'].decode()


@pytest.mark.parametrize(
    'path',
    [
        'LICENSE',
        'README.rst',
        'CHANGES.rst',
        'CONTRIBUTING.rst',
        'tox.ini',
        'Makefile',
        'pytest.ini',
        'Dockerfile',
        '.dockerignore',
        'deploy/Dockerfile.v1',
        'deploy/excluded.txt',
    ],
)
def test_it_has_what_a_packager_looks_for(contents, path):
    assert contents[path] == (CHECKOUT / path).read_bytes()


@pytest.mark.parametrize('folder', ['docker_registry', 'tests', 'tools', 'benchmarks'])
def test_it_has_every_source_file(contents, folder):
    sources = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / folder).rglob('*.py')}
    assert sources and sources <= set(contents)


def test_it_has_what_the_page_for_browsers_consists_of(contents):
    page = CHECKOUT / 'docker_registry/v2/http/page'
    files = {str(path.relative_to(CHECKOUT)) for folder in ('templates', 'static') for path in (page / folder).iterdir()}
    assert len(files) > 5 and files <= set(contents)


def test_it_has_nothing_compiled(contents):
    assert not [path for path in contents if re.search(r'\.py[co]$|__pycache__', path)]


@pytest.mark.parametrize('folder', ['docker_registry', 'docker_registry/drivers'])
def test_it_leaves_the_namespaces_to_core(contents, folder):
    assert folder + '/__init__.py' not in contents


def test_it_asks_for_no_isolated_build(contents):
    assert 'pyproject.toml' not in contents


def test_its_version_is_the_drivers(contents, about):
    assert (
        "\n__version__ = '%s'\n" % re.search(r'^Version: (.+)$', about, re.M).group(1)
        in contents['docker_registry/drivers/swift.py'].decode()
    )


@pytest.mark.parametrize(
    'version, supported',
    [('2.6', False), ('2.7.18', True), ('3.0', False), ('3.9.19', False), ('3.10.0', True), ('3.13.5', True), ('3.14', True)],
)
def test_it_names_the_pythons_it_is_for(about, version, supported):
    assert (version in SpecifierSet(re.search(r'^Requires-Python: (.+)$', about, re.M).group(1))) is supported


@pytest.mark.parametrize('package', ['docker-registry-core', 'python-swiftclient', 'requests'])
def test_it_requires_each_package_that_the_driver_imports(contents, package):
    required = contents['docker_registry_driver_swift.egg-info/requires.txt'].decode()
    assert len(re.findall(r'^%s\b' % package, required, re.M)) == 2  # once for Python 2.7, once for Python 3
