"""Reads JSON that docker, containerd and podman read in the same way, and refuses all other.

They are written in Go. Its encoding/json matches a key of the document with a known key without regard to case, and the last match
wins (https://pkg.go.dev/encoding/json#Unmarshal). So `Layers` may hide `layers` from a client, but not from a reader that compares
exactly (CVE-2021-41190 is such an ambiguity).
"""

import codecs
import json
from collections.abc import Collection
from typing import Any, NoReturn

from docker_registry.v2.registry import errors

#: Letters outside ASCII that Go takes for an ASCII letter of another case.
_FOLDED = str.maketrans({'\u017f': 's', '\u212a': 'k'})


def load(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a manifest's bytes.

    :raises ManifestInvalid: the bytes are not a JSON object in UTF-8, or a key of an object stands there twice
    """
    if content.startswith(codecs.BOM_UTF8):
        raise errors.ManifestInvalid('the manifest is not valid JSON: it begins with a byte order mark')
    try:
        document = json.loads(content.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise errors.ManifestInvalid(f'the manifest is not valid JSON: it is not UTF-8 at byte {error.start}')
    except RecursionError:
        raise errors.ManifestInvalid('the manifest is not valid JSON: it is nested too deeply')
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
    folded = {_fold(key): key for key in known}
    for key in entry:
        if key not in known and _fold(key) in folded:
            raise errors.ManifestInvalid(
                f'{where or "the manifest"} has the key {ascii(key)}, which docker and containerd read as {folded[_fold(key)]!r}'
            )


def _fold(key: str) -> str:
    return key.translate(_FOLDED).lower()


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise errors.ManifestInvalid(f'an object in the manifest has the key {ascii(twice[:100])} twice')
    return entry


def _refuse_constant(text: str) -> NoReturn:
    raise errors.ManifestInvalid(f'the manifest is not valid JSON: {text} is not a number')
