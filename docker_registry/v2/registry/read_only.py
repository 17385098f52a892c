"""The storage of a registry that changes nothing in Swift: whatever would write raises an error, and no request is sent."""

from typing import Any

from docker_registry.v2.registry import errors

#: The methods of the driver that only read. Any other one is refused, so a method that is new cannot write by mistake.
READING = frozenset(
    'clock exists get_content get_object get_size held identity info is_ceph is_held large_object list_directory list_page part_path '
    'parts_of settings stat storage_url stream_read walk why_held'.split()
)


class ReadOnly:
    """The storage driver without the methods that write.

    The driver creates a missing container by itself. Its setting `swift_create_container` must be off.
    """

    def __init__(self, storage: Any):
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        if name not in READING:
            raise errors.ReadOnly()
        return getattr(self._storage, name)

    def content_redirect_url(self, path: str) -> str | None:
        return self._storage.content_redirect_url(path, may_set_key=False)

    def at(self, root: str) -> 'ReadOnly':
        return ReadOnly(self._storage.at(root))

    def impatient(self, seconds: float) -> 'ReadOnly':
        return ReadOnly(self._storage.impatient(seconds))
