"""`registry-swift rm`: deletes tags, manifests and whole repositories."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations import clearing, inventory, space
from docker_registry.v2.operations.inventory import Inventory
from docker_registry.v2.operations.targets import Target
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.mentions import Mentions
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.pruning import Pointer
from docker_registry.v2.registry.storage import Stat


class NotThere(Exception):
    """Some of what the operator named does not exist. Nothing was deleted. The text has a line for each."""


@dataclass
class Step:
    """What goes with one target, and what there is to say about it before."""

    target: Target
    found: Inventory
    tags: dict[str, Pointer]
    listed: list[Stat] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


class Deletion:
    """Looks everything up first, so that a wrong name deletes nothing.

    :raises NotThere: from the constructor
    """

    def __init__(self, domain: Domain, targets: Iterable[Target]):
        self._domain = domain
        self._inventories: dict[str, Inventory] = {}
        self._mentions: dict[Digest, Mentions | None] = {}
        self._deleted_tags: set[tuple[str, str]] = set()
        self.steps: list[Step] = []
        missing = []
        for target in targets:
            try:
                self.steps.append(self._step(target))
            except (errors.ManifestUnknown, errors.NameUnknown):
                missing.append(f'there is no {target}')
        if missing:
            raise NotThere('\n'.join(missing))
        self._freed = space.Freed()
        self._add_freed()

    # Looking

    def _step(self, target: Target) -> Step:
        if target.tag:
            return self._tag(target)
        return self._manifest(target, target.digest) if target.digest else self._repository(target)

    def _inventory(self, repository: str) -> Inventory:
        if repository not in self._inventories:
            self._inventories[repository] = inventory.take(self._domain, repository)
        return self._inventories[repository]

    def _mentioned(self, digests: Iterable[Digest]) -> dict[Digest, Mentions | None]:
        digests = list(digests)
        self._mentions.update(inventory.mentioned(self._domain, (digest for digest in digests if digest not in self._mentions)))
        return {digest: self._mentions[digest] for digest in digests}

    def _tag(self, target: Target) -> Step:
        try:
            pointer = Pointer(*self._domain.tags.read(target.repository, target.tag, self._domain.absence))
        except errors.ManifestUnknown:
            pointer = self._damaged(target)
        found = self._inventory(target.repository)
        others = [tag for tag in found.tags_of(pointer.digest) if tag != target.tag] if pointer.digest else []
        stays = f'its manifest stays, with the tags {", ".join(others)}' if others else 'its manifest stays, without a tag'
        remarks = [stays] if pointer.digest else ['it is damaged: it does not contain a digest']
        facts = {'digest': str(pointer.digest) if pointer.digest else None, 'other_tags': others}
        return Step(target, found, {target.tag: pointer}, facts=facts, remarks=remarks)

    def _damaged(self, target: Target) -> Pointer:
        try:
            return Pointer(None, self._domain.storage.stat(layout.tag_current(target.repository, target.tag)).last_modified or 0)
        except exceptions.FileNotFoundError:
            raise errors.ManifestUnknown()

    def _manifest(self, target: Target, digest: Digest) -> Step:
        link = self._domain.manifests.link(target.repository, digest)
        found = self._inventory(target.repository)
        found = Inventory(found.repository, found.tags, {**found.revisions, digest: link.last_modified or 0}, found.untagged)
        mentioned = self._mentioned(found.revisions)
        tags = found.tags_of(digest)
        own = mentioned[digest]
        parents: list[Digest] = []
        referrers: list[Digest] = []
        children: list[Digest] = []
        for other, mentions in mentioned.items():
            if mentions and digest in mentions.sizes:
                (referrers if mentions.subject == digest else parents).append(other)
            if own and other in own.sizes and other != own.subject:
                children.append(other)
        unreadable = sum(mentions is None for other, mentions in mentioned.items() if other != digest)
        remarks = [
            *([f'these tags go with it: {", ".join(tags)}'] if tags else []),
            *(f'{_called(found, parent)} names it: clients cannot pull that completely any more' for parent in parents),
            *(f'it names {_called(found, child)}, which stays' for child in children),
            *(f'{_called(found, referrer)} refers to it, and stays' for referrer in referrers),
            *([f'{unreadable} manifests of the repository cannot be read. Perhaps they name it'] if unreadable else []),
        ]
        facts = {'tags': tags, 'named_by': _texts(parents), 'names': _texts(children), 'referrers': _texts(referrers)}
        return Step(target, found, {tag: found.tags[tag] for tag in tags}, facts=facts, remarks=remarks)

    def _repository(self, target: Target) -> Step:
        listed = list(clearing.own_names(self._domain.storage, target.repository))
        if not listed:
            raise errors.NameUnknown()
        found = self._inventory(target.repository)
        layers = layout.layers(target.repository) + '/'
        counts = {
            'tags': len(found.tags),
            'manifests': len(found.revisions),
            'blobs': sum(stat.path.startswith(layers) for stat in listed),
            'objects': len(listed),
        }
        remark = '{tags} tags, {manifests} manifests and {blobs} blobs; {objects} objects in Swift. Other repositories keep what they share'
        return Step(target, found, dict(found.tags), listed, counts, [remark.format(**counts)])

    def _add_freed(self) -> None:
        gone: dict[str, set[Digest]] = {}
        for step in self.steps:
            if not step.target.tag:
                digests = {step.target.digest} if step.target.digest else set(step.found.revisions)
                gone.setdefault(step.target.repository, set()).update(digests)
        for repository, digests in gone.items():
            found = self._inventory(repository)
            mentioned = self._mentioned({*found.revisions, *digests})
            remaining = {digest: mentions for digest, mentions in mentioned.items() if digest not in digests}
            self._freed.add(repository, {digest: mentioned[digest] for digest in digests}, remaining)

    def freed(self, exactly: bool) -> int:
        return self._freed.size(self._domain, exactly)

    # Deleting

    def run(self, say: Callable[[str], object]) -> list[bool]:
        """Delete everything, and return for each step whether all of it is gone. What somebody has pushed meanwhile stays."""
        steps = self._in_order()
        done = {step.target: self._run(step, say) for step in steps if step.target.tag or step.target.digest}
        clearings = {
            step.target: clearing.Clearing(self._domain, step.found, self._mentions, step.listed, say)
            for step in steps
            if step.target not in done
        }
        begun = [each.begin() for each in clearings.values()]
        if any(begun):
            say(f'waiting {clearing.SETTLE_SECONDS} seconds for pushes that were under way, to put back what they need')
            time.sleep(clearing.SETTLE_SECONDS)
        done.update((target, each.end()) for target, each in clearings.items())
        return [done[step.target] for step in self.steps]

    def _in_order(self) -> list[Step]:
        """Return tags, then manifests, each before those that it names, then repositories."""
        manifests = {step.target.digest: step for step in self.steps if step.target.digest}
        order = [digest for group in inventory.in_order(filter(None, manifests), self._mentions) for digest in group]
        return sorted(
            self.steps,
            key=lambda step: (not step.target.tag, not step.target.digest, order.index(step.target.digest) if step.target.digest else 0),
        )

    def _run(self, step: Step, say: Callable[[str], object]) -> bool:
        repository, digest = step.target.repository, step.target.digest
        done = True
        for tag, pointer in step.tags.items():
            if (repository, tag) not in self._deleted_tags:
                done = self._domain.pruning.tag(repository, tag, pointer)
                say(f'{"deleted" if done else "written meanwhile, kept"}: {repository}:{tag}')
            self._deleted_tags.add((repository, tag))
        if digest:
            done = digest in self._domain.pruning.manifests(repository, [digest], step.found.revisions)
            say(f'{"deleted" if done else "pushed meanwhile, kept"}: {step.target}')
        return done


def _texts(digests: Iterable[Digest]) -> list[str]:
    return [str(digest) for digest in digests]


def _called(found: Inventory, digest: Digest) -> str:
    tags = found.tags_of(digest)
    return f'{digest} ({", ".join(tags)})' if tags else str(digest)


def plan_text(steps: Iterable[Step]) -> str:
    return '\n'.join('\n'.join([f'{_kind(step.target)} {step.target}', *(f'    {remark}' for remark in step.remarks)]) for step in steps)


def _kind(target: Target) -> str:
    return 'tag' if target.tag else 'manifest' if target.digest else 'repository'


def as_json(step: Step, done: bool) -> str:
    kind = _kind(step.target)
    return json.dumps({kind: str(step.target), **step.facts, 'outcome': 'deleted' if done else 'kept'})
