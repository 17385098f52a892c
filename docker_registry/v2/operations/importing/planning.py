"""Finds out what there is to import: repositories and their new names, tags, and the images of which they consist."""

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from docker_registry.core import exceptions
from docker_registry.v2.operations.importing import naming
from docker_registry.v2.operations.importing.attempts import Attempts
from docker_registry.v2.operations.importing.memo import Layer, Memo, Rejected, Tagged
from docker_registry.v2.operations.importing.outcomes import SKIPPED, UNCHANGED, Outcome, Place
from docker_registry.v2.operations.importing.problems import Skipped
from docker_registry.v2.operations.importing.tagging import Tag, Tagging, taken
from docker_registry.v2.operations.importing.tree import Repository, Tree
from docker_registry.v2.operations.progress import Progress
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.patterns import Pattern
from docker_registry.v2.settings.storage import config_error

Item = TypeVar('Item')


@dataclass(frozen=True)
class Choice:
    """Which tags to import, and under which names.

    :param pattern: of repositories, by their old or their new names; None for all
    :param names: {old name: new name} of repositories, as the operator wants it
    :param again: also those that were imported before
    """

    pattern: Pattern | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    keep_library: bool = False
    again: bool = False

    def target(self, name: str) -> str | None:
        return self.names.get(name) or naming.repository(name, self.keep_library)

    def has(self, name: str, target: str | None) -> bool:
        return self.pattern is None or self.pattern.matches(name) or (target is not None and self.pattern.matches(target))


@dataclass(frozen=True)
class Planned:
    """A tag to import, and what the memo says of its last import."""

    tag: Tag
    last: Tagged | None


@dataclass
class Plan:
    """What there is to do.

    :param done: tags of which the outcome is known already
    :param layers: what the memo says of layers
    :param missing: the ids of the images whose layers it does not know, with the bytes of these
    """

    places: list[Place] = field(default_factory=list)
    tags: list[Planned] = field(default_factory=list)
    done: list[Outcome] = field(default_factory=list)
    layers: list[Layer | Rejected] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)


class Planning:
    """Makes a plan. It writes nothing."""

    def __init__(self, tree: Tree, memo: Memo, tagging: Tagging, together: Together, progress: Progress, attempt: Attempts):
        self._tree, self._memo, self._tagging = tree, memo, tagging
        self._together, self._progress, self._attempt = together, progress, attempt

    def plan(self, choice: Choice, ignore_checksums: bool = False) -> Plan:
        """Return what there is to do.

        :param ignore_checksums: read also the layers that do not match their checksums
        :raises ConfigError: the choice names a repository that is not there
        """
        with self._progress.stage('Listing repositories', 'repositories') as advance:
            found = list(counted(self._tree.repositories(), advance))
        names = naming.assigned([place.name for place in found], {place.name: choice.target(place.name) for place in found})
        chosen = [place for place in found if choice.has(place.name, names[place.name])]
        _require_known(choice, [place.name for place in found], bool(chosen))
        plan = Plan()
        plan.places = self._together.map(lambda place: Place(place.name, names[place.name], self._is_private(place)), chosen)
        tags = [tag for place in chosen for tag in self._tags(place, names[place.name], plan)]
        with self._progress.stage('Reading tags', 'tags', len(tags)) as advance:
            with self._together.each(functools.partial(self._look, choice), tags) as looks:
                for look in counted(looks, advance):
                    if isinstance(look, Outcome):
                        plan.done.append(look)
                    elif look is not None:
                        plan.tags.append(look)
        self._add_layers(plan, choice.again, ignore_checksums)
        return plan

    def _is_private(self, repository: Repository) -> bool:
        """What Swift does not tell counts as private."""
        try:
            return self._tree.is_private(repository)
        except (exceptions.UnreachableError, exceptions.BrokenError):
            return True

    def _tags(self, place: Repository, target: str | None, plan: Plan) -> Iterator[tuple[Repository, Tag]]:
        """Yield the tags of a repository that can have new names."""
        new = naming.assigned(place.tags, {tag: naming.tag(tag) for tag in place.tags})
        for name, path in place.tags.items():
            tag = Tag(place.name, name, path, target or '', new[name] or '')
            if target is None:
                why = 'its repository has no name that is allowed and that no other repository gets. Give it one: --name OLD=NEW'
                plan.done.append(Outcome(tag, SKIPPED, why))
            elif new[name] is None:
                plan.done.append(Outcome(tag, SKIPPED, 'the tag has no name that is allowed and that no other tag of the repository gets'))
            else:
                yield place, tag

    def _look(self, choice: Choice, item: tuple[Repository, Tag]) -> Planned | Outcome | None:
        place, tag = item
        return self._attempt.about(tag, lambda: self._planned(place, tag, choice.again))

    def _planned(self, place: Repository, tag: Tag, again: bool) -> Planned | Outcome | None:
        image, last = self._tree.tagged(place, tag.tag), self._memo.tagged(tag.path)
        if image is None:
            return None
        has_memo = last is not None
        if last and last.target != tag.new_name:  # the operator wants another name now
            last = None
        if last and last.is_done and last.image == image and not again:
            return Outcome(tag, UNCHANGED, digest=last.digest, known_image=image)
        if not self._tagging.may_write(tag, last):
            if not has_memo:
                self._memo.require_none(tag.path)
            raise Skipped(taken(tag))
        return Planned(replace(tag, chain=self._tree.chain(image)), last)

    def _add_layers(self, plan: Plan, again: bool, ignore_checksums: bool) -> None:
        images = list(dict.fromkeys(image for planned in plan.tags for image in planned.tag.chain))
        with self._progress.stage('Looking at layers', 'layers', len(images)) as advance:
            with self._together.each(functools.partial(self._known, again, ignore_checksums), images) as known:
                for image, layer in zip(images, counted(known, advance)):
                    if isinstance(layer, int):
                        plan.missing[image] = layer
                    else:
                        plan.layers.append(layer)

    def _known(self, again: bool, ignore_checksums: bool, image: str) -> Layer | Rejected | int:
        """Return what the memo says of a layer, or how many bytes must be read. What Swift does not tell now, the conversion asks again."""
        try:
            memo = self._memo.layer(image)
            if isinstance(memo, Layer) and (ignore_checksums or not memo.is_other):
                return memo
            if isinstance(memo, Rejected) and not again and not ignore_checksums:
                return memo
            return self._tree.storage.stat(self._tree.layer(image)).size or 0
        except (exceptions.FileNotFoundError, exceptions.UnreachableError, exceptions.BrokenError):
            return 0


def _require_known(choice: Choice, found: list[str], has_chosen: bool) -> None:
    """:raises ConfigError: a name or a pattern of the operator's means no repository, and is perhaps mistyped"""
    for name in choice.names:
        if name not in found:
            close = [f'library/{name}'] if f'library/{name}' in found else difflib.get_close_matches(name, found, 1)
            hint = f'. Is it {close[0]}?' if close else ''
            raise config_error(f'--name: the v1 registry has no repository {name} with tags{hint}')
    if choice.pattern and not has_chosen:
        raise config_error(f'--repository: the v1 registry has no repository with tags that matches {choice.pattern}')


def counted(items: Iterable[Item], advance: Callable[[int], object]) -> Iterator[Item]:
    for item in items:
        yield item
        advance(1)
