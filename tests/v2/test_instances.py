"""Several instances on one container. They have no configured secret in common, and clients may use any of them."""

import threading

from registry_client import as_json, digest_of, image

LAYERS = [bytes([number]) * 3000 for number in range(8)]


def test_each_request_of_a_push_may_land_on_another_instance(place):
    instances = [place.registry() for _ in range(6)]
    content = bytes(range(256)) * 10000
    location = instances[0].upload('a')
    location = instances[1]('PATCH', location, content[:1500000]).headers['Location']
    location = instances[2]('PATCH', location, content[1500000:]).headers['Location']

    assert instances[3]('PUT', f'{location}?digest={digest_of(content)}').status_code == 201

    instances[4].push_blob('a', b'{}')
    instances[5].push_manifest('a', 'v1', image(b'{}', content))
    assert instances[0]('GET', '/v2/a/blobs/' + digest_of(content)).data == content


def test_concurrent_pushes_of_one_tag(place):
    """The last writer wins. Each pull in the meantime gets one of the images, whole."""
    contents = {as_json(image(b'{}', layer)): layer for layer in LAYERS}
    place.registry().push_image('a', 'v1', LAYERS[0])
    stop, wrong = threading.Event(), []

    def push(registry, layer):
        for _ in range(3):
            registry.push_image('a', 'v1', layer)

    def pull(registry):
        while not stop.is_set():
            manifest = registry('GET', '/v2/a/manifests/v1')
            layer = contents.get(manifest.data)
            if layer is None or registry('GET', '/v2/a/blobs/' + digest_of(layer)).data != layer:
                wrong.append(manifest.data)

    puller = threading.Thread(target=pull, args=[place.registry()])
    pushers = [threading.Thread(target=push, args=[place.registry(), layer]) for layer in LAYERS]
    for thread in [puller] + pushers:
        thread.start()
    for thread in pushers:
        thread.join()
    stop.set()
    puller.join()

    assert wrong == []
    assert place.registry()('GET', '/v2/a/manifests/v1').data in contents


def test_concurrent_pushes_of_one_blob(place):
    content = bytes(range(256)) * 10000
    answers = []

    def push(registry):
        location = registry('PATCH', registry.upload('a'), content).headers['Location']
        answers.append(registry('PUT', f'{location}?digest={digest_of(content)}').status_code)

    threads = [threading.Thread(target=push, args=[place.registry()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [201] * 4
    assert place.registry()('GET', '/v2/a/blobs/' + digest_of(content)).data == content


def test_an_upload_is_known_only_where_the_secret_is_the_same(fake_place):
    location = fake_place.registry(upload_secret='one').upload('a')

    assert fake_place.registry(upload_secret='one')('GET', location).status_code == 204
    assert fake_place.registry(upload_secret='other')('GET', location).status_code == 404
    assert fake_place.registry()('GET', location).status_code == 404
