"""The numbers in README.rst and docs/ that come from the code are those of the code."""

import pathlib
import re

import pytest

from docker_registry.drivers import swift
from docker_registry.v2.registry import layout
from docker_registry.v2.settings import config

CHECKOUT = pathlib.Path(__file__).parents[2]


SERVER = config.ServerSettings()
PYTHONS = re.findall(r'Python :: (3\.\d+)', (CHECKOUT / 'setup.py').read_text())
STATUSES = [str(status) for status in swift._PASSING_STATUSES]
ADDRESS = f'{SERVER.host}:{SERVER.port}'

#: (page, a fragment of its text with a `{}` for each number, the numbers from the code). The page has the fragment with these numbers;
#: where lines break does not matter. Add a line for each number that you write into a page.
NUMBERS = [
    ('README.rst', 'Python {} to {}', PYTHONS[0], PYTHONS[-1]),
    ('README.rst', 'a registry on {},', ADDRESS),
    ('README.rst', '``serve`` listens on {} by default', ADDRESS),
    ('README.rst', 'Swift returns {} or {}, or the connection fails', ', '.join(STATUSES[:-1]), STATUSES[-1]),
    ('README.rst', 'renews the token {} seconds before', swift.RENEWED_AHEAD),
    ('README.rst', 'below ``{}/``', layout.SEGMENTS),
]


def text_of(page):
    """The page with its lines joined, so that a fragment may break anywhere."""
    return ' '.join((CHECKOUT / page).read_text().split())


def shown(number):
    return f'{number:g}' if isinstance(number, float) else str(number)


@pytest.mark.parametrize('page, fragment, numbers', [(page, fragment, numbers) for page, fragment, *numbers in NUMBERS])
def test_a_page_has_the_numbers_of_the_code(page, fragment, numbers):
    assert fragment.format(*map(shown, numbers)) in text_of(page)
