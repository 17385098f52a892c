"""Which module may know which: the domain knows no HTTP, and nobody but the driver knows Swift."""
import ast
import pathlib

import docker_registry.v2
import pytest

MODULES = sorted(pathlib.Path(docker_registry.v2.__file__).parent.glob('*.py'))
LAYERS = [{'names', 'errors'}, {'layout', 'concurrency', 'recent'}, {'tokens', 'formats'}, {'blobs', 'tags', 'catalog'},
          {'uploads', 'referrers', 'manifests'}]
DOMAIN = set.union(*LAYERS)
OWN = 'docker_registry.v2'


def imported(module):
    """Full names of all that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, 'imports are absolute'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('module', MODULES, ids=lambda module: module.stem)
def test_only_the_driver_speaks_swift(module):
    assert not [name for name in imported(module) if name.split('.')[0] in ('swiftclient', 'keystoneauth1', 'requests')]


@pytest.mark.parametrize('module', [module for module in MODULES if module.stem in DOMAIN], ids=lambda module: module.stem)
def test_the_domain_knows_neither_http_nor_the_driver(module):
    for name in imported(module):
        assert name.split('.')[0] not in ('werkzeug', 'flask', 'gunicorn', 'http', 'wsgiref', 'urllib'), name
        assert not name.startswith('docker_registry.drivers'), name
        if name.startswith(OWN + '.'):
            assert name.split('.')[2] in DOMAIN, name


@pytest.mark.parametrize('module', [module for module in MODULES if module.stem in DOMAIN], ids=lambda module: module.stem)
def test_dependencies_point_one_way(module):
    own = next(number for number, layer in enumerate(LAYERS) if module.stem in layer)
    for name in imported(module):
        if name.startswith(OWN + '.') and name.split('.')[2] != 'errors':
            assert name.split('.')[2] in set.union(*LAYERS[:own + 1]), name


@pytest.mark.parametrize('module', MODULES, ids=lambda module: module.stem)
def test_files_and_functions_are_short(module):
    text = module.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 45, node.name
