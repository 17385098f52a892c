"""The tree shows sizes that a survey or a collection has left in the container."""

import json
import re

import pytest

from access_client import basic, replace
from docker_registry.v2.access import htpasswd
from docker_registry.v2.registry import layout, records, sizes
from docker_registry.v2.settings.config import Access
from fake_swift import on, status
from registry_process import environment, run

CONFIG = 2  # bytes of a configuration
LAYER = b'x' * 5000


@pytest.fixture
def registry(fake_place):
    registry = fake_place.registry()
    for tag in ('v1', 'v2'):
        registry.push_image('team/app', tag, LAYER)
    registry.push_image('team/app/nested', 'v1', LAYER, b'y' * 1000)
    return registry


@pytest.fixture
def command(fake, fake_place, registry):
    """A function that runs a command on the container."""

    def command(*words):
        code, out, err = run(*words, environ=environment(fake, OS_CONTAINER=fake_place.container))
        assert code == 0, err
        return out, err

    return command


def rows(registry, **more):
    """Return {repository: text beside its name} of the tree."""
    page = re.sub(r'\s+', ' ', registry('GET', '/ui/', **more).text)
    found = re.findall(r'href="/ui/([^"]+?)/tags/">\s*<svg.*?</svg>\s*<span>[^<]*</span></a>(.*?)</div>', page)
    return {name: ' '.join(re.sub('<[^>]*>', ' ', text).split()) for name, text in found}


def measure(place):
    sizes.write(place.storage(), [('team/app', 5000, 2), ('team/app/nested', 6000, 1)], 1e9)


def stored(place):
    return sorted(stat.path for stat in place.storage().walk(layout.SIZES))


def table(place):
    return sizes.read(place.storage(), ['team/app', 'team/app/nested'])


@pytest.mark.parametrize('words', [['survey'], ['gc']], ids=' '.join)
def test_the_tree_shows_what_a_command_has_measured(registry, command, fake_place, words):
    command(*words)

    manifest = len(registry('GET', '/v2/team/app/manifests/v1').data)
    assert table(fake_place).sizes['team/app'] == (CONFIG + len(LAYER) + manifest, 2)
    assert rows(registry)['team/app'].startswith('2 tags 5.') and rows(registry)['team/app/nested'].startswith('1 tag 6.')
    assert 'were counted' in registry('GET', '/ui/').text


def test_both_commands_measure_the_same(registry, command, fake_place):
    registry.push_image('team/large', 'v1', bytes(3 * 1024**2), b'z')
    command('survey')
    surveyed = sizes.read(fake_place.storage(), ['team/app', 'team/large']).sizes
    command('gc')

    assert sizes.read(fake_place.storage(), ['team/app', 'team/large']).sizes == surveyed != {}


def test_a_dry_run_measures_nothing(command, fake_place):
    command('gc', '--dry-run')

    assert not stored(fake_place) and table(fake_place) == sizes.NONE


def test_without_sizes_nothing_is_shown(registry):
    assert rows(registry) == {'team/app': '', 'team/app/nested': ''}
    assert 'were counted' not in registry('GET', '/ui/').text


def test_a_repository_that_is_newer_has_no_size(registry, fake_place):
    measure(fake_place)
    registry.push_image('another', 'v1', LAYER)

    assert rows(registry)['another'] == '' and rows(registry)['team/app']


def test_the_survey_of_one_repository_measures_all(registry, command):
    command('survey', '--repository', 'team/app')

    assert all(rows(registry).values())


def test_one_sees_sizes_of_what_one_sees(fake_place, tmp_path, registry):
    measure(fake_place)
    (tmp_path / 'htpasswd').write_bytes(b'alice:%b\n' % htpasswd.make(b'secret', 4))
    replace(str(tmp_path / 'rules'), b'allow alice pull team/app\n')
    ruled = fake_place.registry(Access(htpasswd=str(tmp_path / 'htpasswd'), rules=str(tmp_path / 'rules')))

    assert list(rows(ruled, headers=basic('alice', 'secret'))) == ['team/app']
    assert 'nested' not in ruled('GET', '/ui/', headers=basic('alice', 'secret')).text


def test_a_later_table_leaves_no_pieces_of_the_first(fake_place):
    measure(fake_place)
    first = stored(fake_place)
    measure(fake_place)

    assert len(first) == len(stored(fake_place)) == 1 and first != stored(fake_place)


def test_a_survey_finds_its_sizes_not_unknown_and_a_collection_lets_them_be(command, fake_place):
    first = json.loads(command('survey', '--json')[0])
    before = stored(fake_place)
    found = json.loads(command('survey', '--json')[0])
    assert found['container'] == first['container']
    command('fsck')
    command('gc', '--quiet-registry', '--dry-run')

    assert len(stored(fake_place)) == len(before) == 1


def test_many_repositories_take_two_pieces_at_most(fake_place, monkeypatch):
    monkeypatch.setattr(sizes, 'ROWS', 10)
    storage, names = fake_place.storage(), [f'r{number:03}' for number in range(95)]
    sizes.write(storage, [(name, number, 1) for number, name in enumerate(names)], 1e9)
    before = len(fake_place.server.requests)

    found = sizes.read(storage, names[15:30])

    assert {name: size.bytes for name, size in found.sizes.items()} == dict(zip(names[15:30], range(15, 30)))
    assert len([one for one in fake_place.server.requests[before:] if one.kind != 'auth']) == 3
    assert len(sizes.read(storage, names).sizes) == 20


def test_nested_repositories_are_found_where_the_catalog_has_them(fake_place, monkeypatch):
    monkeypatch.setattr(sizes, 'ROWS', 1)
    names = ['a', 'a-b', 'a/0', 'a/b', 'a.b', 'a0', 'b']
    sizes.write(fake_place.storage(), [(name, 1, 1) for name in names], 1e9)

    assert [name for name in names if sizes.read(fake_place.storage(), [name]).sizes] == names


@pytest.mark.parametrize('kind', ['piece', 'record'])
def test_a_table_that_is_half_written_leaves_the_last_one(fake, fake_place, registry, command, kind):
    command('survey')
    whole = rows(registry)
    registry.push_image('another', 'v1', LAYER)
    fake.fault(on('PUT', path_contains='_gc/sizes/' if kind == 'piece' else '_gc/last/sizes'), status(403), times=None)
    assert 'page will not show' in command('survey')[1]

    assert rows(registry) == {**whole, 'another': ''}


def test_what_a_crash_has_left_goes_when_it_is_old(fake_place):
    storage = fake_place.storage()
    storage.replace(layout.sizes('0' * 16, 0), b'{}')
    measure(fake_place)
    assert layout.sizes('0' * 16, 0) in stored(fake_place)  # another command may be writing it

    fake_place.objects[layout.sizes('0' * 16, 0)].timestamp = 1e9 - 2 * sizes.LEFT_SECONDS
    measure(fake_place)

    assert layout.sizes('0' * 16, 0) not in stored(fake_place)


WRONG = [b'', b'[]', b'{}', b'null', b'\xff', b'[' * 100_000, b'{"at": 1' + b'0' * 5000 + b'}']


@pytest.mark.parametrize(
    'content', [*WRONG, b'{"team/app": 5}', b'{"team/app": [1]}', b'{"team/app": [-1, true]}', b'{"team/app": ["<b>", 1]}']
)
def test_a_piece_that_is_none_counts_as_none(registry, fake_place, content):
    measure(fake_place)
    fake_place.storage().replace(stored(fake_place)[0], content)

    assert rows(registry) == {'team/app': '', 'team/app/nested': ''}


@pytest.mark.parametrize(
    'change',
    [
        {'at': 'now'}, {'at': -1}, {'at': 1e300}, {'at': float('nan')},
        {'run': '../../x'}, {'run': 5}, {'run': None}, {'run': '0' * 16},
        {'first': None}, {'first': [None]}, {'first': 'team'}, {'first': ['z', 'a']}, {'first': []},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_that_is_none_counts_as_none(registry, fake_place, change):
    measure(fake_place)
    record = records.read(fake_place.storage(), sizes.KIND)
    records.write(fake_place.storage(), sizes.KIND, record | change)

    assert rows(registry) == {'team/app': '', 'team/app/nested': ''}


def test_a_swift_that_does_not_answer_for_sizes_hides_them(fake, registry, fake_place):
    measure(fake_place)
    fake.fault(on('GET', path_contains='_gc/'), status(403), times=None)

    assert rows(registry) == {'team/app': '', 'team/app/nested': ''}
