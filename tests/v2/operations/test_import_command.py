"""The command `registry-swift import-v1`: its options, its output, and its exit status."""

import errno
import json
import os

import pytest
from importer import ROOT, contents, pulled, tags, v1_tree

from docker_registry.v2 import cli
from docker_registry.v2.operations.importing import depth
from fake_swift import corrupt_body, on, short_body, status
from registry_client import Place
from v1_tree import archive, gzipped, image_id

LAYER = archive(file=b'x')


@pytest.fixture
def place(fake, monkeypatch):
    place = Place(fake)
    place.storage()
    environment = {'OS_AUTH_URL': fake.auth_url, 'OS_AUTH_VERSION': '1', 'OS_USERNAME': fake.user, 'OS_PASSWORD': fake.key}
    for name, value in {**environment, 'OS_CONTAINER': place.container, 'STORAGE_PATH': 'files', 'SWIFT_RETRIES': '0'}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv('DOCKER_REGISTRY_CONFIG', raising=False)
    return place


@pytest.fixture
def tree(place):
    tree = v1_tree(place)
    tree.chain('library/app', 'latest', gzipped(LAYER))
    return tree


def command(capsys, *words):
    """Return (exit status, output, errors)."""
    try:
        found = cli.main(['import-v1', *words])
    except SystemExit as ended:
        found = ended.code
    return (found, *capsys.readouterr())


def test_it_says_what_it_has_imported(place, tree, capsys):
    digest = {}
    found, output, errors = command(capsys)
    digest = tags(place)['app']['latest']

    assert (found, errors) == (0, '')
    assert output.splitlines()[0].startswith(f'imported  library/app:latest as app:latest  {digest}  ')
    assert output.splitlines()[-1] == '1 tags were imported, and 1 layers converted; 0 tags were imported before, 0 were skipped.'
    assert command(capsys)[1] == '0 tags were imported, and 0 layers converted; 1 tags were imported before, 0 were skipped.\n'


def test_a_dry_run_says_how_much_would_be_read(place, tree, capsys):
    found, output, _ = command(capsys, '--dry-run')

    assert found == 0 and output.splitlines()[0] == 'planned   library/app:latest as app:latest'
    assert f'1 layers with {len(gzipped(LAYER))} bytes read' in output and tags(place) == {}


def test_one_json_object(place, tree, capsys):
    tree.private('library/app')
    tree.tag('Team/x', 'v1', image_id('?'))
    found, output, _ = command(capsys, '--json')
    report = json.loads(output)

    assert found == 1
    assert [(tag['name'], tag['as'], tag['state']) for tag in report['tags']] == [
        ('Team/x:v1', 'team/x:v1', 'skipped'),
        ('library/app:latest', 'app:latest', 'imported'),
    ]
    assert report['tags'][1]['digest'] == tags(place)['app']['latest']
    assert report['repositories'] == [
        {'name': 'Team/x', 'as': 'team/x', 'private': False},
        {'name': 'library/app', 'as': 'app', 'private': True},
    ]
    assert report['counts'] == {'imported': 1, 'unchanged': 0, 'planned': 0, 'skipped': 1, 'failed': 0}
    assert report['requests'] > 10 and not report['linked']

    again = json.loads(command(capsys, '--json')[1])['tags'][1]
    assert again['state'] == 'unchanged' and all(again[key] == report['tags'][1][key] for key in ('name', 'as', 'image', 'digest'))


def test_what_must_be_known_about_names_and_private_repositories(place, tree, capsys):
    tree.chain('Team/App', 'latest', gzipped(LAYER))
    tree.private('Team/App')
    _, output, _ = command(capsys)

    assert 'Team/App is now team/app' in output and 'were private' in output and 'rules' in output


def test_names_move_no_cursor_and_begin_no_line(place, tree, capsys):
    tree.chain('team/a\x1b[2J\nimported  team/b:latest', 'v\r1', gzipped(LAYER), b'no archive')
    tree.private('team/a\x1b[2J\nimported  team/b:latest')
    (image,) = tree.chain('team/\x1b]0;', 'latest', gzipped(LAYER))
    tree.private('team/\x1b]0;')
    tree.storage.put_content(f'images/{image}/_checksum', json.dumps(['tarsum\x1b[2J:0']))
    _, output, _ = command(capsys)

    assert '\\x1b[2J\\nimported' in output and not {'\x1b', '\r'} & set(output)
    assert not any(line.startswith('imported  team/b') for line in output.splitlines())


def test_what_swift_does_not_tell_is_not_missing(place, tree, capsys, fake):
    tree.chain('library/other', 'latest', gzipped(archive(other=b'y')))
    hidden = image_id('library/other:latest 0')
    fault = fake.fault(on(path_contains=f'{hidden}/layer'), status(503), times=None)
    found, output, _ = command(capsys)

    assert found == 2 and 'failed    library/other:latest' in output and list(tags(place)) == ['app']
    assert 'run this again' in output
    fault.cancel()
    assert command(capsys)[0] == 0 and list(tags(place)) == ['app', 'other']


@pytest.mark.parametrize('what', ['json', 'ancestry', '_checksum', '_inprogress', 'tag_latest', '_import'])
def test_nothing_else_that_swift_does_not_tell_is_missing(place, tree, capsys, fake, what):
    fault = fake.fault(on(method='HEAD' if what == '_inprogress' else 'GET', path_contains=f'/{what}'), status(503), times=None)
    found, output, _ = command(capsys)

    assert found == 2 and 'failed' in output and tags(place) == {}
    fault.cancel()
    assert command(capsys)[0] == 0


@pytest.mark.parametrize('what', ['json', 'layer', 'tag_latest'])
def test_what_swift_lists_and_does_not_find_is_not_missing(place, tree, capsys, fake, monkeypatch, what):
    fault = fake.fault(on(path_contains=f'/{what}', where=lambda request: request.method in ('GET', 'HEAD')), status(404), times=None)
    found, output, _ = command(capsys)

    assert found == 2 and 'failed    library/app:latest' in output and what in output and tags(place) == {}
    monkeypatch.setenv('REGISTRY_REPLICATION_CYCLE', '0')
    found, output, _ = command(capsys)
    assert found == 1 and 'skipped   library/app:latest' in output and what in output
    fault.cancel()
    assert command(capsys)[0] == 0


@pytest.mark.parametrize('what', ['json', 'layer', 'tag_latest', '_segments'])
@pytest.mark.parametrize('action', [corrupt_body(), short_body(), status(404)], ids=['other bytes', 'fewer bytes', 'nothing'])
def test_a_v1_registry_is_not_damaged_because_swift_errs(place, tree, capsys, fake, what, action):
    tree.chain('library/app', 'latest', gzipped(LAYER) if what != '_segments' else archive(large=os.urandom(3 * 1024**2)))
    fault = fake.fault(on(method='GET', path_contains=f'/{what}', where=lambda request: '/registry/' in request.path), action, times=None)
    found, output, _ = command(capsys)

    assert found == 2 and 'failed    library/app:latest' in output and tags(place) == {}
    fault.cancel()
    assert command(capsys)[0] == 0


def test_a_note_that_swift_does_not_find_is_not_missing(place, tree, capsys, fake):
    command(capsys)
    tree.chain('library/app', 'latest', gzipped(LAYER), gzipped(archive(more=b'y')))
    fault = fake.fault(on(method='GET', path_contains='/_import/tags/'), status(404), times=None)
    found, output, _ = command(capsys)

    assert found == 2 and 'failed    library/app:latest' in output
    fault.cancel()
    assert command(capsys)[0] == 0


@pytest.mark.parametrize('code', [404, 503])
def test_a_repository_whose_flag_swift_does_not_find_counts_as_private(place, tree, capsys, fake, code):
    tree.private('library/app')
    fake.fault(on(method='HEAD', path_contains='/_private'), status(code), times=None)
    _, output, _ = command(capsys, '--json')

    assert json.loads(output)['repositories'] == [{'name': 'library/app', 'as': 'app', 'private': True}]


@pytest.mark.parametrize('last', ['\ue000', '!', '\x01'])
def test_a_tag_of_any_name_that_swift_does_not_find_is_named(place, tree, capsys, fake, last):
    path = f'{ROOT}/repositories/library/app/tag_x{last}'
    place.storage().at('').replace(path, b'x')
    fake.fault(on(method='GET', where=lambda request: request.path.endswith(f'tag_x{last}')), status(404), times=None)
    found, output, _ = command(capsys)

    assert found == 2 and 'failed    library/app:x' in output


def test_a_blob_that_swift_does_not_find_keeps_its_layer(place, tree, capsys, fake):
    tree.chain('library/large', 'latest', archive(large=os.urandom(2 * 1024**2)))
    assert command(capsys, '--link')[0] == 0
    fault = fake.fault(on(path_contains='/blobs/sha256/', where=lambda request: request.method in ('GET', 'HEAD')), status(404), times=None)
    found, output, _ = command(capsys, '--unlink')

    assert found == 1 and 'cannot find it at the moment' in output and '1 layers are still held.' in output
    fault.cancel()
    found, output, _ = command(capsys, '--unlink')
    assert found == 0 and output.startswith('1 layers were copied, with 2.0 MiB.\nNo image')


def test_what_needs_no_copy_is_not_counted_as_copied(place, tree, capsys):
    tree.chain('library/large', 'latest', archive(large=os.urandom(2 * 1024**2)))
    command(capsys, '--link')
    for path in [stat.path for stat in place.storage().walk('docker/registry/v2/blobs') if (stat.size or 0) > 1024**2]:
        place.storage().remove(path)
    found, output, _ = command(capsys, '--unlink')

    assert found == 0 and output.startswith('0 layers were copied, with 0 bytes.\n1 layers did not have to be')


@pytest.mark.parametrize('action', [corrupt_body(), status(404)], ids=['other bytes', 'nothing'])
def test_a_blob_that_swift_does_not_return_when_layers_are_merged_is_not_missing(place, tree, capsys, fake, monkeypatch, action):
    monkeypatch.setattr(depth, 'MOST_LAYERS', 2)
    tree.chain('library/deep', 'latest', *(gzipped(archive(**{name: b'x'})) for name in 'abc'))
    fault = fake.fault(on(method='GET', path_contains='/blobs/sha256/'), action, times=None)
    found, output, _ = command(capsys)

    assert found == 2 and 'failed    library/deep:latest' in output
    fault.cancel()
    assert command(capsys)[0] == 0


def test_without_room_for_temporary_files_layers_are_not_merged(place, tree, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(depth, 'MOST_LAYERS', 2)
    monkeypatch.setattr(depth, 'merge', full)
    tree.chain('library/deep', 'latest', *(gzipped(archive(**{name: b'x'})) for name in 'abc'))
    found, output, _ = command(capsys)

    assert found == 1 and 'skipped   library/deep:latest as deep:latest: 2 of its layers cannot be merged' in output
    assert 'No space left on device. Temporary files are in ' in output and 'TMPDIR' in output


def test_a_swift_that_is_down_ends_the_command(place, tree, capsys, fake):
    fake.fault(on(method='GET', path_contains=place.container), status(503), times=None)
    found, output, errors = command(capsys)

    assert (found, output) == (2, '') and len(errors.splitlines()) == 1 and 'could not be finished' in errors


def test_where_there_is_no_v1_registry_it_says_where_there_is_one(place, tree, capsys):
    found, _, errors = command(capsys, '--from-path', '/elsewhere')

    assert found == 2 and f'{place.container}/elsewhere/repositories' in errors and f'--from-path /{ROOT}' in errors


def test_a_v1_registry_in_another_container(place, capsys, fake):
    other = Place(fake)
    other.storage()
    v1_tree(other).chain('library/app', 'latest', gzipped(LAYER))
    before = contents(other)

    assert command(capsys, '--from-container', other.container)[0] == 0
    assert pulled(place, 'app', 'latest')[2] == [LAYER] and contents(other) == before


def test_a_container_that_does_not_exist_is_not_created(place, capsys):
    found, _, errors = command(capsys, '--from-container', 'nothing')

    assert found == 2 and 'nothing does not exist' in errors


def test_a_link_needs_the_same_container(place, tree, capsys, fake):
    other = Place(fake)
    other.storage()
    v1_tree(other).chain('library/app', 'latest', gzipped(LAYER))
    found, _, errors = command(capsys, '--from-container', other.container, '--link')

    assert found == 2 and '--link' in errors


def test_linked_layers_are_named(place, tree, capsys):
    tree.chain('library/large', 'latest', archive(large=bytes(2 * 1024**2)))
    _, output, _ = command(capsys, '--link')

    assert f'{place.container}/{ROOT}/images' in output and '_held' in output


def test_linked_layers_are_copied_later(place, tree, capsys):
    layer = archive(large=bytes(2 * 1024**2))
    (image,) = tree.chain('library/large', 'latest', layer)
    command(capsys, '--link')

    assert command(capsys, '--unlink', '--json')[:2] == (
        0,
        json.dumps({'layers': [{'image': image, 'size': len(layer)}], 'held': 0}, indent=2) + '\n',
    )
    assert f'needs what is below {place.container}/{ROOT} any more' in command(capsys, '--unlink')[1]


@pytest.mark.parametrize(
    'words, text',
    [
        (['--name', 'x'], 'OLD=NEW'),
        (['--name', 'a/b=A'], 'no name of a repository'),
        (['--repository', '?!'], 'pattern'),
        (['--workers', '0'], '--workers'),
        (['--link', '--copy'], 'not allowed with'),
    ],
)
def test_wrong_options(capsys, words, text):
    found, _, errors = command(capsys, *words)

    assert found == 2 and text in errors


@pytest.mark.parametrize(
    'words, text',
    [
        (['--name', 'app=team/app'], 'no repository app with tags. Is it library/app?'),
        (['--name', 'library/apq=team/app'], 'Is it library/app?'),
        (['--name', 'x=team/app'], 'no repository x with tags'),
        (['--repository', 'team/*'], 'matches team/*'),
    ],
)
def test_a_repository_that_is_not_there_is_no_success(place, tree, capsys, words, text):
    found, output, errors = command(capsys, *words)

    assert (found, output) == (2, '') and text in errors and tags(place) == {}


def test_to_copy_what_is_linked_below_a_wrong_path_is_no_success(place, tree, capsys):
    found, output, errors = command(capsys, '--unlink', '--from-path', '/elsewhere')

    assert (found, output) == (2, '') and f'--from-path /{ROOT}' in errors


def test_to_copy_what_is_linked_takes_no_choice(place, tree, capsys):
    found, _, errors = command(capsys, '--unlink', '--repository', 'app', '--ignore-checksums')

    assert found == 2 and '--repository, --ignore-checksums' in errors
