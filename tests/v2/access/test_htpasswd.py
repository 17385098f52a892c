"""The file of users: which lines are accepted, when the file is read again, and how much work a wrong password costs."""

import os
import shutil
import subprocess
import sys
import threading

import bcrypt
import pytest

from docker_registry.v2.access import htpasswd, watched
from docker_registry.v2.access.htpasswd import Users
from docker_registry.v2.access.keystone import Keystone
from docker_registry.v2.access.logins import Logins
from docker_registry.v2.access.outside import Server
from registry_process import until

CHEAP, DEAR = 4, 7


def line(name, password, cost=CHEAP):
    return name.encode() + b':' + htpasswd.make(password.encode(), cost) + b'\n'


@pytest.fixture
def path(tmp_path):
    (tmp_path / 'htpasswd').write_bytes(line('alice', 'correct horse') + line('bob', 'battery', DEAR))
    return tmp_path / 'htpasswd'


def rewrite(path, content):
    """Replace the file with one that was written long ago, so that it counts at once."""
    new = path.with_name('new')
    new.write_bytes(content)
    os.utime(new, (1000, 1000))
    new.rename(path)


@pytest.mark.parametrize(
    'name, password, right',
    [
        (b'alice', b'correct horse', True),
        (b'bob', b'battery', True),
        (b'alice', b'battery', False),
        (b'alice', b'', False),
        (b'carol', b'battery', False),
        (b'', b'', False),
        (b'alice', b'correct horse\0', False),
        (b'alice', b'x' * 500, False),
        (b'\xff', b'\xff', False),
    ],
)
def test_a_password_is_its_users(path, name, password, right):
    assert (Users(str(path)).check(name, password) is not None) is right


@pytest.mark.parametrize('name', [b'bob', b'nobody'])
def test_a_wrong_password_is_hashed_wherever_the_file_stands_among_the_logins(path, name):
    hashed = []
    users = Users(str(path), lambda call, *arguments: hashed.append(call) or call(*arguments))
    keystone = Keystone(Server('http://127.0.0.1:1', 'OS_AUTH_URL'))  # which is not asked: the name is not of its form
    del hashed[:]

    assert Logins([keystone, users], 10).check(name, b'wrong', '192.0.2.7') is None
    assert len(hashed) == 1


@pytest.mark.parametrize('prefix', [b'$2a$', b'$2b$', b'$2y$'])
def test_every_name_of_bcrypt_is_known(tmp_path, prefix):
    (tmp_path / 'htpasswd').write_bytes(line('alice', 'secret').replace(b'$2y$', prefix))

    assert Users(str(tmp_path / 'htpasswd')).check(b'alice', b'secret')


def test_a_file_of_apaches_own_htpasswd(tmp_path):
    program = shutil.which('htpasswd')
    if not program:
        required = {'all', 'htpasswd'} & set(os.environ.get('REGISTRY_TEST_REQUIRE', '').split(','))
        (pytest.fail if required else pytest.skip)('no htpasswd (apache2-utils)')
    path = str(tmp_path / 'htpasswd')
    subprocess.run([program, '-cbB', path, 'alice', 'secret'], check=True, capture_output=True)
    subprocess.run([program, '-bBC', '6', path, 'bob', 'x' * 72], check=True, capture_output=True)

    users = Users(path)
    assert users.check(b'alice', b'secret') and users.check(b'bob', b'x' * 72) and not users.check(b'bob', b'secret')


def test_apaches_own_htpasswd_knows_what_we_make(tmp_path):
    program = shutil.which('htpasswd') or pytest.skip('see the test above')
    (tmp_path / 'htpasswd').write_text(htpasswd.line('alice', 'secret') + '\n')

    assert subprocess.run([program, '-vb', tmp_path / 'htpasswd', 'alice', 'secret'], capture_output=True).returncode == 0


def test_comments_and_empty_lines_are_none_of_users(tmp_path):
    (tmp_path / 'htpasswd').write_bytes(b'# users\n\n' + line('alice', 'secret').replace(b'\n', b'\r\n'))

    assert Users(str(tmp_path / 'htpasswd')).check(b'alice', b'secret')


@pytest.mark.parametrize(
    'content, says',
    [
        (b'', 'has no users'),
        (b'# nobody\n', 'has no users'),
        (b'alice:$apr1$JI2ZZ$7yz.ZHTZ0t7wMd6Pa5Zlq/\n', 'line 1'),
        (line('alice', 'x') + b'bob:secret\n', 'line 2'),
        (line('alice', 'x') * 2, 'line 2'),
        (b'no colon\n', 'line 1'),
        (line('alice', 'x').replace(b'$04$', b'$13$'), 'cost'),
        (line('alice', 'x')[:-5], 'line 1'),
        (line('a', 'x').replace(b'a:', b'\xff:'), 'UTF-8'),
        (b'alice:$2y$04$' + b'a' * 53, 'line 1'),
    ],
    ids=['empty', 'comment', 'md5', 'plain', 'twice', 'no-colon', 'cost', 'short', 'latin1', 'salt'],
)
def test_a_file_that_is_wrong_is_said_and_not_quoted(tmp_path, content, says):
    (tmp_path / 'htpasswd').write_bytes(content)
    with pytest.raises(htpasswd.Broken, match=says) as caught:
        Users(str(tmp_path / 'htpasswd'))

    assert 'secret' not in str(caught.value) and '$' not in str(caught.value)


def test_a_change_counts_at_once(path):
    users = Users(str(path))
    assert users.check(b'alice', b'correct horse')
    rewrite(path, line('alice', 'another') + line('carol', 'new'))

    assert users.check(b'carol', b'new') and users.check(b'alice', b'another')
    assert not users.recall(b'alice', b'correct horse') and not users.check(b'alice', b'correct horse')
    assert users.hash_of(b'bob') is None


def test_a_file_written_in_place_counts_once_it_has_settled(path, monkeypatch):
    users = Users(str(path))
    with monkeypatch.context() as patch:
        patch.setattr(watched, 'SETTLED_SECONDS', 3600)  # for as long as it takes to ask
        path.write_bytes(b'')  # Apache's htpasswd empties the file before it writes the new lines
        assert users.check(b'alice', b'correct horse')
        path.write_bytes(line('carol', 'new'))
        assert users.check(b'alice', b'correct horse')

    until(lambda: users.check(b'carol', b'new'))
    assert not users.check(b'alice', b'correct horse')


@pytest.mark.parametrize('content', [b'alice:plain\n', None])
def test_while_the_file_cannot_be_used_nobody_can_be_looked_up(path, caplog, content):
    users, before = Users(str(path)), path.read_bytes()
    assert users.check(b'alice', b'correct horse')
    if content is None:
        path.unlink()
    else:
        rewrite(path, content)

    for _ in range(2):
        with pytest.raises(htpasswd.Broken):
            users.recall(b'alice', b'correct horse')
    assert len([record for record in caplog.records if 'until you correct the file of users' in record.getMessage()]) == 1
    rewrite(path, before)
    assert users.recall(b'alice', b'correct horse')


def test_a_change_counts_that_leaves_the_time_and_the_size_as_they_were(path):
    users, new = Users(str(path)), line('alice', 'another')
    rewrite(path, new.replace(b':', b' ', 1))
    with pytest.raises(htpasswd.Broken):
        users.hash_of(b'alice')
    path.write_bytes(new)
    os.utime(path, (1000, 1000))

    assert users.check(b'alice', b'another')


def test_nobody_is_in_a_file_that_was_emptied(path):
    users = Users(str(path))
    rewrite(path, b'')

    assert not users.check(b'alice', b'correct horse')


def test_a_right_password_is_hashed_once(path, monkeypatch):
    users = Users(str(path))
    assert not users.recall(b'alice', b'correct horse')
    assert users.check(b'alice', b'correct horse')

    assert users.recall(b'alice', b'correct horse')
    assert not users.recall(b'alice', b'correct hors') and not users.recall(b'bob', b'correct horse')
    users.check(b'alice', b'wrong')
    assert not users.recall(b'alice', b'wrong')


@pytest.mark.parametrize(
    'name, password', [(b'alice', b'wrong'), (b'alice', b'correct horse'), (b'bob', b'wrong'), (b'nobody', b'wrong'), (b'', b'')]
)
def test_every_login_costs_the_same_work(path, monkeypatch, name, password):
    """A login takes the same number of bcrypt rounds for a known or unknown user, a low or high cost, a right or wrong password."""
    users, rounds = Users(str(path)), []

    def counted(call):
        def count(password, other):
            rounds.append(2 ** int(other[4:6]))
            return call(password, other)

        monkeypatch.setattr(bcrypt, call.__name__, count)

    counted(bcrypt.checkpw)
    counted(bcrypt.hashpw)
    users.check(name, password)

    assert sum(rounds) == 2**DEAR


def test_a_server_may_let_another_thread_hash(path):
    """Everything that hashes: checks, and what is compared with the passwords of unknown users, which a changed file makes anew."""
    ran = []

    def run(call, *arguments):
        ran.append(call.__name__)
        return call(*arguments)

    users = Users(str(path), run)
    assert users.check(b'alice', b'correct horse') and not users.check(b'nobody', b'x')
    rewrite(path, line('carol', 'new'))
    assert users.check(b'carol', b'new')

    assert ran == ['make', '_is_right', '_is_right', 'make', '_is_right']


@pytest.fixture
def switching_often():
    """Make Python switch between threads very often, to provoke races."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_those_who_ask_while_the_file_is_read_again_get_an_answer(path, switching_often):
    users, done, errors = Users(str(path)), threading.Event(), []

    def ask():
        while not done.is_set():
            try:
                assert users.hash_of(b'bob')
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(100):
        rewrite(path, line('bob', 'battery') + line('user-%d' % number, 'x'))
        assert users.hash_of(b'user-%d' % number)
    done.set()
    for thread in threads:
        thread.join()

    assert errors == []
