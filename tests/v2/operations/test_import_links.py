"""`import-v1 --link`: blobs of the objects of a v1 registry, which then nothing may delete."""

import os

import pytest
from collection_process import Killed, Process
from importer import ROOT, contents, pulled, run, states, v1_storage, v1_tree, whys

from docker_registry.core import driver, exceptions
from docker_registry.v2.operations.collection import lock
from docker_registry.v2.operations.collection import run as collection
from docker_registry.v2.operations.collection.bounds import Bounds
from docker_registry.v2.operations.fsck.run import Check
from docker_registry.v2.operations.fsck.run import Options as CheckOptions
from docker_registry.v2.operations.importing import storing
from docker_registry.v2.operations.importing.tree import Tree
from docker_registry.v2.operations.importing.unlinking import Unlinking
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.operations.survey import survey
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.settings import config
from fake_swift import on, status
from registry_client import Place, digest_of
from v1_tree import archive, gzipped

MiB = 1024**2
SMALL = archive(small=b'small')
SEGMENTED = archive(large=os.urandom(3 * MiB))
PLAIN = archive(plain=os.urandom(2 * MiB))
ROOTS = ['registry', '', 'files']


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)


def made(place, root=ROOT):
    """Return the tree of a v1 registry with an image of a small layer, a static large object, and a large layer in one plain object."""
    if place.is_ceph:
        pytest.skip('Ceph does not tell of which objects a large one consists')
    tree = v1_tree(place, root)
    ids = tree.chain('library/app', 'latest', gzipped(SMALL), SEGMENTED, PLAIN)
    tree.storage.remove(f'images/{ids[2]}/layer')
    tree.storage.replace(f'images/{ids[2]}/layer', PLAIN)  # as drivers that knew no large objects
    return tree, ids


def unlinked(storage, root=ROOT):
    """Copy what is linked, and return what has become of each layer."""
    unlinking = Unlinking(Domain(storage, config.Config()), Tree(storage, root))
    return list(unlinking.run(unlinking.held()))


def collect(place, **options):
    how = collection.Options(Bounds.quiet(), **options)
    return collection.collect(place.storage(), how, None, Progress(None))


@pytest.mark.parametrize('root', ROOTS)
def test_no_bytes_move(place, root):
    made(place, root)
    before = contents(place, root) if root else None
    storage = place.storage()
    copied = []
    storage.on_request = lambda method, status, seconds: copied.append(method)
    parts = sum('/_segments/' in f'/{stat.path}' for stat in place.storage().at('').walk())
    found = run(place, root=root, storage=storage, link=True)

    assert states(found) == {'library/app:latest': 'imported'} and found.uses_links
    assert [layer.is_linked for layer in sorted(found.layers, key=lambda layer: layer.size)] == [False, True, True]
    assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]
    assert sum('/_segments/' in f'/{stat.path}' for stat in place.storage().at('').walk()) == parts
    if root and root != 'files':
        assert contents(place, root) == before


def test_a_second_run_finds_everything_done(place):
    made(place)
    run(place, link=True)

    for link in (True, False):
        found = run(place, link=link)
        assert states(found) == {'library/app:latest': 'unchanged'} and found.uses_links


@pytest.mark.parametrize('root', ROOTS)
@pytest.mark.parametrize('v1_path', [True, False])
def test_a_collection_keeps_what_both_registries_need(place, root, v1_path):
    tree, ids = made(place, root)
    run(place, root=root, link=True)
    for _ in range(3):
        collect(place, v1_path=f'/{root}' if v1_path else None)

    assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]
    assert [tree.storage.get_content(f'images/{name}/layer') for name in ids[1:]] == [SEGMENTED, PLAIN]


@pytest.mark.parametrize('root', ROOTS)
@pytest.mark.parametrize('v1_path', [True, False])
def test_when_the_new_image_is_deleted_the_v1_registry_keeps_its_layers(place, root, v1_path):
    tree, ids = made(place, root)
    run(place, root=root, link=True)
    digest = pulled_digest(place)
    assert place.registry()('DELETE', f'/v2/app/manifests/{digest}').status_code == 202
    for _ in range(4):
        collect(place, v1_path=f'/{root}' if v1_path else None)

    assert not place.storage().exists(f'docker/registry/v2/blobs/sha256/{digest_of(PLAIN)[7:9]}/{digest_of(PLAIN)[7:]}/data')
    assert [tree.storage.get_content(f'images/{name}/layer') for name in ids[1:]] == [SEGMENTED, PLAIN]


def pulled_digest(place):
    return place.registry()('HEAD', '/v2/app/manifests/latest').headers['Docker-Content-Digest']


@pytest.mark.parametrize('root', ROOTS)
def test_when_the_tag_of_the_v1_registry_is_deleted_the_new_image_keeps_its_layers(place, root):
    tree, _ = made(place, root)
    run(place, root=root, link=True)
    tree.storage.remove('repositories/library/app/tag_latest')
    reports = [collect(place, v1_path=f'/{root}', v1_images=True) for _ in range(3)]

    assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]
    assert 'import' in ' '.join(reports[0].remarks) and reports[0].counts['v1_images'] == 1  # the small layer was copied


def test_a_hold_that_swift_lists_and_does_not_find_counts(fake):
    place = Place(fake)
    tree, ids = made(place)
    run(place, link=True)
    tree.storage.remove('repositories/library/app/tag_latest')
    fault = fake.fault(on(method='HEAD', path_contains='/_held/'), status(404), times=None)
    for _ in range(3):
        collect(place, v1_path='/registry', v1_images=True)
    fault.cancel()

    assert [tree.storage.get_content(f'images/{name}/layer') for name in ids[1:]] == [SEGMENTED, PLAIN]


@pytest.mark.parametrize('root', ROOTS)
def test_what_comes_back_from_the_trash_is_whole(place, root):
    made(place, root)
    run(place, root=root, link=True)
    digest = pulled_digest(place)
    registry = place.registry()
    assert registry('DELETE', f'/v2/app/manifests/{digest}').status_code == 202
    collection.collect(place.storage(), collection.Options(Bounds.quiet(keep_trash=3600)), None, Progress(None))
    found = run_again(place, root)

    assert states(found) == {'library/app:latest': 'imported'}
    assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]


def run_again(place, root):
    from docker_registry.v2.operations.importing.planning import Choice

    return run(place, root=root, link=True, choice=Choice(again=True))


@pytest.mark.parametrize('root', ROOTS)
def test_what_is_copied_later_needs_the_v1_registry_no_more(place, root):
    tree, ids = made(place, root)
    run(place, root=root, link=True)
    storage = place.storage()
    found = unlinked(storage, root)

    assert {(layer.image, layer.size, layer.why) for layer in found} == {(ids[1], len(SEGMENTED), ''), (ids[2], len(PLAIN), '')}
    assert not list(storage.at(root).held())
    v1_storage(place, root).remove('images')
    assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]
    for _ in range(3):
        collect(place, v1_path=f'/{root}')
    assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]


def test_copying_later_can_be_interrupted_anywhere(place):
    _, ids = made(place)
    run(place, link=True)
    for kill in range(60):
        process = Process(place.storage(), kill=kill)
        try:
            unlinked(process.storage)
        except Killed:
            assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]
        else:
            break
    v1_storage(place).remove('images')

    assert not process.is_dead and pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]


def test_objects_for_which_swift_would_take_too_long_are_copied_through_the_command(place, monkeypatch):
    tree, ids = made(place)
    run(place, link=True)
    monkeypatch.setattr(storing, 'MOST_COPIED', MiB // 2)
    monkeypatch.delattr(type(place.storage()), 'copy')

    assert {(layer.size, layer.why) for layer in unlinked(place.storage())} == {(len(SEGMENTED), ''), (len(PLAIN), '')}
    v1_storage(place).remove('images')
    assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]


@pytest.mark.parametrize('most', [MiB // 2, 256 * MiB], ids=['through the command', 'by Swift'])
def test_a_layer_that_has_changed_since_it_was_linked_is_not_copied(place, monkeypatch, most):
    """Swift finds the damage of such a blob. Nobody but its readers would, if the blob consisted of copies of other bytes."""
    tree, ids = made(place)
    run(place, link=True)
    monkeypatch.setattr(storing, 'MOST_COPIED', most)
    place.storage().at('').replace(f'{ROOT}/images/{ids[2]}/layer', PLAIN[::-1])

    assert {layer.image: 'has changed' in layer.why for layer in unlinked(place.storage())} == {ids[1]: False, ids[2]: True}
    assert tree.storage.is_held(f'images/{ids[2]}/layer')


def test_what_is_in_the_trash_is_still_held(place):
    _, ids = made(place)
    run(place, link=True)
    assert place.registry()('DELETE', f'/v2/app/manifests/{pulled_digest(place)}').status_code == 202
    collection.collect(place.storage(), collection.Options(Bounds.quiet(keep_trash=3600)), None, Progress(None))
    storage = place.storage()

    assert ['trash' in layer.why for layer in unlinked(storage)] == [True, True]
    for _ in range(3):
        collect(place)
    assert [(layer.size, layer.why) for layer in unlinked(storage)] == [(0, ''), (0, '')]


@pytest.mark.parametrize('what', ['layer', 'folder', 'overwritten'])
def test_the_driver_of_the_v1_registry_removes_no_layer_that_is_linked(place, what):
    _, ids = made(place)
    run(place, link=True)
    driver = v1_storage(place)
    for name in ids[1:]:
        with pytest.raises(exceptions.WrongArgumentsError, match='_held'):
            if what == 'overwritten':
                driver.put_content(f'images/{name}/layer', b'other')
            else:
                driver.remove(f'images/{name}/layer' if what == 'layer' else f'images/{name}')

    assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]


def test_the_driver_still_removes_what_is_not_linked(place):
    tree, ids = made(place)
    run(place, link=True)
    v1_storage(place).remove(f'images/{ids[0]}')

    assert not tree.storage.exists(f'images/{ids[0]}/layer')


@pytest.mark.parametrize('root', ROOTS)
def test_a_check_finds_nothing_wrong(place, root, tmp_path):
    made(place, root)
    run(place, root=root, link=True)
    storage = place.storage()
    db = survey.take(storage, str(tmp_path)).db
    options = CheckOptions(sizes=True, deep=True)
    findings = Check(storage, db, options, Together(8)).run()

    assert not [finding for finding in findings if finding.is_bad]


def test_a_layer_that_was_changed_while_it_was_read_is_not_linked(place):
    tree, ids = made(place)
    storage = place.storage()
    container = storage.at('')
    compose = type(container).compose

    def changed(self, path, parts, new=False):
        container.replace(f'{ROOT}/images/{ids[2]}/layer', PLAIN + b'more')
        return compose(self, path, parts, new)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(container), 'compose', changed)
        found = run(place, storage=storage, link=True)

    assert states(found) == {'library/app:latest': 'skipped'}


def patched(kind, name, first):
    """Let the first call of a method call something else before."""
    whole, calls = getattr(kind, name), []

    def call(self, *arguments, **more):
        if not calls:
            calls.append(name)
            first()
        return whole(self, *arguments, **more)

    patch = pytest.MonkeyPatch()
    patch.setattr(kind, name, call)
    return patch


def test_a_layer_that_is_linked_while_another_command_copies_what_is_linked_stays_held(place):
    tree, ids = made(place)
    patch = patched(type(place.storage()), 'compose', lambda: unlinked(place.storage()))
    try:
        assert states(run(place, link=True, workers=1)) == {'library/app:latest': 'imported'}
    finally:
        patch.undo()

    assert all(tree.storage.is_held(f'images/{name}/layer') for name in ids[1:])


def test_a_layer_that_is_linked_again_just_before_it_is_released_stays_held(place):
    tree, ids = made(place)
    run(place, link=True)
    assert place.registry()('DELETE', f'/v2/app/manifests/{pulled_digest(place)}').status_code == 202
    for _ in range(3):
        collect(place)
    patch = patched(type(place.storage()), 'release', lambda: run_again(place, ROOT))
    try:
        found = unlinked(place.storage())
    finally:
        patch.undo()

    assert 'needs it again' in ' '.join(layer.why for layer in found)
    assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]
    unlinked(place.storage())
    v1_storage(place).remove('images')
    assert pulled(place, 'app', 'latest')[2] == [SMALL, SEGMENTED, PLAIN]


def test_a_layer_is_linked_for_one_registry_of_a_container_only(place):
    tree, ids = made(place)
    run(place, link=True)
    before = [tree.storage.why_held(f'images/{name}/layer') for name in ids[1:]]
    other = driver.fetch('swift')(path='other', config=dict(place.settings, swift_container=place.storage().settings.container))
    found = run(place, storage=other, link=True)

    assert 'without --link' in whys(found)['library/app:latest']
    assert [tree.storage.why_held(f'images/{name}/layer') for name in ids[1:]] == before
    assert states(run(place, storage=other)) == {'library/app:latest': 'imported'}
