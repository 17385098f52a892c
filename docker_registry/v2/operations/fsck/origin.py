"""Another registry that has the same images: fetches what is missing here, by digest, and proves it by its hash.

Tokens: https://distribution.github.io/distribution/spec/auth/token/
"""

import base64
import contextlib
import http.client
import json
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from docker_registry.v2.operations.fsck.reading import Paced
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.blobs import SMALL
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.sources import Verified, read_all
from docker_registry.v2.registry.storage import Storage

SECONDS = 60  # that the other registry may be silent
LONGEST_TOKEN = 1024**2  # bytes of the response of a token server
MANIFESTS = (
    'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, '
    'application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*'
)


class WithoutCredentials(urllib.request.HTTPRedirectHandler):
    """Follows redirects. Another host does not get the credentials: urllib would send them."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            request.remove_header('Authorization')
        return request


class Origin:
    """The registry at a URL, `http(s)://[user:password@]host[:port]`.

    :param pace: see `Reader`
    """

    def __init__(self, url: str, user: str = '', password: str = '', pace: Callable[[int], None] = lambda count: None):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ('http', 'https') or not parts.hostname:
            raise ValueError('--from must be the URL of a registry, such as https://registry.example.com')
        self._url = f'{parts.scheme}://{parts.netloc.rpartition("@")[2]}'
        user, password = user or urllib.parse.unquote(parts.username or ''), password or urllib.parse.unquote(parts.password or '')
        self._basic = 'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode() if user else ''
        self._authorizations: dict[str, str] = {}  # by repository
        self._pace = pace
        self._opener = urllib.request.build_opener(WithoutCredentials())

    def fetch(self, storage: Storage, digest: Digest, repositories: Iterable[str]) -> bool:
        """Store the blob or manifest from the first repository that has it. Return False if none has, or its bytes are wrong.

        :raises Unavailable: the registry does not answer, or refuses
        """
        for repository in repositories:
            for kind in ('blobs', 'manifests'):
                with self._open(f'/v2/{repository}/{kind}/{digest}', repository) as response:
                    if response is not None and self._store(storage, digest, response):
                        return True
        return False

    def _store(self, storage: Storage, digest: Digest, response: Any) -> bool:
        length = response.headers.get('Content-Length') or ''
        if not length.isdigit():
            raise errors.Unavailable(f'{self._url} does not say how long {digest} is')
        source = Verified(Paced(response, self._pace), digest, int(length))
        try:
            if int(length) <= SMALL:
                storage.replace(layout.blob(digest), read_all(source, int(length)))
            else:
                storage.put_stream(layout.blob(digest), source, layout.segments(uuid.uuid4().hex, secrets.token_hex(4)))
        except (errors.DigestInvalid, errors.SizeInvalid):
            return False
        return True

    @contextlib.contextmanager
    def _open(self, path: str, repository: str) -> Iterator[Any]:
        """Open a URL, and log in if that is asked for. None if there is no such thing."""
        try:
            with self._answer(path, repository) as response:
                yield response
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise errors.Unavailable(f'{self._url} returns {error.code} for {path}')
            yield None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise errors.Unavailable(f'{self._url} cannot be asked: {getattr(error, "reason", error)}')

    def _answer(self, path: str, repository: str) -> Any:
        try:
            return self._get(self._url + path, self._authorizations.get(repository, ''))
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            self._authorizations[repository] = self._log_in(error.headers.get('WWW-Authenticate', ''), repository)
        return self._get(self._url + path, self._authorizations[repository])

    def _get(self, url: str, authorization: str) -> Any:
        request = urllib.request.Request(url, headers={'Accept': MANIFESTS})
        if authorization:
            request.add_header('Authorization', authorization)
        try:
            return self._opener.open(request, timeout=SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            raise

    def _log_in(self, challenge: str, repository: str) -> str:
        """Return the field Authorization that a challenge asks for."""
        scheme, _, rest = challenge.partition(' ')
        if scheme.lower() != 'bearer':
            return self._basic
        fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        query = {'service': fields.get('service', ''), 'scope': f'repository:{repository}:pull'}
        realm = fields.get('realm', '')
        if urllib.parse.urlsplit(realm).scheme not in ('https', urllib.parse.urlsplit(self._url).scheme):
            raise ValueError('it asks for a token from a server without TLS')
        with self._get(realm + ('&' if '?' in realm else '?') + urllib.parse.urlencode(query), self._basic) as response:
            answer = json.loads(response.read(LONGEST_TOKEN))
        return f'Bearer {answer.get("token") or answer.get("access_token") or ""}'
