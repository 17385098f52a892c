"""README, "Two teams and a robot": somebody types its commands into two terminals, and sees what README shows."""

import os
import re
import sys

import pytest
import requests

import bases
import conftest
from ports import free_port
from servers import CLEAN, PATIENCE
from terminals import Terminal

PASSWORDS = {'alice': 'correct horse', 'bob': 'battery staple'}


def blocks():
    """Return the console blocks of the section. A block is a list of [command, what README shows of its output]."""
    with open(os.path.join(bases.CHECKOUT, 'README.rst')) as file:
        section = file.read().split('Two teams and a robot\n=====================\n')[1].split('\n====')[0]
    return [commands(block) for block in re.findall(r'(?m)^\.\. code-block:: console\n\n((?: {4}.*\n)+)', section)]


def commands(block):
    found = []
    for line in (line[4:] for line in block.splitlines()):
        if line.startswith('$ '):
            found.append([line[2:], ''])
        elif "<<'END'" in found[-1][0] and not found[-1][0].endswith('\nEND'):
            found[-1][0] += '\n' + line
        else:
            found[-1][1] += line + '\n'
    return found


@pytest.fixture
def terminal(place, docker, new_folder):
    """A function that opens a terminal in a folder, on a machine whose user has an account on the Swift."""
    conftest.need('registry-swift')
    opened, port = [], free_port()
    account = {
        'OS_AUTH_URL': place.swift.auth_url,
        'OS_AUTH_VERSION': '1',
        'OS_USERNAME': place.swift.user,
        'OS_PASSWORD': place.swift.key,
        'OS_CONTAINER': place.container,
        'REGISTRY_PORT': str(port),
    }
    environment = {**{name: os.environ[name] for name in CLEAN if name in os.environ}, **docker.environment, **account}
    environment['PATH'] = os.path.dirname(sys.executable) + os.pathsep + environment['PATH']

    def terminal(folder):
        opened.append(Terminal(folder, environment))
        return opened[-1]

    terminal.address = '127.0.0.1:%d' % port
    yield terminal
    for each in opened:
        print(each.said)
        each.close()
    docker.run('logout', terminal.address)


def test_who_types_it_has_a_registry_for_two_teams_and_a_robot(docker, terminal, hello, new_folder):
    docker('tag', hello[0], 'busybox')
    folder = new_folder()
    os.mkdir(folder)
    (*first, (serve, _)), second = blocks()
    server, other = terminal(folder), terminal(folder)

    for command, shown in first:
        said = server.type(command, PASSWORDS.get(command.split()[2]))
        assert said == shown or not shown
        if '--random' in command:
            PASSWORDS['robot'] = said.strip()
    assert 'listening on' in server.type(serve, ready='listening on')
    for command, _ in second:
        said = other.type(command.replace('127.0.0.1:5000', terminal.address), PASSWORDS['robot'])
    assert re.search('v1: digest: sha256:[0-9a-f]{64} size: [0-9]+', said)

    assert ask(terminal, 'GET', 'bob') == 200
    assert [ask(terminal, 'DELETE', name) for name in ('robot', 'alice', 'bob')] == [403] * 3
    assert ask(terminal, 'PUT', 'alice') == 403
    assert ask(terminal, 'GET') == 401
    docker('image', 'rm', 'busybox', terminal.address + '/red/app:v1')


def ask(terminal, method, name=None):
    """Return the status of a request for the image that was pushed. A PUT would change it."""
    login = (name, PASSWORDS[name]) if name else None
    headers = {'Content-Type': 'application/vnd.oci.image.index.v1+json', 'Accept': '*/*'}
    url, empty = 'http://%s/v2/red/app/manifests/v1' % terminal.address, '{"schemaVersion": 2, "manifests": []}'
    return requests.request(method, url, data=empty if method == 'PUT' else None, auth=login, headers=headers, timeout=PATIENCE).status_code
