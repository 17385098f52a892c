"""What a manifest and a configuration say, for people.

Clients may have stored anything, so every value is looked at before it is used: whatever has the wrong type counts as absent.
"""

import itertools
import json
from dataclasses import dataclass

from docker_registry.v2.http.page import words
from docker_registry.v2.registry import errors, names, strict_json

ATTESTATION = 'vnd.docker.reference.type'  # annotation of BuildKit: the manifest is no image for a platform
LARGEST = 512 * 1024  # bytes of JSON that a page reads, so that it holds up its worker for some milliseconds at most
MOST_ENTRIES = 500  # of a list or an object that a page shows
LONGEST = 2000  # characters of one value
LONGEST_WORD = 200  # characters of a platform or a type, of which a page shows many
MOST_TEXT = 64 * 1024  # characters of all values of a list or an object: escaped, and with what is around them, they are much longer


@dataclass(frozen=True)
class Layer:
    """A layer of an image, or a step of its history without one: then there is no digest."""

    command: str
    digest: names.Digest | None = None
    size: int | None = None
    media_type: str = ''


@dataclass(frozen=True)
class Entry:
    """A manifest that an index names, or one that refers to another."""

    digest: names.Digest
    size: int | None
    platform: str
    kind: str  # artifact type, or media type
    is_attestation: bool
    annotations: tuple


def load(content):
    """Return the JSON object in some bytes, or {} if there is none, or it is too large for a page."""
    if len(content) > LARGEST:
        return {}
    try:
        strict_json.require_bounds(content)
        document = json.loads(content.decode(errors='replace'), parse_int=strict_json.whole_number)
    except (errors.ManifestInvalid, ValueError, RecursionError):
        return {}
    return _object(document)


def pretty(content, most):
    """Return bytes as text to read: JSON with indentation if it is JSON.

    :param most: characters that somebody wants. The text is longer, and not whole, if there are more: indentation can make 100 kB to 6 MB
    """
    if len(content) > LARGEST:
        return content[: 4 * most].decode(errors='replace')
    text, length = [], 0
    try:
        strict_json.require_bounds(content)
        for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(json.loads(content)):
            text.append(piece)
            length += len(piece)
            if length > most:
                break
        return ''.join(text)
    except (errors.ManifestInvalid, ValueError, RecursionError):
        return content.decode(errors='replace')


def size_of(manifest):
    """Return the bytes of the layers and the configuration that a manifest names, or None if it names no layers."""
    layers = _objects(manifest.get('layers'))
    return sum(_count(entry.get('size')) or 0 for entry in [*layers, _object(manifest.get('config'))]) if layers else None


def config_of(manifest):
    """Return (digest, size) of the configuration that a manifest names, or None."""
    config = _object(manifest.get('config'))
    digest = _digest(config.get('digest'))
    return (digest, _count(config.get('size')) or 0) if digest else None


def entries(manifest):
    """Return what an index names."""
    return [entry for entry in map(entry_of, _objects(manifest.get('manifests'))) if entry]


def hidden_entries(manifest):
    """Return how many more an index names than `entries` has room for."""
    named = manifest.get('manifests')
    return max(0, len(named) - MOST_ENTRIES) if isinstance(named, list) else 0


def entry_of(descriptor):
    """Return the `Entry` for a descriptor, or None if it has no digest."""
    digest = _digest(descriptor.get('digest'))
    annotations = pairs(descriptor.get('annotations'))
    kind = (_text(descriptor.get('artifactType')) or _text(descriptor.get('mediaType')))[:LONGEST_WORD]
    platform = platform_of(_object(descriptor.get('platform')))
    is_attestation = any(key == ATTESTATION for key, _ in annotations)
    return digest and Entry(digest, _count(descriptor.get('size')), platform, kind, is_attestation, annotations)


def platform_of(document):
    """Return the platform that a descriptor or a configuration names: `linux/arm64/v8`, or ''."""
    return '/'.join(filter(None, (_text(document.get(key)) for key in ('os', 'architecture', 'variant'))))[:LONGEST_WORD]


def layers(manifest, config):
    """Return the layers of an image with the commands that made them, and the steps that made none. The first layer comes first."""
    left = _objects(manifest.get('layers'))
    found = []
    for step in _objects(config.get('history')):
        command = _command(step)
        if step.get('empty_layer') is True:
            found.append(Layer(command))
        elif left:
            found.append(_layer(left.pop(0), command))
    return found + [_layer(layer, '') for layer in left]


def facts(config):
    """Return [(name, values)] of how a container of an image runs. Those of an object are pairs."""
    run = _object(config.get('config'))
    found = [
        ('Created', [_text(config.get('created'))]),
        ('Author', [_text(config.get('author'))]),
        ('User', [_text(run.get('User'))]),
        ('Working directory', [_text(run.get('WorkingDir'))]),
        ('Entrypoint', [_line(run.get('Entrypoint'))]),
        ('Command', [_line(run.get('Cmd'))]),
        ('Ports', sorted(_keys(run.get('ExposedPorts')))),
        ('Volumes', sorted(_keys(run.get('Volumes')))),
        ('Stop signal', [_text(run.get('StopSignal'))]),
        ('Environment', [_text(value) for value in _list(run.get('Env'))]),
    ]
    return [(name, values) for name, some in found if (values := _fitting(list(filter(None, some)), len))]


def labels(config):
    return pairs(_object(config.get('config')).get('Labels'))


def pairs(value):
    """Return the pairs of an object of texts, sorted."""
    found = sorted((_shown(key), _text(held)) for key, held in list(_object(value).items())[:MOST_ENTRIES])
    return tuple(_fitting(found, lambda pair: len(pair[0]) + len(pair[1])))


def _fitting(some, length):
    """Return the first of some that have at most `MOST_TEXT` characters together."""
    ends = itertools.accumulate(map(length, some))
    return [one for one, end in zip(some, ends) if end <= MOST_TEXT]


def _layer(descriptor, command):
    return Layer(command, _digest(descriptor.get('digest')), _count(descriptor.get('size')), _text(descriptor.get('mediaType')))


def _command(step):
    """Return the instruction of a step of the history. docker writes the shell that runs it, too."""
    text = _text(step.get('created_by'))
    for shell, instruction in (('/bin/sh -c #(nop) ', ''), ('/bin/sh -c ', 'RUN '), ('RUN /bin/sh -c ', 'RUN ')):
        if text.startswith(shell):
            text = instruction + text.removeprefix(shell).strip()
            break
    return text.removesuffix('# buildkit').strip()


def _line(value):
    """Return a command, which is a text or a list of words, as JSON writes it."""
    found = [_text(word) for word in _list(value)]
    return json.dumps(found, ensure_ascii=False)[:LONGEST] if found else _text(value)


def _digest(value):
    try:
        return names.digest(value) if isinstance(value, str) else None
    except errors.DigestInvalid:
        return None


def _count(value):
    return value if type(value) is int and 0 <= value < 2**63 else None


def _text(value):
    return _shown(value) if isinstance(value, str) else ''


def _shown(text):
    return words.visible(text[:LONGEST]) + ('…' if len(text) > LONGEST else '')


def _object(value):
    return value if isinstance(value, dict) else {}


def _list(value):
    return value[:MOST_ENTRIES] if isinstance(value, list) else []


def _objects(value):
    return [entry for entry in _list(value) if isinstance(entry, dict)]


def _keys(value):
    return [_shown(key) for key in list(_object(value))[:MOST_ENTRIES]]
