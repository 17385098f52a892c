"""Layers of any size are streamed: the registry never holds much of them in memory or on disk."""

import pytest

import images
from images import MiB
from servers import peak_memory, written_to_disk

MEMORY = 150 * MiB  # the most memory that a worker may use
DISK = 16 * MiB  # bytes that a worker may write to disk, mostly its log


@pytest.mark.parametrize('size', [600 * MiB, pytest.param(6 * 1024 * MiB, marks=pytest.mark.large)], ids=['600MiB', '6GiB'])
def test_a_large_layer_takes_little_memory_and_no_disk(place, skopeo, new_image, new_folder, size):
    image, registry = new_image(size), place.registry()
    workers = registry.workers
    skopeo.push(image, registry, 'team/large:v1')
    pulled = skopeo.pull(registry, 'team/large:v1', new_folder())
    assert registry.workers == workers, 'workers were replaced meanwhile'
    assert images.differences(image.folder, pulled) == []
    assert max(peak_memory(pid) for pid in workers) < MEMORY
    assert max(written_to_disk(pid) for pid in workers) < DISK
