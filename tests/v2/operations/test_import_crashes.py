"""Imports that are killed, or of which one request fails, at any request: the next run completes them.

Only a sample is tried. COLLECTION_CASES=all tries all, which takes some minutes; COLLECTION_SEED chooses another sample.
"""

import collections
import lzma
import re

import pytest
from collection_process import Process, case, sample
from importer import contents, pulled, run, tags, v1_storage

from docker_registry.core import exceptions
from docker_registry.v2.operations.collection import lock
from docker_registry.v2.operations.collection import run as collection
from docker_registry.v2.operations.collection.bounds import Bounds
from docker_registry.v2.operations.progress import Progress
from fake_swift import FakeSwift, lost_answer, status
from registry_client import Place
from v1_tree import Tree, archive, gzipped, image_id

MiB = 1024**2
LARGE = archive(large=b'large' * (MiB // 2))
BASE, APP = archive(base=b'base'), archive(app=b'app')
LAYERS = {'latest': [gzipped(BASE), LARGE, b''], 'xz': [lzma.compress(LARGE, preset=0)], 'cut': [gzipped(LARGE + BASE)[:-4]]}
EXPECTED = {'latest': [BASE, LARGE], 'xz': [LARGE]}
WAYS = {'copy': {}, 'link': {'link': True}}


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)


@pytest.fixture
def server():
    with FakeSwift(token_life=10**9) as server:
        yield server


def made(server):
    """Return a place with the tree of a v1 registry."""
    place = Place(server, swift_retries=0)
    place.storage()
    tree = Tree(v1_storage(place))
    for tag, layers in LAYERS.items():
        tree.chain('library/app', tag, *layers)
    tree.tag('team/second', 'v1', image_id('library/app:latest 1'))
    return place


def require_whole(place):
    """Check that clients can pull all tags that they find."""
    for name, found in tags(place).items():
        for tag in found:
            archives = pulled(place, name, tag)[2]
            assert archives == EXPECTED.get(tag, archives)


def collected(place):
    """Free all garbage, and return how many objects there are in each folder of the registry, by the shape of their names."""
    for _ in range(3):
        collection.collect(place.storage(), collection.Options(Bounds.quiet(), take_lock=True), None, Progress(None))
    names = [stat.path for stat in place.storage().at('files').walk()]
    return collections.Counter(
        re.sub('[0-9a-f-]{32,}', '*', re.sub('/[0-9a-f]{2}/', '/', name)) for name in names if not name.startswith('_gc/')
    )


@pytest.fixture(params=WAYS)
def undisturbed(request, server):
    """(how to import, requests of a run, tags, names)"""
    place, how = made(server), WAYS[request.param]
    process = Process(place.storage())
    run(place, storage=process.storage, **how)
    require_whole(place)
    return how, process.requests, tags(place), collected(place)


def completed(place, how, expected_tags, expected_names, before):
    require_whole(place)
    run(place, **how)
    assert tags(place) == expected_tags
    assert collected(place) == expected_names
    require_whole(place)
    assert contents(place) == before


def test_a_run_that_is_killed_is_completed_by_the_next(server, undisturbed):
    how, requests, *expected = undisturbed
    for kill in sample('kills', list(range(requests)), 6):
        with case(kill=kill):
            place = made(server)
            before = contents(place)
            process = Process(place.storage(), kill=kill)
            try:
                run(place, storage=process.storage, workers=1 + kill % 3, **how)
            except BaseException as error:
                assert process.is_dead, error
            completed(place, how, *expected, before)


@pytest.mark.parametrize('action', [status(503), lost_answer()], ids=['503', 'lost answer'])
def test_a_run_of_which_a_request_fails_is_completed_by_the_next(server, undisturbed, action):
    how, requests, *expected = undisturbed
    for after in sample('failures', list(range(requests)), 4):
        with case(after=after):
            place = made(server)
            before = contents(place)
            storage = place.storage()
            fault = server.fault(lambda request: True, action, after=after)
            try:
                found = run(place, storage=storage, workers=1, **how)
                # An answer that is lost on the way may not matter, and a copy of it is not asked for.
                assert found.status() == 2 or tags(place) == expected[0]
            except (exceptions.UnspecifiedError, exceptions.ConnectionError):
                pass
            finally:
                fault.cancel()
            completed(place, how, *expected, before)
