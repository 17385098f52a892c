"""What the registry says while Swift says less than it seems to: late listings, and objects that only one node has."""

import contextlib
import io
import time

import pytest

from docker_registry.drivers.swift import Stat
from docker_registry.v2.registry import layout, names
from docker_registry.v2.registry.tags import Listed
from fake_swift import on, short_page, status
from registry_client import code_of, digest_of, image

LAYER = bytes(range(256)) * 8
LARGE = LAYER * 5000  # two segments, and more than the registry stores again without asking
DAY = 24 * 3600


@pytest.fixture
def late(fake_place):
    """A function for the time in which the container server is late: `with late(): ...`."""

    @contextlib.contextmanager
    def late():
        fake_place.server.lag_listing(fake_place.container)
        yield
        fake_place.server.catch_up(fake_place.container)

    return late


@pytest.fixture
def swift(fake_place):
    return fake_place.server


def tags(registry):
    return registry('GET', '/v2/a/tags/list').json.get('tags')


def path_of(path):
    return 'files/' + path


def index_of(tag, digest):
    return layout.tag_index('a', tag, names.digest(digest))


def catch_up_before_the_link_goes(swift, place):
    """Let the listing be right again when the first walk of a DELETE has ended."""

    def caught_up(request):
        if request.method == 'DELETE' and '/revisions/' in request.path:
            swift.catch_up(place.container)
        return False

    swift.fault(caught_up, status(500))


def age(place, path, seconds=2 * DAY):
    place.server.container(place.container)[path_of(path)].timestamp -= seconds


class TestListing:
    def test_one_that_cannot_be_had_is_not_a_repository_without_tags(self, fake_registry, swift):
        fake_registry.push_image('a', 'v1', LAYER)
        swift.fault(on('GET', kind='container'), status(404), times=None)

        for path in ('/v2/a/tags/list', '/v2/_catalog', f'/v2/a/referrers/{digest_of(b"")}'):
            assert fake_registry('GET', path).status_code == 503

    def test_a_manifest_whose_tags_cannot_be_listed_is_not_deleted(self, fake_registry, swift):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        fault = swift.fault(on('GET', kind='container'), status(404), times=None)

        assert fake_registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 503

        fault.cancel()
        assert fake_registry('GET', '/v2/a/manifests/v1').status_code == 200
        assert tags(fake_registry) == ['v1']

    @pytest.mark.parametrize('most', [1, 3])
    def test_short_pages_are_not_the_end(self, fake_registry, swift, most):
        digest = fake_registry.push_image('a', 't0', LAYER)
        manifest = fake_registry('GET', '/v2/a/manifests/t0').data
        for number in range(1, 8):
            fake_registry.push_manifest('a', f't{number}', manifest)
            fake_registry.push_image(f'a/child{number}', 'v1', LAYER)
            fake_registry.push_image('a', f's{number}', LAYER, subject={'mediaType': 'a/b', 'digest': digest, 'size': 1}, n=number)
        swift.fault(on('GET', kind='container'), short_page(lambda asked: most), times=None)

        assert len(tags(fake_registry)) == 15
        assert len(fake_registry('GET', '/v2/_catalog').json['repositories']) == 8
        assert len(fake_registry('GET', f'/v2/a/referrers/{digest}').json['manifests']) == 7
        assert fake_registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 202
        assert len(tags(fake_registry)) == 7


class TestDeletesThatSwiftDidNotDo:
    @pytest.fixture(params=['v1', 'digest', 'blob'])
    def target(self, request, fake_registry):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        kind, name = {'v1': ('manifests', 'v1'), 'digest': ('manifests', digest), 'blob': ('blobs', digest_of(LAYER))}[request.param]
        return f'/v2/a/{kind}/{name}'

    def test_they_are_not_acknowledged(self, fake_registry, swift, target):
        swift.fault(on('DELETE', kind='object'), status(404), times=None)

        assert fake_registry('DELETE', target).status_code == 503

        swift.clear_faults()
        assert fake_registry('GET', target).status_code == 200

    def test_a_passing_one_is_done_again(self, fake_registry, swift, target):
        swift.fault(on('DELETE', kind='object'), status(404))

        assert fake_registry('DELETE', target).status_code == 202

        assert fake_registry('GET', target).status_code == 404


class TestTags:
    def test_an_index_alone_is_no_tag(self, fake_registry, fake_place):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        fake_place.server.put(fake_place.container, path_of(index_of('ghost', digest)), digest.encode())

        assert tags(fake_registry) == ['v1']

    def test_a_tag_that_was_deleted_while_the_listing_was_late_leaves_nothing(self, fake_registry, fake_place, swift):
        swift.create_container(fake_place.container)
        swift.lag_listing(fake_place.container)
        fake_registry.push_image('a', 'v1', LAYER)

        assert fake_registry('DELETE', '/v2/a/manifests/v1').status_code == 202

        assert not [path for path in fake_place.objects if '/tags/' in path]

    @pytest.mark.parametrize('step', range(1, 6))
    def test_an_interrupted_delete_that_is_repeated_ends_clean(self, fake_registry, fake_place, swift, step):
        fake_registry.push_image('a', 'v1', LAYER)
        fake_registry.push_image('a', 'v1', LAYER * 2)
        fault = swift.fault(on(), status(503), times=None, after=step)
        first = fake_registry('DELETE', '/v2/a/manifests/v1').status_code
        fault.cancel()

        second = fake_registry('DELETE', '/v2/a/manifests/v1').status_code

        assert (first, second) in [(503, 202), (202, 404)]
        assert not [path for path in fake_place.objects if '/tags/' in path]

    def test_a_tag_with_more_names_than_a_page_is_one_tag(self, fake_registry, fake_place):
        """A tag has one name for each digest that it ever pointed to."""
        fake_registry.push_image('a', 'latest', LAYER)
        fake_registry.push_image('a', 'v2', LAYER)
        for number in range(2500):
            fake_place.server.put(fake_place.container, path_of(index_of('latest', f'sha256:{number:064x}')), b'')
        del fake_registry.swift_requests[:]

        assert tags(fake_registry) == ['latest', 'v2']

        assert len(fake_registry.swift_requests) <= 4

    def test_no_name_that_rarely_exists_is_asked_for(self, fake_registry, swift):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        fake_registry.push_image('a', 'v2', LAYER)
        swift.clear_requests()

        fake_registry('DELETE', '/v2/a/manifests/v1')
        fake_registry('DELETE', f'/v2/a/manifests/{digest}')

        assert not [request.path for request in swift.requests if request.path.endswith(('/tags/v1', '/tags/v2', '/mediatype'))]


class TestDeletesByDigest:
    def test_a_tag_that_no_listing_showed_is_gone(self, fake_registry, late):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        with late():
            fake_registry.push_manifest('a', 'unlisted', fake_registry('GET', '/v2/a/manifests/v1').data)
            assert fake_registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 202

        assert fake_registry('GET', '/v2/a/manifests/unlisted').status_code == 404
        assert tags(fake_registry) == []

    def test_a_tag_that_no_listing_showed_does_not_come_back(self, fake_registry, fake_place, late):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        manifest = fake_registry('GET', '/v2/a/manifests/v1').data
        with late():
            fake_registry.push_manifest('a', 'unlisted', manifest)
            fake_registry('DELETE', f'/v2/a/manifests/{digest}')

        fake_registry.push_manifest('a', 'v2', manifest)

        for registry in (fake_registry, fake_place.registry()):
            assert registry('GET', '/v2/a/manifests/unlisted').status_code == 404
            assert registry('GET', '/v2/a/manifests/v2').status_code == 200
            assert tags(registry) == ['v2']

    def test_it_does_not_come_back_because_storage_cannot_find_the_note(self, fake_registry, swift, late):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        manifest = fake_registry('GET', '/v2/a/manifests/v1').data
        with late():
            fake_registry.push_manifest('a', 'unlisted', manifest)
            fake_registry('DELETE', f'/v2/a/manifests/{digest}')
        fake_registry.push_manifest('a', 'v2', manifest)
        fault = swift.fault(on('HEAD', path_contains=layout.deletion('a', names.digest(digest))), status(404), times=None)
        assert fake_registry('GET', '/v2/a/manifests/unlisted').status_code == 503
        fault.cancel()

        assert fake_registry('GET', '/v2/a/manifests/unlisted').status_code == 404

    @pytest.mark.parametrize('count', [1, 2, 3, 5])
    def test_pages_are_full_though_some_tags_have_ended(self, fake_registry, late, count):
        """An empty page would have no link to the next one."""
        digest = fake_registry.push_image('a', 't0', LAYER)
        manifest = fake_registry('GET', '/v2/a/manifests/t0').data
        with late():
            for tag in ('a1', 'a2', 'a3', 'v1'):
                fake_registry.push_manifest('a', tag, manifest)
            fake_registry('DELETE', f'/v2/a/manifests/{digest}')
        alive = ['b', 'v1-a', 'v1-b', 'v1.0']  # Swift lists v1 after these
        for tag in alive:
            fake_registry.push_manifest('a', tag, manifest)

        found, url = [], f'/v2/a/tags/list?n={count}'
        while url:
            answer = fake_registry('GET', url)
            found.append(answer.json['tags'])
            url = answer.headers.get('Link', '').partition('>')[0][1:]

        assert found == [alive[start : start + count] for start in range(0, len(alive), count)]

    def test_a_push_that_names_such_a_tag_brings_it_back(self, fake_registry, late):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        manifest = fake_registry('GET', '/v2/a/manifests/v1').data
        with late():
            fake_registry.push_manifest('a', 'unlisted', manifest)
            fake_registry('DELETE', f'/v2/a/manifests/{digest}')

        fake_registry.push_manifest('a', 'unlisted', manifest)

        assert fake_registry('GET', '/v2/a/manifests/unlisted').status_code == 200
        assert tags(fake_registry) == ['unlisted']

    def test_a_second_walk_finds_what_a_first_one_does_not_show(self, fake_registry, fake_place, swift):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        swift.lag_listing(fake_place.container)
        fake_registry.push_manifest('a', 'unlisted', fake_registry('GET', '/v2/a/manifests/v1').data)
        catch_up_before_the_link_goes(swift, fake_place)
        fake_registry('DELETE', f'/v2/a/manifests/{digest}')

        assert not [path for path in fake_place.objects if '/tags/' in path]

    def test_a_second_walk_that_shows_an_older_push_does_not_bring_it_back(self, fake_registry, fake_place, swift):
        """The first listing showed the tag, but not all digests that it had pointed to."""
        old = fake_registry.push_image('a', 'v1', LAYER)
        digest = fake_registry.push_image('a', 'v1', LAYER * 2)
        swift.lag_listing(fake_place.container)
        del swift.containers[fake_place.container].frozen[path_of(index_of('v1', old))]
        catch_up_before_the_link_goes(swift, fake_place)
        fake_registry('DELETE', f'/v2/a/manifests/{digest}')

        assert fake_registry('GET', '/v2/a/manifests/v1').status_code == 404
        assert tags(fake_registry) == []

    def test_a_tag_that_moved_away_stays_and_forgets_the_digest(self, fake_registry, fake_place):
        digest = fake_registry.push_image('a', 'latest', LAYER)
        other = fake_registry.push_image('a', 'latest', LAYER * 2)

        fake_registry('DELETE', f'/v2/a/manifests/{digest}')

        assert tags(fake_registry) == ['latest']
        assert fake_registry('GET', '/v2/a/manifests/latest').headers['Docker-Content-Digest'] == other
        assert index_of('latest', digest) not in fake_place.objects

    def test_an_interrupted_one_leaves_what_was_there(self, fake_registry, swift):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        fault = swift.fault(on('GET', kind='container'), status(503), times=None)
        assert fake_registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 503
        fault.cancel()

        assert fake_registry('GET', '/v2/a/manifests/v1').status_code == 200
        assert tags(fake_registry) == ['v1']

    @pytest.mark.parametrize('step', range(1, 20))
    def test_an_interrupted_one_does_not_end_tags_later(self, fake_registry, swift, step):
        """What it has left is left for good, whatever is pushed afterwards."""
        digest = fake_registry.push_image('a', 'v1', LAYER)
        manifest = fake_registry('GET', '/v2/a/manifests/v1').data
        fault = swift.fault(on(), status(503), times=None, after=step)
        fake_registry('DELETE', f'/v2/a/manifests/{digest}')
        fault.cancel()
        left = fake_registry('GET', '/v2/a/manifests/v1').status_code

        fake_registry.push_manifest('a', 'v2', manifest)

        assert fake_registry('GET', '/v2/a/manifests/v1').status_code == left
        assert tags(fake_registry) == (['v1', 'v2'] if left == 200 else ['v2'])

    def test_notes_of_deletions_go_when_no_listing_can_be_late_any_more(self, fake_registry, fake_place):
        old, new = fake_registry.push_image('a', 'v1', LAYER), fake_registry.push_image('a', 'v2', LAYER * 2)
        fake_registry('DELETE', f'/v2/a/manifests/{old}')
        age(fake_place, layout.deletion('a', names.digest(old)))

        fake_registry('DELETE', f'/v2/a/manifests/{new}')

        assert [path for path in fake_place.objects if '/_deleted/' in path] == [layout.deletion('a', names.digest(new))]

    def test_tags_that_are_pushed_again_cost_a_list_one_request(self, fake_registry):
        digest = fake_registry.push_image('a', 't0', LAYER)
        manifest = fake_registry('GET', '/v2/a/manifests/t0').data
        costs = []
        for _ in range(2):
            for number in range(5):
                fake_registry.push_manifest('a', f't{number}', manifest)
            del fake_registry.swift_requests[:]
            assert len(tags(fake_registry)) == 5
            costs.append(len(fake_registry.swift_requests))
            fake_registry('DELETE', f'/v2/a/manifests/{digest}')

        assert costs == [3, 5]  # the list of the notes has a second page, which is empty

    @pytest.mark.parametrize('count', [1, 100])
    def test_they_cost_three_requests_a_tag(self, registry, count):
        digest = registry.push_image('a', 't0', LAYER)
        manifest = registry('GET', '/v2/a/manifests/t0').data
        for first in range(1, count, 10):
            query = '&'.join(f'tag=t{number}' for number in range(first, min(first + 10, count)))
            registry('PUT', f'/v2/a/manifests/{digest}?{query}', manifest, headers={'Content-Type': image(b'')['mediaType']})
        assert len(tags(registry)) == count
        del registry.swift_requests[:]

        assert registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 202

        assert len(registry.swift_requests) <= 3 * count + 10
        assert tags(registry) == []


class TestBlobsThatOneNodeHas:
    """A PUT that failed may leave an object on one node, where a HEAD finds it."""

    @pytest.fixture(params=['whole', 'chunked'])
    def push(self, request, fake_registry):
        """A function that pushes LARGE and returns the status."""

        def push(repository='a'):
            location = fake_registry.upload(repository)
            body = LARGE
            if request.param == 'chunked':
                location = fake_registry('PATCH', location, LARGE).headers['Location']
                body = b''
            return fake_registry('PUT', f'{location}?digest={digest_of(LARGE)}', body).status_code

        return push

    @pytest.fixture
    def left(self, fake_place):
        """The path of the blob that a failed PUT has left."""
        fake_place.storage()
        path = layout.blob(names.digest(digest_of(LARGE)))
        fake_place.server.put(fake_place.container, path_of(path), LARGE)
        return path

    def stored(self, swift, path):
        return [request for request in swift.requests if request.method == 'PUT' and request.path.endswith(path) and request.status == 201]

    def test_a_push_stores_them_again(self, swift, push, left):
        assert push() == 201

        assert self.stored(swift, left)

    def test_a_push_does_not_store_again_what_was_acknowledged(self, swift, push, left):
        push()
        swift.clear_requests()

        assert push() == 201

        assert not self.stored(swift, left)

    def test_a_push_does_not_store_again_what_is_old(self, fake_place, swift, push, left):
        age(fake_place, left)

        assert push() == 201

        assert not self.stored(swift, left)

    def test_a_blob_that_goes_while_it_is_pushed_again_is_not_acknowledged(self, fake_place, fake_registry, left):
        age(fake_place, left)

        class Body:
            """Deletes the blob when it is read."""

            def __init__(self):
                self._rest = LARGE

            def read(self, size=-1):
                fake_place.server.container(fake_place.container).pop(path_of(left), None)
                block, self._rest = self._rest[:65536], self._rest[65536:]
                return block

        blobs = fake_registry.app.blobs
        with pytest.raises(Exception, match='push it again'):
            blobs.store_stream('a', names.digest(digest_of(LARGE)), Body(), len(LARGE), 'cafe')

        assert fake_registry('HEAD', f'/v2/a/blobs/{digest_of(LARGE)}').status_code == 404

    def test_a_blob_that_is_unlinked_while_it_is_pushed_again_is_linked(self, fake_registry, push):
        push()
        link = layout.layer_link('a', names.digest(digest_of(LARGE)))

        class Body(io.BytesIO):
            def read(self, size=-1):
                fake_registry.storage.discard(link)
                return super().read(size)

        fake_registry.app.blobs.store_stream('a', names.digest(digest_of(LARGE)), Body(LARGE), len(LARGE), 'cafe')

        assert fake_registry('HEAD', f'/v2/a/blobs/{digest_of(LARGE)}').status_code == 200

    def test_they_are_not_mounted_from_anywhere(self, fake_registry, left):
        answer = fake_registry('POST', f'/v2/b/blobs/uploads/?mount={digest_of(LARGE)}')

        assert answer.status_code == 202

    def test_small_ones_are_mounted_and_stored_again(self, fake_place, fake_registry, swift):
        digest = fake_registry.push_blob('a', LAYER)
        swift.clear_requests()

        assert fake_registry('POST', f'/v2/b/blobs/uploads/?mount={digest}').status_code == 201

        assert self.stored(swift, layout.blob(names.digest(digest)))


class TestNamesThatOnlyAListingShows:
    @pytest.fixture(params=['tag', 'revision', 'layer link', 'blob', 'manifest'])
    def target(self, request, fake_registry):
        """(path of the object that Swift cannot find, URL that needs it)"""
        digest = fake_registry.push_image('a', 'v1', LAYER)
        manifest, layer = names.digest(digest), names.digest(digest_of(LAYER))
        fake_registry.app.manifests._cache._contents.clear()
        return {
            'tag': (layout.tag_current('a', 'v1'), '/v2/a/manifests/v1'),
            'revision': (layout.revision_link('a', manifest), '/v2/a/manifests/v1'),
            'manifest': (layout.blob(manifest), f'/v2/a/manifests/{digest}'),
            'layer link': (layout.layer_link('a', layer), f'/v2/a/blobs/{layer}'),
            'blob': (layout.blob(layer), f'/v2/a/blobs/{layer}'),
        }[request.param]

    def test_they_are_not_said_to_be_missing(self, fake_registry, swift, target):
        path, url = target
        swift.fault(on(path_contains=path), status(404), times=None)

        assert fake_registry('GET', url).status_code == 503

    def test_a_blob_is_not_said_to_be_deleted(self, fake_registry, swift):
        digest = fake_registry.push_blob('a', LAYER)
        swift.fault(on(path_contains=layout.layer_link('a', names.digest(digest))), status(404), times=None)

        assert fake_registry('DELETE', f'/v2/a/blobs/{digest}').status_code == 503

    def test_a_delete_that_swift_answers_with_404_though_it_has_deleted_is_acknowledged(self, fake_registry, fake_place, swift):
        digest = fake_registry.push_blob('a', LAYER)
        link = layout.layer_link('a', names.digest(digest))

        def gone(request):
            if request.method == 'DELETE' and link in request.path:
                del swift.containers[fake_place.container].objects[path_of(link)]
            return False

        swift.fault(gone, status(500))
        assert fake_registry('DELETE', f'/v2/a/blobs/{digest}').status_code == 202

    def test_a_blob_that_is_found_again_is_deleted(self, fake_registry, swift):
        digest = fake_registry.push_blob('a', LAYER)
        swift.fault(on(path_contains=layout.layer_link('a', names.digest(digest))), status(404))

        assert fake_registry('DELETE', f'/v2/a/blobs/{digest}').status_code == 202
        assert fake_registry('HEAD', f'/v2/a/blobs/{digest}').status_code == 404

    def test_what_somebody_has_just_written_is_there(self, fake_registry, swift, target):
        """Swift returns 404, and then the object is written, before the registry asks for the listing."""
        path, url = target
        swift.fault(on(path_contains=path), status(404))

        assert fake_registry('GET', url).status_code == 200

    def test_no_tag_is_left_out_of_the_list_for_one(self, fake_registry, swift):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        fake_registry('DELETE', f'/v2/a/manifests/{digest}')
        fake_registry.push_image('a', 'v1', LAYER)
        swift.fault(on(path_contains=layout.revision_link('a', names.digest(digest))), status(404), times=None)

        assert fake_registry('GET', '/v2/a/tags/list').status_code == 503

    def test_old_ones_are_missing(self, fake_place, fake_registry, swift, target):
        path, url = target
        age(fake_place, path)
        swift.fault(on(path_contains=path), status(404), times=None)

        assert fake_registry('GET', url).status_code == 404

    @pytest.mark.parametrize('url, cost', [('/v2/a/manifests/none', 2), (f'/v2/a/blobs/{digest_of(b"none")}', 4)])
    def test_the_listing_costs_one_request_and_a_look_into_the_trash_another(self, fake_registry, url, cost):
        fake_registry.push_image('a', 'v1', LAYER)
        del fake_registry.swift_requests[:]

        answer = fake_registry('GET', url)

        assert (answer.status_code, code_of(answer).partition('_')[2]) == (404, 'UNKNOWN')
        assert len(fake_registry.swift_requests) == cost

    def test_a_push_that_looks_for_a_missing_blob_pays_nothing_for_it(self, fake_registry, swift):
        fake_registry.push_image('a', 'v1', LAYER)
        swift.clear_requests()

        assert fake_registry('HEAD', f'/v2/a/blobs/{digest_of(b"none")}').status_code == 404

        assert len(swift.requests) == 1

    def test_a_deleted_manifest_is_missing_even_if_the_listing_is_late(self, fake_registry, late):
        digest = fake_registry.push_image('a', 'v1', LAYER)
        with late():
            fake_registry('DELETE', f'/v2/a/manifests/{digest}')

            assert fake_registry('GET', f'/v2/a/manifests/{digest}').status_code == 404


def test_time_is_swifts_own(place):
    """A container without clock skew: the note of a deletion is younger than the tag, and older than the tag that is pushed after it."""
    registry = place.registry()
    began = time.time()
    for _ in range(3):
        digest = registry.push_image('a', 'v1', LAYER)
        assert registry('GET', '/v2/a/manifests/v1').status_code == 200
        assert tags(registry) == ['v1']
        assert registry('DELETE', f'/v2/a/manifests/{digest}').status_code == 202
        assert tags(registry) == []
        assert registry('GET', '/v2/a/manifests/v1').status_code == 404
    assert time.time() - began < 60


@pytest.mark.parametrize('quote', ['', '"'])
def test_a_tag_points_to_a_digest_whether_swift_quotes_etags_or_not(quote):
    digest, listed = names.digest(digest_of(LAYER)), Listed('v1')
    listed.add('current/link', Stat('path', 71, quote + digest.etag + quote, 1, None, None))

    assert listed.may_point_to(digest)
    assert listed.etag == digest.etag
