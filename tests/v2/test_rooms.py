"""The architecture of docker_registry.v2: which room may import which, and which names stay private (docs/architecture.rst)."""

import ast
import pathlib

import pytest

import docker_registry.v2

HOUSE = pathlib.Path(docker_registry.v2.__file__).parent
MODULES = sorted(HOUSE.rglob('*.py'))
#: Each room, with the other rooms that it may import.
USES = {
    'settings': [],
    'registry': ['settings'],
    'access': ['registry', 'settings'],
    'operations': ['registry', 'settings'],
    'http': ['access', 'registry', 'settings'],
    'cli': ['http', 'operations', 'access', 'registry', 'settings'],
    '__main__': ['cli'],
    '__init__': [],
}
WEB = ('flask', 'gunicorn', 'http', 'urllib.request', 'werkzeug', 'wsgiref')
#: Modules that a room must not import.
UNKNOWN = {
    'settings': WEB,
    'registry': (*WEB, 'docker_registry.drivers', 'docker_registry.core.driver', 'importlib'),
    'access': (*WEB, 'docker_registry.drivers', 'docker_registry.core.driver', 'importlib'),
    'operations': ('flask', 'gunicorn', 'werkzeug'),
}
SWIFT = ('httpx', 'keystoneauth1', 'requests', 'swiftclient', 'urllib3')
#: The only modules that import libraries of `SWIFT`: they ask the cloud whether a password is right, or tell listeners of events.
ASKS = {
    'access/outside.py': ['requests'],  # what may be asked, and for how long, is the same for both
    'access/keystone.py': ['keystoneauth1'],
    'access/swift_account.py': ['swiftclient'],
    'http/listeners.py': ['requests'],
}

every_module = pytest.mark.parametrize('module', MODULES, ids=lambda module: str(module.relative_to(HOUSE)))


def room_of(module):
    return module.relative_to(HOUSE).with_suffix('').parts[0]


def tree_of(module):
    return ast.parse(module.read_text())


def imported(tree):
    """Yield the full names of everything that a module imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, 'imports are absolute'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


@every_module
def test_imports_point_one_way(module):
    own = room_of(module)
    for name in imported(tree_of(module)):
        assert name not in ('docker_registry', 'docker_registry.v2'), 'name the room'
        if name.startswith('docker_registry.v2.'):
            assert name.split('.')[2] in [own, *USES[own]], name


@every_module
def test_a_room_knows_only_what_is_its_own(module):
    unknown = {*SWIFT, *UNKNOWN.get(room_of(module), ())} - set(ASKS.get(str(module.relative_to(HOUSE)), ()))
    for name in imported(tree_of(module)):
        assert not [prefix for prefix in unknown if f'{name}.'.startswith(f'{prefix}.')], name


@every_module
def test_an_underscore_name_is_used_by_its_own_object_only(module):
    tree = tree_of(module)
    assert not [name for name in imported(tree) if name.rpartition('.')[2].startswith('_') and not name.endswith('__')]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith('_') and not node.attr.startswith('__'):
            assert ast.unparse(node.value) in ('self', 'cls') or ast.unparse(node) == 'os._exit', ast.unparse(node)


@every_module
def test_files_and_functions_are_short(module):
    assert len(module.read_text().splitlines()) <= 300
    for node in ast.walk(tree_of(module)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < 45, node.name
