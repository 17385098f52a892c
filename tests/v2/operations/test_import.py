"""`registry-swift import-v1`: images of a v1 registry become images that clients of the registry v2 API pull."""

import json
import os

import pytest
from importer import DOCKER, OCI, contents, files, pulled, run, states, tags, v1_tree, whys

from docker_registry.v2.operations.importing import depth, report, storing, tagging
from docker_registry.v2.operations.importing.planning import Choice
from docker_registry.v2.operations.importing.run import Import
from docker_registry.v2.registry import layout, names
from docker_registry.v2.registry.patterns import Pattern
from docker_registry.v2.settings.config import Config
from registry_client import digest_of
from v1_tree import CREATED, FORMS, archive, document, gzipped, image_id

MiB = 1024**2
BASE, APP = archive(etc=b'base', same=b'old'), archive(app=b'app', same=b'new')
LARGE = archive(large=os.urandom(3 * MiB + 100))


def broken_in(tree, how):
    ids = tree.chain('library/app', 'broken', gzipped(BASE), gzipped(APP))
    how(tree, *ids)


BROKEN = {
    'an upload that has not ended': (lambda tree, base, app: tree.begin(base), 'incomplete'),
    'a layer that is missing': (lambda tree, base, app: tree.storage.remove(f'images/{base}/layer'), 'missing'),
    'a json that is missing': (lambda tree, base, app: tree.storage.remove(f'images/{base}/json'), 'missing'),
    'a json that is none': (lambda tree, base, app: tree.storage.put_content(f'images/{base}/json', '[1'), 'JSON'),
    'another layer than was pushed': (lambda tree, base, app: tree.storage.put_content(f'images/{base}/layer', gzipped(APP)), 'checksum'),
    'a layer that is no archive': (lambda tree, base, app: tree.image(base, b'<html>' * 500), 'no tar archive'),
    'a layer that ends in a file': (lambda tree, base, app: tree.image(base, LARGE[:MiB]), 'in the middle of a file'),
    'gzip that ends in a file': (lambda tree, base, app: tree.image(base, gzipped(LARGE)[:-9000]), 'ends too early'),
    'xz that ends in a file': (lambda tree, base, app: tree.image(base, FORMS['xz'](LARGE)[:-9000]), 'ends too early'),
    'zstd': (lambda tree, base, app: tree.image(base, b'\x28\xb5\x2f\xfd' + bytes(99)), 'zstd'),
    'a tag that names nothing': (lambda tree, base, app: tree.tag('library/app', 'broken', '../../x'), 'no id'),
    'a tag of an image that is not there': (lambda tree, base, app: tree.tag('library/app', 'broken', image_id('?')), 'missing'),
    'parents in a circle': (
        lambda tree, base, app: [tree.image(base, b'', [app], ancestry=False), tree.storage.remove(f'images/{app}/ancestry')],
        'circle',
    ),
    'an ancestry without the base': (
        lambda tree, base, app: tree.storage.put_content(f'images/{app}/ancestry', json.dumps([app])),
        'does not agree',
    ),
    'a json that is too large': (lambda tree, base, app: tree.storage.put_content(f'images/{base}/json', b' ' * (5 * MiB)), 'too much'),
}
#: Of these, what shows without reading a layer.
SHOWS_UNREAD = [
    'an upload that has not ended',
    'a layer that is missing',
    'a json that is missing',
    'a json that is none',
    'a tag of an image that is not there',
    'a json that is too large',
]


@pytest.fixture
def tree(place):
    return v1_tree(place)


def test_an_image_is_pulled(place, tree):
    ids = tree.chain('library/app', 'latest', gzipped(BASE), gzipped(APP))
    found = run(place)
    manifest, configuration, archives = pulled(place, 'app', 'latest')

    assert states(found) == {'library/app:latest': 'imported'} and found.status() == 0
    assert files(archives) == {'etc': b'base', 'same': b'new', 'app': b'app'}
    assert manifest['mediaType'] == DOCKER
    assert [layer['mediaType'] for layer in manifest['layers']] == ['application/vnd.docker.image.rootfs.diff.tar.gzip'] * 2
    assert [layer['digest'] for layer in manifest['layers']] == [digest_of(gzipped(BASE)), digest_of(gzipped(APP))]
    assert configuration['config']['Cmd'] == ['/bin/sh'] and configuration['architecture'] == 'amd64'
    assert not {'id', 'parent', 'Size'} & set(configuration)
    assert configuration['history'][1] == {
        'created': CREATED,
        'author': 'someone@example.com',
        'created_by': f'/bin/sh -c #(nop) ADD {ids[1][:8]} in /',
    }


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('content', [APP, LARGE], ids=['small', 'large'])
def test_a_layer_in_any_form(place, tree, form, content):
    stored = FORMS[form](content)
    tree.chain('library/app', 'latest', stored)
    found = run(place)
    manifest, _, archives = pulled(place, 'app', 'latest')

    assert archives == [content] and not found.layers[0].remarks
    if 'xz' not in form and 'bzip2' not in form:
        assert manifest['layers'][0]['digest'] == digest_of(stored)


def test_nothing_of_the_v1_registry_changes(place, tree):
    tree.chain('library/app', 'latest', gzipped(LARGE), LARGE)
    before = contents(place)
    run(place)

    assert contents(place) == before


def test_an_image_in_the_format_of_oci(place, tree):
    tree.chain('library/app', 'latest', gzipped(BASE), APP)
    run(place, media_type=OCI)
    manifest, _, _ = pulled(place, 'app', 'latest')

    assert manifest['config']['mediaType'] == 'application/vnd.oci.image.config.v1+json'
    assert [layer['mediaType'].rpartition('.')[2] for layer in manifest['layers']] == ['tar+gzip', 'tar']


def test_layers_without_files_are_left_out(place, tree):
    tree.chain('library/app', 'latest', gzipped(BASE), b'', bytes(1024), gzipped(bytes(10240)), gzipped(APP), b'')
    run(place)
    manifest, configuration, _ = pulled(place, 'app', 'latest')

    assert len(manifest['layers']) == 2
    assert [entry.get('empty_layer', False) for entry in configuration['history']] == [False, True, True, True, False, True]


def test_an_image_without_files_has_one_layer(place, tree):
    tree.chain('library/app', 'latest', b'', bytes(1024))
    run(place)
    manifest, _, archives = pulled(place, 'app', 'latest')

    assert archives == [bytes(1024)] and manifest['layers'][0]['digest'].startswith('sha256:a3ed95caeb02ffe6')


def test_gzip_with_a_damaged_tail_is_compressed_again(place, tree):
    """docker stopped reading at the end of the archive, so it never saw such a damage. Today's clients read on."""
    stored = gzipped(LARGE)
    tree.chain('library/app', 'latest', stored[:-6])
    tree.chain('library/app', 'junk', stored + b'junk')
    found = run(place)

    assert found.status() == 0
    for tag in ('latest', 'junk'):
        assert files(pulled(place, 'app', tag)[2]) == files([LARGE])
    assert pulled(place, 'app', 'latest')[0]['layers'] == pulled(place, 'app', 'junk')[0]['layers']
    assert all('compressed again' in layer.remarks[0] for layer in found.layers)


@pytest.fixture
def depth_of_five(monkeypatch):
    """Let docker pull five layers at most: 125 take a while to push. A test with a docker engine has them."""
    monkeypatch.setattr(depth, 'MOST_LAYERS', 5)


def test_an_image_has_no_more_layers_than_docker_pulls(place, tree, depth_of_five):
    """The smallest that lie on each other become one, and the history has them all."""
    layers = [gzipped(archive(**{f'file{number}': os.urandom(size)})) for number, size in enumerate((900, 1, 900, 1, 1, 1, 900))]
    tree.chain('library/app', 'latest', *layers, b'')
    found = run(place)
    _, configuration, archives = pulled(place, 'app', 'latest')

    assert [len(files([one])) for one in archives] == [1, 1, 1, 3, 1]
    assert len(files(archives)) == 7 and len(configuration['history']) == 8
    assert found.tags[0].why == '3 of its 7 layers became one, because docker pulls 5 at most'
    assert f'({found.tags[0].why})' in report.as_text(found)


def test_merged_layers_are_the_same_next_time(place, tree, depth_of_five):
    ids = tree.chain('library/app', 'latest', *(gzipped(archive(**{f'file{number}': b'x'})) for number in range(6)))
    tree.tag('library/other', 'latest', ids[-1])
    run(place)
    first = pulled(place, 'app', 'latest')[0]
    run(place, choice=Choice(again=True), replace=True)

    assert pulled(place, 'app', 'latest')[0] == pulled(place, 'other', 'latest')[0] == first


def test_as_many_layers_as_docker_pulls_stay_as_they_are(place, tree, depth_of_five):
    layers = [gzipped(archive(**{f'file{number}': b'x'})) for number in range(5)]
    tree.chain('library/app', 'latest', *layers)
    run(place)

    assert [layer['digest'] for layer in pulled(place, 'app', 'latest')[0]['layers']] == list(map(digest_of, layers))


# How layers are stored


def test_swift_copies_large_layers(place, tree):
    tree.chain('library/app', 'latest', LARGE)
    methods = []
    storage = place.storage()
    storage.on_request = lambda method, status, seconds: methods.append(method)
    written = []
    storage.write_parts = lambda *arguments, **more: written.append(arguments)
    run(place, storage=storage)

    assert pulled(place, 'app', 'latest')[2] == [LARGE] and not written


def test_a_layer_of_large_objects_passes_through(place, tree, monkeypatch):
    monkeypatch.setattr(storing, 'MOST_COPIED', MiB // 2)
    tree.chain('library/app', 'latest', LARGE)
    run(place)

    assert pulled(place, 'app', 'latest')[2] == [LARGE]


def test_a_v1_registry_in_another_container(place, real_or_fake_other):
    other = real_or_fake_other
    v1_tree(other).chain('library/app', 'latest', gzipped(BASE), gzipped(LARGE), LARGE)
    run(place, source=other.storage(), is_here=False)

    assert pulled(place, 'app', 'latest')[2] == [BASE, LARGE, LARGE]


@pytest.fixture
def real_or_fake_other(place):
    from registry_client import Place

    return Place(place.server)


@pytest.mark.parametrize('root', ['', 'files', 'a/b'])
@pytest.mark.parametrize('slashes', [('/', ''), ('', ''), ('', '/'), ('/', '/')], ids=['before', 'none', 'after', 'both'])
def test_a_v1_registry_at_any_root(place, root, slashes):
    v1_tree(place, root).chain('library/app', 'latest', gzipped(BASE), LARGE)
    found = run(place, root=root.join(slashes))

    assert states(found) == {'library/app:latest': 'imported'}
    assert pulled(place, 'app', 'latest')[2] == [BASE, LARGE]


def test_a_layer_that_several_images_have_is_converted_once(place, tree):
    ids = tree.chain('library/base', 'latest', LARGE)
    for name in ('one', 'two'):
        image = image_id(name)
        tree.image(image, gzipped(APP), ids)
        tree.tag(f'team/{name}', 'latest', image)
    found = run(place)

    assert len(found.layers) == 3
    assert pulled(place, 'team/two', 'latest')[2] == [LARGE, APP]


def test_a_layer_that_docker_has_pushed_is_neither_copied_nor_linked(place, tree):
    place.registry().push_image('other', 'latest', LARGE)
    tree.chain('library/app', 'latest', LARGE)
    segments = [stat.path for stat in place.storage().at('files/_segments').walk()]
    for link in (False, True):
        run(place, registry=Config(replication_cycle=0), link=link, choice=Choice(again=link))

        assert pulled(place, 'app', 'latest')[2] == [LARGE]
        assert [stat.path for stat in place.storage().at('files/_segments').walk()] == segments
        assert not list(place.storage().at('registry').held())


# Runs after the first


def test_a_second_run_does_nothing(place, tree):
    for tag in ('v1', 'v2'):
        tree.chain('library/app', tag, gzipped(BASE), LARGE)
    run(place)
    requests = []
    storage = place.storage()
    storage.on_request = lambda method, status, seconds: requests.append(method)
    found = run(place, storage=storage)

    assert set(states(found).values()) == {'unchanged'} and found.status() == 0
    assert set(requests) <= {'GET', 'HEAD'}
    assert len(requests) <= 8  # a login, the listing, whether the repository is private, and two for each tag


def test_a_second_run_takes_what_was_pushed_meanwhile(place, tree):
    ids = tree.chain('library/app', 'latest', gzipped(BASE))
    run(place)
    image = image_id('new')
    tree.image(image, gzipped(APP), ids)
    tree.tag('library/app', 'latest', image)
    found = run(place)

    assert states(found) == {'library/app:latest': 'imported'} and len(found.layers) == 1
    assert pulled(place, 'app', 'latest')[2] == [BASE, APP]


def test_a_tag_that_moves_back_moves_back(place, tree):
    (first,) = tree.chain('library/app', 'latest', gzipped(BASE))
    run(place)
    tree.chain('library/app', 'latest', gzipped(APP), gzipped(BASE))
    run(place)
    tree.tag('library/app', 'latest', first)
    run(place)

    assert pulled(place, 'app', 'latest')[2] == [BASE]


def test_the_same_input_gives_the_same_digests(place, real_or_fake_other):
    for there in (place, real_or_fake_other):
        v1_tree(there).chain('library/app', 'latest', gzipped(BASE), FORMS['xz'](LARGE), b'')
        run(there)

    assert tags(place) == tags(real_or_fake_other)


def test_a_tag_that_somebody_has_pushed_stays(place, tree):
    tree.chain('library/app', 'latest', gzipped(BASE))
    pushed = place.registry().push_image('app', 'latest', b'layer')
    found = run(place)

    assert '--replace' in whys(found)['library/app:latest'] and found.status() == 1
    assert tags(place) == {'app': {'latest': pushed}}

    assert states(run(place, replace=True)) == {'library/app:latest': 'imported'}
    assert pulled(place, 'app', 'latest')[2] == [BASE]


def test_a_tag_that_somebody_has_pushed_since_the_last_run_stays(place, tree):
    tree.chain('library/app', 'latest', gzipped(BASE))
    run(place)
    pushed = place.registry().push_image('app', 'latest', b'layer')
    tree.chain('library/app', 'latest', gzipped(APP), gzipped(BASE))
    found = run(place)

    assert states(found) == {'library/app:latest': 'skipped'}
    assert tags(place) == {'app': {'latest': pushed}}


def test_a_tag_that_somebody_has_put_back_since_it_was_replaced_stays(place, tree):
    tree.chain('library/app', 'latest', gzipped(BASE))
    pushed = place.registry().push_image('app', 'latest', b'layer')
    assert states(run(place, replace=True)) == {'library/app:latest': 'imported'}
    assert place.registry().push_image('app', 'latest', b'layer') == pushed
    tree.chain('library/app', 'latest', gzipped(APP), gzipped(BASE))
    found = run(place)

    assert states(found) == {'library/app:latest': 'skipped'}
    assert tags(place) == {'app': {'latest': pushed}}


def test_a_tag_that_was_deleted_stays_deleted_unless_it_is_wanted_again(place, tree):
    tree.chain('library/app', 'latest', gzipped(BASE))
    run(place)
    assert place.registry()('DELETE', '/v2/app/manifests/latest').status_code == 202

    assert states(run(place)) == {'library/app:latest': 'unchanged'} and tags(place).get('app', {}) == {}
    assert states(run(place, choice=Choice(again=True))) == {'library/app:latest': 'imported'}
    assert pulled(place, 'app', 'latest')[2] == [BASE]


def test_a_blob_that_is_gone_is_made_again(place, tree):
    tree.chain('library/app', 'latest', LARGE)
    run(place)
    digest = digest_of(LARGE)
    registry = place.registry()
    assert registry('DELETE', f'/v2/app/blobs/{digest}').status_code == 202
    place.storage().remove(f'docker/registry/v2/blobs/sha256/{digest[7:9]}/{digest[7:]}/data')
    run(place, choice=Choice(again=True))

    assert pulled(place, 'app', 'latest')[2] == [LARGE]


def test_a_blob_that_is_gone_is_made_again_once_for_all_that_need_it(place, tree):
    (image,) = tree.chain('team/app0', 'latest', LARGE)
    for number in range(12):
        tree.tag(f'team/app{number}', 'latest', image)
    run(place)
    place.storage().remove(layout.blob(names.digest(digest_of(LARGE))))
    found = run(place, choice=Choice(again=True))

    assert set(states(found).values()) == {'imported'} and [layer.image for layer in found.layers] == [image]
    assert pulled(place, 'team/app11', 'latest')[2] == [LARGE]


def test_whoever_interrupts_it_does_not_wait_for_all_layers(place, tree, monkeypatch):
    layers = [archive(**{f'file{number}': os.urandom(2 * MiB)}) for number in range(8)]
    for number, layer in enumerate(layers):
        tree.chain('library/app', f'v{number}', layer)
    write = tagging.Tagging.write

    def interrupted(self, tag, *arguments):
        write(self, tag, *arguments)
        raise KeyboardInterrupt

    advance, passed, has_waited = Import._advance, [], []

    def held(self, show, count):
        passed.append(count)
        if sum(passed) > 2 * len(layers[0]):  # else all could be converted before the first tag is written
            has_waited.append(self._has_stopped.wait(0 if has_waited else 30))
        advance(self, show, count)

    monkeypatch.setattr(tagging.Tagging, 'write', interrupted)
    monkeypatch.setattr(Import, '_advance', held)
    with pytest.raises(KeyboardInterrupt):
        run(place, workers=1)
    monkeypatch.undo()
    stored = [layer for layer in layers if place.storage().exists(layout.blob(names.digest(digest_of(layer))))]

    assert len(stored) < 8 and len(tags(place)['app']) < 8
    run(place)
    assert [pulled(place, 'app', f'v{number}')[2] for number in range(8)] == [[layer] for layer in layers]


def test_a_dry_run_writes_nothing(place, tree):
    tree.chain('library/app', 'latest', gzipped(BASE), LARGE)
    before = [stat.path for stat in place.storage().at('').walk()]
    found = run(place, dry_run=True)

    assert states(found) == {'library/app:latest': 'planned'}
    assert (found.layers_to_read, found.bytes_to_read) == (2, len(gzipped(BASE)) + len(LARGE))
    assert [stat.path for stat in place.storage().at('').walk()] == before


@pytest.mark.parametrize('what', [*SHOWS_UNREAD, 'a layer that ends in a file'])
def test_a_dry_run_says_what_will_be_skipped_as_far_as_it_can_know(place, tree, what):
    how, why = BROKEN[what]
    broken_in(tree, how)
    tree.chain('library/app', 'whole', LARGE)
    if what not in SHOWS_UNREAD:
        assert states(run(place, dry_run=True))['library/app:broken'] == 'planned'
        run(place, choice=Choice(Pattern('app'), again=True))
    found = run(place, dry_run=True, choice=Choice(again=what in SHOWS_UNREAD))

    assert states(found)['library/app:broken'] == 'skipped' and why in whys(found)['library/app:broken'] and found.status() == 1
    if what in SHOWS_UNREAD:
        assert states(found)['library/app:whole'] == 'planned' and (found.layers_to_read, found.bytes_to_read) == (1, len(LARGE))


def test_a_dry_run_counts_the_bytes_of_layers_that_are_read_again(place, tree):
    tree.chain('library/app', 'latest', LARGE[:MiB])
    run(place)

    assert run(place, dry_run=True, choice=Choice(again=True)).bytes_to_read == MiB


# While the v1 registry runs


def test_a_push_to_the_v1_registry_is_imported_when_it_has_ended(place, tree):
    base, app = (image_id(name) for name in ('base', 'app'))
    tree.image(base, gzipped(BASE))
    tree.tag('library/app', 'latest', base)
    stages = [
        lambda: tree.storage.put_content(f'images/{app}/_inprogress', 'true'),
        lambda: tree.storage.put_content(f'images/{app}/json', json.dumps(document(app, [base]))),
        lambda: tree.storage.put_content(f'images/{app}/ancestry', json.dumps([app, base])),
        lambda: tree.image(app, gzipped(LARGE), [base]),
        lambda: tree.tag('library/app', 'latest', app),
    ]
    for stage in stages:
        stage()
        run(place)
        assert pulled(place, 'app', 'latest')[2] == [BASE]
    tree.storage.remove(f'images/{app}/_inprogress')
    run(place)

    assert pulled(place, 'app', 'latest')[2] == [BASE, LARGE]


def test_a_tag_that_is_deleted_after_it_was_listed_is_none(place, tree):
    tree.chain('library/app', 'v1', gzipped(BASE))
    tree.chain('library/app', 'v2', gzipped(BASE))
    storage = place.storage()
    walk = type(storage).walk

    def deleted(self, *arguments):
        found = list(walk(self, *arguments))
        tree.storage.remove('repositories/library/app/tag_v2')
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(storage), 'walk', deleted)
        found = run(place, storage=storage)

    assert states(found) == {'library/app:v1': 'imported'} and found.status() == 0


# Names


def test_names_that_are_not_allowed_are_changed(place, tree):
    tree.chain('Team/My__.App', 'v 1+x', gzipped(BASE))
    tree.chain('team_/-app', '.hidden', gzipped(BASE))
    run(place)

    assert {name: list(found) for name, found in tags(place).items()} == {'team/my-app': ['v-1-x'], 'team/app': ['hidden']}


@pytest.mark.parametrize('quoted', ['one%2Ftwo', 'one%252Ftwo'], ids=['once, before 0.8', 'twice'])
def test_a_name_that_the_v1_registry_has_quoted(place, tree, quoted):
    tree.image(image_id('x'), gzipped(BASE))
    tree.storage.put_content(f'repositories/team/{quoted}/tag_latest', image_id('x'))

    assert states(run(place)) == {'team/one/two:latest': 'imported'} and list(tags(place)) == ['team/one/two']


def test_a_name_that_is_taken_is_not_given_twice(place, tree):
    tree.chain('team/app', 'latest', gzipped(BASE))
    tree.chain('team/App', 'latest', gzipped(APP))
    found = run(place)

    assert states(found) == {'team/app:latest': 'imported', 'team/App:latest': 'skipped'}
    assert '--name' in whys(found)['team/App:latest']

    run(place, choice=Choice(names={'team/App': 'team/other'}))
    assert pulled(place, 'team/other', 'latest')[2] == [APP]


def test_a_repository_can_get_another_name_later(place, tree):
    tree.chain('team/App', 'latest', gzipped(APP))
    run(place)
    found = run(place, choice=Choice(names={'team/App': 'team/other'}))

    assert states(found) == {'team/App:latest': 'imported'} and not found.layers
    assert list(tags(place)) == ['team/app', 'team/other']


def test_the_namespace_library_can_be_kept(place, tree):
    tree.chain('library/app', 'latest', gzipped(BASE))
    run(place, choice=Choice(keep_library=True))

    assert list(tags(place)) == ['library/app']


def test_only_repositories_that_match(place, tree):
    for name in ('team/one', 'team/two', 'other/three'):
        tree.chain(name, 'latest', gzipped(BASE))
    run(place, choice=Choice(Pattern('team/*')))

    assert list(tags(place)) == ['team/one', 'team/two']


def test_what_the_registry_knows_of_a_tag_is_no_tag(place, tree):
    tree.chain('library/app', '_x', gzipped(BASE))
    found = run(place)

    assert states(found) == {'library/app:_x': 'imported'}


def test_private_repositories_are_named(place, tree):
    for name in ('team/open', 'team/secret'):
        tree.chain(name, 'latest', gzipped(BASE))
    tree.private('team/secret')

    assert [found.name for found in run(place).places if found.is_private] == ['team/secret']


# Old and broken images


def test_without_ancestry_the_parents_are_followed(place, tree):
    ids = [image_id(name) for name in ('base', 'app')]
    tree.image(ids[0], gzipped(BASE), ancestry=False)
    tree.image(ids[1], gzipped(APP), [ids[0]], ancestry=False)
    tree.tag('library/app', 'latest', ids[1])
    run(place)

    assert pulled(place, 'app', 'latest')[2] == [BASE, APP]


@pytest.mark.parametrize('ancestry', ['', '{}', '[]', '["x"]', '[1]', '[' * 100000])
def test_an_ancestry_that_is_none_counts_as_missing(place, tree, ancestry):
    ids = tree.chain('library/app', 'latest', gzipped(BASE), gzipped(APP))
    tree.storage.put_content(f'images/{ids[1]}/ancestry', ancestry)
    run(place)

    assert pulled(place, 'app', 'latest')[2] == [BASE, APP]


@pytest.mark.parametrize('what', BROKEN)
def test_what_is_broken_is_skipped_and_the_rest_is_imported(place, tree, what):
    how, why = BROKEN[what]
    broken_in(tree, how)
    tree.chain('library/app', 'whole', gzipped(LARGE))
    found = run(place)

    assert states(found) == {'library/app:broken': 'skipped', 'library/app:whole': 'imported'} and found.status() == 1
    assert why in whys(found)['library/app:broken']
    assert list(tags(place)['app']) == ['whole']


def test_a_layer_that_does_not_match_its_checksum_can_be_imported_all_the_same(place, tree):
    (image,) = tree.chain('library/app', 'latest', gzipped(BASE))
    tree.storage.put_content(f'images/{image}/layer', gzipped(APP))
    assert states(run(place)) == {'library/app:latest': 'skipped'}
    found = run(place, ignore_checksums=True)

    assert states(found) == {'library/app:latest': 'imported'} and 'does not match' in found.layers[0].remarks[0]
    assert pulled(place, 'app', 'latest')[2] == [APP]


def test_a_layer_that_does_not_match_its_checksum_is_wanted_once_only(place, tree):
    (image,) = tree.chain('library/app', 'latest', gzipped(BASE))
    layer = f'images/{image}/layer'
    tree.storage.put_content(layer, gzipped(APP))
    run(place, ignore_checksums=True)
    tree.tag('library/app', 'second', image)
    found = run(place)

    assert states(found) == {'library/app:latest': 'unchanged', 'library/app:second': 'skipped'}
    assert 'does not match' in whys(found)['library/app:second']

    tree.storage.put_content(layer, gzipped(BASE))
    assert states(run(place)) == {'library/app:latest': 'unchanged', 'library/app:second': 'imported'}
    assert pulled(place, 'app', 'second')[2] == [BASE]


def test_remarks_about_a_layer_come_with_each_tag_that_needs_it(place, tree):
    tree.image(image_id('old'), gzipped(BASE), checksum='')
    tree.tag('library/app', 'latest', image_id('old'))
    run(place)
    tree.tag('library/app', 'second', image_id('old'))
    found = run(place)

    assert not found.layers and 'no checksum' in json.loads(report.as_json(found))['remarks'][0]['remarks'][0]
    assert 'no checksum' in report.as_text(found)
    assert not run(place).remarked


def test_a_layer_that_is_changed_while_swift_copies_it_is_skipped(place, tree):
    (image,) = tree.chain('library/app', 'latest', archive(x=bytes(2 * MiB)))
    tree.storage.remove(f'images/{image}/layer')
    tree.storage.replace(f'images/{image}/layer', archive(x=bytes(2 * MiB)))
    storage = place.storage()
    copy = type(storage).copy

    def changed(self, *arguments, **more):
        tree.storage.replace(f'images/{image}/layer', archive(x=bytes(2 * MiB + 1)))
        return copy(self, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(storage), 'copy', changed)
        found = run(place, storage=storage)

    assert 'changed while' in whys(found)['library/app:latest'] and tags(place) == {}


def test_a_layer_that_cannot_be_used_is_not_read_again_until_it_changes(place, tree):
    (image,) = tree.chain('library/app', 'latest', gzipped(LARGE)[:-9000])
    run(place)
    paths = []
    storage = place.storage()
    read = type(storage).stream_read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(storage), 'stream_read', lambda self, path, *more, **named: paths.append(path) or read(self, path, *more, **named)
        )
        found = run(place, storage=storage)

    assert 'ends too early' in whys(found)['library/app:latest']
    assert f'images/{image}/json' in paths and not [path for path in paths if 'layer' in path or '_segments' in path]

    assert 'ends too early' in whys(run(place, choice=Choice(again=True)))['library/app:latest']
    tree.image(image, gzipped(LARGE))
    assert states(run(place)) == {'library/app:latest': 'imported'}


@pytest.mark.parametrize(
    'checksum, remark',
    [
        ('', 'no checksum'),
        ('[]', 'no checksum'),
        ('"tarsum+sha256:00"', 'tarsum+sha256'),
        ('tarsum+sha256:00', 'tarsum+sha256'),
        ('[1]', 'no'),
    ],
)
def test_a_layer_whose_checksum_cannot_be_compared_gets_a_remark(place, tree, checksum, remark):
    tree.image(image_id('old'), gzipped(BASE), checksum=checksum)
    tree.tag('library/app', 'latest', image_id('old'))
    found = run(place)

    assert remark in found.layers[0].remarks[0] and found.status() == 0


OLD = {
    'docker 0.6': {'id': 'x', 'created': '2013-03-23T22:24:18.818426-07:00', 'container_config': {'Cmd': ['/bin/true'], 'PortSpecs': None}},
    'no config': document('x', config=None, container_config=None),
    'nothing': {},
    'commands as text': document('x', config={'Cmd': 'true', 'Entrypoint': 'sh'}),
    'ports as before 0.6.5': document('x', config={'PortSpecs': ['80', '127.0.0.1:53:53/udp', 'x']}),
    'wrong types': document('x', config={'Cmd': {'a': 1}, 'Env': 'x=1', 'Volumes': [], 'User': 0}, created='yesterday', author=7),
    'wrong dates': document('x', created='2013-02-30T00:00:00Z'),
    'other names': document('x', config={'Labels': {'a': 'ü \ud800'}}),
}


@pytest.mark.parametrize('what', OLD)
def test_an_old_json(place, tree, what):
    tree.image(image_id('old'), gzipped(BASE), about=OLD[what])
    tree.tag('library/app', 'latest', image_id('old'))
    run(place)
    _, configuration, _ = pulled(place, 'app', 'latest')

    assert (configuration['architecture'], configuration['os']) == ('amd64', 'linux')
    assert isinstance(configuration['config'], dict)
    about = configuration['config']
    assert not {'Cmd', 'Entrypoint', 'Env'} & {key for key in about if not all(isinstance(text, str) for text in about[key])}
    if what == 'commands as text':
        assert (about['Cmd'], about['Entrypoint']) == (['true'], ['sh'])
    if what == 'ports as before 0.6.5':
        assert about['ExposedPorts'] == {'80/tcp': {}, '53/udp': {}}
    if what.startswith('wrong'):
        assert 'created' not in configuration and 'created' not in configuration['history'][0]
    json.dumps(configuration).encode()


def test_what_engines_since_1_12_knew_is_kept(place, tree):
    """Engines pushed to v1 registries until 17.11."""
    health = {'Test': ['CMD-SHELL', 'true'], 'Interval': 5 * 10**9, 'Timeout': 10**9, 'StartPeriod': 0, 'Retries': 3}
    config = {'Cmd': ['sh'], 'Healthcheck': health, 'StopSignal': 'SIGINT', 'StopTimeout': 30, 'Shell': ['/bin/bash', '-c']}
    tree.image(image_id('new'), gzipped(BASE), about=document('x', config=config))
    tree.tag('library/app', 'latest', image_id('new'))
    run(place)

    assert pulled(place, 'app', 'latest')[1]['config'] == config


@pytest.mark.parametrize(
    'health, kept',
    [
        ({'Test': ['NONE'], 'Interval': 1, 'Timeout': '5s', 'Retries': -1}, {'Test': ['NONE']}),
        ({'Test': True, 'StartPeriod': 2**63, 'Retries': True}, None),
        ([], None),
    ],
)
def test_a_health_check_that_engines_refuse_is_left_out(place, tree, health, kept):
    tree.image(image_id('new'), gzipped(BASE), about=document('x', config={'Healthcheck': health}))
    tree.tag('library/app', 'latest', image_id('new'))
    run(place)

    assert pulled(place, 'app', 'latest')[1]['config'].get('Healthcheck') == kept
