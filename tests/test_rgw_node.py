"""The real Ceph RADOS Gateway that other tests run on: tools/rgw_node.py, as a program."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

import conftest
import swift_process
from docker_registry.drivers import swift

pytestmark = pytest.mark.usefixtures('ceph_programs')


def fetch(method, url, body=None, **headers):
    """Status, headers and body of the answer, whatever the status."""
    named = {name.replace('_', '-'): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, named, method=method), timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def daemons_of(pid):
    """Ids of the running processes that this one started."""
    with open('/proc/%d/task/%d/children' % (pid, pid)) as children:
        return [int(word) for word in children.read().split()]


def is_running(pid):
    try:
        with open('/proc/%d/stat' % pid) as stat:
            return stat.read().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'still not so after %d seconds' % seconds
        time.sleep(0.01)


FORMS = {
    '/swift/v1': [],
    '/swift/v1/AUTH_ours': ['rgw swift account in url=true'],
    '/v1/AUTH_ours': ['rgw swift account in url=true', 'rgw swift url prefix=/', 'rgw enable apis=swift,swift_auth'],
}


@pytest.fixture(scope='module', params=FORMS)
def ceph(request, ceph_programs):
    """A node, for each form of its storage URL."""
    with swift_process.start_ceph(user='ours:me', key='secret', set=FORMS[request.param]) as node:
        assert node.storage_url.endswith(request.param)
        yield node


def test_whoever_logs_in_can_store_an_object(ceph):
    status, headers, _ = fetch('GET', ceph.auth_url, X_Auth_User='ours:me', X_Auth_Key='secret')
    assert status // 100 == 2
    url, token = headers['X-Storage-Url'], headers['X-Auth-Token']
    assert url == ceph.storage_url
    assert fetch('PUT', url + '/container', X_Auth_Token=token)[0] == 201
    assert fetch('PUT', url + '/container/o', b'bytes', X_Auth_Token=token)[0] == 201
    assert fetch('GET', url + '/container/o', X_Auth_Token=token)[2] == b'bytes'


def test_the_driver_finds_info_and_signs_redirects_with_each_form_of_storage_url(ceph):
    signing = {'swift_temp_url_key': 'signs', 'swift_temp_url_set_key': 'account'}
    storage = swift.Storage(config=conftest.settings_for(ceph, swift_container='signed', **signing))
    storage.put_content('odd +%\xfc', b'signed for')

    assert storage.info()['swift']['version'] == ceph.version
    assert fetch('GET', storage.content_redirect_url('odd +%\xfc'))[2] == b'signed for'
    storage.remove('odd +%\xfc')
    assert fetch('GET', storage.content_redirect_url('odd +%\xfc'))[0] == 404


def test_when_its_standard_input_ends_nothing_of_it_is_left():
    ceph = swift_process.start_ceph()
    folder, daemons = os.path.dirname(ceph.rgw_log), daemons_of(ceph.pid)
    assert len(daemons) == 3 and all(map(is_running, daemons))

    ceph.stop()
    assert not any(map(is_running, daemons))
    assert not os.path.exists(folder)


def test_it_ends_by_itself_after_its_life():
    ceph = swift_process.start_ceph(life=0.1)
    daemons = daemons_of(ceph.pid)

    assert ceph.process.wait(60) == 0
    assert not any(map(is_running, daemons))
    ceph.stop()


def test_if_it_is_killed_its_daemons_are_killed():
    ceph = swift_process.start_ceph()
    folder, daemons = os.path.dirname(ceph.rgw_log), daemons_of(ceph.pid)

    os.kill(ceph.pid, signal.SIGKILL)
    ceph.stop()
    wait_until(lambda: not any(map(is_running, daemons)))
    shutil.rmtree(folder)


def test_if_a_daemon_ends_it_says_which_and_stops():
    with swift_process.start_ceph() as ceph:
        daemons = daemons_of(ceph.pid)
        os.kill(daemons[-1], signal.SIGKILL)

        assert ceph.process.wait(60) == 1
        assert not any(map(is_running, daemons))


def test_a_wrong_setting_is_an_error_with_the_log_of_the_gateway():
    with pytest.raises(RuntimeError, match='client.rgw ended with status'):
        swift_process.start_ceph(set='rgw swift url prefix=/')


def test_without_ceph_it_names_the_packages():
    done = subprocess.run([sys.executable, swift_process.CEPH_NODE], env={'PATH': ''}, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert 'radosgw' in done.stderr and 'apt-get install' in done.stderr
