"""The bed itself: what tools/swift_cluster.py starts, and what tests tell it through tests/swift_cluster.py."""

import json
import os
import signal
import socket
import subprocess

import pytest

import swift_cluster
import swift_process
from cluster_client import wait_until

SERVERS = [*((kind, node) for kind in ('object', 'container', 'account') for node in (1, 2, 3, 4)), ('proxy', 1), ('memcached', 1)]


def port_of(cluster, kind, node):
    ports = cluster.ports[kind]
    return ports[node - 1] if isinstance(ports, list) else ports


def answers(port, seconds=60):
    """Whether a server answers in time, with whatever.  :raises ConnectionRefusedError: nothing listens"""
    with socket.create_connection(('127.0.0.1', port), timeout=seconds) as connection:
        connection.sendall(b'version\r\n\r\n')
        try:
            return bool(connection.recv(1))
        except TimeoutError:
            return False


@pytest.mark.parametrize('kind, node', SERVERS)
def test_a_server_can_be_killed_stopped_and_started(cluster, kind, node):
    port = port_of(cluster, kind, node)
    assert answers(port)

    cluster.kill(kind, node)
    with pytest.raises(ConnectionRefusedError):
        answers(port)

    cluster.start(kind, node)
    assert answers(port)

    cluster.stop(kind, node)
    assert not answers(port, 0.1)

    cluster.cont(kind, node)
    assert answers(port)


def test_without_a_number_all_servers_of_a_kind_are_meant(cluster):
    cluster.stop('account')
    assert {server for server, state in cluster.state().items() if state == 'stopped'} == {f'account {node}' for node in (1, 2, 3, 4)}


def test_a_node_is_its_three_servers(cluster):
    cluster.kill_node(2)
    assert {server for server, state in cluster.state().items() if state == 'dead'} == {'object 2', 'container 2', 'account 2'}

    cluster.start_node(2)

    assert set(cluster.state().values()) == {'running'}


def test_heal_lets_run_what_was_killed_and_what_was_stopped(cluster):
    cluster.kill('object', 1)
    cluster.stop('memcached')
    cluster.stop_node(3)

    cluster.heal()

    assert set(cluster.state().values()) == {'running'}


@pytest.mark.parametrize('order', [('kill', 'object', 9), ('kill', 'nonsense'), ('nonsense',), ('where',)])
def test_an_order_that_makes_no_sense_is_refused(cluster, order):
    with pytest.raises(swift_cluster.Error):
        cluster._command(*order)


def test_a_dead_server_cannot_be_continued(cluster):
    cluster.kill('object', 1)
    with pytest.raises(swift_cluster.Error, match='object 1 is dead'):
        cluster.cont('object', 1)


def test_memcached_that_is_dead_cannot_forget(cluster):
    cluster.kill('memcached')
    with pytest.raises(swift_cluster.Error, match='refused'):
        cluster.forget()


# -- its life


@pytest.fixture
def program(swift_python, tmp_path, monkeypatch):
    """Starts the program as a cluster of two nodes whose folder is below tmp_path.  Returns its process and what it said."""
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    started = []

    def run(*options):
        command = [swift_python, swift_process.NODE, '--nodes', '2', '--replicas', '2', *options]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1], json.loads(started[-1].stdout.readline() or '{}')

    yield run
    for process in started:
        process.kill()
        with process:
            pass


def alive(facts):
    """The servers that still run; a process that ended and still has its parent to be waited for does not."""
    return [pid for pid in facts['pids'] if os.path.exists(f'/proc/{pid}/exe')]


def order(process, *words):
    process.stdin.write(' '.join(words).encode() + b'\n')
    process.stdin.flush()
    return json.loads(process.stdout.readline())['result']


def silence_one(process):
    """Stop a server.  It then notices neither a signal, except SIGKILL, nor the end of its input."""
    order(process, 'stop', 'object', '1')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_no_server_and_no_folder(program, tmp_path, number):
    process, facts = program('--stdin')
    silence_one(process)
    assert len(alive(facts)) == 8

    process.send_signal(number)

    assert process.wait(60) == 0
    assert alive(facts) == [] and os.listdir(tmp_path) == []


def test_the_end_of_its_input_leaves_no_server_and_no_folder(program, tmp_path):
    process, facts = program('--stdin')
    silence_one(process)

    assert process.communicate(timeout=60) == (b'', b'')

    assert process.returncode == 0
    assert alive(facts) == [] and os.listdir(tmp_path) == []


def test_a_killed_program_takes_the_servers_with_it(program):
    process, facts = program('--stdin')
    silence_one(process)

    process.kill()

    wait_until(lambda: alive(facts) == [])


def test_a_server_that_ends_by_itself_is_dead_and_can_be_started(program):
    process, facts = program('--stdin')
    os.kill(facts['pids'][0], signal.SIGKILL)
    wait_until(lambda: 'dead' in order(process, 'state').values())

    order(process, 'heal')

    assert set(order(process, 'state').values()) == {'running'}


def test_without_stdin_it_runs_until_a_signal(program):
    process, facts = program()
    process.stdin.close()
    assert len(alive(facts)) == 8

    process.terminate()

    assert process.wait(60) == 0


@pytest.mark.parametrize(
    'options, why',
    [
        (['--replicas', '3'], b'3 replicas need at least as many nodes'),
        (['--data', 'x'], b'keep no data'),
        (['--keystone'], b'run no Keystone'),
        (['--set', 'DEFAULT:client_chunk_size=nonsense'], b'proxy 1 is dead'),
    ],
)
def test_what_cannot_be_started_says_why_and_leaves_nothing(program, tmp_path, options, why):
    process, _ = program(*options)

    assert why in process.communicate(timeout=60)[1]

    assert process.returncode == 1 and os.listdir(tmp_path) == []
