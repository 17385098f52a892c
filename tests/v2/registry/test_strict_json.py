"""JSON that docker, containerd and podman would read in another way, or not at all."""

import json
import tracemalloc
import unicodedata

import pytest
from hypothesis import given, strategies

import processor
from docker_registry.v2.registry import errors, strict_json

KNOWN = ('mediaType', 'config', 'layers', 'os.version')
texts = strategies.text(strategies.characters(codec='utf-8'), max_size=20)
documents = strategies.dictionaries(
    texts,
    strategies.recursive(
        strategies.none()
        | strategies.booleans()
        | strategies.integers()
        | strategies.floats(allow_nan=False, allow_infinity=False)
        | texts,
        lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(documents, strategies.booleans())
def test_an_object_comes_back(document, ascii_only):
    assert strict_json.load(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@pytest.mark.parametrize(
    'content, word',
    [
        (b'', 'line 1 column 1'),
        (b'{"a": 1,}', 'line 1 column'),  # 8 on Python 3.13, which names the comma, and 9 before
        (b'{} {}', 'Extra data'),
        (b'\xef\xbb\xbf{}', 'byte order mark'),
        ('{}'.encode('utf-16'), 'UTF-8 at byte 0'),
        ('{}'.encode('utf-16-le'), 'line 1 column 2'),
        ('{}'.encode('utf-32-be'), 'line 1 column 1'),
        (b'{"a": "\xe4"}', 'UTF-8 at byte 7'),
        (b'{"a": "\xed\xa0\x80"}', 'UTF-8 at byte 7'),
        (b'{"a": "\n"}', 'control character'),
        (b'{"a": NaN}', 'NaN'),
        (b'{"a": [-Infinity]}', '-Infinity'),
        (b'{"a": 01}', 'line 1 column 8'),
        (b'{"a": ' + b'9' * 5000 + b'}', 'digits'),
        (b'{"a": ' + b'[' * 10000, 'nested too deeply'),
        (b'{"a": ' * 10000 + b'1' + b'}' * 10000, 'nested too deeply'),
        (b'{"a": ' + b'[' * 200000, '50000 values'),
        (b'[]', 'not a JSON object'),
        (b'null', 'not a JSON object'),
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b'{"a": [{"\\u0061": 1, "a": 1}]}', "'a' twice"),
        (b'{"\\ud800": 1, "\\ud800": 2}', r"'\ud800' twice"),
    ],
    ids=range(22),
)
def test_what_is_refused_and_in_which_words(content, word):
    with pytest.raises(errors.ManifestInvalid) as caught:
        strict_json.load(content)

    assert word in caught.value.message
    assert caught.value.message.isascii()


@given(strategies.binary(max_size=50))
def test_any_bytes_are_an_object_or_refused(content):
    try:
        assert isinstance(strict_json.load(content), dict)
    except errors.ManifestInvalid:
        pass


@pytest.mark.parametrize('key', ['MediaType', 'mediatype', 'CONFIG', 'layer\u017f', 'O\u017f.VERSION'])
def test_a_key_that_go_takes_for_a_known_one_is_refused_with_its_place(key):
    with pytest.raises(errors.ManifestInvalid) as caught:
        strict_json.require_exact_keys({key: 1}, KNOWN, 'layers[7]')

    assert 'layers[7]' in caught.value.message and ascii(key) in caught.value.message


@pytest.mark.parametrize('known, key', [('K', '\u212a'), ('k', '\u212a'), ('s', '\u017f'), ('S', '\u017f'), ('s', 'S'), ('k', 'K')])
def test_the_letters_outside_ascii_that_go_folds(known, key):
    with pytest.raises(errors.ManifestInvalid):
        strict_json.require_exact_keys({key: 1}, [known], '')


@given(strategies.characters(min_codepoint=128, exclude_characters='\u017f\u212a'))
def test_no_other_letter_outside_ascii_is_folded(letter):
    """Go folds one letter into one. What Python folds into several, such as a ligature, is another key to Go."""
    plain = unicodedata.normalize('NFKD', letter.casefold())
    for known in {plain, plain[:1], 'i', 'ss', 'ff', 'st'} - {letter}:
        if known.isascii():
            strict_json.require_exact_keys({letter: 1}, [known], '')


@given(strategies.dictionaries(strategies.sampled_from([*KNOWN, 'os_version', 'media-type', 'con\ufb01g', 'Foo', 'foo', '']), texts))
def test_known_keys_and_others_pass(entry):
    strict_json.require_exact_keys(entry, KNOWN, '')


# Bounds


@pytest.mark.parametrize('unit, values', [(b'1', 1), (b'""', 1), (b'{"a":[1]}', 3), (b'"\\"[,"', 1), (b'"\\\\"', 1), (b'"\\\\\\"{"', 1)])
def test_as_many_values_as_the_registry_reads_and_more(unit, values):
    most = strict_json.MOST_VALUES // values - 1

    strict_json.load(b'{"a": [' + b','.join([unit] * most) + b']}')
    with pytest.raises(errors.ManifestInvalid, match='50000 values'):
        strict_json.load(b'{"a": [' + b','.join([unit] * (most + 2)) + b']}')


def test_what_is_in_strings_does_not_count():
    text = '{}[],:"\\' * strict_json.MOST_VALUES

    assert strict_json.load(json.dumps({'a': text, text: 'b'}).encode()) == {'a': text, text: 'b'}


@pytest.mark.parametrize('start, end, levels', [(b'[', b']', 1), (b'{"a":', b'}', 1), (b'[{"a":[]},{"[":', b'}]', 2)])
def test_as_deep_as_the_registry_reads_and_deeper(start, end, levels):
    def nested(depth):
        return b'{"a":' + start * (depth // levels) + b'1' + end * (depth // levels) + b'}'

    strict_json.load(nested(strict_json.MOST_DEPTH - 2))
    with pytest.raises(errors.ManifestInvalid, match='nested too deeply'):
        strict_json.load(nested(strict_json.MOST_DEPTH + 1))


SIZE = 4 * 1024**2  # bytes; the default of REGISTRY_MANIFEST_LIMIT


def filled(unit):
    return b'{"a": [' + b','.join([unit] * (SIZE // (len(unit) + 1) - 8)) + b']}'


def text(unit):
    return b'{"a": "' + unit * (SIZE // len(unit) - 8) + b'"}'


def keys(count, value=b'1'):
    return b'{' + b','.join(b'"%x":%s' % (number, value) for number in range(count)) + b'}'


MOST = strict_json.MOST_VALUES
HOSTILE = {
    'deep lists': b'{"a": ' + b'[' * (SIZE // 2) + b']' * (SIZE // 2),
    'deep objects': b'{"a": ' * (SIZE // 6),
    'many deep lists': filled(b'[' * 900 + b']' * 900),
    'closing brackets': b'{' + b']' * SIZE,
    'empty lists': filled(b'[]'),
    'empty objects': filled(b'{}'),
    'numbers': filled(b'1'),
    'long numbers': filled(b'9' * 4000),
    'numbers of the longest length': filled(b'9' * strict_json.MOST_DIGITS),
    'a long fraction': b'{"a": 0.' + b'1' * SIZE + b'}',
    'fractions': filled(b'1.' + b'1' * 90 + b'e-300'),
    'strings': filled(b'""'),
    'quotes': b'"' * SIZE,
    'a long string': text(b'x'),
    'escapes': text(b'\\nx'),
    'escaped quotes': text(b'\\"'),
    'escaped letters': text(b'\\u0041'),
    'brackets in a string': text(b'[{,'),
    'letters outside of ASCII': text('\U0001f600'.encode()),
    'one letter outside of ASCII': '{"a": "\U0001f600'.encode() + b'x' * (SIZE - 16) + b'"}',
    'keys': keys(SIZE // 12),
    'as many keys as allowed': keys(MOST - 2, b'"%s"' % (b'x' * 70)),
    'as many objects as allowed': b'{"a": [' + b','.join([b'{"a":1}'] * (MOST // 2 - 2)) + b']}',
    'one key many times': b'{' + b','.join([b'"a":1'] * (MOST - 2)) + b'}',
    'a long key': b'{"' + '\u017f'.encode() * (SIZE // 2 - 8) + b'": 1}',
    'white space': b'{' + b' ' * SIZE + b'}',
}


def read(content):
    try:
        strict_json.require_exact_keys(strict_json.load(content), KNOWN, '')
    except errors.ManifestInvalid:
        pass


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_json_costs_little_time_and_memory(name):
    """Without bounds, some of these took half a second and 190 MB. With them, the slowest takes 25 ms on the same machine."""
    content = HOSTILE[name]

    took = processor.seconds(lambda: read(content), 0.25)
    tracemalloc.start()
    read(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert took < 0.25
    assert peak < 40e6
