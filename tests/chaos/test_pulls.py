"""A client notices every answer of a registry that is not what was pushed. The registry here says what a test tells it to."""

import contextlib
import http.server
import math
import random
import threading

import pytest

import contents
import judge as judge_module
from api import Api
from judge import Judge
from ledger import ACKNOWLEDGED, BLOB, MANIFEST, TAG, THERE, Key, Ledger
from pulls import Puller

THE_BLOB = contents.Blob('the blob', 1000)
IMAGE = contents.image('the image', THE_BLOB, [THE_BLOB])
IN_REPOSITORY = Key(BLOB, 'a', THE_BLOB.digest)


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers everything with the server's `answer`: status, body, and headers."""

    def do_GET(self):
        status, body, headers = self.server.answer
        self.send_response(status)
        for name, value in {'Content-Length': str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)
        self.close_connection = True

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


class Registry:
    """A registry with one blob and one image, and a client that pulls from it."""

    def __init__(self, server):
        self._server = server
        ledger = Ledger()
        ledger.set_agreed(math.inf)
        tagged, revision = Key(TAG, 'a', 'v1'), Key(MANIFEST, 'a', IMAGE.digest)
        pending = ledger.begin([(IN_REPOSITORY, THERE), (revision, THERE), (tagged, IMAGE.digest)], 0)
        ledger.end(pending, ACKNOWLEDGED, 1)
        known = {THE_BLOB.digest: THE_BLOB, IMAGE.digest: IMAGE}
        self.judge = Judge(ledger, known)
        self.puller = Puller(Api('test', [server.server_port], random.Random(1)), self.judge, ledger, known, random.Random(1))

    def says(self, status, body=b'', **headers):
        self._server.answer = status, body, {name.replace('_', '-'): value for name, value in headers.items()}

    @property
    def kinds(self):
        return [violation.kind for violation in self.judge.violations]


@pytest.fixture
def registry():
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Liar) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with contextlib.ExitStack() as stack:
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            yield Registry(server)


IMAGE_HEADERS = {'Docker_Content_Digest': IMAGE.digest, 'Content_Type': IMAGE.media_type}


def test_right_answers_are_no_violations(registry):
    registry.says(200, THE_BLOB.content)
    registry.puller.pull_blob()
    registry.puller.ask_blob()
    registry.puller.pull_range()
    registry.says(200, IMAGE.content, **IMAGE_HEADERS)
    registry.puller.pull_tag()
    registry.puller.pull_manifest()
    registry.says(200, b'{"tags": ["v1"]}')
    registry.puller.list_tags()
    assert registry.kinds == []


def test_a_blob_with_a_wrong_byte(registry):
    registry.says(200, THE_BLOB.content[:-1] + b'?')
    registry.puller.pull_blob()
    assert registry.kinds == [judge_module.WRONG_BYTES]


def test_a_blob_that_is_complete_but_short(registry):
    registry.says(200, THE_BLOB.content[:-1])
    registry.puller.pull_blob()
    assert registry.kinds == [judge_module.WRONG_BYTES]


def test_a_blob_that_is_cut_is_no_violation(registry):
    registry.says(200, THE_BLOB.content[:-1], Content_Length='1000')
    registry.puller.pull_blob()
    assert registry.kinds == []
    assert registry.judge.counts['pull a blob'] == {'failed': 1}


def test_a_blob_whose_size_is_wrong(registry):
    registry.says(200, Content_Length='999')
    registry.puller.ask_blob()
    assert registry.kinds == [judge_module.WRONG_BYTES]


def test_a_range_of_other_bytes(registry):
    registry.says(206, THE_BLOB.content[::-1])
    registry.puller.pull_range()
    assert registry.kinds == [judge_module.WRONG_BYTES]


@pytest.mark.parametrize('pull', ['pull_tag', 'pull_manifest'])
def test_a_manifest_of_other_bytes(registry, pull):
    registry.says(200, IMAGE.content + b' ', **IMAGE_HEADERS)
    getattr(registry.puller, pull)()
    assert registry.kinds == [judge_module.WRONG_BYTES]


def test_a_manifest_of_another_type(registry):
    registry.says(200, IMAGE.content, **dict(IMAGE_HEADERS, Content_Type='application/json'))
    registry.puller.pull_tag()
    assert registry.kinds == [judge_module.WRONG_BYTES]


def test_an_empty_list_of_tags(registry):
    registry.says(200, b'{"tags": []}')
    registry.puller.list_tags()
    assert registry.kinds == [judge_module.NOT_LISTED]


@pytest.mark.parametrize('pull', ['pull_tag', 'pull_manifest', 'pull_blob', 'ask_blob', 'pull_range'])
def test_a_404(registry, pull):
    registry.says(404)
    getattr(registry.puller, pull)()
    assert registry.kinds == [judge_module.FALSE_404]
