"""What has become of the tags of a v1 registry."""

from collections import Counter
from dataclasses import dataclass, field

from docker_registry.v2.operations.importing.memo import Layer
from docker_registry.v2.operations.importing.tagging import Tag

IMPORTED, UNCHANGED, PLANNED, SKIPPED, FAILED = 'imported', 'unchanged', 'planned', 'skipped', 'failed'


@dataclass(frozen=True)
class Outcome:
    """One tag.

    :param why: it was skipped, or could not be found out
    :param digest: of the manifest
    :param size: bytes of the configuration and the layers
    :param known_image: the id that the tag names, if nobody had to find out of which images it consists
    """

    tag: Tag
    state: str
    why: str = ''
    digest: str = ''
    size: int = 0
    known_image: str = ''

    @property
    def image(self) -> str:
        """The id of the image in the v1 registry; '' if it is not known."""
        return self.tag.image if self.tag.chain else self.known_image


@dataclass(frozen=True)
class Place:
    """A repository of the v1 registry, and the one that its tags go to. That is None if it has no name that is allowed and free."""

    name: str
    target: str | None
    is_private: bool


@dataclass
class Outcomes:
    """All of an import.

    :param source: container and root of the v1 registry
    :param layers: those that were converted now
    :param used: those of the tags that were imported now, by their images; an earlier run may have converted some
    :param bytes_to_read: of the layers that were not converted when the import began
    :param uses_links: whether an image needs objects of the v1 registry
    """

    source: str
    is_dry_run: bool = False
    places: list[Place] = field(default_factory=list)
    tags: list[Outcome] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    used: dict[str, Layer] = field(default_factory=dict)
    layers_to_read: int = 0
    bytes_to_read: int = 0
    uses_links: bool = False
    requests: int = 0
    seconds: float = 0

    @property
    def remarked(self) -> list[Layer]:
        """The layers of which an operator should know something, sorted by their images."""
        found = {layer.image: layer for layer in self.layers} | self.used
        return [layer for _, layer in sorted(found.items()) if layer.remarks]

    def count(self) -> Counter[str]:
        return Counter(outcome.state for outcome in self.tags)

    def status(self) -> int:
        """Return the exit status of the command."""
        count = self.count()
        return 2 if count[FAILED] else 1 if count[SKIPPED] else 0
