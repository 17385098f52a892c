"""`registry-swift retain`: deletes old tags and untagged manifests, by rules.

First the tags of a repository go, and then manifests that had no tag before. A manifest that loses its last tag counts as untagged from
that moment, however old it is: `Pruning.tag` writes a note, and the next runs go by its time.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from docker_registry.v2.operations import duration, inventory
from docker_registry.v2.operations.inventory import Inventory
from docker_registry.v2.operations.retention_rules import Rules
from docker_registry.v2.operations.verdicts import Verdict, Verdicts
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.names import Digest

BATCH = 200  # manifests after which it looks whether somebody needs them
TAGS_AT_A_TIME = 8


@dataclass
class Counts:
    """What a run has done; in a dry run, what one would do."""

    repositories: int = 0
    repositories_left_alone: int = 0
    tags_kept: int = 0
    tags_deleted: int = 0
    manifests_kept: int = 0
    manifests_deleted: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of a tag or a manifest. `is_changed`: it should have gone, but somebody has pushed it, or needs it."""

    repository: str
    verdict: Verdict
    is_changed: bool = False

    @property
    def has_gone(self) -> bool:
        return self.verdict.goes and not self.is_changed

    @property
    def why(self) -> str:
        line = f' (line {self.verdict.line})' if self.verdict.line else ''
        return 'pushed or needed since it was looked at' if self.is_changed else self.verdict.why + line


class Retention:
    """One run over all repositories.

    :param say: is called with each outcome, as it comes
    """

    def __init__(self, domain: Domain, rules: Rules, dry_run: bool, say: Callable[[Outcome], object]):
        self._domain = domain
        self._rules = rules
        self._dry_run = dry_run
        self._say = say
        self._tags_together = Together(2 * TAGS_AT_A_TIME)  # each deletes a tag with the domain's own threads
        self.counts = Counts()

    def run(self) -> Counts:
        for repository in inventory.repositories(self._domain):
            rules = self._rules.of(repository)
            if not rules:
                self.counts.repositories_left_alone += 1
                continue
            self.counts.repositories += 1
            found = inventory.take(self._domain, repository)
            for outcome in self._outcomes(found, Verdicts(self._domain, found, rules, self._domain.storage.clock())):
                self._count(outcome)
                self._say(outcome)
        return self.counts

    def _outcomes(self, found: Inventory, verdicts: Verdicts) -> Iterator[Outcome]:
        yield from self._on_tags(found, verdicts.tags)
        gone = set()
        for outcome in self._on_manifests(found, verdicts):
            gone |= {outcome.verdict.digest} if outcome.has_gone else set()
            yield outcome
        stay = [verdict for verdict in verdicts.fallback_tags if verdict.subject and verdict.subject not in gone]
        yield from (Outcome(found.repository, verdict, is_changed=True) for verdict in stay)
        yield from self._on_tags(found, [verdict for verdict in verdicts.fallback_tags if verdict not in stay])

    def _on_tags(self, found: Inventory, verdicts: Iterable[Verdict]) -> Iterator[Outcome]:
        def delete(verdict: Verdict) -> bool:
            pruning = self._domain.pruning
            return not verdict.goes or self._dry_run or pruning.tag(found.repository, verdict.tag, found.tags[verdict.tag])

        verdicts = list(verdicts)
        with self._tags_together.each(delete, verdicts) as results:
            for verdict, done in zip(verdicts, results):
                yield Outcome(found.repository, verdict, is_changed=not done)

    def _on_manifests(self, found: Inventory, verdicts: Verdicts) -> Iterator[Outcome]:
        by_digest: dict[Digest, Verdict] = {verdict.digest: verdict for verdict in verdicts.manifests if verdict.digest}
        yield from (Outcome(found.repository, verdict) for verdict in verdicts.manifests if not verdict.goes)
        going = [digest for digest, verdict in by_digest.items() if verdict.goes]
        needed = self._domain.pruning.mentioned_since(found.repository, found.revisions) if going and not self._dry_run else set()
        yield from (Outcome(found.repository, by_digest[digest], is_changed=True) for digest in going if digest in needed)
        for group in inventory.in_order((digest for digest in going if digest not in needed), verdicts.mentions):
            for first in range(0, len(group), BATCH):
                batch = group[first : first + BATCH]
                gone = set(batch) if self._dry_run else self._domain.pruning.manifests(found.repository, batch, found.revisions)
                yield from (Outcome(found.repository, by_digest[digest], is_changed=digest not in gone) for digest in batch)

    def _count(self, outcome: Outcome) -> None:
        name = f'{"tags" if outcome.verdict.tag else "manifests"}_{"deleted" if outcome.has_gone else "kept"}'
        setattr(self.counts, name, getattr(self.counts, name) + 1)


def text(outcome: Outcome, dry_run: bool) -> str:
    """Return the line of a table."""
    verdict = outcome.verdict
    action = ('delete' if outcome.has_gone else 'keep') if dry_run else ('deleted' if outcome.has_gone else 'kept')
    name = f'{outcome.repository}:{verdict.tag}' if verdict.tag else f'{outcome.repository}@{verdict.digest}'
    return f'{name:40}  {duration.roughly(verdict.age):>5}  {action:7}  {outcome.why}'


def as_json(outcome: Outcome) -> str:
    verdict = outcome.verdict
    return json.dumps(
        {
            'repository': outcome.repository,
            **({'tag': verdict.tag} if verdict.tag else {}),
            'digest': str(verdict.digest) if verdict.digest else None,
            'age': round(verdict.age),
            'action': 'delete' if outcome.has_gone else 'keep',
            'why': outcome.why,
        }
    )


def summary(counts: Counts, dry_run: bool) -> str:
    would = 'would be ' if dry_run else ''
    return (
        f'{counts.repositories} repositories: {counts.tags_deleted} tags {would}deleted, {counts.tags_kept} kept; '
        f'{counts.manifests_deleted} untagged manifests {would}deleted, {counts.manifests_kept} kept. '
        f'{counts.repositories_left_alone} repositories that no rule names were left alone'
    )


def summary_as_json(counts: Counts) -> str:
    return json.dumps({'summary': asdict(counts)})
