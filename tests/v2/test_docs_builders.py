"""The pages for developers: the files, functions and numbers that they name are those of the code."""

import ast
import pathlib
import re
from types import SimpleNamespace

import pytest

from docker_registry.drivers import swift
from docker_registry.v2.access import tokens
from docker_registry.v2.http import app
from docker_registry.v2.registry import blobs, formats, upload_state, uploads
from docker_registry.v2.settings import config, storage
from registry_client import as_json

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
HOUSE = CHECKOUT / 'docker_registry' / 'v2'
DRIVER = CHECKOUT / 'docker_registry' / 'drivers' / 'swift.py'


def page(path):
    return (CHECKOUT / path).read_text(encoding='utf-8')


# docs/architecture.rst

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

    assert len(endpoints) == 8 and set(endpoints) <= names_in(HOUSE / 'http' / 'endpoints.py')


def test_methods_of_the_driver_are_there():
    named = set(re.findall(r"the driver's\s+``([\w.]+)``", ARCHITECTURE))

    assert named and named <= names_in(DRIVER)


@pytest.mark.parametrize('module', sorted(HOUSE.rglob('*.py')), ids=lambda module: str(module.relative_to(HOUSE)))
def test_every_module_is_in_the_picture(module):
    picture = ARCHITECTURE.partition('::\n')[2].partition('Imports point one way')[0]
    room = module.parent.name + '/' if module.parent != HOUSE else 'docker_registry/v2'

    assert f'+- {room} ' in picture
    assert module.stem == '__init__' or re.search(rf'\b{module.stem}\b', picture)


# Numbers

KiB, MiB, GiB = 1024, 1024**2, 1024**3
WORDS = dict(enumerate('zero one two three four five six seven eight nine ten eleven twelve'.split()))
DEFAULTS = {setting.key: setting.default for setting in swift.SETTINGS}


def segment_sizes():
    """Of the largest object that the driver can store, with the default settings."""
    driver = SimpleNamespace(settings=SimpleNamespace(segment_size=DEFAULTS['swift_segment_size']))
    return [swift.Storage._segment_size(driver, number) for number in range(uploads.MOST_PARTS)]


def required(path, pattern):
    """What a file says, where only its text can be read."""
    return re.search(pattern, page(path), re.MULTILINE)[1]


SIZES = segment_sizes()
#: (page, a part of a sentence, what the code says)
NUMBERS = [
    ('docs/decisions.rst', 'A segment has {:d} MiB unless', DEFAULTS['swift_segment_size'] // MiB),
    ('docs/decisions.rst', 'Two segments of {:d} MiB keep a writer below', DEFAULTS['swift_segment_size'] // MiB),
    ('docs/decisions.rst', 'A manifest names at most {:d} segments', uploads.MOST_PARTS),
    ('docs/decisions.rst', 'after the first {:d} they double', SIZES.count(SIZES[0])),
    ('docs/decisions.rst', 'and again after each further {:d}.', SIZES.count(SIZES[0] * 2)),
    ('docs/decisions.rst', 'the first {:.2f} GiB of an object', SIZES.count(SIZES[0]) * SIZES[0] / GiB),
    ('docs/decisions.rst', 'The largest object has {:.0f} GiB.', sum(SIZES) / GiB),
    ('docs/decisions.rst', 'Its last segments have {:.0f} GiB each.', SIZES[-1] / GiB),
    ('docs/decisions.rst', 'at most once in {:d} seconds', swift.CONTAINER_CHECK_SECONDS),
    ('docs/decisions.rst', 'up to {:d} KiB, if they compress', uploads.MOST_PENDING_READ // KiB),
    ('docs/decisions.rst', 'compress to {:d} bytes', upload_state.MOST_PENDING),
    ('docs/decisions.rst', 'older than an upload can be: {:d} hours', config.Config().upload_lifetime // 3600),
    ('docs/decisions.rst', 'saw it within the last {:d} seconds', blobs.FRESH_SECONDS),
    ('docs/decisions.rst', 'in one request and has at most {:d} MiB', blobs.SMALL // MiB),
    ('docs/decisions.rst', 'Routes are {} regular expressions', WORDS[len(app.ROUTES)]),
    ('docs/decisions.rst', 'gunicorn {} or newer', required('setup.py', "'gunicorn>=(\\d+)")),
    ('docs/decisions.rst', 'A token expires after {:d} seconds', tokens.TOKEN_SECONDS),
    ('benchmarks/README.rst', 'with python-swiftclient {},', required('benchmarks/environments.py', '^OURS.*swiftclient==([0-9.]+)')),
    ('benchmarks/README.rst', 'python-swiftclient {} that it pins', required('benchmarks/environments.py', '^RELEASED.*client==([0-9.]+)')),
    ('benchmarks/README.rst', '1 and then {} threads', required('benchmarks/driver.py', '^CALLERS = [(]1, ([0-9]+)[)]')),
    ('benchmarks/README.rst', 'with {} workers', WORDS[int(required('tests/end_to_end/servers.py', 'workers=([0-9]+)'))]),
    ('benchmarks/README.rst', 'one layer of {} MiB', required('benchmarks/registry.py', "'--size', type=int, default=([0-9]+)")),
    ('benchmarks/README.rst', 'and {} layers of', required('benchmarks/registry.py', '64 [*] 1024,[)] [*] ([0-9]+)')),
    ('benchmarks/README.rst', 'layers of {} KiB', required('benchmarks/registry.py', '([0-9]+) [*] 1024,[)] [*]')),
    ('benchmarks/README.rst', '{} clients at a time', required('benchmarks/registry.py', '^CALLERS, CALLS = ([0-9]+)')),
    ('benchmarks/README.rst', 'back for {} ms', required('benchmarks/registry.py', r'default=\[0, ([0-9]+)\]')),
    ('docs/walkthrough.rst', 'in the image has the number {}', required('Dockerfile', '^USER ([0-9]+)')),
    ('docs/walkthrough.rst', 'base image is ``{}``', required('Dockerfile', '^ARG BASE=(.*)')),
    ('docs/walkthrough.rst', '--stop-timeout {} ', config.ServerSettings().graceful_timeout),
    ('docs/layout.rst', 'For the registry v2 API that is ``{}``', storage.STORAGE_PATH),
]


@pytest.mark.parametrize('path, fragment, number', NUMBERS)
def test_a_number_is_that_of_the_code(path, fragment, number):
    assert fragment.format(number) in ' '.join(page(path).split())


def test_what_put_content_costs(fake):
    assert 'one request for a new path' in page('docs/decisions.rst')
    assert 'any other plain object costs three requests' in page('docs/decisions.rst')

    one, other = (driver_on(fake) for _ in range(2))

    assert [cost(one, 'new'), cost(one, 'new'), cost(other, 'new')] == [1, 1, 3]


def driver_on(fake):
    driver = swift.Storage(
        config={
            'swift_authurl': fake.auth_url,
            'swift_auth_version': '1',
            'swift_user': fake.user,
            'swift_password': fake.key,
            'swift_container': 'registry',
        }
    )
    driver.connect()
    return driver


def cost(driver, path):
    sent = []
    driver.on_request = lambda *request: sent.append(request)
    driver.put_content(path, b'content')
    return len(sent)


def test_what_a_remembered_manifest_costs(fake_place):
    assert 'still costs two requests' in ' '.join(page('docs/decisions.rst').split())
    registry = fake_place.registry()
    manifest = as_json({'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': []})
    assert registry('PUT', '/v2/a/manifests/v1', manifest).status_code == 201

    del registry.swift_requests[:]
    registry('GET', '/v2/a/manifests/v1')

    assert len(registry.swift_requests) == 2
