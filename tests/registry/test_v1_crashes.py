# -*- coding: utf-8 -*-
"""Workers are killed and clients disappear. The registry never serves half an upload, and a retry succeeds."""
import httplib
import pytest

from processes import wait_until
from v1_client import blocks_of, expected_of, hang_up, send_chunks
from v1_image import Image, Layer, MiB

SENT = 36 * MiB  # bytes of the large layer that are sent before the failure: more than its first segment


@pytest.fixture
def large(image, client):
    """A new layer with the content of the large one. Its JSON is pushed already."""
    layer = Layer(image.layers[1].path)
    client.put_image_json(layer)
    return layer


def assert_not_served(client, layer):
    for what in ('json', 'layer', 'ancestry', 'files'):
        answer = client.ask('GET', 'images/%s/%s' % (layer.id, what))
        assert (answer.status, 'Image is being uploaded' in answer.body) == (400, True)


def assert_a_retry_succeeds(client, layer, name):
    assert client.push(name, Image([layer]), 'latest') == [layer.id]
    assert client.pull(name, 'latest') == expected_of(Image([layer]))


def test_a_registry_whose_worker_was_killed_goes_on(registry, client, other_client, pushed, small_image, name):
    registry.kill_workers(1)
    image = small_image(layers=2)
    client.push(name, image, 'latest')
    assert client.pull(name, 'latest') == other_client.pull(name, 'latest') == expected_of(image)


def test_a_push_whose_worker_was_killed_is_not_served_and_can_be_repeated(
        deployment, registry, client, other_client, large, name):
    segments = deployment.names('_segments/')
    upload = client.begin('PUT', 'images/%s/layer' % large.id, {'Transfer-Encoding': 'chunked'})
    send_chunks(upload, blocks_of(large, SENT))
    wait_until(lambda: deployment.names('_segments/') != segments)
    registry.kill_workers()
    with pytest.raises((httplib.BadStatusLine, IOError)):
        upload.getresponse()
    assert_not_served(client, large)
    assert_not_served(other_client, large)
    assert_a_retry_succeeds(other_client, large, name)


@pytest.mark.parametrize('framing', ['length', 'chunked'])
def test_an_upload_whose_client_disappears_is_not_served_and_can_be_repeated(deployment, client, large, name, framing):
    segments = deployment.names('_segments/')
    if framing == 'length':
        upload = client.begin('PUT', 'images/%s/layer' % large.id, {'Content-Length': str(large.size)})
        for block in blocks_of(large, SENT):
            upload.send(block)
    else:
        upload = client.begin('PUT', 'images/%s/layer' % large.id, {'Transfer-Encoding': 'chunked'})
        send_chunks(upload, blocks_of(large, SENT))
        upload.send(b'8000\r\nthe beginning of a block of 32 KiB')
    assert hang_up(upload) != 200
    assert_not_served(client, large)
    assert 'images/%s/layer' % large.id not in deployment.names('images/%s/' % large.id), 'half a layer was stored'
    assert deployment.names('_segments/') == segments, 'the segments of an upload that failed were left behind'
    assert_a_retry_succeeds(client, large, name)


def test_a_client_that_disappears_in_the_middle_of_a_pull_disturbs_nobody(client, pushed, image):
    for _ in range(40):  # more than the driver's connections, in each of the two workers
        download = client.begin('GET', 'images/%s/layer' % image.layers[1].id)
        download.getresponse().read(MiB)
        download.close()
    assert client.pull(pushed, 'latest') == expected_of(image)
