"""Targets: names that clients choose."""

import itertools

from docker_registry.v2.registry import errors, layout, names
from target import target

LOWER, WORD = set('abcdefghijklmnopqrstuvwxyz0123456789'), set('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_')
HEX = b'0123456789abcdef' * 4


def is_component(text):
    """Whether a text is a component of a repository name, without a regular expression."""
    if not text or text[0] not in LOWER or text[-1] not in LOWER:
        return False
    separators = [''.join(group) for is_lower, group in itertools.groupby(text, LOWER.__contains__) if not is_lower]
    return all(one in ('.', '_', '__') or set(one) == {'-'} for one in separators)


@target(
    b'library/ubuntu',
    b'a__b/c-d.e',
    b'a/../b',
    b'_layers',
    b'a' * 256,
    b'a' + b'-' * 250,
    b'a--b' * 60,
    words=(b'__', b'/../', b'--', b'._'),
)
def repository_name(data):
    """A name is accepted exactly if the specification accepts it, and its paths are those of no other repository."""
    text = data.decode(errors='replace')
    valid = len(text) <= names.LONGEST_NAME and all(map(is_component, text.split('/')))
    try:
        name = names.repository(text)
    except errors.NameInvalid:
        assert not valid
        return
    assert valid and name == text
    path = layout.tag_current(name, 'v1')
    assert layout.repository_of(path) == name
    assert not {'', '.', '..'} & set(path.split('/'))
    assert layout.within_tags(name, path) == ('v1', 'current/link')


@target(
    b'latest',
    b'1.0_a-b',
    b'.a',
    b'a' * 129,
    b'sha256:' + HEX,
    b'sha512:' + HEX * 2,
    b'sha256:' + HEX.upper(),
    words=(b'sha256:', b'sha512:'),
)
def manifest_reference(data):
    text = data.decode(errors='replace')
    try:
        found = names.reference(text)
    except (errors.DigestInvalid, errors.TagInvalid):
        return
    assert str(found) == text
    if isinstance(found, str):
        assert 1 <= len(text) <= 128 and set(text) <= WORD | set('.-') and text[0] in WORD
    else:
        assert layout.digest_of(layout.referrer('a', found, found)) == found
        assert layout.digest_in_index(layout.tag_index('a', 'v1', found)) == found


@target(
    b'application/vnd.oci.image.manifest.v1+json', b'text/plain; charset=utf-8', b'a/b/c', b' a/b ;', b'/', words=(b'application/', b';')
)
def media_type(data):
    try:
        found = names.media_type(data.decode('latin-1'))
    except errors.ManifestInvalid:
        return
    kind, _, rest = found.partition('/')
    assert kind and rest and found.isascii() and found.isprintable() and not set(' ;,/"') & set(kind + rest)
    assert names.media_type(found) == found
