"""The numbers of `registry-swift survey`: they are those of what was pushed, to the byte."""

import io
import json
import subprocess

import pytest

from docker_registry.v2.operations.survey import figures as figures_module
from docker_registry.v2.operations.survey import report, state
from docker_registry.v2.operations.survey import survey as survey_module
from docker_registry.v2.registry import formats, layout, names, trash
from fake_swift import FakeSwift, on, stall
from registry_client import Place, as_json, descriptor, digest_of, image
from registry_process import COMMAND, environment, run, until

MiB = 1024**2
LARGE = b'large' * MiB  # 5 MiB in 5 segments
CONFIG = b'{}'


@pytest.fixture
def figures(place, tmp_path):
    """A function that takes a survey and returns its numbers."""

    def taken(**more):
        survey = survey_module.take(place.storage(), str(tmp_path), **more)
        found = figures_module.figures(survey)
        survey.db.close()
        json.dumps(found)
        return found

    return taken


def repositories(found):
    return {row.pop('name'): row for row in found['repositories']}


def amounts(found):
    return {kind: (piece['count'], piece['bytes']) for kind, piece in found['garbage'].items()}


NO_GARBAGE = {'layer_links': (0, 0), 'blobs': (0, 0), 'segments': (0, 0), 'uploads': (0, 0)}


def manifest_size(*layers, **more):
    return len(as_json(image(CONFIG, *layers, **more)))


def test_an_empty_container(figures):
    found = figures()

    assert (found['repositories'], amounts(found), found['container']['stored']['bytes']) == ([], NO_GARBAGE, 0)
    assert report.text(found)


def test_what_repositories_have_alone_and_share(registry, figures):
    registry.push_image('team/app', 'v1', LARGE, b'shared')
    registry.push_image('team/app', 'v2', LARGE, b'small')
    registry.push_image('other', 'latest', b'shared')
    found = figures()

    first, second, third = manifest_size(LARGE, b'shared'), manifest_size(LARGE, b'small'), manifest_size(b'shared')
    shared = len(b'shared') + len(CONFIG)
    assert repositories(found) == {
        'team/app': {
            'tags': 2,
            'manifests': 2,
            'bytes_alone': len(LARGE) + len(b'small') + first + second,
            'bytes_shared': shared,
            'unneeded_links': 0,
        },
        'other': {'tags': 1, 'manifests': 1, 'bytes_alone': third, 'bytes_shared': shared, 'unneeded_links': 0},
    }
    total = len(LARGE) + len(b'small') + shared + first + second + third
    container = found['container']
    assert container['blobs'] == {'count': 7, 'bytes': total}
    assert (container['tags'], container['manifests'], container['repositories']) == (3, 3, 2)
    assert container['stored']['segments'] == {'count': 5, 'bytes': len(LARGE)}
    assert container['stored']['bytes'] == total
    assert amounts(found) == NO_GARBAGE


def test_an_index_and_its_images(registry, figures):
    for number in (b'1', b'2'):
        registry.push_blob('a', CONFIG)
        registry.push_blob('a', number)
    contents = [as_json(image(CONFIG, number)) for number in (b'1', b'2')]
    for content in contents:
        registry.push_manifest('a', digest_of(content), content)
    index = as_json({'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [descriptor(c, formats.OCI_IMAGE) for c in contents]})
    registry.push_manifest('a', 'v1', index, formats.OCI_INDEX)
    found = figures()

    (row,) = repositories(found).values()
    assert (row['tags'], row['manifests']) == (1, 3)
    assert row['bytes_alone'] == len(index) + sum(map(len, contents)) + len(CONFIG) + 2
    assert amounts(found) == NO_GARBAGE


def test_a_deleted_image_leaves_links(registry, figures):
    digest = registry.push_image('a', 'v1', LARGE, b'kept elsewhere')
    registry.push_image('b', 'v1', b'kept elsewhere')
    assert registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 202
    found = figures()

    # Of the three links in `a`, only one is the last of its blob. Nothing links the manifest any more.
    assert amounts(found) == NO_GARBAGE | {'layer_links': (3, len(LARGE)), 'blobs': (1, manifest_size(LARGE, b'kept elsewhere'))}
    assert repositories(found)['a']['unneeded_links'] == 3


def test_two_repositories_that_both_need_a_blob_no_more(registry, figures):
    registry.push_blob('a', b'pushed')
    registry.push_blob('b', b'pushed')
    found = figures()

    assert amounts(found) == NO_GARBAGE | {'layer_links': (2, len(b'pushed'))}


def test_a_manifest_that_is_pushed_as_a_blob_too(registry, figures):
    registry.push_image('a', 'v1', b'layer')
    registry.push_blob('a', as_json(image(CONFIG, b'layer')))
    found = figures()

    assert amounts(found) == NO_GARBAGE | {'layer_links': (1, 0)}


def test_blobs_without_links(registry, figures):
    for content in (LARGE, b'small'):
        digest = names.digest(registry.push_blob('a', content))
        registry.storage.discard(layout.layer_link('a', digest))
    found = figures()

    assert amounts(found) == NO_GARBAGE | {'blobs': (2, len(LARGE) + len(b'small'))}
    assert found['container']['stored']['bytes'] == len(LARGE) + len(b'small')


def test_uploads_that_never_ended(registry, figures):
    location = registry.upload('a')
    answer = registry('PATCH', location, LARGE)
    assert answer.status_code == 202
    found = figures()

    assert amounts(found) == NO_GARBAGE | {'segments': (5, len(LARGE))}


def test_a_repository_whose_manifest_cannot_be_read_needs_all_it_has(registry, figures):
    digest = registry.push_image('a', 'v1', b'layer')
    registry.push_blob('a', b'unneeded')
    registry.push_blob('b', b'other')
    registry.storage.remove(layout.blob(names.digest(digest)))
    found = figures()

    assert found['unread']['manifests'] == [{'digest': digest, 'state': 'missing', 'repositories': ['a']}]
    assert amounts(found) == NO_GARBAGE | {'layer_links': (1, len(b'other'))}
    assert digest in report.text(found)


def test_the_trash(registry, figures):
    large, small = (names.digest(registry.push_blob('a', content)) for content in (LARGE, b'small'))
    storage = registry.storage
    parts = [trash.Segment(part.path, part.size, part.etag) for part in storage.parts_of(layout.blob(large))]
    trash.write_record(storage, large, trash.Record('run', trash.TRASHED, trash.STATIC, len(LARGE), parts))
    storage.copy(layout.blob(small), layout.trashed_copy(small))
    trash.write_record(storage, small, trash.Record('run', trash.TRASHED, trash.PLAIN, 5, []))
    for digest in (large, small):
        storage.discard(layout.blob(digest))
        storage.discard(layout.layer_link('a', digest))
    found = figures()

    assert found['trash'] == {'blobs': 2, 'names': 0, 'bytes': len(LARGE) + 5}
    assert amounts(found) == NO_GARBAGE
    assert found['container']['stored']['bytes'] == len(LARGE) + 5


def test_what_was_put_aside(registry, figures):
    large, small = (names.digest(registry.push_blob('a', content)) for content in (LARGE, b'small'))
    storage = registry.storage
    parts = [[part.path, part.size, part.etag] for part in storage.parts_of(layout.blob(large))]
    storage.put_content(layout.lost_record(large), json.dumps({'parts': parts, 'damage': 'wrong'}))
    storage.put_content(layout.lost_record(small), json.dumps({'parts': []}))
    storage.copy(layout.blob(small), layout.lost_copy(small))
    for digest in (large, small):
        storage.discard(layout.blob(digest))
        storage.discard(layout.layer_link('a', digest))
    found = figures()

    assert found['aside'] == {'blobs': 2, 'bytes': len(LARGE) + 5}
    assert amounts(found) == NO_GARBAGE
    assert found['container']['stored']['bytes'] == len(LARGE) + 5
    assert 'put aside 2 blobs' in report.text(found)


@pytest.mark.parametrize('content', [b'no record', b'{"parts": 1}', b'{"parts": [[]]}', b'{"parts": [[1]]}', b'[]', b'[' * 100000])
def test_something_else_in_the_trash(registry, figures, content):
    registry.storage.put_content(layout.trashed_blob(names.digest(digest_of(b'x'))), content)

    assert figures()['trash'] == {'blobs': 1, 'names': 0, 'bytes': 0}


# What CNCF distribution writes


def put_dynamic(place, fake, path, prefix, *segments):
    for number, content in enumerate(segments, 1):
        fake.put(place.container, f'{prefix}/{number:016}', content)
    fake.put(place.container, f'files/{path}', b'', headers={'X-Object-Manifest': f'{place.container}/{prefix}'})


@pytest.fixture
def fake_figures(fake_place, tmp_path):
    return lambda: figures_module.figures(survey_module.take(fake_place.storage(), str(tmp_path)))


def test_dynamic_large_objects_have_the_bytes_of_their_segments(fake, fake_place, fake_registry, fake_figures):
    digest = names.digest(digest_of(b'onetwo'))
    put_dynamic(fake_place, fake, layout.blob(digest), 'segments/abc/d', b'one', b'two')
    fake.put(fake_place.container, 'segments/abc/left/0000000000000001', b'four')
    fake_registry.storage.put_content(layout.layer_link('a', digest), str(digest).encode())
    fake_registry.push_blob('a', CONFIG)
    fake_registry.push_manifest('a', 'v1', image(CONFIG, b'onetwo'))
    found = fake_figures()

    assert repositories(found)['a']['bytes_alone'] == 6 + len(CONFIG) + manifest_size(b'onetwo')
    assert amounts(found) == NO_GARBAGE | {'segments': (1, 4)}
    assert found['container']['stored']['foreign_segments'] == {'count': 3, 'bytes': 10}
    assert found['container']['stored']['bytes'] == 10 + len(CONFIG) + manifest_size(b'onetwo')


def test_uploads_of_cncf_distribution_have_the_bytes_that_no_blob_has(fake, fake_place, fake_figures):
    digest = names.digest(digest_of(b'moved'))
    uploads = layout.repository('a') + '/_uploads'
    put_dynamic(fake_place, fake, layout.blob(digest), 'segments/abc/moved', b'moved')
    put_dynamic(fake_place, fake, f'{uploads}/1/data', 'segments/abc/moved')
    put_dynamic(fake_place, fake, f'{uploads}/2/data', 'segments/abc/left', b'12', b'345')
    fake.put(fake_place.container, f'files/{uploads}/2/startedat', b'2026')
    found = fake_figures()

    assert amounts(found) == NO_GARBAGE | {'blobs': (1, 5), 'uploads': (2, 5 + 4)}


def test_ages(fake, fake_place, fake_figures):
    digests = [names.digest(digest_of(b'%d' % number)) for number in range(5)]
    days = (0, 2, 20, 200, 2000)
    for digest, age in zip(digests, days):
        fake.put(fake_place.container, 'files/' + layout.blob(digest), b'x').timestamp -= age * 86400
    found = fake_figures()['garbage']['blobs']

    assert {step: piece['count'] for step, piece in found['ages'].items()} == dict.fromkeys(['1d', '7d', '30d', '365d', 'older'], 1)
    assert abs(found['youngest']) < 60 and abs(found['oldest'] - 2000 * 86400) < 60


# The command


def test_the_command(real_swift):
    environ = environment(real_swift)
    assert run('check', environ=environ)[0] == 0
    code, output, errors = run('survey', environ=environ)

    assert (code, errors) == (0, '')
    assert 'REPOSITORY' in output and 'GARBAGE' in output and 'requests' in output


def test_the_command_in_json(place, registry):
    registry.push_image('a', 'v1', b'layer')
    registry.push_image('b', 'v1', b'layer')
    environ = environment(place.server, OS_CONTAINER=place.container, STORAGE_PATH='files')
    code, output, errors = run(
        'survey', '--json', '--repository', 'b', '--threads', '40', '--max-requests-per-second', '1000', environ=environ
    )

    assert (code, errors) == (0, '')
    found = json.loads(output)
    assert set(found) == {'started', 'container', 'garbage', 'trash', 'aside', 'unread', 'repositories', 'v1', 'requests', 'seconds'}
    assert [row['name'] for row in found['repositories']] == ['b']
    assert found['container']['repositories'] == 2


def test_a_repository_that_is_not_there(place, registry):
    environ = environment(place.server, OS_CONTAINER=place.container, STORAGE_PATH='files')
    code, output, errors = run('survey', '--repository', 'nothing', environ=environ)

    assert (code, output) == (1, '') and 'nothing' in errors


def test_a_folder_for_the_state(fake_place, fake_registry, tmp_path):
    fake_registry.push_image('a', 'v1', b'layer')
    environ = environment(fake_place.server, OS_CONTAINER=fake_place.container, STORAGE_PATH='files')
    outputs = [run('survey', '--json', '--state', str(tmp_path / 'new'), environ=environ)[1] for _ in range(2)]

    assert (tmp_path / 'new' / state.FILE).exists()
    first, second = map(json.loads, outputs)
    assert first['repositories'] == second['repositories'] != []


# The text


@pytest.mark.parametrize(
    'count, text', [(0, '0 B'), (1023, '1023 B'), (1024, '1.0 KiB'), (5 * MiB // 2, '2.5 MiB'), (2**60 * 2048, '2097152.0 PiB')]
)
def test_sizes(count, text):
    assert report.size(count) == text


def test_the_largest_repositories_come_first(registry, figures):
    registry.push_image('small', 'v1', b'a')
    registry.push_image('large', 'v1', bytes(MiB // 2))
    lines = report.text(figures()).splitlines()

    assert [line.split()[0] for line in lines[:3]] == ['REPOSITORY', 'large', 'small']
    assert '512.' in lines[1] and 'KiB' in lines[1]


def test_no_more_rows_than_one_reads(figures, monkeypatch, registry):
    monkeypatch.setattr(report, 'SHOWN', 1)
    registry.push_image('a', 'v1', b'a')
    registry.push_image('b', 'v1', b'bb')
    found = figures()

    assert '... and 1 smaller ones: see --all' in report.text(found)
    assert '...' not in report.text(found, everything=True)


def test_a_name_cannot_move_the_cursor():
    assert report.printable('a\x1b[2Jb\u202e') == 'a\\x1b[2Jb\\u202e'


def test_a_blob_of_one_segment(registry, figures):
    """A part that was written by a chunk is smaller than any blob that has several."""
    location = registry.upload('a')
    content = b'x' * 100000
    location = registry('PATCH', location, content).headers['Location']
    registry('PUT', f'{location}{"&" if "?" in location else "?"}digest={digest_of(content)}')
    found = figures()

    assert amounts(found) == NO_GARBAGE | {'layer_links': (1, len(content))}


def test_a_survey_that_was_killed_goes_on(fake, fake_place, fake_registry, tmp_path):
    fake_registry.push_image('a', 'v1', b'layer')
    environ = environment(fake, OS_CONTAINER=fake_place.container, STORAGE_PATH='files')
    words = ['survey', '--json', '--state', str(tmp_path)]
    stalled = fake.fault(on('GET', where=lambda request: request.query.get('prefix', '').endswith('/_trash/')), stall(), times=None)
    with subprocess.Popen([*COMMAND, *words], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: stalled.hits)
        process.kill()
    fake.clear_faults()
    fake.release()
    fake.clear_requests()
    code, output, errors = run(*words, environ=environ)

    assert (code, errors) == (0, '')
    assert [row['name'] for row in json.loads(output)['repositories']] == ['a']
    assert not [request for request in fake.requests if request.query.get('prefix', '').endswith('/v2/')]


def test_ceph_lists_large_objects_without_their_size(tmp_path):
    with FakeSwift(ceph=True) as server:
        place = Place(server)
        registry = place.registry()
        registry.push_image('a', 'v1', LARGE, b'small')
        assert registry('POST', f'/v2/b/blobs/uploads/?mount={digest_of(LARGE)}&from=a').status_code == 201
        registry.storage.write_parts(layout.segments('never-ended', '00112233'), io.BytesIO(b'12345'))
        found = figures_module.figures(survey_module.take(place.storage(), str(tmp_path)))

    total = len(LARGE) + len(b'small') + len(CONFIG) + manifest_size(LARGE, b'small')
    assert found['container']['blobs'] == {'count': 4, 'bytes': total}
    assert found['container']['stored']['bytes'] == total + 5
    assert repositories(found)['b']['bytes_shared'] == len(LARGE)
    assert amounts(found) == NO_GARBAGE | {'layer_links': (1, 0), 'segments': (1, 5)}
