"""Speaks HTTP to a server as an attacker may: from any address of loopback, with any bytes, and without reading what comes back."""

import asyncio
import base64
import collections
import contextlib
import dataclasses
import hashlib
import json
import socket
import ssl
from urllib.parse import urlsplit

HOST = '127.0.0.1'
IP_BIND_ADDRESS_NO_PORT = 24  # Linux; the socket module of Python 3.11 has no name for it
CHUNKED = {'Transfer-Encoding': 'chunked'}
OCI_IMAGE, OCI_INDEX = 'application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.index.v1+json'

Answer = collections.namedtuple('Answer', 'status headers body')


def context():
    """Return a TLS context that accepts every certificate."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def digest_of(content):
    return 'sha256:' + hashlib.sha256(content).hexdigest()


def basic(credentials):
    """Return the header of a login.

    :param credentials: `name:password`
    """
    return {'Authorization': 'Basic ' + base64.b64encode(credentials.encode()).decode()}


@dataclasses.dataclass
class Target:
    """A server that is attacked, and what it stores for the attacks: `Content` as a dict.

    :param credentials: `name:password` that all requests send which have no Authorization of their own, or None
    """

    port: int
    tls: bool
    content: dict
    credentials: str | None = None
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def __post_init__(self):
        self._context = context()
        self.authorization = basic(self.credentials) if self.credentials else {}

    async def connect(self, address, tls=None, receive_buffer=None, limit=2**16):
        """Return a `Connection`.

        :param address: source address
        :param tls: False to send plain bytes to a port with TLS
        :param limit: bytes that the client reads ahead
        """
        sock = socket.socket()
        try:
            sock.setblocking(False)
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.bind((address, 0))
            await asyncio.get_running_loop().sock_connect(sock, (HOST, self.port))
            ssl_options = dict(ssl=self._context, server_hostname='localhost') if self.tls and tls is not False else {}
            self.counts['connections'] += 1
            return Connection(self, *await asyncio.open_connection(sock=sock, limit=limit, **ssl_options))
        except BaseException:
            sock.close()
            raise

    @contextlib.asynccontextmanager
    async def connected(self, address, **more):
        connection = await self.connect(address, **more)
        try:
            yield connection
        finally:
            connection.abort()

    async def ask(self, address, method, path, headers=(), body=b''):
        """Send a request on a connection of its own and return the `Answer`."""
        async with self.connected(address) as connection:
            return await connection.ask(method, path, headers, body)

    async def push_blob(self, address, repository, content):
        digest = digest_of(content)
        location = await self.begin_upload(address, repository)
        answer = await self.ask(address, 'PUT', with_digest(location, digest), body=content)
        assert answer.status == 201, answer
        return digest

    async def begin_upload(self, address, repository):
        """Return the path of a new upload."""
        answer = await self.ask(address, 'POST', f'/v2/{repository}/blobs/uploads/')
        return path_of(answer)

    async def push_manifest(self, address, repository, reference, manifest, media_type=OCI_IMAGE):
        content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        return await self.ask(address, 'PUT', f'/v2/{repository}/manifests/{reference}', {'Content-Type': media_type}, content)


class Connection:
    def __init__(self, target, reader, writer):
        self._target, self.reader, self._writer = target, reader, writer

    async def send(self, content):
        self._writer.write(content)
        await self._writer.drain()

    async def send_head(self, method, path, headers=()):
        self._target.counts['requests'] += 1
        fields = ''.join(f'{name}: {value}\r\n' for name, value in {**self._target.authorization, **dict(headers)}.items())
        host = '' if 'Host' in dict(headers) else 'Host: localhost\r\n'
        await self.send(f'{method} {path} HTTP/1.1\r\n{host}{fields}\r\n'.encode('latin-1'))

    async def ask(self, method, path, headers=(), body=b''):
        length = {'Content-Length': len(body)} if body or method in ('PUT', 'POST', 'PATCH') else {}
        await self.send_head(method, path, {**dict(headers), **length})
        await self.send(body)
        return await self.answer(method)

    async def answer(self, method='GET'):
        """Read a response."""
        head = (await self.reader.readuntil(b'\r\n\r\n')).decode('latin-1').split('\r\n')
        status = int(head[0].split()[1])
        if status == 100:
            return await self.answer(method)
        self._target.counts[status] += 1
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(':') for line in head[1:] if line)}
        return Answer(status, headers, b'' if method == 'HEAD' else await self._body(headers))

    async def _body(self, headers):
        if 'content-length' in headers:
            return await self.reader.readexactly(int(headers['content-length']))
        if headers.get('transfer-encoding') != 'chunked':
            return b''
        body = b''
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body

    async def until_closed(self):
        """Read and drop everything, until the server closes the connection."""
        while await self.reader.read(2**16):
            pass

    def abort(self):
        self._writer.transport.abort()


def path_of(answer):
    """Return the path and query of the upload that an answer's Location names."""
    url = urlsplit(answer.headers['location'])
    return url.path + (f'?{url.query}' if url.query else '')


def with_digest(location, digest):
    return f'{location}{"&" if "?" in location else "?"}digest={digest}'


def image(config, **more):
    """Return an image manifest without layers.

    :param config: (digest, size)
    """
    descriptor = {'mediaType': 'application/vnd.oci.image.config.v1+json', 'digest': config[0], 'size': config[1]}
    return {'schemaVersion': 2, 'mediaType': OCI_IMAGE, 'config': descriptor, 'layers': [], **more}
