"""docs/architecture.rst names files and functions that are there, and every module."""

import ast
import pathlib
import re

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
HOUSE = CHECKOUT / 'docker_registry' / 'v2'
DRIVER = CHECKOUT / 'docker_registry' / 'drivers' / 'swift.py'


def page(path):
    return (CHECKOUT / path).read_text(encoding='utf-8')


ARCHITECTURE = page('docs/architecture.rst')
#: Each file that the page names in its text, with the name after it, if there is one.
NAMED = re.findall(r'``([\w/]+\.py)``(?:\s+``([\w.]+)``)?', ARCHITECTURE)


def path_of(name):
    """Files of the registry v2 API are named from their package on, others from the checkout on."""
    return next((path for path in (HOUSE / name, CHECKOUT / name) if path.exists()), None)


def names_in(path):
    """Names that a module defines at its top, with those in its classes as `Class.name`."""
    found = set()
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
            found.update(f'{node.name}.{inner.name}' for inner in getattr(node, 'body', ()) if isinstance(inner, ast.FunctionDef))
        elif isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return found


@pytest.mark.parametrize('name, function', NAMED)
def test_a_file_or_function_that_the_page_names_is_there(name, function):
    assert path_of(name)
    assert not function or function in names_in(path_of(name))


def test_the_endpoints_of_a_push_and_a_pull_are_there():
    endpoints = re.findall(r'^``(?:GET|HEAD|POST|PATCH|PUT) ?.*?``.*? {2,}``(\w+)`` {2,}', ARCHITECTURE, re.MULTILINE)

    assert len(endpoints) == 8 and set(endpoints) <= set.union(*map(names_in, (HOUSE / 'http').glob('*endpoints.py')))


def test_methods_of_the_driver_are_there():
    named = set(re.findall(r"the driver's\s+``([\w.]+)``", ARCHITECTURE))

    assert named and named <= names_in(DRIVER)


@pytest.mark.parametrize('module', sorted(HOUSE.rglob('*.py')), ids=lambda module: str(module.relative_to(HOUSE)))
def test_every_module_is_in_the_picture(module):
    picture = ARCHITECTURE.partition('::\n')[2].partition('Imports point one way')[0]
    *rooms, name = module.relative_to(HOUSE).with_suffix('').parts
    room = rooms[0] + '/' if rooms else 'docker_registry/v2'

    assert f'+- {room} ' in picture
    if module.parent.parent in (HOUSE, HOUSE.parent):
        assert module.stem == '__init__' or re.search(rf'\b{module.stem}\b', picture)
    else:  # the picture has the folder, and the text its modules
        assert f' {module.parent.name}/ ' in picture
        assert module.stem == '__init__' or re.search(rf'\b{module.stem}\b', ARCHITECTURE)
