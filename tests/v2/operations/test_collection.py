"""Collections: what goes, what stays, and what comes back."""

import dataclasses
import json

import pytest

from docker_registry.core.exceptions import FileNotFoundError
from docker_registry.v2.operations.collection import brakes, links, lock, run
from docker_registry.v2.operations.collection.bounds import Bounds
from docker_registry.v2.operations.collection.problems import Stopped
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.operations.survey import contents
from docker_registry.v2.registry import layout, trash
from docker_registry.v2.registry.names import digest as parsed
from docker_registry.v2.settings import config
from registry_client import digest_of, image

LARGE = bytes(3 * 1024**2)
QUIET = Bounds.quiet()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)


def collect(place, bounds=QUIET, **options):
    return run.collect(place.storage(), run.Options(bounds, **options), None, Progress(None))


def names(place):
    """Return the names of all objects, without what collections keep for themselves."""
    return {stat.path for stat in place.storage().at('').walk() if not stat.path.startswith(('files/_gc/', 'files/_registry/'))}


def test_nothing_of_an_image_goes(place, registry):
    registry.push_image('a', 'v1', b'layer', LARGE)
    before = names(place)

    report = collect(place)

    assert names(place) == before
    assert not report.counts


def test_all_of_a_deleted_image_goes(place, registry):
    registry.push_image('kept', 'v1', b'layer')
    before = names(place)
    digest = registry.push_image('a', 'v1', b'layer', b'another', LARGE)
    assert registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 202

    report = collect(place)

    assert names(place) == before
    assert report.counts['links'] == 4 and report.counts['blobs'] == report.counts['purged'] == 3
    assert registry('GET', '/v2/kept/manifests/v1').status_code == 200


def test_a_tag_whose_manifest_lost_its_link_keeps_what_it_needs(place, registry):
    digest = registry.push_image('a', 'v1', b'layer', LARGE)
    storage = place.storage()
    storage.discard(layout.revision_link('a', parsed(digest)))
    before = names(place)

    report = collect(place)

    assert names(place) == before
    assert list(report.remarks) == ['a is left alone: its tag v1 points to no manifest that it has. Run registry-swift fsck']


# The trash

EARLY = Bounds(older_than=-10)  # the test has just pushed what is garbage


@pytest.fixture
def deleted(place, registry):
    """The digests of an image that was deleted and then collected: of its manifest, and of its layers."""
    digest = registry.push_image('a', 'v1', b'layer', LARGE)
    registry('DELETE', f'/v2/a/manifests/{digest}')
    report = collect(place, EARLY)
    assert report.counts['blobs'] == 4 and report.counts['links'] == 3
    assert not place.storage().exists(f'docker/registry/v2/blobs/{path_of(digest_of(LARGE))}/data')
    return digest, [digest_of(b'layer'), digest_of(LARGE)]


def path_of(digest):
    algorithm, _, digits = digest.partition(':')
    return f'{algorithm}/{digits[:2]}/{digits}'


def knowing(place, **settings):
    """Return a registry that has looked into the trash."""
    registry = place.registry(**settings)
    registry.app.trash.know(registry.app.trash.look())
    return registry


def test_a_head_puts_a_blob_back(place, deleted):
    _, layers = deleted

    for layer in layers:
        assert knowing(place)('HEAD', f'/v2/a/blobs/{layer}').status_code == 200
        assert place.registry()('HEAD', f'/v2/a/blobs/{layer}').status_code == 200


@pytest.mark.parametrize('content', [b'layer', LARGE], ids=['plain', 'large'])
def test_a_pull_puts_a_blob_back(place, registry, deleted, content):
    answer = registry('GET', f'/v2/a/blobs/{digest_of(content)}')

    assert (answer.status_code, answer.data) == (200, content)


@pytest.mark.parametrize('is_back', [False, True], ids=['in the trash', 'put back'])
def test_a_blob_that_a_client_deletes_does_not_come_back(place, registry, deleted, is_back):
    _, (layer, _) = deleted
    if is_back:
        assert registry('GET', f'/v2/a/blobs/{layer}').status_code == 200

    assert registry('DELETE', f'/v2/a/blobs/{layer}').status_code == 202

    assert [registry(method, f'/v2/a/blobs/{layer}').status_code for method in ('GET', 'HEAD', 'DELETE')] == [404] * 3
    assert knowing(place)('HEAD', f'/v2/a/blobs/{layer}').status_code == 404
    collect(place)
    assert not [name for name in names(place) if '/_trash/' in name]


def test_a_blob_that_is_pushed_again_after_that_comes_back(place, registry, deleted):
    _, (layer, _) = deleted
    registry('DELETE', f'/v2/a/blobs/{layer}')
    registry.push_blob('a', b'layer')

    collect(place, dataclasses.replace(EARLY, keep_trash=10**6))

    assert not place.storage().exists(layout.layer_link('a', parsed(layer)))
    assert registry('GET', f'/v2/a/blobs/{layer}').status_code == 200


def test_a_blob_comes_back_only_where_it_was(place, deleted):
    _, (layer, _) = deleted

    assert knowing(place)('HEAD', f'/v2/b/blobs/{layer}').status_code == 404
    assert knowing(place)('GET', f'/v2/b/blobs/{layer}').status_code == 404


@pytest.mark.parametrize('source', ['&from=a', ''], ids=['from', 'from any'])
def test_a_mount_puts_a_blob_back(place, deleted, source):
    _, layers = deleted

    statuses = [knowing(place)('POST', f'/v2/b/blobs/uploads/?mount={layer}{source}').status_code for layer in layers]

    assert statuses[0] == 201
    assert statuses[1] == (201 if source else 202)  # without a source, no link proves that a PUT of the large blob succeeded
    assert place.registry()('GET', f'/v2/b/blobs/{layers[0]}').data == b'layer'


def test_a_manifest_puts_back_what_it_names(place, registry, deleted):
    registry.push_manifest('a', 'v2', image(b'{}', b'layer', LARGE))

    assert registry('GET', f'/v2/a/blobs/{digest_of(LARGE)}').data == LARGE


def test_a_manifest_that_something_still_links_comes_back(place, registry, deleted):
    digest, _ = deleted
    place.storage().put_content(f'docker/registry/v2/repositories/a/_manifests/revisions/sha256/{digest[7:]}/link', digest.encode())

    answer = registry('GET', f'/v2/a/manifests/{digest}')

    assert answer.status_code == 200 and digest_of(answer.data) == digest


def test_a_collection_puts_back_what_is_linked_again(place, registry, deleted):
    digest, layers = deleted
    place.storage().put_content(f'docker/registry/v2/repositories/a/_manifests/revisions/sha256/{digest[7:]}/link', digest.encode())
    place.storage().put_content(f'docker/registry/v2/repositories/a/_layers/sha256/{layers[0][7:]}/link', layers[0].encode())

    report = collect(place)

    assert report.counts['restored'] == 4 and report.counts['restored_links'] == 2
    assert registry('GET', f'/v2/a/blobs/{digest_of(LARGE)}').data == LARGE
    assert not [name for name in names(place) if '/_trash/' in name]


def test_what_is_about_to_be_deleted_does_not_come_back(place, deleted):
    _, layers = deleted
    storage = place.storage()
    for layer in layers:
        found = trash.read_record(storage, parsed(layer))
        trash.write_record(storage, parsed(layer), dataclasses.replace(found, state=trash.PURGING))

    assert [knowing(place)('HEAD', f'/v2/a/blobs/{layer}').status_code for layer in layers] == [404, 404]


def test_a_push_of_the_same_image_works_at_any_moment(place, registry, deleted):
    registry.push_image('a', 'v1', b'layer', LARGE)

    collect(place)

    assert registry('GET', f'/v2/a/blobs/{digest_of(LARGE)}').data == LARGE
    assert not [name for name in names(place) if '/_trash/' in name]


def test_a_read_only_registry_says_that_it_cannot_put_anything_back(place, deleted):
    _, layers = deleted
    read_only = place.registry(config.Access(read_only=True))
    before = names(place)

    for layer in layers:
        answer = read_only('GET', f'/v2/a/blobs/{layer}')
        assert answer.status_code == 503 and 'trash restore' in answer.json['errors'][0]['message']
    assert names(place) == before


def test_nobody_looks_into_the_trash_of_a_new_registry(fake, fake_place, fake_registry):
    fake_registry('HEAD', f'/v2/a/blobs/{digest_of(b"layer")}')

    assert not [request for request in fake.requests if '_trash' in str(request.query) + request.path]


def test_a_quiet_registry_may_keep_its_trash(place, registry):
    digest = registry.push_image('a', 'v1', b'layer', LARGE)
    registry('DELETE', f'/v2/a/manifests/{digest}')

    report = collect(place, Bounds.quiet(keep_trash=3600))

    assert report.counts['blobs'] == 4 and 'purged' not in report.counts
    assert registry('GET', f'/v2/a/blobs/{digest_of(LARGE)}').data == LARGE


def test_a_quiet_registry_may_keep_what_is_young(place, registry):
    digest = registry.push_image('a', 'v1', b'layer', LARGE)
    registry('DELETE', f'/v2/a/manifests/{digest}')
    before = names(place)

    collect(place, Bounds.quiet(older_than=3600))

    assert names(place) == before


def test_a_dry_run_changes_nothing(place, registry):
    digest = registry.push_image('a', 'v1', b'layer', LARGE)
    registry('DELETE', f'/v2/a/manifests/{digest}')
    before = names(place)

    report = collect(place, EARLY, dry_run=True)

    assert report.counts['links'] == 3 and report.counts['blobs'] == 4
    assert names(place) == before
    assert not place.storage().exists('_gc/lock')


# Beside the trash


def test_segments_of_what_a_repair_has_put_aside_stay_for_a_month(place, registry):
    registry.push_image('a', 'v1', LARGE)
    storage, digest = place.storage(), parsed(digest_of(LARGE))
    parts = [list(part) for part in storage.parts_of(layout.blob(digest))]
    storage.replace(layout.lost_record(digest), json.dumps({'parts': parts}).encode())
    storage.discard(layout.blob(digest))
    before = names(place)

    collect(place, Bounds(older_than=-10, upload=0, commit=0, listing_lag=0, skew=-10))
    collect(place, Bounds(older_than=-10, upload=0, commit=0, listing_lag=0, skew=-10))

    assert {name for name in before if '_segments' in name} <= names(place)
    collect(place)
    assert {name for name in before if '_segments' in name or '_lost' in name} <= names(place)


def test_a_blob_that_is_linked_again_meanwhile_stays(fake_place, fake_registry, monkeypatch):
    everything = Bounds(older_than=-60, keep_trash=1000, listing_lag=1000)
    digest = fake_registry.push_image('a', 'v1', b'layer')
    collect(fake_place, everything)
    assert fake_registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 202
    collect_links = links.collect

    def collect_and_push(work):
        collect_links(work)
        if not work.dry_run:
            fake_registry.push_blob('a', b'layer')

    monkeypatch.setattr(links, 'collect', collect_and_push)
    report = collect(fake_place, everything)

    assert (report.counts['links'], report.counts['blobs']) == (2, 2)  # the config and the manifest
    assert fake_registry('GET', f'/v2/a/blobs/{digest_of(b"layer")}').data == b'layer'


@pytest.mark.parametrize('method, content', [('large_object', LARGE), ('parts_of', LARGE), ('copy', b'layer')])
def test_a_blob_that_is_gone_for_a_moment_does_not_end_a_run(place, registry, monkeypatch, method, content):
    """A repair may have put it aside, or Swift may not find it. The next run looks again."""
    digest = registry.push_blob('a', content)
    storage = place.storage()
    blob, gone = layout.blob(parsed(digest)), []

    def missing(name):
        whole = getattr(storage, name)

        def call(path, *more, **named):
            if path == blob and (gone or name == method):
                gone.append(name)
                raise FileNotFoundError(path)
            return whole(path, *more, **named)

        return call

    with monkeypatch.context() as patched:
        for name in ('large_object', 'parts_of', 'copy'):
            patched.setattr(storage, name, missing(name))
        patched.setattr(contents, 'read_compositions', lambda *arguments: None)
        run.collect(storage, run.Options(EARLY), None, Progress(None))

    assert storage.exists(blob) and trash.read_record(storage, parsed(digest)) is None
    assert not storage.exists(layout.LOCK)
    assert collect(place).counts['blobs'] == 1


# The brakes


@pytest.fixture
def few(monkeypatch):
    """The loss of one of two is strange already."""
    monkeypatch.setattr(brakes, 'FEW', 0)


def test_a_run_stops_if_much_is_gone_that_nobody_has_deleted(place, registry, few):
    for name in 'ab':
        registry.push_image(name, 'v1', name.encode())
    collect(place, Bounds())
    storage = place.storage()
    storage.remove('docker/registry/v2/repositories/a')
    before = names(place)

    with pytest.raises(Stopped, match='--force'):
        collect(place)
    assert names(place) == before

    assert collect(place, force=True).counts['blobs'] == 2


def test_it_does_not_stop_if_a_client_has_deleted_that(place, registry, few):
    digests = [registry.push_image('a', tag, tag.encode()) for tag in ('v1', 'v2', 'v3')]
    collect(place, Bounds())
    for digest in digests[1:]:
        registry('DELETE', f'/v2/a/manifests/{digest}')

    assert collect(place).counts['blobs'] == 4


def test_it_does_not_stop_because_a_run_was_killed_that_had_moved_it(place, registry, few, monkeypatch):
    registry.push_image('a', 'v1', b'kept')
    for content in b'one', b'two', b'three':
        registry.push_blob('a', content)
    collect(place, Bounds())
    monkeypatch.setattr(run.memory, 'remember', lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        collect(place, EARLY)
    monkeypatch.undo()
    monkeypatch.setattr(lock, 'SETTLED', 0)
    monkeypatch.setattr(lock, 'PROMPT', float('inf'))
    monkeypatch.setattr(brakes, 'FEW', 0)

    assert collect(place, take_lock=True).counts['purged'] == 3


def test_an_old_replica_does_not_keep_a_blob_in_the_trash(fake_place, fake_registry, monkeypatch):
    """Swift answers 412 to a PUT with If-None-Match if one server has a copy, also if a HEAD says 404: it was deleted on the others."""
    fake_registry.push_blob('a', LARGE)
    collect(fake_place, Bounds(older_than=-60, keep_trash=1000))
    storage = fake_registry.storage
    compose = storage.compose
    monkeypatch.setattr(storage, 'put_new', lambda path, content: False)
    monkeypatch.setattr(storage, 'compose', lambda path, parts, new=False: not new and compose(path, parts))

    assert fake_registry('GET', f'/v2/a/blobs/{digest_of(LARGE)}').status_code == 200
