"""`kill -9` in the middle of a push. The client's retry succeeds, and nothing half-written is ever served."""

import contextlib
import threading

import pytest
import requests

import clients
import images
from balancer import Balancer
from images import MiB
from servers import wait_until

SENT = 70 * MiB  # bytes that the client has sent when its server dies; some parts are stored by then


@contextlib.contextmanager
def in_background(call, *arguments):
    """Run a call in a thread during the block. At the end, wait for it, and raise its error if it failed."""
    errors = []

    def run():
        try:
            call(*arguments)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(120)
    assert not thread.is_alive(), 'the call has not ended after 120 seconds'
    if errors:
        raise errors[0]


class Watcher:
    """Asks a server for blobs and a manifest in a loop.

    `seen` has the outcomes for each digest: 'whole' or a status.
    """

    def __init__(self, server, repository, image):
        self._server, self._repository, self._image = server, repository, image
        self._stop = threading.Event()
        self.seen = {digest: set() for digest in image.blobs + [image.digest]}

    def __enter__(self):
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.is_set():
            for digest in self.seen:
                get = clients.get_manifest if digest == self._image.digest else clients.get_blob
                try:
                    answer = get(self._server, self._repository, digest)
                except OSError:  # the worker was killed
                    continue
                whole = answer.status_code == 200 and images.digest_of(answer.content) == digest
                self.seen[digest].add('whole' if whole else answer.status_code)


@pytest.fixture
def segments(place):
    """A function that returns how many parts of uploads Swift has stored since the test began."""
    place.swift.mark()
    return lambda: len(
        [
            request
            for request in place.swift.requests()
            if request.method == 'PUT' and '/_segments/' in request.path and request.status == 201
        ]
    )


def push_through_a_kill(push, registry, balancer, segments):
    """Push, kill the workers when they have most of the image, and let the client retry."""
    balancer.hold_after(SENT)
    with in_background(push):
        assert balancer.held.wait(60)
        wait_until(lambda: segments() >= 2, 'the first parts are stored')
        registry.kill_workers()
        assert wait_until(lambda: answer_to(clients.repositories, registry), 'new workers serve') == (200, [])
        balancer.release()


def answer_to(ask, *arguments):
    """Return (200, the answer), or None if the worker was killed."""
    try:
        return 200, ask(*arguments)
    except requests.ConnectionError:
        return None


def test_a_push_of_skopeo_is_repeated_after_the_kill_of_its_worker(place, skopeo, new_image, new_folder, segments):
    image, registry = new_image(80 * MiB), place.registry()

    def push():
        try:
            skopeo.push(image, balancer, 'team/image:v1')
        except clients.CommandFailed:
            skopeo.push(image, balancer, 'team/image:v1')

    with Balancer([registry.port]) as balancer, Watcher(registry, 'team/image', image) as watcher:
        push_through_a_kill(push, registry, balancer, segments)
        wait_until(lambda: 'whole' in watcher.seen[image.digest], 'the image is seen')
    assert set().union(*watcher.seen.values()) == {404, 'whole'}
    assert images.differences(image.folder, skopeo.pull(registry, 'team/image:v1', new_folder())) == []


def test_docker_repeats_by_itself_what_the_kill_of_a_worker_cut(place, docker, skopeo, new_image, folder, segments):
    image, registry = new_image(80 * MiB), place.registry()
    skopeo.copy('dir:' + image.folder, 'docker-archive:%s/archive:new' % folder)
    docker('load', '--input', folder + '/archive')
    with Balancer([registry.port]) as balancer:
        reference = balancer.address + '/team/image'
        docker('tag', 'new', reference)
        push_through_a_kill(lambda: docker('push', reference), registry, balancer, segments)
        docker('image', 'rm', '--force', docker('image', 'ls', '--quiet', reference).strip())
        docker('pull', reference)
        docker('image', 'rm', '--force', reference)


def test_a_push_is_repeated_after_the_whole_registry_was_killed(place, skopeo, new_image, new_folder, segments):
    image, first = new_image(80 * MiB), place.registry()
    with Balancer([first.port]) as balancer:
        balancer.hold_after(SENT)
        with pytest.raises(clients.CommandFailed), in_background(skopeo.push, image, balancer, 'team/image:v1'):
            assert balancer.held.wait(60)
            first.kill()
            balancer.release()
    second = place.registry()
    assert clients.get_blob(second, 'team/image', image.blobs[0]).status_code == 404
    skopeo.push(image, second, 'team/image:v1')
    assert images.differences(image.folder, skopeo.pull(second, 'team/image:v1', new_folder())) == []
