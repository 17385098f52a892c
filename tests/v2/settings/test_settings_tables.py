"""The tables of settings in README.rst and docs/settings.rst are those that tools/settings_tables.py makes of the code."""

import dataclasses
import pathlib
import re
import sys

import pytest

from docker_registry.v2.settings import config
from docker_registry.v2.settings.notifications import Notifications

CHECKOUT = pathlib.Path(__file__).parents[3]
sys.path.insert(0, str(CHECKOUT / 'tools'))

import settings_tables  # noqa: E402


@pytest.mark.parametrize('page, name', sorted(settings_tables.TABLES))
def test_the_pages_have_the_tables_of_the_code(page, name):
    """If this fails: tools/settings_tables.py --write"""
    assert settings_tables.in_page(page, name) == settings_tables.TABLES[page, name]()


@pytest.mark.parametrize('kind', [config.ServerSettings, config.Access, config.Config, Notifications])
def test_a_table_has_a_row_for_each_setting(kind):
    table = settings_tables.registry_table(kind)

    for setting in dataclasses.fields(kind):
        assert f'- ``{config.environment_name(setting)}``\n' in table
        assert (f'* - ``{config.option_name(setting)}``\n' in table) == (kind in config.OPTIONS)


def test_defaults_have_units():
    rows = settings_tables.registry_settings().split('   * - ')

    assert ['4194304 bytes (4 MiB)', '86400 seconds', 'false'] == [
        re.search(r'    - (.*)\n', row)[1]
        for name in ('MANIFEST_LIMIT', 'UPLOAD_LIFETIME', 'SPARSE_MANIFESTS')
        for row in rows
        if row.startswith(f'``REGISTRY_{name}``')
    ]
    assert '     - 120 seconds\n' in settings_tables.driver_settings()
    assert '     - 16 MiB\n' in settings_tables.driver_settings()


def test_secrets_are_marked():
    for table in (settings_tables.registry_settings(), settings_tables.driver_settings()):
        assert [row for row in table.split('   * - ') if '_SECRET``' in row and '*(secret)*' in row]


def test_no_page_has_a_table_of_settings_that_nobody_generates():
    for path in [CHECKOUT / 'README.rst', *sorted((CHECKOUT / 'docs').glob('*.rst'))]:
        by_hand = re.sub(r'(?s)\.\. settings (\w+) begin\n.*?\.\. settings \1 end\n', '', path.read_text())
        name = '``(--|swift_|(OS|ST|SWIFT|REGISTRY|GUNICORN)_)[A-Za-z_-]+``'
        assert not re.search(f'(?m)^( +[*] - {name}$|{name} {{2}})', by_hand), path
