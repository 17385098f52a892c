"""docs/rules.rst: its example is right, and the command says what the page shows."""

import datetime
import pathlib
import re
import shlex
import textwrap

import pytest

from access_client import LAYER, basic, bearer, token
from docker_registry.v2 import cli
from docker_registry.v2.access import rule_lines, rule_words
from docker_registry.v2.access.htpasswd import make
from docker_registry.v2.cli import ruling
from docker_registry.v2.registry import formats
from docker_registry.v2.settings.config import Access
from registry_client import as_json, image

PAGE = (pathlib.Path(__file__).parents[3] / 'docs' / 'rules.rst').read_text(encoding='utf-8')
RULES = textwrap.dedent(re.search(r"cat > rules <<'END'\n(.*?)\n    END", PAGE, re.DOTALL)[1]) + '\n'
#: Each command of the page with what it prints.
SHOWN = re.findall(r'^    \$ registry-swift (rules .*)\n((?:    [^$\n].*\n)+)', PAGE, re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / 'rules').write_text(RULES)
    (tmp_path / 'htpasswd').write_bytes(b''.join(b'%b:%b\n' % (name, make(name, 4)) for name in (b'alice', b'bob', b'robot')))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ruling, '_today', lambda: datetime.date(2026, 1, 1))


@pytest.mark.parametrize('command, output', SHOWN)
def test_a_command_prints_what_the_page_shows(folder, capsys, command, output):
    assert cli.main(shlex.split(command)) == 0
    assert capsys.readouterr().out == textwrap.dedent(output)


def test_the_page_shows_a_check_and_some_questions():
    assert [command.split()[1] for command, _ in SHOWN] == ['--check', 'rules', 'rules']


def test_the_lines_in_the_text_are_right():
    lines = re.findall(r'^ +((?:allow|deny) .*)$', PAGE, re.MULTILINE)

    assert len(lines) >= 8 and not rule_lines.parse('\n'.join([*lines, 'group red = a', 'group blue = b'])).errors


def test_the_page_has_every_kind_of_line_word_and_right():
    assert all(f'``{form}``' in PAGE for form in rule_lines.FORMS.values())
    assert all(f'\n``{kind}:{form}``  ' in PAGE for kind, forms in rule_words.KINDS.items() for form in forms)
    assert all(f'\n``{action}``  ' in PAGE for action in rule_words.ACTIONS)


def test_the_registry_does_what_the_page_says_of_the_example(folder, fake_place, tmp_path):
    whole = fake_place.registry()
    for repository in ('red/app', 'blue/app', 'public/tool'):
        whole.push_image(repository, 'base', LAYER)
    registry = fake_place.registry(Access(htpasswd=str(tmp_path / 'htpasswd'), rules=str(tmp_path / 'rules')))

    def push(name, path, comment):
        content = as_json(image(b'{}', LAYER, annotations={'comment': comment}))
        fields = {**basic(name, name), 'Content-Type': formats.OCI_IMAGE}
        return registry('PUT', f'/v2/{path}', content, headers=fields).status_code

    assert [push('robot', 'red/app/manifests/v1', comment) for comment in 'aab'] == [201, 201, 403]
    assert [push('robot', 'red/app/manifests/latest', comment) for comment in 'ab'] == [201, 201]
    assert push('robot', 'blue/app/manifests/v1', 'a') == push('alice', 'blue/app/manifests/v1', 'a') == 403
    for name in ('robot', 'alice'):  # who could then push another image as v1
        assert registry('DELETE', '/v2/red/app/manifests/v1', headers=basic(name, name)).status_code == 403
    for path, status in (('public/tool', 200), ('red/app', 401)):
        anonymous = bearer(token(registry, f'repository:{path}:pull'))
        assert registry('GET', f'/v2/{path}/manifests/base', headers=anonymous).status_code == status
