"""Run `pip install docker-registry-driver-swift` as users do, and check that core finds the driver."""

import re

import pytest

from environments import CHECKOUT, NO_COMPILER, Environment, make_sdist

PYTHON_3 = ['3.10', '3.13']  # they have the oldest and the newest pip; tox installs on the versions in between
CORES = ['1.0.6', '2.0.3']
# The first pip that reads Requires-Python, and the last for Python 2.7.
PIPS = ['9.0.3', '20.3.4']
# Requirements of the registry that take minutes to compile and do not matter to the driver.
COMPILED = ('M2Crypto', 'gevent', 'greenlet')


@pytest.fixture(scope='module')
def sdist(tmp_path_factory):
    return make_sdist(tmp_path_factory.mktemp('sdist'))


@pytest.fixture(scope='module', params=PYTHON_3)
def plain(request, tmp_path_factory, sdist):
    """An environment of each Python 3, with the driver and the requirements that pip chose."""
    environment = Environment(tmp_path_factory.mktemp('plain') / 'env', request.param)
    environment.pip('install', sdist, **NO_COMPILER)
    return environment


def test_core_finds_the_driver(plain):
    assert re.search(r'/site-packages/docker_registry/drivers/swift\.py$', plain.fetched())


def test_requirements_agree(plain):
    assert 'No broken requirements' in plain.pip('check')


def test_a_setuptools_that_is_there_works(plain):
    if 'setuptools' in plain.installed():
        plain.python('-c', 'import setuptools')


def test_keystone_comes_along_on_python_3(plain):
    plain.python('-c', 'from keystoneauth1.identity import v2, v3')


@pytest.fixture(scope='module')
def newest(tmp_path_factory, sdist):
    """The newest Python, with the registry's extra."""
    environment = Environment(tmp_path_factory.mktemp('newest') / 'env', PYTHON_3[-1])
    environment.pip('install', sdist + '[registry]')
    return environment


def test_the_registry_extra_has_what_the_registry_imports(newest):
    newest.python('-c', 'import gunicorn, yaml; import docker_registry.v2.http.app')


def test_the_registry_extra_has_the_files_of_the_page(newest):
    listed = newest.python(
        '-c',
        'import pathlib; from docker_registry.v2.http.page import rendering as page; '
        'print(page.__file__, *page.FILES, *(path.name for path in (page.HERE / "templates").iterdir()))',
    )
    assert '/site-packages/' in listed
    assert {'page.css', 'page.js', 'icon.svg', 'base.html'} <= set(listed.split())


@pytest.mark.parametrize('core', CORES)
def test_the_driver_is_found_beside_each_core_without_setuptools(newest, core):
    # Remove the installed core first: the setup.py of the other core would ask it for the version.
    newest.pip('uninstall', '--quiet', '--yes', 'docker-registry-core', 'setuptools')
    newest.pip('install', '--quiet', '--no-deps', 'docker-registry-core==' + core)
    assert newest.fetched().endswith('/docker_registry/drivers/swift.py')
    assert newest.installed().get('docker-registry-core') == core


@pytest.fixture(scope='module')
def packages(tmp_path_factory, sdist):
    """A folder with all packages for Python 2.7. It replaces an index, because the one that pip 9 knows is gone."""
    folder = tmp_path_factory.mktemp('packages')
    environment = Environment(folder / 'env', '2.7', PIPS[-1])
    for core, pip in zip(CORES, PIPS):
        environment.pip('download', '--quiet', '--dest', str(folder), sdist + '[keystone]', 'docker-registry-core==' + core, 'pip==' + pip)
    return folder


def install(environment, packages, *what):
    # Without the cache: this must not use wheels that were compiled, or leave wheels for others that were not.
    environment.pip('install', '--no-cache-dir', '--no-index', '--find-links', str(packages), *what, **NO_COMPILER)


@pytest.fixture(params=PIPS)
def python_2(request, tmp_path):
    return Environment(tmp_path / 'env', '2.7', request.param)


@pytest.mark.parametrize('core', CORES)
def test_core_finds_the_driver_on_python_2(python_2, packages, sdist, core):
    install(python_2, packages, 'docker-registry-core==' + core)
    install(python_2, packages, sdist)
    assert re.search(r'/site-packages/docker_registry/drivers/swift\.pyc?$', python_2.fetched())
    assert python_2.installed()['docker-registry-core'] == core


def test_keystone_is_an_extra_on_python_2(python_2, packages, sdist):
    install(python_2, packages, sdist)
    assert 'keystoneauth1' not in python_2.installed()
    install(python_2, packages, sdist + '[keystone]')
    python_2.python('-c', 'from keystoneauth1.identity import v2, v3')


def registry_pins():
    """(name, version) of each package that docker-registry 0.9.1 runs with, including setuptools 5.8."""
    return re.findall(r'^([^#\s]+)==(\S+)$', (CHECKOUT / 'tests/registry/requirements-0.9.1.txt').read_text(), re.M)


@pytest.fixture(scope='module')
def registry(tmp_path_factory):
    """The environment of a docker-registry 0.9.1."""
    environment = Environment(tmp_path_factory.mktemp('registry') / 'env', '2.7', PIPS[-1])
    environment.pip('install', '--quiet', '--no-deps', *('%s==%s' % pin for pin in registry_pins() if pin[0] not in COMPILED))
    return environment


@pytest.mark.parametrize('pip', PIPS)
def test_nothing_that_a_registry_pins_is_moved(registry, packages, sdist, pip):
    install(registry, packages, 'pip==' + pip)
    before = registry.installed()
    install(registry, packages, sdist)
    after = registry.installed()
    registry.pip('uninstall', '--yes', *set(after) - set(before))
    assert {name: after.get(name) for name in before} == before
    assert set(after) - set(before) == {'docker-registry-driver-swift', 'python-swiftclient', 'futures', 'six'}


@pytest.mark.parametrize('version', ['2.7', PYTHON_3[-1]])
def test_the_driver_is_found_in_another_site_folder_than_cores(version, tmp_path, sdist):
    environment = Environment(tmp_path / 'env', version, PIPS[-1])
    environment.pip('install', '--quiet', 'docker-registry-core==1.0.6', 'python-swiftclient')
    environment.pip('install', '--quiet', '--no-deps', '--target', str(tmp_path / 'more'), sdist)
    (tmp_path / 'env/lib' / ('python' + version) / 'site-packages/more.pth').write_text(
        'import site; site.addsitedir(%r)\n' % str(tmp_path / 'more')
    )
    assert environment.fetched().startswith(str(tmp_path / 'more'))
