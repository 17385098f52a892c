"""What a survey reads: strange manifests, objects that Swift lists and does not find, and a Swift that fails."""

import json

import pytest

from docker_registry.core import exceptions
from docker_registry.v2.operations.survey import contents, reading, state, walk
from docker_registry.v2.operations.survey import survey as survey_module
from docker_registry.v2.registry import layout, names
from fake_swift import FakeSwift, on, status
from registry_client import Place, digest_of

MiB = 1024**2
NAMED = digest_of(b'named')


@pytest.fixture
def survey(fake_place, tmp_path):
    """A function that takes a survey of the container."""
    return lambda **more: survey_module.take(fake_place.storage(swift_retries=1), str(tmp_path), **more)


@pytest.fixture
def store(fake_place):
    """A function that stores bytes as a manifest, without a registry that would refuse them."""
    storage = fake_place.storage()

    def stored(content, digest=None):
        digest = digest or names.digest(digest_of(content))
        storage.put_content(layout.blob(digest), content)
        storage.put_content(layout.revision_link('a', digest), str(digest).encode())
        return str(digest)

    return stored


def states(found):
    return dict(found.db.execute('SELECT digest, state FROM manifest'))


def named(found):
    return {row[0] for row in found.db.execute('SELECT digest FROM reference')}


@pytest.mark.parametrize(
    'content',
    [
        b'{"x": "%s"}' % NAMED.encode(),
        b'{"x": {"y": [[{"%s": null}]]}}' % NAMED.encode(),
        b'{"a": "%s", "a": 1}' % NAMED.encode(),
        b'["%s", NaN, Infinity, %s, 1e999, -0.5]' % (NAMED.encode(), b'9' * 99),
        b'{"x": "%s"}' % NAMED.replace(':', '\\u003a').encode(),
        b'{"x": "a \\" b", "y": "%s"}' % ''.join('\\u%04x' % ord(letter) for letter in NAMED).encode(),
        b'{"x": "%s"}' % NAMED.replace(':', '\\u003A').encode(),
        b'"%s"' % NAMED.encode(),
        b'{"x": "\\ud800", "y": "%s"}' % NAMED.encode(),
        b'{"x": %s, "y": "%s"}' % (b'1' + b'0' * 5000000, NAMED.encode()),
    ],
    ids=range(10),
)
def test_any_string_that_looks_like_a_digest_counts(survey, store, content):
    digest = store(content)
    found = survey()

    assert states(found) == {digest: 'read'}
    assert named(found) == {NAMED}


@pytest.mark.parametrize('text', [NAMED.upper(), NAMED + '0', NAMED[:-1], 'a@' + NAMED, 'sha384:' + 'a' * 96, NAMED + ' '])
def test_other_strings_do_not(survey, store, text):
    digest = store(json.dumps({'x': text}).encode())
    found = survey()

    assert states(found) == {digest: 'read'} and named(found) == set()


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'no JSON',
        b'{"x": "\xff"}',
        b'\xef\xbb\xbf{}',
        '{"x": 1}'.encode('utf-16'),
        b'[' * 2000000,
        b'[' * 1000 + b']' * 1000,
        b'[' + b'{},' * 1000000 + b'{}]',
        b'{"a":' * 100000,
        b'"' * 1000001,
        b'"\\' * 500000,
        b'"\\u"' + b'\\"' * 500000,
    ],
    ids=range(12),
)
def test_bytes_that_are_no_manifest_are_opaque(survey, store, content):
    digest = store(content)

    assert states(survey()) == {digest: 'opaque'}


def test_the_size_that_a_descriptor_says(survey, store):
    other = digest_of(b'other')
    store(
        json.dumps(
            {'layers': [{'digest': NAMED, 'size': 5}, {'digest': other, 'size': 2**70}, {'digest': [], 'size': 1}, {'size': 1}]}
        ).encode()
    )
    found = survey()

    assert set(found.db.execute('SELECT digest, size FROM reference')) == {(NAMED, 5), (other, None)}


def test_bytes_of_another_digest_are_damaged_and_name_nothing(survey, store):
    digest = store(b'{"x": "%s"}' % NAMED.encode(), names.digest(digest_of(b'right')))
    found = survey()

    assert states(found) == {digest: 'damaged'} and named(found) == set()


def test_missing_bytes(survey, store, fake_place):
    digest = store(b'{}')
    fake_place.storage().remove(layout.blob(names.digest(digest)))

    assert states(survey()) == {digest: 'missing'}


def test_bytes_that_only_some_replicas_have_are_read(survey, store, fake, fake_place):
    digest = store(b'{}')
    fake.stale(fake_place.container, 'files/' + layout.blob(names.digest(digest)))

    assert states(survey()) == {digest: 'read'}


def test_manifests_that_swift_does_not_tell_do_not_end_the_survey(survey, store, fake):
    good, bad = store(b'{}'), store(b'[]')
    fake.fault(on('GET', path_contains=bad.partition(':')[2] + '/data'), status(503), times=None)

    assert states(survey()) == {good: 'read', bad: 'unreadable'}


def test_a_swift_that_is_down_ends_the_survey(survey, store, fake, monkeypatch):
    monkeypatch.setattr(reading, 'MOST_FAILURES', 3)
    for number in range(5):
        store(b'%d' % number)
    fake.fault(on('GET', path_contains='/data'), status(503), times=None)

    with pytest.raises(exceptions.BrokenError):
        survey()


def test_a_huge_object_is_not_read(survey, store, fake, monkeypatch):
    monkeypatch.setattr(contents, 'LARGEST_MANIFEST', 10)
    digest = store(b'"more than ten"')
    fake.clear_requests()

    assert states(survey()) == {digest: 'opaque'}
    assert not [request for request in fake.requests if request.path.endswith('/data')]


def test_a_huge_object_whose_size_no_listing_tells_is_not_read(store, fake_place, monkeypatch):
    monkeypatch.setattr(contents, 'LARGEST_MANIFEST', 10)
    digest = store(b'"more than ten"')

    assert contents.ManifestReader(fake_place.storage()).read((digest, None)) == (digest, 'opaque', {})


# Large objects


def kinds(found):
    return {row[0]: row[1:] for row in found.db.execute('SELECT owner, kind, prefix FROM composition')}


def put_dynamic(fake, place, path, prefix):
    return fake.put(place.container, 'files/' + path, b'', headers={'X-Object-Manifest': f'{place.container}/{prefix}'})


def test_blobs_of_cncf_distribution(survey, fake, fake_place):
    digest = names.digest(digest_of(b'whole'))
    put_dynamic(fake, fake_place, layout.blob(digest), 'segments/abc/d')
    fake.put(fake_place.container, 'segments/abc/d/0000000000000001', b'whole')
    found = survey()

    assert kinds(found) == {str(digest): ('dynamic', f'{fake_place.container}/segments/abc/d')}
    assert list(found.db.execute('SELECT name, size FROM foreign_segment')) == [('segments/abc/d/0000000000000001', 5)]


def test_uploads_of_cncf_distribution(survey, fake, fake_place):
    folder = layout.repository('a') + '/_uploads/3f1c'
    put_dynamic(fake, fake_place, folder + '/data', 'segments/abc/e')
    for name in ('startedat', 'hashstates/sha256/0'):
        fake.put(fake_place.container, f'files/{folder}/{name}', b'x')
    found = survey()

    assert kinds(found) == {folder + '/data': ('dynamic', f'{fake_place.container}/segments/abc/e')}
    assert found.one('SELECT count(*) FROM foreign_upload WHERE upload = ?', '3f1c') == 3


def test_objects_with_names_that_nobody_understands_may_own_segments(survey, fake, fake_place):
    path = layout.BLOBS + '/sha384/aa/' + 'a' * 96 + '/data'
    put_dynamic(fake, fake_place, path, 'segments/abc/f')

    assert kinds(survey()) == {path: ('dynamic', f'{fake_place.container}/segments/abc/f')}


def test_an_object_that_swift_lists_and_does_not_find(survey, fake, fake_place):
    digest = digest_of(b'lost')
    put_dynamic(fake, fake_place, layout.blob(names.digest(digest)), 'segments/abc/d')
    fake.fault(on('HEAD', path_contains='/data'), status(404), times=None)

    assert kinds(survey()) == {digest: ('missing', None)}


def test_an_object_of_which_swift_does_not_tell(survey, fake, fake_place):
    digest = digest_of(b'unknown')
    put_dynamic(fake, fake_place, layout.blob(names.digest(digest)), 'segments/abc/d')
    fake.fault(on('HEAD', path_contains='/data'), status(503), times=None)

    assert kinds(survey()) == {digest: ('unreadable', None)}


def test_what_is_remembered_is_not_asked_again(fake_registry, fake_place, fake, survey, tmp_path):
    large = bytes(2 * MiB)
    fake_registry.push_image('a', 'v1', large)
    first = survey()
    rows = {table: list(first.db.execute(f'SELECT * FROM {table}')) for table in ('manifest', 'reference', 'composition', 'composed')}
    first.db.close()
    (tmp_path / state.FILE).unlink()
    fake.clear_requests()

    def memory(db):
        for table, known in rows.items():
            db.executemany(f'INSERT INTO {table} VALUES ({", ".join("?" * len(known[0]))})', known)

    second = survey(memory=memory)

    assert not [request for request in fake.requests if request.path.endswith('/data')]
    assert list(second.db.execute('SELECT * FROM composed')) == rows['composed'] != []


def test_an_object_that_was_written_since_is_asked_again(fake_registry, fake_place, survey):
    large = bytes(2 * MiB)
    digest = fake_registry.push_blob('a', large)

    def memory(db):
        db.execute("INSERT INTO composition VALUES (?, 'static', NULL, 1.5)", (digest,))
        db.execute("INSERT INTO composed VALUES (?, 'files/_segments/old/00000000')", (digest,))

    found = survey(memory=memory)

    assert found.one("SELECT count(*) FROM composed WHERE name LIKE '%/old/%'") == 0
    assert found.one('SELECT count(*) FROM composed') == 2


# Links


def test_a_link_by_which_cncf_distribution_names_the_same_bytes(survey, fake, fake_place):
    sha512, sha256 = (names.digest(digest_of(b'bytes', algorithm)) for algorithm in ('sha512', 'sha256'))
    link = layout.layer_link('a', sha512)
    fake.put(fake_place.container, 'files/' + link, str(sha256).encode())
    found = survey()

    assert list(found.db.execute('SELECT path, digest FROM other')) == [(link, str(sha256))]
    assert list(found.db.execute('SELECT digest FROM layer')) == [(str(sha512),)]


def test_our_links_of_sha512_are_not_read(fake_registry, fake, survey):
    fake_registry.push_blob('a', b'bytes', digest_of(b'bytes', 'sha512'))
    fake.clear_requests()

    assert survey().one('SELECT count(*) FROM other') == 0
    assert not [request for request in fake.requests if request.path.endswith('/link')]


# Listings


def test_names_of_all_kinds(survey, fake, fake_place):
    strange = [
        'docker/registry/v2/blobs/x',
        'docker/registry/v2/repositories/Upper/_layers/sha256/%s/link' % ('a' * 64),
        'docker/registry/v2/repositories/a/\n\x01\x7f',
        'docker/registry/v2/zzz/\U0010ffff',
        'docker/registry/v2/repositories/a//b',
        'docker/registry/v2/repositories/a/../b',
        'docker/registry/v2/repositories/' + 'a/' * 400 + 'x',
        '_trash/elsewhere',
    ]
    for path in strange:
        fake.put(fake_place.container, 'files/' + path, b'x')
    found = survey()

    assert {row[0] for row in found.db.execute('SELECT path FROM other')} == set(strange)


@pytest.fixture
def small_pages(monkeypatch):
    """A place on a Swift that lists two names in a page."""
    monkeypatch.setattr(walk, 'PAGE', 3)
    with FakeSwift(listing_limit=2) as server:
        yield Place(server)


def test_pages_of_any_length(small_pages, tmp_path):
    small_pages.registry().push_image('a', 'v1', bytes(2 * MiB), b'one', b'two')
    found = survey_module.take(small_pages.storage(), str(tmp_path))

    rows = {table: found.one(f'SELECT count(*) FROM {table}') for table in ('blob', 'layer', 'revision', 'tag', 'tag_index', 'segment')}
    assert rows == {'blob': 5, 'layer': 4, 'revision': 1, 'tag': 1, 'tag_index': 1, 'segment': 2}
    assert found.one('SELECT count(*) FROM composed JOIN segment USING (name)') == 2


def test_other_roots_in_the_container_are_not_ours(survey, fake, fake_place):
    for name in ('images/x/layer', 'registry/_segments/x/0', 'files2/docker/registry/v2/x', 'files/_registry/secret', 'segments2/x'):
        fake.put(fake_place.container, name, b'x')
    found = survey()

    for table in ('other', 'segment', 'foreign_segment', 'blob'):
        assert found.one(f'SELECT count(*) FROM {table}') == 0


@pytest.fixture
def interrupted(small_pages, tmp_path):
    """A function that goes on with an interrupted survey, and returns it with the markers of the listing of the registry."""
    small_pages.registry().push_image('a', 'v1', bytes(2 * MiB), b'one', b'two')
    server, storage = small_pages.server, small_pages.storage(swift_retries=0)
    server.fault(on('GET', where=lambda request: request.query.get('prefix', '').endswith('/v2/')), status(503), times=None, after=5)
    with pytest.raises(exceptions.BrokenError):
        survey_module.take(storage, str(tmp_path))
    server.clear_faults()
    server.clear_requests()

    def go_on():
        found = survey_module.take(storage, str(tmp_path))
        markers = [request.query.get('marker') for request in server.requests if request.query.get('prefix', '').endswith('/v2/')]
        return found, markers

    return go_on


def test_an_interrupted_survey_goes_on_where_it_was(interrupted):
    found, markers = interrupted()

    assert '/_layers/' in markers[0]
    assert (found.one('SELECT count(*) FROM layer'), found.one('SELECT count(*) FROM blob')) == (4, 5)


def test_an_old_interrupted_survey_begins_anew(interrupted, monkeypatch):
    monkeypatch.setattr(state, 'RESUMED_SECONDS', 0)
    found, markers = interrupted()

    assert markers[0] is None
    assert (found.one('SELECT count(*) FROM layer'), found.one('SELECT count(*) FROM blob')) == (4, 5)


def test_the_next_survey_in_a_folder_reads_only_what_is_new(fake_registry, fake, survey, tmp_path):
    digest = fake_registry.push_image('a', 'v1', bytes(2 * MiB), b'one')
    survey().db.close()
    new = fake_registry.push_image('a', 'v2', b'two')
    fake.clear_requests()
    found = survey()

    asked = [request.path for request in fake.requests if request.path.endswith('/data')]
    assert len(asked) == 1 and new.partition(':')[2] in asked[0]
    assert states(found) == {digest: 'read', new: 'read'}
    assert found.one('SELECT count(*) FROM composed JOIN segment USING (name)') == 2
    assert [path.name for path in tmp_path.glob('*.old.*')] == []


def test_a_survey_of_another_container_begins_anew(fake, fake_registry, interrupted, tmp_path):
    fake_registry.push_image('other', 'v1', b'one')
    found = survey_module.take(fake_registry.storage, str(tmp_path))

    assert [row[0] for row in found.db.execute('SELECT name FROM repository')] == ['other']


@pytest.mark.parametrize('content', [b'', b'no database', b'SQLite format 3\0' + bytes(5000)])
def test_something_else_in_the_folder(fake_registry, survey, tmp_path, content):
    fake_registry.push_image('a', 'v1', b'one')
    for name in (state.FILE, state.OLD):
        (tmp_path / name).write_bytes(content)

    assert survey().one('SELECT count(*) FROM tag') == 1


def test_a_manifest_that_two_repositories_have_is_read_once(fake_registry, fake, survey):
    fake_registry.push_image('a', 'v1', b'one')
    digest = fake_registry.push_image('b', 'v1', b'one')
    fake.clear_requests()
    survey()

    assert len([request for request in fake.requests if digest.partition(':')[2] + '/data' in request.path]) == 1
