"""Checks the tags: what they point to, and the index of what they have pointed to."""

import functools
import time

from docker_registry.v2.operations.fsck import findings
from docker_registry.v2.operations.fsck.facts import Facts, known
from docker_registry.v2.operations.fsck.findings import Finding
from docker_registry.v2.operations.fsck.looks import Looks, NotKnown
from docker_registry.v2.operations.fsck.plans import Plan, Stage
from docker_registry.v2.operations.fsck.pointers import Pointer
from docker_registry.v2.operations.fsck.revisions import Revisions
from docker_registry.v2.operations.fsck.writing import Writing
from docker_registry.v2.registry import layout
from docker_registry.v2.registry.names import Digest

PUSH_AGAIN = 'push the tag again, or delete it'


class Tags:
    def __init__(self, facts: Facts, looks: Looks, writing: Writing, revisions: Revisions):
        self._facts = facts
        self._looks = looks
        self._writing = writing
        self._revisions = revisions
        self.plans: list[Plan] = []
        self.findings: list[Finding] = []

    def check_all(self, pointers: list[Pointer]) -> None:
        for pointer in pointers:
            try:
                self._check(pointer)
            except NotKnown as error:
                self._unknown(pointer, str(error))

    def _unknown(self, pointer: Pointer, why: str) -> None:
        name = self._facts.repositories[pointer.repository]
        what = f'could not find out what {name}:{pointer.tag} points to, and whether that is there: {why}'
        self.findings.append(Finding(findings.UNKNOWN, what, name, [f'{name}:{pointer.tag}'], 'run the check again later'))

    def _check(self, pointer: Pointer) -> None:
        if pointer.unknown:
            return self._unknown(pointer, pointer.unknown)
        if pointer.digest is None:
            return self._damaged(pointer, 'contains no digest')
        if self._facts.has_revision(pointer.repository, pointer.digest):
            return self._check_index(pointer, pointer.digest)
        self._unlinked(pointer, pointer.digest)

    def _unlinked(self, pointer: Pointer, digest: Digest) -> None:
        """A tag of a manifest that was deleted after the tag was written has ended with it (`registry.deletions`)."""
        name = self._facts.repositories[pointer.repository]
        deletion = self._looks.stat(layout.deletion(name, digest))
        written = (pointer.stat and pointer.stat.last_modified) or 0
        if deletion and (deletion.last_modified or 0) >= written:
            self._facts.db.execute('DELETE FROM pointer WHERE repository = ? AND tag = ?', (pointer.repository, pointer.tag))
            return
        finding = Finding(findings.TAG, f'{name}:{pointer.tag} points to {digest}, whose link is missing', name)
        finding.tags = [f'{name}:{pointer.tag}']
        if self._revisions.plan_revision(pointer.repository, digest, finding):
            self._check_index(pointer, digest)
        else:
            self._damaged(pointer, f'points to {digest}, which is no image of the repository')

    def _damaged(self, pointer: Pointer, what: str) -> None:
        name = self._facts.repositories[pointer.repository]
        finding = Finding(findings.TAG, f'{name}:{pointer.tag} {what}', name, [f'{name}:{pointer.tag}'], PUSH_AGAIN)
        newest = self._newest_whole(pointer)
        if newest is None or pointer.stat is None:
            self.findings.append(finding)
            return
        digest, written = newest
        day = time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(written))
        finding.advice = f'--repair points it to {digest}, the last whole image that was pushed as this tag ({day})'
        do = functools.partial(self._writing.pointer, name, pointer.tag, digest, pointer.stat)
        self.plans.append(Plan(Stage.TAG, finding, do))

    def _newest_whole(self, pointer: Pointer) -> tuple[Digest, float] | None:
        rows = self._facts.ask(
            'SELECT digest, modified FROM tag_index WHERE repository = ? AND tag = ? AND digest != ? ORDER BY modified DESC',
            pointer.repository,
            pointer.tag,
            str(pointer.digest),
        )
        for text, written in rows:
            digest = known(text)
            if digest and self._is_whole(pointer.repository, digest):
                return digest, written or 0
        return None

    def _is_whole(self, repository: int, digest: Digest) -> bool:
        """Return whether clients can pull a revision. One of which anything is missing or to be repaired does not count."""
        facts, waiting = self._facts, [digest]
        seen = set(waiting)
        while waiting:
            digest = waiting.pop()
            image = facts.image(digest) if facts.has_revision(repository, digest) else None
            if image is None or not all(facts.has_data(blob) and facts.has_layer(repository, blob) for blob in image.blobs):
                return False
            children = {child.digest for child in image.children if child.is_manifest or not facts.has_layer(repository, child.digest)}
            waiting += children - seen
            seen |= children
        return True

    def _check_index(self, pointer: Pointer, digest: Digest) -> None:
        """CNCF distribution's collector deletes an image that has a pointer and no entry in the index of the tag, if told to."""
        facts, name = self._facts, self._facts.repositories[pointer.repository]
        listed = facts.ask(
            'SELECT 1 FROM tag_index WHERE repository = ? AND tag = ? AND digest = ?', pointer.repository, pointer.tag, str(digest)
        )
        if listed or self._looks.stat(layout.tag_index(name, pointer.tag, digest)):
            return
        finding = Finding(findings.TAG_INDEX, f'the index of {name}:{pointer.tag} lacks what the tag points to', name)
        finding.tags, finding.advice = [f'{name}:{pointer.tag}'], 'run with --repair'
        self.plans.append(Plan(Stage.TAG, finding, functools.partial(self._writing.tag_index, name, pointer.tag, digest)))
