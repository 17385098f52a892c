"""A survey, a collection and a check leave their outcome in the container, where the metrics of every registry find it."""

import json
import math

import pytest

from docker_registry.core import exceptions
from docker_registry.v2.operations import recording
from docker_registry.v2.operations.collection.problems import Stopped
from docker_registry.v2.operations.collection.work import Report
from docker_registry.v2.operations.fsck.findings import TAG, UNKNOWN, Finding
from docker_registry.v2.registry import layout, records
from fake_swift import on, status
from registry_process import environment, run


@pytest.fixture
def environ(fake, fake_place):
    fake_place.registry().push_image('team/app', 'v1', b'x' * 1000)
    return environment(fake, OS_CONTAINER=fake_place.container)


def record(place, kind):
    return records.read(place.storage(), kind)


def test_a_survey_leaves_its_numbers(fake_place, environ):
    assert run('survey', environ=environ)[0] == 0

    found = record(fake_place, records.SURVEY)
    assert (found['repositories'], found['tags'], found['manifests'], found['blobs']) == (1, 1, 1, 3)
    assert found['blob_bytes'] == found['stored_bytes'] > 1000
    assert found['garbage_bytes'] == dict.fromkeys(('layer_links', 'blobs', 'segments', 'uploads'), 0)


def test_the_survey_of_one_repository_leaves_the_numbers_of_all(fake_place, environ):
    fake_place.registry().push_image('other', 'v1', b'y')
    assert run('survey', '--repository', 'other', environ=environ)[0] == 0

    assert record(fake_place, records.SURVEY)['repositories'] == 2


def test_collections_add_up(fake_place, environ):
    fake_place.registry().push_blob('team/app', b'z' * 5000)
    assert run('gc', '--quiet-registry', '--keep-trash', '7d', environ=environ)[0] == 0
    found = record(fake_place, records.COLLECTION)
    assert found['totals']['trashed_bytes'] == found['trash_bytes'] == 5000

    assert run('gc', '--quiet-registry', environ=environ)[0] == 0
    found = record(fake_place, records.COLLECTION)
    assert found['totals']['trashed_bytes'] == found['totals']['freed_bytes'] == 5000 and found['trash_bytes'] == 0
    assert found['runs'] == {'done': 2} and found['outcome'] == 'done' and found['succeeded'] == found['finished']


def test_a_dry_run_leaves_nothing(fake_place, environ):
    assert run('gc', '--dry-run', environ=environ)[0] == 0

    assert not record(fake_place, records.COLLECTION)


def test_a_brake_is_counted_and_the_last_success_stays():
    before = recording.collection({}, 1, Report(trash_bytes=7))
    found = recording.collection(before, 1, None, Stopped('why'))

    assert found['runs'] == {'done': 1, 'brake': 1} and found['outcome'] == 'brake'
    assert found['succeeded'] == before['finished'] and found['trash_bytes'] == 7


def test_an_error_is_counted():
    assert recording.collection({}, 1, None, exceptions.UnreachableError('x'))['runs'] == {'error': 1}


def test_a_collection_that_another_one_keeps_away_leaves_nothing(fake_place, environ):
    fake_place.storage().put_content(layout.LOCK, b'{}')
    assert run('gc', environ=environ)[0] == 1

    assert not record(fake_place, records.COLLECTION)


def test_a_check_leaves_its_outcome(fake_place, environ):
    assert run('fsck', environ=environ)[0] == 0

    found = record(fake_place, records.CHECK)
    assert (found['status'], found['damaged'], found['unpullable'], found['deep']) == (0, 0, 0, None)


def test_the_check_of_one_repository_leaves_nothing(fake_place, environ):
    assert run('fsck', '--repository', 'team/app', environ=environ)[0] == 0

    assert not record(fake_place, records.CHECK)


def test_what_a_check_has_found_is_counted():
    findings = [Finding(TAG, 'x', tags=['a:v1', 'a:v2']), Finding(UNKNOWN, 'x'), Finding(TAG, 'x', repaired=True)]
    found = recording.check({'deep': 5}, 1, findings, deep=False)

    assert [found[name] for name in ('status', 'damaged', 'unknown', 'repaired', 'unpullable', 'deep')] == [2, 1, 1, 1, 2, 5]


def test_a_command_whose_outcome_cannot_be_stored_has_done_its_work(fake, environ):
    fake.fault(on('PUT', path_contains='_gc/last'), status(403), times=None)
    code, out, err = run('survey', '--json', environ=environ)

    assert code == 0 and json.loads(out)['container']['tags'] == 1
    assert 'metrics will not show this survey' in err


@pytest.mark.parametrize('content', [b'', b'[]', b'[' * 10000, b'{"x": ' + b'1' * 70000 + b'}', b'\xff'])
def test_what_is_no_record_counts_as_none(fake_place, content):
    fake_place.storage().put_content(layout.last(records.SURVEY), content)

    assert record(fake_place, records.SURVEY) == {}


def test_a_nonsensical_record_does_not_stop_the_next():
    last = {'runs': {'done': 'x', 'brake': math.nan, 'error': 10**400}, 'totals': [], 'succeeded': 'y'}

    assert recording.collection(last, 1, Report())['runs'] == {'done': 1}
