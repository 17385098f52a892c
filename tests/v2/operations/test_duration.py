"""Durations: what an operator may write, and what reports say."""

import pytest
from hypothesis import given, strategies

from docker_registry.v2.operations import duration


@pytest.mark.parametrize(
    'text, seconds', [('7d', 604800), ('12h', 43200), ('30m', 1800), ('90s', 90), ('0', 0), ('0d', 0), ('007d', 604800)]
)
def test_a_number_and_a_unit(text, seconds):
    assert duration.parse(text) == seconds


@pytest.mark.parametrize(
    'text',
    ['', '7', 'd', '7 d', ' 7d', '7d\n', '-7d', '+7d', '1.5d', '7D', '7w', '7d12h', '٧d', '100000d', '9' * 10 + 's', '9' * 5000 + 'd'],
)
def test_anything_else_is_refused_and_quoted_shortly(text):
    with pytest.raises(ValueError, match='a whole number and a unit') as error:
        duration.parse(text)

    assert len(str(error.value)) < 150


@pytest.mark.parametrize(
    'seconds, text', [(604800, '7d'), (90000, '25h'), (5400, '90m'), (90, '90s'), (0, '0'), (0.9, '0'), (60.9, '1m'), (-1, '0')]
)
def test_the_largest_unit_that_needs_no_fraction(seconds, text):
    assert duration.text(seconds) == text


@given(strategies.integers(0, 99999 * 86400))
def test_text_is_what_parse_reads(seconds):
    assert duration.parse(duration.text(seconds)) == seconds


@pytest.mark.parametrize(
    'seconds, text', [(0, '0s'), (-5, '0s'), (119.9, '119s'), (120, '2m'), (7199, '119m'), (90000, '25h'), (200000, '2d')]
)
def test_an_age_has_one_unit(seconds, text):
    assert duration.roughly(seconds) == text
