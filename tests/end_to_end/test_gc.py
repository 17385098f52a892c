"""`registry-swift gc` on a container in which clients of both registries have pushed and deleted, and the commands around it."""

import json

import pytest
import requests
from swiftclient.client import Connection

import clients
import images
import servers
from images import MiB

LARGE = (45 * MiB,)  # three segments of distribution, and two of ours


@pytest.fixture
def command(place):
    """A function that runs `registry-swift` and returns (exit status, what it printed as JSON)."""

    def run(*words, as_json=True):
        done = place.run(*words, *(['--json'] if as_json else []))
        return done.returncode, json.loads(done.stdout) if as_json else done.stdout

    return run


@pytest.fixture
def names(place):
    """A function that returns the names in the container, without those that collections keep for themselves."""

    def listed():
        connection = Connection(place.swift.auth_url, place.swift.user, place.swift.key)
        _, found = connection.get_container(place.container, full_listing=True)
        connection.close()
        return {entry['name'] for entry in found if not entry['name'].startswith(('files/_gc/', 'files/_registry/'))}

    return listed


@pytest.fixture
def same(skopeo, new_folder):
    def same(image, server, name):
        return images.differences(image.folder, skopeo.pull(server, name, new_folder(), '--all')) == []

    return same


@pytest.mark.parametrize('pushed_to', ['distribution', 'registry'])
def test_a_deleted_image_leaves_nothing(place, skopeo, new_image, command, names, same, pushed_to):
    server = getattr(place, pushed_to)()
    kept, deleted = new_image(*LARGE), new_image(*LARGE, 10)
    skopeo.push(kept, server, 'a:v1')
    before = names()
    skopeo.push(deleted, server, 'team/app:v1')
    assert clients.delete(server, 'team/app/manifests/' + deleted.digest) == 202

    code, report = command('gc', '--quiet-registry')

    assert code == 0 and report['counts']['purged'] == 4, report
    assert names() - before <= {name for name in names() if '/_uploads/' in name} and before <= names()
    assert same(kept, place.registry(), 'a:v1') and same(kept, place.distribution(), 'a:v1')
    assert command('fsck', '--sizes', '--deep')[0] == 0


def test_what_is_in_the_trash_comes_back(place, skopeo, new_image, command, same):
    """By a pull, by a push, and by a command."""
    registry, image = place.registry(), new_image(*LARGE)
    skopeo.push(image, registry, 'a:v1')
    assert clients.delete(registry, 'a/manifests/' + image.digest) == 202
    assert command('gc', '--quiet-registry', '--keep-trash', '7d')[1]['counts']['blobs'] == 3
    assert {entry['digest'] for entry in command('trash', 'list')[1]} == {image.digest, *image.blobs}

    assert requests.get(f'http://{registry.address}/v2/a/blobs/{image.blobs[0]}', timeout=servers.PATIENCE).status_code == 200
    assert command('undelete', 'a:v1', image.digest, as_json=False)[0] == 0
    assert same(image, registry, 'a:v1')

    assert command('gc', '--quiet-registry')[0] == 0
    assert command('trash', 'list')[1] == []
    assert same(image, registry, 'a:v1') and command('fsck', '--sizes', '--deep')[0] == 0


def test_survey_and_dry_run_promise_what_is_freed(place, skopeo, new_image, command):
    theirs, ours = place.distribution(), place.registry()
    for server, name in ((theirs, 'a:v1'), (ours, 'b:v1')):
        image = new_image(*LARGE)
        skopeo.push(image, server, name)
        assert clients.delete(server, f'{name[0]}/manifests/{image.digest}') == 202
    begun = requests.post('http://%s/v2/a/blobs/uploads/' % ours.address, timeout=servers.PATIENCE)
    location = requests.compat.urljoin(begun.url, begun.headers['Location'])
    requests.patch(
        location, data=bytes(5 * MiB), headers={'Content-Type': 'application/octet-stream'}, timeout=servers.PATIENCE
    ).raise_for_status()

    promised = command('gc', '--quiet-registry', '--dry-run')[1]['counts']
    done = command('gc', '--quiet-registry')[1]['counts']

    assert (promised['blobs'], promised['blob_bytes'], promised['links']) == (done['blobs'], done['blob_bytes'], done['links'])
    assert done['purged'] == done['blobs'] and done['segments'] == promised['segments'] == 1
    assert done['purged_bytes'] + done['segment_bytes'] == done['blob_bytes'] + 5 * MiB  # distribution's are freed as segments
    found = command('survey')[1]
    assert {kind: (piece['count'], piece['bytes']) for kind, piece in found['garbage'].items()} == dict.fromkeys(found['garbage'], (0, 0))
    assert found['container']['stored']['other']['bytes'] == 0
