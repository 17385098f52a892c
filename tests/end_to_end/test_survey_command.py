"""`registry-swift survey` of a container that CNCF distribution 2.8 writes, too: its numbers are those of what was pushed."""

import json
import os
import subprocess

import pytest
import requests

import clients
from images import MiB
from servers import PATIENCE, program


@pytest.fixture
def survey(place):
    """A function that returns what the command prints as JSON."""

    def surveyed(*options):
        environ = {
            'OS_AUTH_URL': place.swift.auth_url,
            'OS_AUTH_VERSION': '1',
            'OS_USERNAME': place.swift.user,
            'OS_PASSWORD': place.swift.key,
            'OS_CONTAINER': place.container,
        }
        words = [program('registry-swift'), 'survey', '--json', *options]
        return json.loads(subprocess.run(words, check=True, env=environ, stdout=subprocess.PIPE, timeout=PATIENCE).stdout)

    return surveyed


def size_of(image, *digests):
    """Bytes of blobs of an image; without digests, of all of them and the manifest."""
    names = [digest.partition(':')[2] for digest in digests or image.blobs] + ([] if digests else ['manifest.json'])
    return sum(os.path.getsize(os.path.join(image.folder, name)) for name in names)


def amounts(found):
    return {kind: (piece['count'], piece['bytes']) for kind, piece in found['garbage'].items()}


NO_GARBAGE = {'layer_links': (0, 0), 'blobs': (0, 0), 'segments': (0, 0), 'uploads': (0, 0)}


def test_what_both_have_pushed(place, skopeo, new_image, survey):
    theirs, ours = place.distribution(), place.registry()
    first, second = new_image(45 * MiB, 10), new_image(70 * MiB)
    skopeo.push(first, theirs, 'a:v1')
    skopeo.push(first, theirs, 'b:v1')
    skopeo.push(second, ours, 'c:v1')
    found = survey()

    rows = {row['name']: (row['tags'], row['manifests'], row['bytes_alone'], row['bytes_shared']) for row in found['repositories']}
    assert rows == {'a': (1, 1, 0, size_of(first)), 'b': (1, 1, 0, size_of(first)), 'c': (1, 1, size_of(second), 0)}
    assert found['container']['blobs'] == {'count': 3 + 1 + 2 + 1, 'bytes': size_of(first) + size_of(second)}
    assert found['container']['stored']['other'] == {'count': 0, 'bytes': 0}
    assert found['unread'] == {'manifests': [], 'objects': []}
    garbage = amounts(found)
    assert garbage == NO_GARBAGE | {'uploads': garbage['uploads'], 'segments': garbage['segments']}


def test_an_upload_that_they_never_ended(place, survey):
    theirs = place.distribution()
    begun = requests.post('http://%s/v2/a/blobs/uploads/' % theirs.address, timeout=PATIENCE)
    requests.patch(
        begun.headers['Location'], data=bytes(25 * MiB), headers={'Content-Type': 'application/octet-stream'}, timeout=PATIENCE
    ).raise_for_status()
    found = survey()

    count, size = amounts(found)['uploads']
    assert count == 1 and 25 * MiB <= size < 25 * MiB + 1000  # with its time, and the state of its hash


def test_what_their_deletes_leave(place, skopeo, new_image, survey):
    theirs = place.distribution()
    image = new_image(45 * MiB)
    skopeo.push(image, theirs, 'a:v1')
    assert clients.delete(theirs, 'a/manifests/' + image.digest) == 202
    found = survey()

    assert amounts(found)['layer_links'] == (2, size_of(image, *image.blobs))
    assert (found['repositories'][0]['tags'], found['repositories'][0]['manifests']) == (0, 0)
