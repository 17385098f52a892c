"""Converts the layers of images, some at the same time, each once."""

import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from docker_registry.v2.operations.importing.conversion import Conversion
from docker_registry.v2.operations.importing.memo import Layer, Rejected
from docker_registry.v2.operations.importing.storing import Storing
from docker_registry.v2.registry import errors, names


class Layers:
    """The layers of a v1 registry. Use it in a `with` block: at its end no layer is being converted.

    :param known: what the memo says of them. Those that were converted need not be converted again
    :param workers: how many to convert at the same time
    """

    def __init__(self, conversion: Conversion, storing: Storing, known: Iterable[Layer | Rejected], workers: int):
        self._conversion, self._storing = conversion, storing
        self._pool = ThreadPoolExecutor(workers, 'layer')
        self._lock = threading.Lock()
        self._known: dict[str, Layer] = {}
        self._rejected: dict[str, Rejected] = {}
        for layer in known:
            if isinstance(layer, Layer):
                self._known[layer.image] = layer
            else:
                self._rejected[layer.image] = layer
        self._futures: dict[str, Future[Layer]] = {}
        self._again: dict[str, Future[Layer]] = {}  # a collection has deleted the blob since, because nothing needed it any more
        self.converted: list[Layer] = []
        self.used: dict[str, Layer] = {}

    def __enter__(self) -> 'Layers':
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def cancel(self) -> None:
        """Begin no more. Whoever waits for a layer that was not begun gets a `CancelledError`."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def are_linked(self) -> bool:
        """Whether any of the layers needs objects of the v1 registry."""
        return any(layer.is_linked for layer in (*self._known.values(), *self.converted))

    def start(self, images: Iterable[str], repository: str) -> None:
        """Begin to convert the layers of images, in this order, unless they are known or somebody has begun."""
        for image in images:
            if image not in self._known and image not in self._futures:
                self._futures[image] = self._pool.submit(self._converted, image, repository)

    def get(self, image: str, repository: str) -> Layer:
        """Wait for a layer that was started, and make its blob part of a repository.

        :raises Skipped: it cannot be converted
        :raises ManifestBlobUnknown: somebody has deleted the blob just now
        """
        layer = self._known.get(image) or self._futures[image].result()
        if not self._is_part(repository, layer):
            layer = self._made_again(image, repository)
        self.used[image] = layer
        return layer

    def _made_again(self, image: str, repository: str) -> Layer:
        with self._lock:
            if image not in self._again:
                self._again[image] = self._pool.submit(self._converted, image, repository)
        layer = self._again[image].result()
        if not self._is_part(repository, layer):
            raise errors.ManifestBlobUnknown([layer.digest])
        return layer

    def _is_part(self, repository: str, layer: Layer) -> bool:
        return layer.is_empty or self._storing.has(repository, names.digest(layer.digest), layer.repository)

    def _converted(self, image: str, repository: str) -> Layer:
        layer = self._conversion.run(image, repository, self._rejected.get(image))
        with self._lock:
            self.converted.append(layer)
        return layer
