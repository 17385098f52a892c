"""What must be true of a container for ever, and when no garbage is left."""

from docker_registry.v2.registry import formats, layout, names, sizes
from registry_client import digest_of


class Truth:
    """The part of `collected.World` that judges it."""

    def names(self):
        """Return the names of all objects, without those of the memory and its segments, and the table of sizes."""
        memory = self.container.objects.get('files/' + layout.MEMORY)
        own = {segment['name'].partition('/')[2].partition('/')[2] for segment in (memory.segments or ()) if memory} if memory else set()
        of_sizes = ('files/' + layout.last(sizes.KIND), f'files/{layout.SIZES}/')
        return {name for name in self.container.objects if not name.startswith(of_sizes)} - own - {'files/' + layout.MEMORY}

    def require_whole(self):
        """No large object names segments that are not there."""
        for name, found in self.container.objects.items():
            for segment in found.segments or ():
                there = self.container.objects.get(segment['name'].lstrip('/').partition('/')[2])
                assert there is not None and there.etag == segment['hash'], f'{name} has a hole: {segment["name"]}'

    def require_pulls(self):
        """All that clients were told is stored can be pulled, from a registry that has just begun."""
        registry = self.registry()
        with self.aside():
            for (repository, digest), tags in self.acknowledged.items():
                for reference in (digest, *tags):
                    answer = registry('GET', f'/v2/{repository}/manifests/{reference}')
                    assert answer.status_code == 200, (repository, reference, answer.status_code, answer.data)
                    assert answer.data == self.manifests[digest]
                for blob in self.blobs_of(digest):
                    answer = registry('GET', f'/v2/{repository}/blobs/{blob}')
                    assert answer.status_code == 200, (repository, digest, blob, answer.status_code, answer.data[:200])
                    assert digest_of(answer.data) == blob

    def blobs_of(self, digest):
        manifest = formats.parse(self.manifests[digest])
        return {str(blob.digest) for blob in (*manifest.blobs, *manifest.blobs_or_manifests)}

    def require_safe(self):
        self.require_whole()
        self.require_pulls()

    def require_clean(self):
        """Exactly what the images need is there, each thing in its place."""
        expected = {'files/' + layout.SECRET} & set(self.container.objects)
        for (repository, text), tags in self.acknowledged.items():
            digest = names.digest(text)
            expected |= self.data_names(digest) | {'files/' + layout.revision_link(repository, digest)}
            if tags:  # a note that the manifest was deleted before may stay as long as a tag points to it
                expected |= {'files/' + layout.deletion(repository, digest)} & set(self.container.objects)
            for tag in tags:
                expected |= {'files/' + layout.tag_current(repository, tag), 'files/' + layout.tag_index(repository, tag, digest)}
            for blob in map(names.digest, self.blobs_of(text)):
                expected |= self.data_names(blob) | {'files/' + layout.layer_link(repository, blob)}
            subject = formats.parse(self.manifests[text]).subject
            if subject:  # its bytes stay, because any digest in a manifest counts
                expected.add('files/' + layout.referrer(repository, subject, digest))
                expected |= self.data_names(subject) & set(self.container.objects)
        there = self.names()
        assert not expected - there, f'missing: {sorted(expected - there)}'
        assert not there - expected, f'left: {sorted(there - expected)}'

    def data_names(self, digest):
        """The names of the data of a blob, and of its segments."""
        name = 'files/' + layout.blob(digest)
        found = self.container.objects.get(name)
        segments = {segment['name'].lstrip('/').partition('/')[2] for segment in (found and found.segments) or ()}
        if found and found.is_dynamic:
            prefix = found.headers['X-Object-Manifest'].partition('/')[2]
            segments = {other for other in self.container.objects if other.startswith(prefix)}
        return {name, *segments}
