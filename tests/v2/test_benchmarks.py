"""The table of `make bench`, and what benchmarks/README.rst says of its parts."""

import ast
import importlib.util
import pathlib
import re

import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / 'benchmarks'


@pytest.fixture(scope='module')
def report():
    specification = importlib.util.spec_from_file_location('report', BENCHMARKS / 'report.py')
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_row_has_the_median_of_the_ratios_and_their_spread(report):
    row = report.Row('storms', 'one', [10, 30, 20], [10, 10, 40], '/s', 'distribution')
    shown = dict(zip(report.TITLES, row.cells()))
    assert [shown[title] for title in ('ours', 'peer', 'ratio', 'spread')] == ['20', '10', '1.00', '0.50-3.00']


@pytest.mark.parametrize(
    'goal, is_met',
    [('ratio <= 1.3', True), ('ratio >= 1.3', False), ('ours >= 1000', True), ('ours <= 999.9', False), ('ours <= 1000', True)],
)
def test_a_goal_that_is_missed_is_marked(report, goal, is_met):
    row = report.Row('uploads', 'one', [1000, 1000], [900, 900], goal=goal)
    assert row.cells()[report.TITLES.index('goal')] == f'{goal}: {"met" if is_met else "MISSED"}'


def test_a_row_without_a_peer_has_no_ratio(report):
    assert 'inf' not in report.table([report.Row('scale', 'all tags', [0.5, 0.7])])


def parts():
    return ast.literal_eval(re.search(r'^PARTS = (.*)$', (BENCHMARKS / '__main__.py').read_text(), re.MULTILINE)[1])


@pytest.mark.parametrize('part', parts())
def test_each_part_is_a_module_with_rows_and_described(part):
    readme = (BENCHMARKS / 'README.rst').read_text()
    assert f'\nPart ``{part}``\n' in readme and f'\n``{part}`` ' in readme
    assert re.search(r'^def rows\(options\):$', (BENCHMARKS / f'{part}.py').read_text(), re.MULTILINE)
