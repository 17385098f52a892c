"""Many clients push one tag at the same time. The last writer wins, and each pull gets one of the images, whole."""

import collections
import concurrent.futures
import threading
import time

import images

CLIENTS, ROUNDS = 8, 2
PULLS = 2  # during the pushes; they go on until there are so many
LAYERS = (100, 20000)

#: When a push or a pull began and ended (by time.monotonic()), and the digest of its image.
Span = collections.namedtuple('Span', 'began ended digest')


def overwritten_before(moment, push, pushes):
    """Return whether another push began after `push` had ended, and ended before the moment."""
    return any(other.began > push.ended and other.ended < moment for other in pushes)


def test_the_last_writer_wins_and_every_pull_gets_a_whole_image(place, skopeo, new_image, new_folder):
    instances = [place.registry(), place.registry()]
    pushed, pushes, pulls, done = {}, [], [], threading.Event()

    def push_all(client):
        count = 0
        while count < ROUNDS or len(pulls) < PULLS and not puller.done():
            image, count = new_image(*LAYERS), count + 1
            pushed[image.digest] = image
            began = time.monotonic()
            skopeo.push(image, instances[client % 2], 'team/image:latest')
            pushes.append(Span(began, time.monotonic(), image.digest))

    def pull():
        began = time.monotonic()
        pulled = skopeo.pull(instances[len(pulls) % 2], 'team/image:latest', new_folder())
        digest = images.digest_in(pulled)
        assert images.differences(pulled, pushed[digest].folder) == []
        pulls.append(Span(began, time.monotonic(), digest))

    def pull_all():
        while not pushes:
            time.sleep(0.01)
        while not done.is_set():
            pull()

    with concurrent.futures.ThreadPoolExecutor(CLIENTS + 1) as pool:
        puller = pool.submit(pull_all)
        try:
            for pushing in [pool.submit(push_all, client) for client in range(CLIENTS)]:
                pushing.result()
        finally:
            done.set()
        puller.result()
    pull()
    assert len(pushes) == len(pushed) >= CLIENTS * ROUNDS and len(pulls) > PULLS
    written = {push.digest: push for push in pushes}
    assert [read for read in pulls if overwritten_before(read.began, written[read.digest], pushes)] == []
    for digest, image in pushed.items():  # images that lost the tag can still be pulled by digest
        assert images.differences(skopeo.pull(instances[0], 'team/image@' + digest, new_folder()), image.folder) == []
