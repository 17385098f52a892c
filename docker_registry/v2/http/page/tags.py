"""The tags of a repository as the page lists them, from a listing with a budget."""

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from docker_registry.v2.http.page import budget, words
from docker_registry.v2.http.page.details import Summary
from docker_registry.v2.registry import errors, names

MOST = 1000  # tags that are put in order
ROWS = 20  # tags on one page
#: Tags under which clients such as cosign keep signatures, and what refers to a manifest where a registry has no referrers API.
ARTIFACT = re.compile(r'(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64})(\..*)?')
ORDERS = {'newest': lambda tag: (tag.written, words.natural(tag.tag)), 'name': lambda tag: words.natural(tag.tag)}


class Row(NamedTuple):
    tag: str
    written: float
    digest: names.Digest | None
    summary: Summary | None


@dataclass
class Found:
    """One page of tags.

    `count` is the number of all tags, and `is_whole` False if there are more than `budget` or `MOST` allow: then the page has the first
    of them in the order of storage. `hidden` are the tags of signatures and the like, which only `artifacts` shows.
    """

    rows: list[Row]
    count: int
    hidden: int
    is_whole: bool
    order: str
    number: int  # of this page, from 1
    pages: int
    wanted: str
    artifacts: bool

    def link(self, **changes):
        """Return the query of another page of this list."""
        now = {'sort': self.order, 'q': self.wanted, 'page': self.number, 'artifacts': self.artifacts and '1'} | changes
        defaults = {'sort': 'newest', 'page': 1}
        return '?' + urlencode({key: value for key, value in now.items() if value and value != defaults.get(key)})

    @property
    def is_partly_read(self):
        return any(row.digest and row.summary is None for row in self.rows)


def read(registry, repository, args):
    """Return the `Found` for a repository. The query may have `sort`, `q`, `page` and `artifacts`; wrong values count as none."""
    tags, storage = budget.tags(registry.domain, registry.config.replication_cycle)
    listed = tags.all(repository, MOST + 1)
    order = args.get('sort') if args.get('sort') in ORDERS else 'newest'
    wanted, artifacts = args.get('q', '').strip()[:128], bool(args.get('artifacts'))
    named = [tag for tag in listed[:MOST] if wanted.lower() in tag.tag.lower()]
    chosen = [tag for tag in named if artifacts or not ARTIFACT.fullmatch(tag.tag)]
    chosen.sort(key=ORDERS[order], reverse=True)
    pages = max(1, -(-len(chosen) // ROWS))
    number = min(_number(args.get('page', '')), pages)
    shown = [(tag, digest_of(tag)) for tag in chosen[(number - 1) * ROWS : number * ROWS]]
    summaries = registry.details.summaries([digest for _, digest in shown if digest])
    rows = [Row(tag.tag, tag.written, digest, summaries.get(digest)) for tag, digest in shown]
    is_whole = storage.stopped is None and len(listed) <= MOST
    return Found(rows, len(chosen), len(named) - len(chosen), is_whole, order, number, pages, wanted, artifacts)


class Loser(NamedTuple):
    """An image that would lose some tags. `others` are those that stay, as far as a listing shows them."""

    digest: names.Digest
    tags: list[str]
    others: list[str]


def losing(registry, repository, chosen):
    """Return (a `Loser` for each image that some tags point to, whether the listing has shown all tags).

    As many tags as the budget allows are looked up by name. The others are believed to point to what a listing shows.

    :raises ManifestUnknown: there is none of these tags
    """
    tags, storage = budget.tags(registry.domain, registry.config.replication_cycle)
    listed = tags.all(repository, MOST + 1)
    named = chosen[: budget.left(MOST)]
    digests = dict.fromkeys(chosen) | {tag.tag: digest_of(tag) for tag in listed[:MOST] if tag.tag in chosen}
    digests |= zip(named, registry.domain.together.map(lambda tag: registry.tags.now(repository, tag)[0], named))
    losers = [
        Loser(
            digest,
            [tag for tag in chosen if digests[tag] == digest],
            [tag.tag for tag in listed[:MOST] if tag.etag == digest.etag and tag.tag not in chosen],
        )
        for digest in dict.fromkeys(filter(None, digests.values()))
    ]
    if not losers:
        raise errors.ManifestUnknown(detail=chosen[0])
    return losers, storage.stopped is None and len(listed) <= MOST


def digest_of(listed):
    """Return the digest that a tag points to, or None if the listing does not tell."""
    return next((digest for digest in listed.digests if digest.etag == listed.etag), None)


def is_tag(text):
    try:
        return bool(names.tag(text))
    except errors.TagInvalid:
        return False


def _number(text):
    return max(1, int(text)) if re.fullmatch('[0-9]{1,6}', text, re.ASCII) else 1
