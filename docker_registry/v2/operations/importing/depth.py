"""Lets an image have no more layers than clients can pull. docker of 2014 could have two more than docker can have today."""

import contextlib
import dataclasses
import hashlib
import itertools
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, cast

from docker_registry.core import exceptions
from docker_registry.v2.operations.importing.decoding import GZIP, TAR, Damaged, decoder
from docker_registry.v2.operations.importing.examining import READ_SIZE, Examination, Repacked
from docker_registry.v2.operations.importing.memo import Layer, Memo
from docker_registry.v2.operations.importing.merging import merge
from docker_registry.v2.operations.importing.problems import Skipped
from docker_registry.v2.operations.importing.storing import Storing, new_segments
from docker_registry.v2.registry import errors, layout, names
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.sources import Hashed

#: maxLayerDepth of https://github.com/moby/moby/blob/v20.10.24/layer/layer_store.go. A pull of more ends with "max depth exceeded".
MOST_LAYERS = 125
IN_MEMORY = 16 * 1024**2  # bytes of an archive that need no temporary file


def remark(layers: Sequence[Layer]) -> str:
    """Return what an operator should know of an image with these layers, or ''."""
    count = sum(not layer.is_empty for layer in layers)
    if count <= MOST_LAYERS:
        return ''
    return f'{count - MOST_LAYERS + 1} of its {count} layers became one, because docker pulls {MOST_LAYERS} at most'


class Depth:
    """Merges layers of images that have too many. Threads share it."""

    def __init__(self, domain: Domain, memo: Memo, storing: Storing):
        self._storage: Any = domain.storage
        self._blobs, self._memo, self._storing = domain.blobs, memo, storing

    def fit(self, repository: str, layers: Sequence[Layer]) -> list[Layer]:
        """Return the layers of an image, the base first, so that clients can pull it. The smallest that lie on each other become one.

        :raises Skipped: they cannot be merged
        :raises Unavailable: Swift does not have one of them as it was stored
        """
        full = [layer for layer in layers if not layer.is_empty]
        if len(full) <= MOST_LAYERS:
            return list(layers)
        count = len(full) - MOST_LAYERS + 1
        first = min(range(len(full) - count + 1), key=lambda at: sum(layer.size for layer in full[at : at + count]))
        some = full[first : first + count]
        merged = self._merged(repository, some)
        return [self._instead(layer, some, merged) for layer in layers]

    @staticmethod
    def _instead(layer: Layer, some: Sequence[Layer], merged: Layer) -> Layer:
        """Return what a layer becomes: the last of those that were merged has all the files, and the others have none."""
        if not any(layer is one for one in some):
            return layer
        if layer is some[-1]:
            return dataclasses.replace(merged, image=layer.image, history=layer.history)
        return dataclasses.replace(layer, digest='', size=0, kind=TAR, diff_id='', history={**layer.history, 'empty_layer': True})

    def _merged(self, repository: str, some: Sequence[Layer]) -> Layer:
        name = 'merged-' + hashlib.sha256(' '.join(layer.digest for layer in some).encode()).hexdigest()
        known = self._memo.layer(name)
        if isinstance(known, Layer) and self._storing.has(repository, names.digest(known.digest), known.repository):
            return known
        try:
            layer = self._stored(repository, name, some)
        except (tarfile.TarError, OSError) as error:
            hint = f'. Temporary files are in {tempfile.gettempdir()}; TMPDIR names another folder' if isinstance(error, OSError) else ''
            raise Skipped(f'{len(some)} of its layers cannot be merged, and docker pulls {MOST_LAYERS} at most: {error}{hint}')
        self._memo.write_layer(layer)
        return layer

    def _stored(self, repository: str, name: str, some: Sequence[Layer]) -> Layer:
        with contextlib.ExitStack() as stack:
            archives = [stack.enter_context(self._archive(layer)) for layer in some]
            out = stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY))
            merge(archives, cast(IO[bytes], out))
            out.seek(0)
            packed = Repacked(out, Examination(TAR, b''))
            hashed, blob = Hashed(packed, hashlib.sha256()), stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY))
            shutil.copyfileobj(hashed, blob, READ_SIZE)
            blob.seek(0)
            digest = Digest('sha256', hashed.hasher().hexdigest())
            self._blobs.store_stream(repository, digest, blob, hashed.count, new_segments())
        return Layer(name, str(digest), hashed.count, GZIP, packed.diff_id, repository, {})

    @contextlib.contextmanager
    def _archive(self, layer: Layer) -> Iterator[IO[bytes]]:
        """Give a file with the archive of a layer.

        :raises Unavailable: Swift does not have its blob as it was stored
        """
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            hasher, unpacking = hashlib.sha256(), decoder(layer.kind)
            try:
                with contextlib.closing(self._storage.stream_read(layout.blob(names.digest(layer.digest)), newest=True)) as stream:
                    for piece in itertools.chain.from_iterable(map(unpacking.feed, stream)):
                        hasher.update(piece)
                        file.write(piece)
            except (Damaged, exceptions.FileNotFoundError):
                pass  # its digest is another one now
            if f'sha256:{hasher.hexdigest()}' != layer.diff_id:
                raise errors.Unavailable(f'Swift does not have the blob {layer.digest} as it was stored')
            file.seek(0)
            yield cast(IO[bytes], file)
