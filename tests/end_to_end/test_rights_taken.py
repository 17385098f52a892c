"""Who loses a right loses it within two seconds, in all processes of all instances, with a password and with a token.

Two instances of two workers each have the same file of rules and the same file of users. Requests go on all the time, each on a new
connection, so that every worker gets some.
"""

import os
import threading
import time

import pytest
import requests

import clients
import conftest
import images
from clients import BASIC
from docker_registry.v2.access import htpasswd
from servers import PATIENCE, wait_until

SECONDS = 2  # after which no request that begins gets in
ANSWERS = 10  # of each kind that are awaited then
EVERY = 0.02  # seconds between two requests

GIVEN = 'allow  alice  pull,push  team/**\n'
TAKEN = 'allow  bob    pull,push  team/**\n'
BLOB = b'a layer'
USERS = ''.join(htpasswd.line(name, 'correct horse', htpasswd.LEAST_COST) + '\n' for name in ('alice', 'bob'))


class Asking(threading.Thread):
    """Sends one request again and again. `answers` has, for each, when it began and the status.

    :param send: sends a request and returns its response
    """

    def __init__(self, send):
        super().__init__(daemon=True)
        self._send, self._stopping, self.answers = send, threading.Event(), []

    def run(self):
        while not self._stopping.wait(EVERY):
            began = time.monotonic()
            self.answers.append((began, self._send().status_code))

    def since(self, moment):
        """Return the statuses of requests that began after a moment."""
        return [status for began, status in self.answers if began > moment]

    def first(self, statuses, moment):
        """Return when the first request began, after a moment, that got one of these."""
        return min(began for began, status in self.answers if began > moment and status in statuses)

    def stop(self):
        self._stopping.set()
        self.join()


class Instances:
    """Two instances, and the files that they share."""

    def __init__(self, place):
        self.rules, self.users = os.path.join(place.folder, 'rules'), os.path.join(place.folder, 'htpasswd')
        for path, text in ((self.rules, GIVEN), (self.users, USERS)):
            with open(path, 'w') as file:
                file.write(text)
        self.servers = [place.registry(REGISTRY_RULES=self.rules, REGISTRY_HTPASSWD=self.users) for _ in range(2)]

    def give(self):
        """Let alice do everything again, and return the headers of her requests, by the kind of credentials."""
        before = [self.readings(path) for path in (self.rules, self.users)]
        replace(self.rules, GIVEN)
        replace(self.users, USERS)
        for server in self.servers:
            wait_until(lambda server=server: all(pull(server, BASIC).status_code == 200 for _ in range(10)), 'alice may pull again')
        for path, counts in zip((self.rules, self.users), before):
            self.wait_until_read(path, counts)
        scope = {'scope': 'repository:team/app:pull,push'}
        answer = requests.get(self.servers[0].url + '/v2/token', params=scope, headers=BASIC, timeout=PATIENCE)
        return {'password': BASIC, 'token': {'Authorization': 'Bearer ' + answer.json()['token']}}

    def readings(self, path):
        """Return how often each instance has read a changed file."""
        return [server.log.count('%s has changed and was read again' % path) for server in self.servers]

    def wait_until_read(self, path, before):
        """Wait until both workers of each instance have read a file that has changed once since there were so many readings."""

        def are_read():
            for server in self.servers:
                pull(server, BASIC)
            return all(count >= earlier + 2 for count, earlier in zip(self.readings(path), before))

        wait_until(are_read, 'both workers have read %s' % path)


def pull(server, headers):
    return requests.get(server.url + '/v2/team/app/manifests/v1', headers={**headers, 'Accept': images.OCI.manifest}, timeout=PATIENCE)


def push(server, headers):
    path = '/v2/team/app/blobs/uploads/?digest=' + images.digest_of(BLOB)
    return requests.post(server.url + path, BLOB, headers=headers, timeout=PATIENCE)


def replace(path, text):
    """Put a new file in the place of an old one."""
    with open(path + '.new', 'w') as file:
        file.write(text)
    os.rename(path + '.new', path)


def write_in_place(path, text):
    with open(path, 'w') as file:
        file.write(text)


@pytest.fixture(scope='module')
def instances(swift, tmp_path_factory):
    with conftest.placed(str(tmp_path_factory.mktemp('rights')), swift) as place:
        made = Instances(place)
        image = images.make_image(os.path.join(place.folder, 'image'), (10,))
        clients.Skopeo(place.folder).push(image, made.servers[0], 'team/app:v1', '--dest-creds', clients.ALICE)
        yield made


@pytest.fixture
def asking(instances):
    """{(number of the instance, credentials, what is done): `Asking`}, all of them successful when the test begins."""
    credentials = instances.give()
    made = {
        (number, kind, do.__name__): Asking(lambda server=server, do=do, headers=headers: do(server, headers))
        for number, server in enumerate(instances.servers)
        for kind, headers in credentials.items()
        for do in (pull, push)
    }
    for one in made.values():
        one.start()
    wait_until(lambda: all(len(one.answers) > 5 for one in made.values()), 'requests are going on')
    yield made
    for one in made.values():
        one.stop()


def assert_all_get(asking, statuses, changed):
    """No request that began later than `SECONDS` after the change gets anything but these. Print how long that took, for each kind."""
    late = changed + SECONDS
    wait_until(lambda: all(len(one.since(late)) >= ANSWERS for one in asking.values()), 'requests that began later have their answers')
    for name, one in asking.items():
        assert set(one.since(late)) <= set(statuses), name
        print('%s: %.2f s' % (name, one.first(statuses, changed) - changed))


@pytest.mark.parametrize('write', [replace, write_in_place])
def test_a_right_that_rules_take_is_gone_within_two_seconds(instances, asking, write):
    before = instances.readings(instances.rules)
    assert all({status for _, status in one.answers} <= {200, 201} for one in asking.values())
    write(instances.rules, TAKEN)

    assert_all_get(asking, {403}, time.monotonic())
    instances.wait_until_read(instances.rules, before)
    assert [count + 2 for count in before] == instances.readings(instances.rules)


def test_a_user_who_is_removed_is_gone_within_two_seconds(instances, asking):
    replace(instances.users, USERS.splitlines(True)[1])

    assert_all_get(asking, {401}, time.monotonic())


def test_nobody_gets_in_while_the_rules_are_broken(instances, asking):
    replace(instances.rules, GIVEN + 'allow  alice  everything  team/**\n')
    broken = time.monotonic()
    assert_all_get(asking, {503}, broken)
    for server in instances.servers:
        assert requests.get(server.url + '/healthz', timeout=PATIENCE).status_code == 200
        assert requests.get(server.url + '/readyz', timeout=PATIENCE).status_code == 200
        assert "%s, line 2: 'everything'" % instances.rules in server.log
    replace(instances.rules, GIVEN)

    assert_all_get(asking, {200, 201}, time.monotonic())
