"""`registry-swift fsck` on a container in which CNCF distribution 2.8 has left its damages."""

import json
import os

import pytest
from swiftclient.client import Connection

import clients
import images
import servers
from images import MiB

SEGMENTED = (45 * MiB,)  # distribution stores this in three segments of up to 20 MiB


@pytest.fixture
def theirs(place):
    return place.distribution()


@pytest.fixture
def ours(place):
    return place.registry()


@pytest.fixture
def client(place):
    connection = Connection(place.swift.auth_url, place.swift.user, place.swift.key)
    yield connection
    connection.close()


@pytest.fixture
def fsck(place):
    """A function that runs the command and returns (exit status, what it printed as JSON)."""

    def fsck(*options):
        done = place.run('fsck', '--json', *options)
        return done.returncode, json.loads(done.stdout)

    return fsck


@pytest.fixture
def same(skopeo, new_folder):
    """Return whether a server returns an image exactly as it was pushed."""

    def same(image, server, name):
        return images.differences(image.folder, skopeo.pull(server, name, new_folder(), '--all')) == []

    return same


def damages(report):
    return sorted(finding['damage'] for finding in report['findings'] if finding['damage'] != 'garbage')


def test_its_large_objects_become_static_and_both_serve_them(place, theirs, ours, client, skopeo, new_image, same, fsck):
    image = new_image(*SEGMENTED)
    skopeo.push(image, theirs, 'a:v1')
    before = client.head_container(place.container)['x-container-bytes-used']

    code, report = fsck('--sizes')
    assert code == 0 and set(damages(report)) == {'dynamic'}
    code, report = fsck('--sizes', '--repair')

    assert code == 1 and all(finding['repaired'] for finding in report['findings'] if finding['damage'] != 'garbage')
    name = 'files/docker/registry/v2/blobs/sha256/%s/%s/data' % (image.blobs[0][7:9], image.blobs[0][7:])
    headers = client.head_object(place.container, name)
    assert headers['x-static-large-object'] == 'True' and 'x-object-manifest' not in headers
    assert same(image, ours, 'a:v1') and same(image, theirs, 'a:v1')
    assert '0 blobs and 0 manifests eligible for deletion' in theirs.collect()
    assert int(client.head_container(place.container)['x-container-bytes-used']) >= int(before)
    assert fsck('--deep', '--sizes')[0] == 0


def test_an_object_that_lost_a_segment(place, theirs, ours, client, skopeo, new_image, same, fsck):
    image, other = new_image(*SEGMENTED), new_image()
    skopeo.push(image, theirs, 'team/app:v1')
    skopeo.push(other, theirs, 'team/app:v2')
    _, found = client.get_container(place.container, prefix='segments/', full_listing=True)
    client.delete_object(place.container, max(found, key=lambda entry: (entry['name'].rpartition('/')[2], entry['name']))['name'])

    code, report = fsck('--sizes')
    assert (code, report['unpullable']) == (2, ['team/app:v1'])
    assert 'short' in damages(report)

    assert fsck('--sizes', '--repair')[0] == 2
    skopeo.push(image, ours, 'team/app:v1')
    assert fsck('--sizes', '--deep')[0] == 0
    assert same(image, ours, 'team/app:v1') and same(other, ours, 'team/app:v2') and same(image, theirs, 'team/app:v1')


def test_what_its_collector_leaves_of_a_deleted_image(theirs, skopeo, new_image, same, fsck):
    deleted, kept = new_image(), new_image()
    skopeo.push(deleted, theirs, 'ghost:v1')
    skopeo.push(kept, theirs, 'a:v1')
    assert clients.delete(theirs, 'ghost/manifests/' + deleted.digest) == 202
    theirs.collect('--delete-untagged=false')

    assert clients.repositories(theirs) == ['a', 'ghost']
    code, report = fsck()
    assert code == 2 and set(damages(report)) == {'link without data'} and report['unpullable'] == []
    assert {finding['repository'] for finding in report['findings'] if finding['damage'] == 'link without data'} == {'ghost'}

    assert fsck('--repair')[0] == 1
    assert fsck('--sizes')[0] == 0
    assert clients.repositories(theirs) == ['a']
    assert same(kept, theirs, 'a:v1')


def test_an_index_whose_images_its_collector_deleted(place, theirs, ours, skopeo, new_multi_arch, same, fsck, new_folder):
    """`--delete-untagged` takes the images of an index for untagged. A registry that has them makes them whole again."""
    index = new_multi_arch(types=images.DOCKER)
    skopeo.push(index, theirs, 'a:v1', '--all')
    theirs.collect('--delete-untagged')

    code, report = fsck()
    assert code == 2 and report['unpullable'] and all(tag.startswith('a:v1 (linux/') for tag in report['unpullable'])
    assert set(damages(report)) == {'image of an index', 'emptied image'}

    folder = new_folder()
    os.mkdir(folder)
    elsewhere = servers.Registry(folder, place.swift, place.container + '-elsewhere')
    place.servers.append(elsewhere)
    skopeo.push(index, elsewhere.wait(), 'a:v1', '--all')
    code, report = fsck('--repair', '--from', elsewhere.url)

    assert (code, report['unpullable']) == (1, [])
    assert fsck('--sizes', '--deep')[0] == 0
    assert same(index, ours, 'a:v1')
