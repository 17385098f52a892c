"""The command `registry-swift fsck`: its output and its exit status."""

import json

import pytest

from registry_client import digest_of
from registry_process import environment, run

LAYER = b'a layer'


@pytest.fixture
def command(place):
    """A function that runs the command on the container of the test. It returns (exit status, standard output, standard error)."""
    environ = environment(place.server, OS_CONTAINER=place.container, REGISTRY_REPLICATION_CYCLE='0')
    return lambda *options, **more: run('fsck', *options, environ=dict(environ, **more))


def test_a_whole_registry(registry, command):
    registry.push_image('a', 'v1', LAYER)

    assert command('--sizes', '--deep') == (0, 'All images are whole.\n', '')


def test_tags_first_then_what_is_wrong_and_what_to_do(registry, command, container):
    registry.push_image('team/app', 'v1', LAYER)
    container.lose(container.layer('team/app', digest_of(LAYER)))

    code, output, errors = command()

    assert (code, errors) == (2, '')
    assert output.splitlines()[:2] == ['These tags cannot be pulled:', '  team/app:v1']
    assert digest_of(LAYER) in output and '--repair' in output
    assert output.splitlines()[-1] == 'Damaged: 1. Repaired: 0. Not known: 0. Tags that cannot be pulled: 1.'

    code, output, _ = command('--repair')

    assert code == 1
    assert output.splitlines()[0].startswith('repaired team/app: ')
    assert command()[0] == 0


def test_json(registry, command, container):
    registry.push_image('team/app', 'v1', LAYER)
    container.lose(container.layer('team/app', digest_of(LAYER)))

    code, output, _ = command('--json')

    document = json.loads(output)
    assert (code, document['status'], document['unpullable']) == (2, 2, ['team/app:v1'])
    (finding,) = document['findings']
    assert set(finding) == {'damage', 'what', 'digest', 'repository', 'tags', 'repaired', 'advice'}
    assert (finding['damage'], finding['repository'], finding['tags'], finding['repaired']) == (
        'layer link',
        'team/app',
        ['team/app:v1'],
        False,
    )


@pytest.mark.parametrize('place', ['fake'], indirect=True)
@pytest.mark.parametrize(
    'options, environ, why',
    [
        (['--repository', 'unknown'], {}, 'there is no repository unknown'),
        (['--from', 'https://registry.example.com'], {}, '--from needs --repair'),
        (['--repair', '--from', 'registry.example.com'], {}, 'must be the URL of a registry'),
        ([], {'OS_PASSWORD': 'wrong'}, 'OS_PASSWORD'),
        ([], {'OS_AUTH_URL': ''}, 'OS_AUTH_URL'),
    ],
)
def test_a_check_that_does_not_come_to_its_end_has_status_2(registry, command, options, environ, why):
    code, output, errors = command(*options, **environ)

    assert (code, output) == (2, '')
    assert why in errors and len(errors.splitlines()) == 1


@pytest.mark.parametrize('place', ['fake'], indirect=True)
@pytest.mark.parametrize('option', ['--max-requests-per-second', '--max-bytes-per-second'])
@pytest.mark.parametrize('value', ['0', '-1', 'many'])
def test_a_rate_is_more_than_nothing(command, option, value):
    code, _, errors = command(option, value)

    assert code == 2 and option in errors
