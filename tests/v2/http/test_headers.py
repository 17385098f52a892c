"""Header fields: which texts are accepted as a range."""

import pytest

from docker_registry.v2.http import headers
from docker_registry.v2.registry import errors


@pytest.mark.parametrize(
    'text, bytes_range',
    [
        ('bytes=0-0', (0, 0)),
        ('bytes=5-9', (5, 9)),
        ('bytes=5-', (5, None)),
        ('bytes=-5', (None, 5)),
        ('Bytes = 5 - 9', (5, 9)),
        (None, None),
        ('', None),
        ('bytes=0-1,5-6', None),
        ('items=0-5', None),
    ],
)
def test_a_range(text, bytes_range):
    assert headers.bytes_range(text) == bytes_range


@pytest.mark.parametrize(
    'text', ['bytes=500-0', 'bytes=-', 'bytes=-0', 'bytes=a-b', 'bytes', 'bytes=1', 'bytes=1-2-3', 'bytes=' + '9' * 20 + '-']
)
def test_a_range_that_means_no_bytes(text):
    with pytest.raises(errors.RangeInvalid):
        headers.bytes_range(text)


@pytest.mark.parametrize('text', ['5-4', 'a-b', '-5', '5-', 'bytes', '0', '0-' + '9' * 20])
def test_what_is_no_content_range(text):
    with pytest.raises(errors.RangeInvalid):
        headers.content_range(text)
