"""A survey: it finds what was pushed, all of it, and nothing else."""

import io

import pytest

from docker_registry.v2.operations.pace import Pace
from docker_registry.v2.operations.survey import survey as survey_module
from docker_registry.v2.registry import layout, names
from registry_client import digest_of

MiB = 1024**2


@pytest.fixture
def survey(place, tmp_path):
    """A function that takes a survey of the container."""
    return lambda **more: survey_module.take(place.storage(), str(tmp_path), **more)


def table(found, query):
    return [row[0] if len(row) == 1 else row for row in found.db.execute(query)]


def test_what_was_pushed(registry, survey):
    layers = b'one', bytes(3 * MiB), b'shared'
    first = registry.push_image('team/app', 'v1', *layers)
    second = registry.push_image('other', 'latest', b'shared')
    found = survey()

    assert set(table(found, 'SELECT name FROM repository')) == {'team/app', 'other'}
    is_ceph = registry.storage.is_ceph()  # it lists large objects without their size
    assert set(table(found, 'SELECT digest, size FROM blob WHERE digest NOT IN (SELECT digest FROM revision)')) == {
        (digest_of(content), None if is_ceph and len(content) > MiB else len(content)) for content in (b'{}', *layers)
    }
    assert set(table(found, 'SELECT name, tag FROM tag JOIN repository ON id = repository')) == {('team/app', 'v1'), ('other', 'latest')}
    assert set(table(found, 'SELECT tag, digest FROM tag_index')) == {('v1', first), ('latest', second)}
    assert set(table(found, 'SELECT name, digest FROM revision JOIN repository ON id = repository')) == {
        ('team/app', first),
        ('other', second),
    }
    assert len(table(found, 'SELECT digest FROM layer')) == 6
    assert table(found, 'SELECT path FROM other') == []


def test_what_manifests_name(registry, survey):
    layers = b'one', b'two'
    digest = registry.push_image('a', 'v1', *layers, annotations={'of': digest_of(b'elsewhere'), digest_of(b'a key'): 'x'})
    found = survey()

    assert table(found, 'SELECT digest, state FROM manifest') == [(digest, 'read')]
    assert set(table(found, 'SELECT digest, size FROM reference')) == {
        (digest_of(b'{}'), 2),
        (digest_of(b'one'), 3),
        (digest_of(b'two'), 3),
        (digest_of(b'elsewhere'), None),
        (digest_of(b'a key'), None),
    }


def test_who_owns_which_segments(registry, survey):
    large = bytes(3 * MiB + 1)
    registry.push_image('a', 'v1', large)
    registry.storage.write_parts(layout.segments('left', '00112233'), io.BytesIO(b'x' * (2 * MiB)))
    found = survey()

    (owner,) = table(found, "SELECT owner FROM composition WHERE kind = 'static'")
    assert owner == digest_of(large)
    assert table(found, 'SELECT sum(size) FROM segment JOIN composed USING (name)') == [len(large)]
    assert table(found, 'SELECT DISTINCT upload FROM segment WHERE name NOT IN (SELECT name FROM composed)') == ['left']


def test_a_small_blob_that_is_a_large_object(registry, survey):
    content = b'x' * 1000
    (part,) = registry.storage.write_parts(layout.segments('upload', '00112233'), io.BytesIO(content))
    digest = names.digest(digest_of(content))
    registry.storage.compose(layout.blob(digest), [part])
    registry.push_blob('a', b'y' * 999)
    found = survey()

    assert table(found, 'SELECT owner, kind FROM composition') == [(str(digest), 'static')]
    assert len(table(found, 'SELECT name FROM composed')) == 1


def test_the_requests_of_a_survey_are_counted(registry, survey):
    registry.push_image('a', 'v1', b'layer')
    pace = Pace()
    survey(pace=pace)

    # The listing of the registry has one page, and an empty one at its end, as the five others have. The manifest is read once.
    assert pace.methods['GET'] == 2 + 5 + 1
    assert pace.methods['HEAD'] <= 3
