"""The ways in which a client uploads a blob. Every step may go to another registry."""

from hurried import UPLOAD
from ledger import BLOB, THERE, UNCERTAIN, Key

CHUNK_TRIES = 3  # the same chunk is sent to the same Location this often
OCTETS = {'Content-Type': 'application/octet-stream'}


class Uploader:
    """Uploads blobs for one client.

    :param rng: `random.Random` of the client
    """

    def __init__(self, api, judge, ledger, rng):
        self._api, self._judge, self._ledger, self._rng = api, judge, ledger, rng

    def push(self, repository, blob):
        """Upload a blob in one of the ways, once. Return the outcome; None if it did not come to the request that commits it."""
        ways = [self._in_one_request, self._in_two_requests, self._in_chunks]
        self._deadline = self._judge.now() + UPLOAD
        way = self._rng.choices(ways, (2, 2, 6) if blob.size > 1024**2 else (4, 3, 1))[0]
        return way(Key(BLOB, repository, blob.digest), blob)

    def mount(self, repository, source, blob):
        """Mount a blob of another repository. Return the outcome, or None if the registry offered an upload instead."""
        key = Key(BLOB, repository, blob.digest)
        pending = self._begin(key)
        answer = self._api.send('POST', f'/v2/{repository}/blobs/uploads/?mount={blob.digest}&from={source}')
        if answer.status == 202:
            self._ledger.end(pending, UNCERTAIN, answer.ended, answer.request)
            self._judge.count('mount', 'declined')
            return None
        return self._judge.written('mount', pending, answer)

    def abandon(self, repository, blob):
        """Begin to upload a blob, and never end that."""
        self._deadline = self._judge.now() + UPLOAD
        key = Key(BLOB, repository, blob.digest)
        location, start = self._start(key), 0
        for chunk in cut(blob.content, self._rng)[:2]:
            location = location and self._send_chunk(key, location, start, chunk)
            start += len(chunk)
        self._judge.count('abandon an upload', 'done' if location else 'failed')

    def _in_one_request(self, key, blob):
        return self._commit('push in one request', key, blob, 'POST', f'{self._uploads(key)}?digest={blob.digest}', blob.content)

    def _in_two_requests(self, key, blob):
        location = self._start(key)
        return location and self._commit('push in two requests', key, blob, 'PUT', with_digest(location, blob), blob.content)

    def _in_chunks(self, key, blob):
        location, content = self._start(key), blob.content
        chunks = cut(content, self._rng)
        last = chunks.pop() if self._rng.random() < 0.3 else None
        start = 0
        for chunk in chunks:
            location = location and self._send_chunk(key, location, start, chunk)
            start += len(chunk)
        return location and self._commit('push in chunks', key, blob, 'PUT', with_digest(location, blob), last)

    def _start(self, key):
        """Begin an upload. Return its Location, or None."""
        answer = self._api.send('POST', self._uploads(key))
        return answer.header('Location') if self._judge.step('begin an upload', key, answer) else None

    def _send_chunk(self, key, location, start, chunk):
        """Send a chunk, several times if need be. Return the next Location, or None."""
        for _ in range(CHUNK_TRIES if self._judge.now() < self._deadline else 0):
            headers, chunked = dict(OCTETS), self._rng.random() < 0.3
            if self._rng.random() < 0.5:
                headers['Content-Range'] = f'{start}-{start + len(chunk) - 1}'
            answer = self._api.send('PATCH', location, chunk, headers, chunked)
            if self._judge.step('send a chunk', key, answer):
                return answer.header('Location')
            if answer.status is not None and answer.status < 500:
                return None
        return None

    def _commit(self, operation, key, blob, method, path, body):
        if self._judge.now() > self._deadline:
            return None
        pending = self._begin(key)
        answer = self._api.send(method, path, body, OCTETS)
        return self._judge.written(operation, pending, answer, blob.size)

    def _begin(self, key):
        return self._ledger.begin([(key, THERE)], self._judge.now())

    @staticmethod
    def _uploads(key):
        return f'/v2/{key.repository}/blobs/uploads/'


def with_digest(location, blob):
    return f'{location}{"&" if "?" in location else "?"}digest={blob.digest}'


def cut(content, rng):
    """Return content in chunks: of 1 or 2 MiB, all of it at once, or of any size."""
    mib = 1024**2
    size = rng.choice([mib, 2 * mib, len(content), rng.randint(len(content) // 5 + 1, len(content))])
    return [content[i : i + size] for i in range(0, len(content), size)]
