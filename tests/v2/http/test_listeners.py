"""How events reach a listener that fails, hangs, goes away and comes back."""

import contextlib
import logging
import random
import signal
import socket
import threading
import time

import pytest

from access_client import replace
from docker_registry.v2.access.watched import Broken
from docker_registry.v2.http import listeners
from docker_registry.v2.settings.config import read
from docker_registry.v2.settings.notifications import Notifications
from event_listener import EventListener
from registry_client import digest_of
from registry_process import Serving, changed, environment, run, until
from tls import make_certificate


def at_once(seconds, call, *arguments):
    return call(*arguments)


@pytest.fixture
def listener():
    with EventListener() as listener:
        yield listener


@pytest.fixture
def queue(listener, monkeypatch):
    """A function that makes the queue of a process for `listener`, with other settings if given."""
    monkeypatch.setattr(listeners, 'FIRST_PAUSE', 0.02)
    made = []

    def queue(url='', **settings):
        given = {f'notifications_{name}': value for name, value in {'timeout': 30, **settings}.items()}
        made.append(listeners.Listener(url or listener.url, Notifications(**given), at_once))
        return made[-1]

    yield queue
    for one in made:
        one.drain(0)
    listener.healthy()  # it lets go of what hangs
    threads = {f'notifications for {one}' for one in made}
    until(lambda: not threads & {thread.name for thread in threading.enumerate()})  # until each has closed its connection


def add(queue, *ids):
    for one in ids:
        queue.add(b'{"events": [{"id": "%d"}]}' % one)


def ids(listener):
    return [int(event['id']) for event in listener.accepted]


class TestDelivery:
    @pytest.mark.parametrize('trouble', [[500], [503, 503, 503], [404], [429], ['hang'], ['cut'], [500, 'hang', 502]], ids=str)
    def test_events_arrive_in_order_once_the_listener_accepts_them(self, queue, listener, trouble):
        listener.answer(*trouble)
        add(queue(timeout=4 if 'hang' in trouble else 30), *range(5))
        listener.wait_for(5)

        assert ids(listener) == [0, 1, 2, 3, 4]
        assert len(listener.posts) == 5 + len(trouble)

    def test_events_wait_for_a_listener_that_is_away(self, queue, listener):
        listener.go_away()
        one = queue()
        add(one, *range(3))
        until(lambda: one.failures > 1)
        listener.come_back()
        listener.wait_for(3)

        assert ids(listener) == [0, 1, 2] and until(lambda: one.pending == 0) is True

    def test_adding_never_waits(self, queue, listener):
        listener.answer('hang')
        one = queue(timeout=300)
        add(one, 0)
        until(lambda: listener.posts)
        began = time.monotonic()
        add(one, *range(1, 1000))

        assert time.monotonic() - began < 30 and one.pending == 1000  # the listener hangs for 300 seconds

    def test_what_a_listener_refuses_is_dropped_and_holds_up_nothing(self, queue, listener, caplog):
        listener.answer(400)
        add(queue(), 0, 1)
        listener.wait_for(1)

        assert ids(listener) == [1] and 'refuses a notification with status 400' in caplog.text

    def test_listeners_do_not_wait_for_each_other(self, queue, listener):
        with EventListener() as other:
            listener.answer('hang')
            for one in (queue(timeout=300), queue(other.url)):
                add(one, *range(3))
            other.wait_for(3)

            assert ids(other) == [0, 1, 2] and ids(listener) == []

    def test_a_303_means_that_it_arrived(self, queue, listener):
        listener.answer(303, Location='/elsewhere')
        add(queue(), 0, 1)
        listener.wait_for(1)

        assert ids(listener) == [1] and len(listener.posts) == 2

    def test_a_large_response_does_no_harm(self, queue, listener):
        listener.answer(200, **{'Content-Length': str(10**12)})
        add(queue(timeout=1), 0, 1)
        until(lambda: 1 in ids(listener))

        assert set(ids(listener)) == {0, 1}  # a listener that is slow gets an event again after the timeout


class TestBounds:
    def test_the_oldest_that_is_not_being_sent_is_dropped(self, queue, listener, caplog):
        listener.answer('hang')
        one = queue(queue=5, timeout=300)
        add(one, 0)
        until(lambda: listener.posts)
        add(one, *range(1, 20))
        assert one.pending == 5
        listener.answer(500)  # the event that hangs is sent again
        listener.healthy()
        listener.wait_for(5)

        assert ids(listener) == [0, 16, 17, 18, 19]
        until(lambda: '15 notifications for 127.0.0.1' in caplog.text)

    def test_a_queue_of_one_keeps_the_newest(self, queue, listener):
        listener.go_away()
        one = queue(queue=1)
        add(one, *range(10))
        assert one.pending == 1
        listener.come_back()
        until(lambda: ids(listener)[-1:] == [9])

        assert len(ids(listener)) <= 2  # another may have been on its way

    def test_what_was_dropped_is_said_at_the_end_if_not_before(self, queue, listener, caplog):
        listener.answer('hang')
        one = queue(queue=5, timeout=300)
        add(one, *range(20))
        one.drain(0)

        assert f'15 notifications for {one} were dropped, because 5 others wait' in caplog.text

    def test_pauses_grow_up_to_the_longest(self, queue, listener, monkeypatch):
        monkeypatch.setattr(listeners, 'FIRST_PAUSE', 0.5)
        monkeypatch.setattr(listeners.JITTER, 'uniform', lambda *_: 1)
        one = queue(backoff=3)

        assert [one.pause(failures) for failures in (1, 2, 3, 4, 1000)] == [0.5, 1, 2, 3, 3]

    def test_pauses_differ_between_processes_with_the_same_random_numbers(self, queue):
        one, pauses = queue(backoff=3), []
        for _ in range(2):
            random.seed(1)
            pauses.append([one.pause(failures) for failures in range(1, 6)])

        assert pauses[0] != pauses[1]


class TestLog:
    def test_one_line_for_an_outage_and_one_for_its_end(self, queue, listener, caplog):
        caplog.set_level(logging.INFO)
        listener.answer(500, 500, 500)
        add(queue(), 0)  # one: of more, the first may be tried before the others wait
        listener.wait_for(1)
        until(lambda: 'again' in caplog.text)

        where = f'127.0.0.1:{listener.port}'
        assert [record.getMessage() for record in caplog.records if record.name == listeners.logger.name] == [
            f'{where} does not accept notifications: status 500; 1 wait',
            f'{where} accepts notifications again; 0 wait',
        ]

    @pytest.mark.parametrize('host, why', [('listener.invalid', 'NameResolutionError'), ('127.0.0.1', 'NewConnectionError')])
    def test_it_tells_a_name_that_is_unknown_from_a_port_that_nobody_listens_on(self, queue, listener, caplog, host, why):
        listener.go_away()
        add(queue(f'http://{host}:{listener.port}/'), 0)

        until(lambda: f'{host}:{listener.port} does not accept notifications: ConnectionError ({why}); 1 wait' in caplog.text)

    @pytest.mark.parametrize('trouble', [[500], ['hang'], [302], 'away'], ids=str)
    def test_no_secret_of_the_url_or_the_file_is_in_it(self, queue, listener, tmp_path, caplog, trouble):
        caplog.set_level(logging.DEBUG, 'docker_registry')
        (tmp_path / 'headers').write_text('Authorization: Bearer s3cr3t\n')
        if trouble == 'away':
            listener.go_away()
        else:
            listener.answer(*trouble, Location='http://127.0.0.1/s3cr3t')
        url = f'http://s3cr3t:s3cr3t@127.0.0.1:{listener.port}/s3cr3t?token=s3cr3t'
        one = queue(url, headers_file=str(tmp_path / 'headers'), timeout=1)
        add(one, 0)
        until(lambda: 'does not accept notifications' in caplog.text)

        assert 's3cr3t' not in caplog.text.replace(str(tmp_path), '') + str(one) + repr(one)


class TestHeaders:
    def test_those_of_the_file_are_sent_and_read_again_when_it_changes(self, queue, listener, tmp_path):
        path = tmp_path / 'headers'
        path.write_text('# a listener\nAuthorization: Bearer one\n\nX-Other:  two words \n')
        one = queue(headers_file=str(path))
        add(one, 0)
        listener.wait_for(1)
        replace(path, b'Authorization: Bearer three\n')
        add(one, 1)
        listener.wait_for(2)

        sent = [(post.headers['Authorization'], post.headers['X-Other']) for post in listener.posts]
        assert sent == [('Bearer one', 'two words'), ('Bearer three', None)]

    @pytest.mark.parametrize(
        'line',
        ['no field', 'A b: c', ': c', 'A:', 'A: b\x07', 'A: \xe4', 'Content-Type: text/plain', 'host: a', 'Transfer-Encoding: chunked'],
    )
    def test_a_wrong_line_is_named_and_not_shown(self, tmp_path, line):
        (tmp_path / 'headers').write_text('A: s3cr3t\n' + line + '\n')
        with pytest.raises(Broken, match='headers, line 2: must be a header field') as caught:
            listeners.read_headers(str(tmp_path / 'headers'))

        assert 's3cr3t' not in str(caught.value) and line not in str(caught.value).replace('Authorization: Bearer', '')

    def test_events_wait_while_the_file_is_wrong(self, queue, listener, tmp_path):
        path = tmp_path / 'headers'
        path.write_text('A: b\n')
        one = queue(headers_file=str(path))
        replace(path, b'wrong\n')
        add(one, 0)
        until(lambda: one.failures)
        replace(path, b'A: c\n')  # at once: of a file that somebody writes slowly, a part would count
        listener.wait_for(1)

        assert listener.posts[0].headers['A'] == 'c'

    def test_a_user_in_the_url_logs_in(self, queue, listener):
        add(queue(f'http://alice:secret@127.0.0.1:{listener.port}/'), 0)
        listener.wait_for(1)

        assert listener.posts[0].headers['Authorization'] == 'Basic YWxpY2U6c2VjcmV0'

    def test_a_redirect_is_not_followed(self, queue, listener, tmp_path):
        (tmp_path / 'headers').write_text('X-Token: secret\n')
        with EventListener() as other:
            listener.answer(307, Location=other.url)
            add(queue(headers_file=str(tmp_path / 'headers')), 0)
            listener.wait_for(1)

            assert len(listener.posts) == 2 and other.posts == []

    def test_no_netrc_and_no_cookie_is_sent(self, queue, listener, tmp_path, monkeypatch):
        (tmp_path / 'netrc').write_text('machine 127.0.0.1 login a password b\n')
        monkeypatch.setenv('NETRC', str(tmp_path / 'netrc'))
        listener.answer(200, **{'Set-Cookie': 'a=b'})
        add(queue(), 0, 1)
        listener.wait_for(2)

        assert [(post.headers['Authorization'], post.headers['Cookie']) for post in listener.posts] == [(None, None)] * 2


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path):
        make_certificate(tmp_path)
        return tmp_path / 'certificate.pem'

    def test_a_listener_is_known_by_its_ca(self, queue, certificate):
        with EventListener(certificate) as listener:
            add(queue(listener.url, ca=str(certificate)), 0, 1)

            assert len(listener.wait_for(2)) == 2 and listener.url.startswith('https:')

    def test_one_that_is_not_known_gets_nothing(self, queue, certificate, caplog, monkeypatch):
        monkeypatch.setattr(listeners, 'FIRST_PAUSE', 60)  # one attempt is enough
        with EventListener(certificate) as listener:
            one = queue(listener.url)
            add(one, 0)
            until(lambda: 'does not accept notifications: SSLError' in caplog.text)

            assert listener.posts == []


class TestSettings:
    @pytest.mark.parametrize(
        'name, value',
        [
            ('URL', 'ftp://a/'),
            ('URL', 'https://'),
            ('URL', 'http://s3cr3t@a:99999/'),
            ('URL', 'http://a http://a'),
            ('URL', 'http://a/#b'),
            ('URL', 'http://a:0/'),
            ('URL', 'http://a@b@c/'),
            ('URL', 'http://\xe4/'),
            ('IGNORE_ACTIONS', 'pull,fetch'),
            ('IGNORE_MEDIA_TYPES', 'json'),
            ('TIMEOUT', '0'),
            ('QUEUE', '0'),
        ],
    )
    def test_a_wrong_one_is_named(self, name, value):
        with pytest.raises(ValueError, match='REGISTRY_NOTIFICATIONS_' + name) as caught:
            read(Notifications, {'REGISTRY_NOTIFICATIONS_' + name: value})

        assert 's3cr3t' not in str(caught.value)

    def test_several_urls_and_words(self):
        environ = {'URL': 'http://a/x, https://b', 'IGNORE_ACTIONS': 'pull, mount', 'IGNORE_MEDIA_TYPES': 'application/octet-stream'}
        found = read(Notifications, {'REGISTRY_NOTIFICATIONS_' + name: value for name, value in environ.items()})

        assert found.notifications_url == ('http://a/x', 'https://b')
        assert found.notifications_ignore_actions == ('pull', 'mount') and 'http' not in repr(found)

    def test_one_of_distribution_ends_the_start(self, fake):
        code, _, errors = run('serve', environ=environment(fake, REGISTRY_NOTIFICATIONS_ENDPOINTS='[]'))

        assert code == 1 and 'REGISTRY_NOTIFICATIONS_ENDPOINTS is a setting of CNCF distribution' in errors

    @pytest.mark.parametrize('name', ['HEADERS_FILE', 'CA'])
    def test_a_file_that_is_not_there_ends_the_start(self, fake, name):
        environ = environment(fake, REGISTRY_NOTIFICATIONS_URL='http://127.0.0.1/', **{'REGISTRY_NOTIFICATIONS_' + name: '/nowhere'})
        code, _, errors = run('serve', environ=environ)

        assert code == 1 and f'registry-swift: REGISTRY_NOTIFICATIONS_{name}: /nowhere cannot be read' in errors


def is_listening(port):
    with socket.socket() as client:
        return client.connect_ex(('127.0.0.1', port)) == 0


class TestProcesses:
    @pytest.fixture
    def serve(self, fake, tmp_path, listener):
        """A function that starts a registry whose events go to `listener`."""
        with contextlib.ExitStack() as stack:

            def serve(command=None, **more):
                more = {'REGISTRY_NOTIFICATIONS_TIMEOUT': '30', 'REGISTRY_NOTIFICATIONS_BACKOFF': '1', **more}
                more['REGISTRY_NOTIFICATIONS_URL'] = listener.url
                return stack.enter_context(Serving(tmp_path, environment(fake, GUNICORN_WORKERS='2', **more), command=command))

            yield serve

    @pytest.fixture
    def serving(self, serve):
        return serve()

    @staticmethod
    def push(serving, *contents):
        for content in contents:
            assert serving.request('POST', f'/v2/a/blobs/uploads/?digest={digest_of(content)}', content)[0] == 201

    def test_each_worker_sends_its_own_events_once(self, serving, listener):
        contents = [b'%d' % number for number in range(40)]
        self.push(serving, *contents)
        found = listener.wait_for(40)

        assert sorted(event['target']['digest'] for event in found) == sorted(map(digest_of, contents))
        assert len({event['id'] for event in found}) == 40 and len({event['source']['instanceID'] for event in found}) == 1
        assert {event['source']['addr'].rpartition(':')[2] for event in found} == {str(serving.port)}

    @pytest.fixture
    def patient(self, fake, tmp_path, listener):
        more = {'REGISTRY_NOTIFICATIONS_URL': listener.url, 'REGISTRY_NOTIFICATIONS_TIMEOUT': '300'}
        with Serving(tmp_path, environment(fake, **more)) as serving:
            yield serving

    @pytest.mark.parametrize('trouble', ['hang', 'drip'])
    def test_no_request_waits_for_a_listener_that_hangs(self, patient, listener, trouble):
        listener.answer(trouble)
        self.push(patient, *[b'%d' % number for number in range(20)])

        assert listener.accepted == []

    def test_an_event_counts_as_accepted_when_the_head_of_the_response_says_so(self, patient, listener):
        listener.answer('drip body')
        self.push(patient, b'1', b'2')

        assert [event['target']['digest'] for event in listener.wait_for(2)] == [digest_of(b'1'), digest_of(b'2')]

    @pytest.mark.parametrize('trouble', ['hang', 'drip', 'drip body'])
    def test_a_response_that_never_ends_holds_up_nothing(self, serve, listener, trouble):
        serving = serve(REGISTRY_NOTIFICATIONS_TIMEOUT='1')
        listener.answer(*[trouble] * 4)
        contents = [b'%d' % number for number in range(20)]
        self.push(serving, *contents)

        until(lambda: {event['target']['digest'] for event in listener.accepted} == set(map(digest_of, contents)))

    def test_what_waits_is_sent_after_sigterm(self, serve, listener):
        serving = serve(changed('from docker_registry.v2.http import events', 'events.Events.drain.__defaults__ = (60,)'))
        listener.go_away()
        self.push(serving, b'1', b'2', b'3')
        until(lambda: 'does not accept notifications' in serving.log)
        serving.process.send_signal(signal.SIGTERM)
        until(lambda: not is_listening(serving.port))
        listener.come_back()

        assert serving.end() == 0
        assert sorted(event['target']['digest'] for event in listener.accepted) == sorted(map(digest_of, (b'1', b'2', b'3')))

    def test_what_cannot_be_sent_after_sigterm_is_counted_in_the_log(self, serving, listener):
        listener.go_away()
        self.push(serving, b'1')
        until(lambda: 'does not accept notifications' in serving.log)

        assert serving.end() == 0
        assert f'1 notifications for 127.0.0.1:{listener.port} are lost, because the process ends' in serving.log

    def test_no_secret_of_the_url_is_in_the_log_even_for_developers(self, fake, tmp_path, listener):
        listener.answer('wrong head', 500, 302, 400, 'cut')
        url = f'http://s3cr3t:s3cr3t@127.0.0.1:{listener.port}/s3cr3t?token=s3cr3t'
        with Serving(tmp_path, environment(fake, REGISTRY_NOTIFICATIONS_URL=url, LOGLEVEL='DEBUG')) as serving:
            self.push(serving, b'1', b'2', b'3', b'4')
            listener.wait_for(3)  # the 400 drops the other
            until(lambda: 'accepts notifications again' in serving.log)

            assert 's3cr3t' not in serving.log

    def test_the_start_names_the_listeners_and_no_path(self, serving, listener):
        assert f'notifications go to 127.0.0.1:{listener.port}\n' in serving.log and 'callback' not in serving.log
