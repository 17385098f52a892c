"""Reads JSON that docker, containerd and podman read in the same way, and refuses all other. It also bounds the work of reading.

They are written in Go. Its encoding/json matches a key of the document with a known key without regard to case, and the last match
wins (https://pkg.go.dev/encoding/json#Unmarshal). So `Layers` may hide `layers` from a client, but not from a reader that compares
exactly (CVE-2021-41190 is such an ambiguity).
"""

import codecs
import functools
import itertools
import json
from collections.abc import Collection
from typing import Any, NoReturn

from docker_registry.v2.registry import errors

#: Letters outside ASCII that Go takes for an ASCII letter of another case.
_FOLDED = str.maketrans({'\u017f': 's', '\u212a': 'k'})

#: Values in one manifest. An index of 2000 platforms with annotations has less than 40,000. A million of tiny ones in 4 MiB would
#: occupy the process for half a second, and 200 MB of memory.
MOST_VALUES = 50000
MOST_DEPTH = 64  # levels of nested lists and objects; formats that clients push have less than ten
MOST_DIGITS = 100  # of one number; Python's time for a whole number grows with the square of its digits

_NO_BRACKETS = bytes(set(range(256)) - set(b'[]{}'))


def require_bounds(content: bytes) -> None:
    """Refuse JSON that has more values or is nested deeper than this registry reads. It takes milliseconds, whatever the bytes are.

    The bytes may be no JSON at all. `json.loads` reads up to the first error, and up to there it sees what is counted here.

    :raises ManifestInvalid: there are more than `MOST_VALUES` values, or more than `MOST_DEPTH` levels
    """
    if b'\\' in content:
        content = content.replace(b'\\\\', b'').replace(b'\\"', b'')
    if content.count(b'"') > 4 * MOST_VALUES:  # each value is a string with two quotes, and has a key with two quotes, at most
        _refuse_values()
    outside = b''.join(content.split(b'"')[::2])  # what is in no string
    brackets = outside.translate(None, _NO_BRACKETS)
    if outside.count(b',') + len(brackets) / 2 > MOST_VALUES:
        _refuse_values()
    if max(itertools.accumulate(1 if bracket in b'[{' else -1 for bracket in brackets), default=0) > MOST_DEPTH:
        raise errors.ManifestInvalid(f'the manifest is nested too deeply: it has more than {MOST_DEPTH} levels')


def _refuse_values() -> NoReturn:
    raise errors.ManifestInvalid(f'the manifest has more than {MOST_VALUES} values, which is more than this registry reads')


def load(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a manifest's bytes.

    :raises ManifestInvalid: the bytes are not a JSON object in UTF-8, a key of an object stands there twice, or see `require_bounds`
    """
    require_bounds(content)
    if content.startswith(codecs.BOM_UTF8):
        raise errors.ManifestInvalid('the manifest is not valid JSON: it begins with a byte order mark')
    try:
        document = json.loads(
            content.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant, parse_int=whole_number
        )
    except UnicodeDecodeError as error:
        raise errors.ManifestInvalid(f'the manifest is not valid JSON: it is not UTF-8 at byte {error.start}')
    except ValueError as error:
        raise errors.ManifestInvalid(f'the manifest is not valid JSON: {error}')
    if not isinstance(document, dict):
        raise errors.ManifestInvalid('the manifest is not a JSON object')
    return document


def require_exact_keys(entry: dict, known: Collection[str], where: str) -> None:
    """Refuse an object that has a known key in another case.

    :param where: the place of the object in the manifest, such as `layers[0]`; '' for the manifest itself
    :raises ManifestInvalid: Go would take one of the keys for a known key
    """
    folded = _folded(tuple(known))
    for key in entry:
        # Go folds one letter into one. So the length comes first, which costs less than to fold a long key.
        known_key = folded[len(key)].get(_fold(key)) if len(key) in folded else None
        if known_key not in (None, key):
            raise errors.ManifestInvalid(
                f'{where or "the manifest"} has the key {ascii(key)}, which docker and containerd read as {known_key!r}'
            )


@functools.cache
def _folded(known: tuple[str, ...]) -> dict[int, dict[str, str]]:
    """Return {length: {folded key: key}}."""
    return {length: {_fold(key): key for key in known if len(key) == length} for length in map(len, known)}


def _fold(key: str) -> str:
    return key.lower() if key.isascii() else key.translate(_FOLDED).lower()


def whole_number(text: str) -> int:
    """Return the number that the text of a JSON integer stands for.

    :raises ValueError: it has more than `MOST_DIGITS` digits
    """
    if len(text) > MOST_DIGITS:
        raise ValueError(f'a number has more than {MOST_DIGITS} digits')
    return int(text)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise errors.ManifestInvalid(f'an object in the manifest has the key {ascii(twice[:100])} twice')
    return entry


def _refuse_constant(text: str) -> NoReturn:
    raise errors.ManifestInvalid(f'the manifest is not valid JSON: {text} is not a number')
