# -*- coding: utf-8 -*-
"""Several registries on one container: concurrent overwrites, and two releases on the same images.

The walk-through ends with "I have not tested what happens in concurrent overwrite scenarios in such a configuration".
"""
import collections
import threading
import time

from v1_client import Refused, V1Client, expected_of
from v1_image import Image, Layer

WRITERS, OVERWRITES = 8, 6

#: One write or read of a tag. `began` and `ended` are times of the client's clock.
Operation = collections.namedtuple('Operation', 'image began ended')


def test_of_concurrent_overwrites_of_a_tag_the_last_wins_and_every_read_is_one_of_them(
        deployment, client, other_client, small_image, name):
    images = [small_image() for _ in range(WRITERS)]
    for image in images:
        client.put_image_json(image.layers[0])
    client.put_tag(name, 'latest', images[0].id)
    writes, reads = overwrite_and_read([client, other_client], name, [image.id for image in images])
    finals = [timed(lambda: one.tag(name, 'latest')) for one in (client, other_client)]

    print('%d overwrites by %d clients through two registries, %d reads meanwhile' % (len(writes) - 1, WRITERS, len(reads)))
    written = collections.Counter(write.image for write in writes)
    assert all(written[image.id] >= OVERWRITES for image in images)
    assert len(reads) > WRITERS, 'the test has read too seldom to mean anything'
    assert [read for read in reads + finals if not is_explained(read, writes)] == []
    in_swift = deployment.read('repositories/%s/tag_latest' % name)
    assert [final.image for final in finals] == [in_swift, in_swift]


def overwrite_and_read(clients, name, images):
    """(writes, reads). Writer n puts images[n] repeatedly through one of the clients, while every client reads.

    The writers go on until there are enough reads, however slow these are.
    """
    began = time.time()
    writes, reads = [Operation(images[0], 0, began)], []
    writing = threading.Event()
    writing.set()

    def write(client, image):
        count = 0
        while count < OVERWRITES or len(reads) <= WRITERS and any(reader.is_alive() for reader in readers):
            count += 1
            put = timed(lambda: client.put_tag(name, 'latest', image))
            writes.append(put._replace(image=image))

    def read(client):
        while writing.is_set():
            reads.append(timed(lambda: client.tag(name, 'latest')))

    writers = [threading.Thread(target=write, args=(clients[n % len(clients)], image)) for n, image in enumerate(images)]
    readers = [threading.Thread(target=read, args=(client,)) for client in clients]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    writing.clear()
    for thread in readers:
        thread.join()
    return writes, reads


def timed(action):
    began = time.time()
    return Operation(action(), began, time.time())


def is_explained(read, writes):
    """Whether an atomic register could return this value.

    A write of the value began before the read ended, and no other write lies completely between that write and the read.
    """
    def lies_between(other, write):
        return write.ended < other.began and other.ended < read.began

    return any(write.image == read.image and write.began < read.ended
               and not any(lies_between(other, write) for other in writes) for write in writes)


def test_a_read_of_what_was_overwritten_before_would_not_be_explained():
    writes = [Operation('a', 0, 1), Operation('b', 2, 3)]
    assert is_explained(Operation('b', 4, 5), writes)
    assert is_explained(Operation('a', 2.5, 5), writes)
    assert not is_explained(Operation('a', 4, 5), writes)
    assert not is_explained(Operation('c', 4, 5), writes)


def test_two_clients_that_push_the_same_large_layer_at_once_leave_it_whole(deployment, client, other_client, image, name):
    layer = Layer(image.layers[1].path)

    def push(through):
        try:
            through.push_layer(layer)
        except Refused:
            pass  # the registry causes this: for the second client, the mark of the upload is gone

    pushes = [threading.Thread(target=push, args=(through,)) for through in (client, other_client)]
    for thread in pushes:
        thread.start()
    for thread in pushes:
        thread.join()
    client.push(name, Image([layer]), 'latest')
    for one in (client, other_client):
        assert one.pull(name, 'latest') == expected_of(Image([layer]))


def test_an_image_that_one_release_stored_is_served_by_the_other(deploy, releases, release, real_swift, small_image, name):
    image = small_image(layers=3)
    older = deploy(release, real_swift)
    V1Client(older.start().address).push(name, image, 'latest')
    other = releases({'0.9.1': '0.7.3', '0.7.3': '0.9.1'}[release.version])
    newer = deploy(other, real_swift, None, older.container_name)
    assert V1Client(newer.start().address).pull(name, 'latest') == expected_of(image)
