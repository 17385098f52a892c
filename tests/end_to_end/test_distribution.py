"""CNCF distribution 2.8 and this registry on one container. Each serves, byte for byte, what the other has written."""

import pytest
from swiftclient.client import Connection

import clients
import images
from images import MiB

SMALL, SEGMENTED = (10, MiB), (70 * MiB,)  # this registry stores the layer of the second in several segments
BIG = (300 * MiB,)


@pytest.fixture
def theirs(place):
    return place.distribution()


@pytest.fixture
def ours(place):
    return place.registry()


@pytest.fixture
def same(skopeo, new_folder):
    """Return whether a server returns an image exactly as it was pushed."""

    def same(image, server, name):
        return images.differences(image.folder, skopeo.pull(server, name, new_folder(), '--all')) == []

    return same


class TestWhatTheyWrote:
    @pytest.mark.parametrize('sizes', [SMALL, BIG], ids=['small', '300MiB'])
    def test_an_image_is_served(self, theirs, ours, skopeo, new_image, same, sizes):
        image = new_image(*sizes)
        skopeo.push(image, theirs, 'team/image:v1')
        assert same(image, ours, 'team/image:v1')

    def test_a_multi_arch_index_is_served(self, theirs, ours, skopeo, new_multi_arch, same):
        index = new_multi_arch(types=images.DOCKER)
        skopeo.push(index, theirs, 'team/index:v1', '--all')
        assert same(index, ours, 'team/index:v1')

    def test_ranges_of_a_blob_are_served(self, theirs, ours, skopeo, new_image):
        image = new_image(45 * MiB)  # distribution stores this in three segments of up to 20 MiB
        skopeo.push(image, theirs, 'a:v1')
        with open('%s/%s' % (image.folder, image.blobs[0][7:]), 'rb') as file:
            content = file.read()
        for first, last in ((0, 9), (20 * MiB - 5, 20 * MiB + 4), (len(content) - 10, len(content) - 1)):
            answer = clients.get_blob(ours, 'a', image.blobs[0], 'bytes=%d-%d' % (first, last))
            assert (answer.status_code, answer.content) == (206, content[first : last + 1])

    def test_tags_and_repositories_are_listed(self, theirs, ours, skopeo, new_image):
        image = new_image()
        for name in ('a:v1', 'a:v2', 'b/c:v1'):
            skopeo.push(image, theirs, name)
        assert clients.repositories(ours) == ['a', 'b/c']
        assert clients.tags(ours, 'a') == ['v1', 'v2']

    def test_an_image_is_deleted_for_them_too(self, theirs, ours, skopeo, new_image, same):
        image, other = new_image(), new_image()
        skopeo.push(image, theirs, 'a:v1')
        skopeo.push(other, theirs, 'a:v2')
        assert clients.delete(ours, 'a/manifests/' + image.digest) == 202
        assert clients.get_manifest(theirs, 'a', image.digest).status_code == 404
        assert clients.get_manifest(theirs, 'a', 'v1').status_code == 404
        assert clients.tags(theirs, 'a') == ['v2']
        assert same(other, theirs, 'a:v2')

    def test_a_tag_of_theirs_is_pushed_over(self, theirs, ours, skopeo, new_image, same):
        old, new = new_image(), new_image()
        skopeo.push(old, theirs, 'a:v1')
        skopeo.push(new, ours, 'a:v1')
        assert same(new, ours, 'a:v1') and same(new, theirs, 'a:v1')
        assert same(old, ours, 'a@' + old.digest)

    def test_layers_of_theirs_are_not_stored_again(self, place, theirs, ours, skopeo, new_image):
        image = new_image(5 * MiB)
        skopeo.push(image, theirs, 'a:v1')
        place.swift.mark()
        skopeo.push(image, ours, 'a:v2')
        assert sum(request.bytes_in for request in place.swift.requests()) < MiB


class TestWhatTheyLost:
    """A dynamic large object that lost its last segment. Swift serves what is left, without an error."""

    SIZES = (45 * MiB,)  # distribution stores this in three segments of up to 20 MiB

    @pytest.fixture
    def lose(self, place):
        """A function that deletes the last segment of the largest object that distribution wrote."""

        def lose():
            swift = Connection(place.swift.auth_url, place.swift.user, place.swift.key)
            _, found = swift.get_container(place.container, prefix='segments/', full_listing=True)
            folders = [entry['name'].rpartition('/')[0] for entry in found]
            folder = max(folders, key=folders.count)
            assert folders.count(folder) == 3
            swift.delete_object(place.container, max(entry['name'] for entry in found if entry['name'].startswith(folder)))
            swift.close()

        return lose

    def test_a_push_fails_and_the_next_one_repairs_it(self, theirs, ours, skopeo, new_image, same, lose):
        image = new_image(*self.SIZES)
        skopeo.push(image, theirs, 'a:v1')
        lose()
        with pytest.raises(clients.CommandFailed, match='manifest unknown|blob unknown'):
            skopeo.push(image, ours, 'a:v1')
        skopeo.push(image, ours, 'a:v1')
        assert same(image, ours, 'a:v1') and same(image, theirs, 'a:v1')
        assert '0 blobs and 0 manifests eligible for deletion' in theirs.collect()

    def test_a_push_to_another_repository_repairs_it(self, theirs, ours, skopeo, new_image, same, lose):
        image = new_image(*self.SIZES)
        skopeo.push(image, theirs, 'a:v1')
        lose()
        skopeo.push(image, ours, 'b:v1')
        assert same(image, ours, 'a:v1') and same(image, ours, 'b:v1') and same(image, theirs, 'a:v1')


class TestWhatWeWrote:
    @pytest.mark.parametrize('sizes', [SMALL, SEGMENTED], ids=['small', '70MiB'])
    def test_an_image_is_served(self, theirs, ours, skopeo, new_image, same, sizes):
        image = new_image(*sizes)
        skopeo.push(image, ours, 'team/image:v1')
        assert same(image, theirs, 'team/image:v1')

    def test_a_multi_arch_index_is_served(self, theirs, ours, skopeo, new_multi_arch, same):
        index = new_multi_arch()
        skopeo.push(index, ours, 'team/index:v1', '--all')
        assert same(index, theirs, 'team/index:v1')

    def test_tags_and_repositories_are_listed(self, theirs, ours, skopeo, new_image):
        image = new_image()
        for name in ('a:v1', 'a:v2', 'b/c:v1'):
            skopeo.push(image, ours, name)
        assert clients.repositories(theirs) == ['a', 'b/c']
        assert clients.tags(theirs, 'a') == ['v1', 'v2']

    def test_an_image_is_deleted_by_them(self, theirs, ours, skopeo, new_image):
        image = new_image(*SEGMENTED)
        skopeo.push(image, ours, 'a:v1')
        assert clients.delete(theirs, 'a/manifests/' + image.digest) == 202
        assert clients.get_manifest(ours, 'a', image.digest).status_code == 404
        assert clients.get_manifest(ours, 'a', 'v1').status_code == 404

    def test_a_tag_of_ours_is_pushed_over(self, theirs, ours, skopeo, new_image, same):
        old, new = new_image(), new_image()
        skopeo.push(old, ours, 'a:v1')
        skopeo.push(new, theirs, 'a:v1')
        assert same(new, theirs, 'a:v1') and same(new, ours, 'a:v1')

    def test_their_garbage_collector_keeps_every_blob(self, theirs, ours, skopeo, new_image, new_multi_arch):
        image, index = new_image(*SEGMENTED), new_multi_arch()
        skopeo.push(image, ours, 'team/image:v1')
        skopeo.push(index, ours, 'team/index:v1', '--all')
        report = theirs.collect()
        for digest in image.blobs + index.blobs:
            assert 'marking blob %s' % digest in report
        assert '0 blobs and 0 manifests eligible for deletion' in report

    def test_their_garbage_collector_finds_what_was_deleted(self, theirs, ours, skopeo, new_image):
        kept, deleted = new_image(), new_image()
        skopeo.push(kept, ours, 'a:kept')
        skopeo.push(deleted, ours, 'a:deleted')
        assert clients.delete(ours, 'a/manifests/' + deleted.digest) == 202
        report = theirs.collect()
        assert '3 blobs and 0 manifests eligible for deletion' in report
        for digest in deleted.blobs + [deleted.digest]:
            assert 'blob eligible for deletion: %s' % digest in report
