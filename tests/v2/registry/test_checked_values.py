"""Strings from outside: which are accepted as a name, a digest or a tag."""

import pytest

from docker_registry.v2.registry import errors, names

DIGITS = 'a' * 64


@pytest.mark.parametrize('text', ['a', 'library/ubuntu', 'a.b', 'a_b', 'a__b', 'a---b', '0/1/2', 'blobs/uploads', 'a' * 255])
def test_a_repository_name_comes_back(text):
    assert names.repository(text) == text


@pytest.mark.parametrize(
    'text',
    [
        '',
        'A',
        'a/',
        '/a',
        'a//b',
        'a/../b',
        '.',
        '..',
        'a.',
        '-a',
        'a___b',
        'a..b',
        '_layers',
        'a/_manifests',
        'a b',
        'a\n',
        'ä',
        'a\0',
        'a' * 256,
        '٣',
    ],
)
def test_what_is_no_repository_name(text):
    with pytest.raises(errors.NameInvalid):
        names.repository(text)


@pytest.mark.parametrize('text', ['sha256:' + DIGITS, 'sha512:' + DIGITS * 2])
def test_a_digest_comes_back(text):
    assert str(names.digest(text)) == text


@pytest.mark.parametrize(
    'text',
    [
        None,
        '',
        'sha256',
        'sha256:',
        DIGITS,
        'sha256:' + DIGITS[1:],
        'sha256:' + DIGITS + 'a',
        'sha256:' + DIGITS.upper(),
        'md5:' + 'a' * 32,
        'sha256:' + 'g' * 64,
        'sha512:' + DIGITS,
        'SHA256:' + DIGITS,
        ':' + DIGITS,
        'sha256:../' + DIGITS[3:],
        'sha256:' + DIGITS + '\n',
        'sha256:' + '٣' * 64,
    ],
)
def test_what_is_no_digest(text):
    with pytest.raises(errors.DigestInvalid):
        names.digest(text)


@pytest.mark.parametrize('text', ['', '.a', '-a', 'a/b', 'a b', 'a' * 129, 'a\n', 'ä'])
def test_what_is_no_tag(text):
    with pytest.raises(errors.TagInvalid):
        names.tag(text)
