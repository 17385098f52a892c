"""Targets: header fields and parameters that clients send."""

import re
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

from docker_registry.v2.access import addresses
from docker_registry.v2.access.guard import authorization
from docker_registry.v2.access.scopes import LONGEST, MOST, Scopes
from docker_registry.v2.http import headers, proxies, ranges
from docker_registry.v2.registry import errors
from docker_registry.v2.settings import config
from target import target

CONTENT = bytes(range(256)) * 4
TRUSTED = config.read(config.Access, {'REGISTRY_TRUSTED_PROXIES': '127.0.0.0/8 ::1 10.0.0.0/8'}).trusted_proxies


class Pieces:
    """Takes the place of the driver's stream: the bytes of a range in small blocks."""

    def __init__(self, wanted):
        first, last = wanted
        content = CONTENT[first : last + 1]
        self._blocks = iter([content[at : at + 7] for at in range(0, len(content), 7)])

    def __next__(self):
        return next(self._blocks)

    def close(self):
        pass


@target(
    b'bytes=0-9',
    b'bytes=-5',
    b'bytes=5-',
    b'bytes=0-0,2-3, 900-',
    b'bytes = 1 - 2',
    b'items=0-1',
    b'bytes=9-0',
    words=(b'bytes=', b'99999999999'),
)
def range_field(data):
    """Parts are within the blob, and a body with several has the length that its head states."""
    wanted = ranges.parse(data.decode('latin-1'))
    assert len(wanted) <= ranges.MOST_RANGES
    for size in (0, 1, len(CONTENT), 10**15):
        try:
            found = ranges.within(wanted, size) if wanted else []
        except errors.RangeUnsatisfiable:
            continue
        assert all(0 <= first <= last < size for first, last in found)
        assert all(one[1] < other[0] for one, other in zip(found, found[1:]))
        if len(found) > 1 and size == len(CONTENT):
            body = ranges.Multipart(found, size, Pieces)
            body.begin()
            content = b''.join(body)
            assert len(content) == body.length
            assert all(CONTENT[first : last + 1] in content for first, last in found)


@target(b'0-99', b'bytes 0-99/100', b'bytes=5-6', b'5-4', b' 0-1/* ')
def content_range_field(data):
    text = data.decode('latin-1')
    try:
        found = headers.content_range(text)
    except errors.RangeInvalid:
        return
    assert found is None and not text or found[0] <= found[1] < 10**19


@target(b'12', b'', b'12\nchunked', b'-1', b'1e3', b'0012\nidentity')
def body_length(data):
    length, _, coding = data.decode('latin-1').partition('\n')
    try:
        found = headers.content_length({'CONTENT_LENGTH': length, 'HTTP_TRANSFER_ENCODING': coding})
    except errors.SizeInvalid:
        return
    assert found is None or 0 <= found < 10**19


@target(b'100', b'0', b'000000000000000000000000000007', b'9' * 5000)
def page_size(data):
    try:
        found = headers.page_size(data.decode(errors='replace'))
    except errors.ParameterInvalid:
        return
    assert found is None or 0 <= found <= headers.LARGEST_PAGE


@target(b'/v2/a/x\nv1\n10', b'/v2/_catalog\nteam/app\n5', 'é/?&\n<>";\n1'.encode())
def page_link(data):
    """What the registry writes into a Link comes back when the client follows it."""
    path, _, rest = data.decode(errors='replace').partition('\n')
    last, _, artifact_type = rest.partition('\n')
    path = '/v2/' + re.sub('[^a-z0-9/]', '', path)
    field = headers.next_link(path, last=last, artifactType=artifact_type, n=7)
    match = re.fullmatch(r'<([!-~]+)>; rel="next"', field)
    assert match and match[1].count('>') == 0
    parts = urlsplit(match[1])
    given = {'last': [last], 'artifactType': [artifact_type], 'n': ['7']}
    assert parts.path == path
    assert parse_qs(parts.query, errors='strict') == {name: value for name, value in given.items() if value != ['']}


@target(b'/v2/a/blobs/uploads/TOKEN\ndigest=sha256:1', b'/v2/a/blobs/uploads/T&digest=sha256:1\n', b'/v2/a/blobs/uploads/T?x=1&\nn=2?m=3')
def upload_url(data):
    path, _, query = data.decode('latin-1').partition('\n')
    environ = {'PATH_INFO': path, 'QUERY_STRING': query}
    headers.mend_upload_url(environ)
    if environ['PATH_INFO'] == path and environ['QUERY_STRING'] == query:
        return
    assert path.startswith(environ['PATH_INFO'])
    assert not set('?&') & set(environ['PATH_INFO'].rpartition('/')[2])
    assert '?' not in environ['QUERY_STRING'] and '\r' not in environ['QUERY_STRING'].replace(query, '')


@target(
    b'127.0.0.1\n192.0.2.1, 10.0.0.2\nhttps\nregistry.example.com:5000',
    b'::1\n[2001:db8::1]:4711, ::ffff:10.1.1.1\nhttp\n[::1]:5000',
    b'192.0.2.7\n1.2.3.4\nhttps\nevil.example.com',
    b'127.0.0.1\n' + b',' * 2000 + b'\nhttps,http\na,b',
    words=(b'127.0.0.1', b'::ffff:', b'https'),
)
def forwarded_fields(data):
    """Only a trusted proxy is believed, and what it says becomes an address, a scheme and a host that are valid."""
    fields = data.decode('latin-1').split('\n')[:4]
    peer, chain, scheme, host = fields + [''] * (4 - len(fields))
    before = {
        'REMOTE_ADDR': peer,
        'HTTP_X_FORWARDED_FOR': chain,
        'HTTP_X_FORWARDED_PROTO': scheme,
        'HTTP_X_FORWARDED_HOST': host,
        'HTTP_HOST': 'before',
        'wsgi.url_scheme': 'http',
    }
    after = dict(before)
    proxies.Proxies(TRUSTED).apply(after)
    address = addresses.address(peer)
    if address is None or not any(address in network for network in TRUSTED):
        assert after == before
        return
    assert addresses.address(after['REMOTE_ADDR']) is not None
    assert after['wsgi.url_scheme'] in ('http', 'https')
    assert re.fullmatch(r'[A-Za-z0-9._:\[\]-]+', after['HTTP_HOST'])
    assert addresses.household(after['REMOTE_ADDR'])


@target(b'Basic YWxpY2U6c2VjcmV0', b'Bearer a.b.c', b'basic  !!', b'', b'Digest username="a"', words=(b'Basic ', b'Bearer '))
def authorization_field(data):
    kind, credentials = authorization(SimpleNamespace(headers={'Authorization': data.decode('latin-1')}))
    assert kind == kind.lower() and isinstance(credentials, bytes)


@target(
    b'repository:team/app:pull,push',
    b'repository:a:* repository(plugin):b:pull',
    b'registry:catalog:*',
    b'repository:a:b:pull registry:x:* other:a:pull',
    words=(b'repository:', b'registry:catalog:', b':pull', b',push', b'delete', b'*'),
)
def scopes(data):
    """Scopes survive being written into a token, and give no action that the text did not ask for."""
    try:
        asked = Scopes.asked(data.decode(errors='replace').split('\n'))
    except errors.ParameterInvalid:
        assert len(data) > LONGEST or len(data.decode(errors='replace').split()) > MOST
        return
    text = str(asked)
    again = Scopes.parse(text)
    assert again.actions == asked.actions and asked.covers(again)
    assert all(ord(character) < 128 for character in text)
    for (_, name), actions in asked.actions.items():
        assert name.encode() in data
        assert all(action.encode() in data for action in actions) or b'*' in data
    assert not set(asked.only(lambda kind, name, action: action == 'pull').actions) - set(asked.actions)
