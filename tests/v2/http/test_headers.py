"""Header fields: which texts are accepted as the range of a chunk."""

import pytest

from docker_registry.v2.http import headers
from docker_registry.v2.registry import errors


@pytest.mark.parametrize('text', ['5-4', 'a-b', '-5', '5-', 'bytes', '0', '0-' + '9' * 20])
def test_what_is_no_content_range(text):
    with pytest.raises(errors.RangeInvalid):
        headers.content_range(text)
