"""What the logins have in common that ask a server of the cloud: what they may cost, and what it means if there is no answer."""

import logging
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import requests

from docker_registry.v2.registry import errors

logger = logging.getLogger(__name__)

# For the whole question. A user who waits behind others for a silent server waits longer than that, see `logins.WAIT_SECONDS`.
SECONDS = 8
AT_A_TIME = 8  # questions of one process, each from another address
MOST_BYTES = 2**20  # of an answer. Keystone's has about 2,000, and some 10,000 more if the server adds its catalog unasked
LONGEST_PART = 255  # characters of a name. Keystone's longest are the names of users
LONGEST_PASSWORD = 4096  # bytes, Keystone's max_password_length
RETRY_SECONDS, MOST_RETRY_SECONDS = 5, 300  # for Retry-After: the default, and the longest that clients are asked to wait


class Tls(Protocol):
    """The driver's settings for TLS."""

    cacert: str | None
    insecure: bool
    cert: str | None
    cert_key: str | None


def unbounded(seconds: float, call: Callable, *arguments: Any) -> Any:
    return call(*arguments)


@dataclass(frozen=True)
class Server:
    """A server that knows users.

    :param url: its URL
    :param setting: name of the setting that has the URL, for the log
    :param verify: True, False, or the file of the CA certificates; see requests
    :param cert: file or files of the client certificate, or None
    :param within: is called as `within(seconds, call, *arguments)`, and returns what the call returns, or raises TimeoutError after these
        seconds. By itself, a request limits each wait for bytes, but not how often it waits. A server that handles requests in greenlets
        can end the call from outside.
    """

    url: str
    setting: str
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    within: Callable[..., Any] = unbounded

    @classmethod
    def at(cls, url: str, setting: str, tls: Tls, within: Callable[..., Any]) -> 'Server':
        """Return a server to which the driver's settings for TLS apply."""
        cert = (tls.cert, tls.cert_key) if tls.cert and tls.cert_key else tls.cert
        return cls(url, setting, not tls.insecure and (tls.cacert or True), cert, within)

    def ask(self, question: Callable, *arguments: Any) -> Any:
        """Return what a function returns that is called with a `Session` and the arguments.

        :raises Unavailable: there is no answer in time, or none that makes sense; the log says what is wrong
        :raises TooManyRequests: the server wants to be asked later
        """
        with Session(self) as session:
            try:
                return self.within(SECONDS, question, session, *arguments)
            except TimeoutError:
                raise self.failed(f'it has not answered within {SECONDS} seconds')
            except errors.RegistryError:
                raise
            except Exception as error:  # the libraries fail in many ways on an answer that makes no sense; their texts may quote it
                raise self.failed(f'its answer makes no sense ({type(error).__name__})')

    def failed(self, what: str) -> errors.Unavailable:
        """Log why the server cannot be asked, and return the error for the client."""
        logger.error('%s %s: %s. Logins that need it fail with status 503', self.setting, self.url, what)
        return errors.Unavailable(
            'the server that checks this login cannot be asked at the moment; retry later', headers={'Retry-After': str(RETRY_SECONDS)}
        )


class Session(requests.Session):
    """HTTP for one question. A response of it is an answer: one of 200 to 299, or of 400 to 499. Everything else is raised.

    It takes nothing from the environment, such as proxies or .netrc. It follows no redirects, because the password would follow as well.
    """

    def __init__(self, server: Server):
        super().__init__()
        self.trust_env = False
        self._server = server

    def request(self, method: Any, url: Any, *arguments: Any, **options: Any) -> requests.Response:
        """
        :raises Unavailable: there is no answer
        :raises TooManyRequests: the server wants to be asked later
        """
        server = self._server
        options.update(verify=server.verify, cert=server.cert, timeout=SECONDS, stream=True, allow_redirects=False)
        try:
            with super().request(method, url, *arguments, **options) as response:
                self._require_answer(response)
                return self._read(response)
        except requests.exceptions.SSLError as error:
            trusted = 'certificate verify failed' not in str(error).lower()
            raise server.failed('TLS fails' if trusted else 'its TLS certificate is not trusted: set OS_CACERT to the file of its CA')
        except requests.RequestException as error:
            raise server.failed(f'it cannot be reached ({type(error).__name__})')

    def _require_answer(self, response: requests.Response) -> None:
        status, wait = response.status_code, response.headers.get('Retry-After', '')
        if status == 429:
            seconds = min(max(int(wait), 1), MOST_RETRY_SECONDS) if re.fullmatch('[0-9]{1,9}', wait) else RETRY_SECONDS
            raise errors.TooManyRequests('too many logins; retry after the seconds in Retry-After', headers={'Retry-After': str(seconds)})
        if 300 <= status < 400:
            raise self._server.failed(f'it redirects to {errors.short(ascii(response.headers.get("Location")))}. Set the URL of that place')
        if not 200 <= status < 500:
            raise self._server.failed(f'it answers with status {status}')

    def _read(self, response: requests.Response) -> requests.Response:
        """Return a response with all of the body in memory."""
        content = bytearray()
        for block in response.iter_content(8192):
            content += block
            if len(content) > MOST_BYTES:
                raise self._server.failed(f'its answer has more than {MOST_BYTES} bytes')
        return _Whole(response, bytes(content))


class _Whole(requests.Response):
    """A response whose body has been read."""

    def __init__(self, response: requests.Response, content: bytes):
        super().__init__()
        self.status_code, self.headers, self.url, self.reason = response.status_code, response.headers, response.url, response.reason
        self._content = content


def part(raw: bytes) -> str:
    """Return a part of a user name as text, with its percent-encoded bytes decoded; '' if no name is like that.

    Both are UTF-8: what was sent stands in the log. A `%` without two hexadecimal digits after it stands for itself.
    """
    try:
        raw.decode()
        text = re.sub(rb'%([0-9A-Fa-f]{2})', lambda match: bytes([int(match[1], 16)]), raw).decode()
    except UnicodeDecodeError:
        return ''
    return text if len(text) <= LONGEST_PART and text.isprintable() else ''


def password(raw: bytes) -> str:
    """Return a password as text; '' if no user has a password like that. Some directories let everybody in who sends an empty one."""
    try:
        return raw.decode() if len(raw) <= LONGEST_PASSWORD else ''
    except UnicodeDecodeError:
        return ''


def likeness(*parts: str) -> bytes:
    """Return a text that is the same for all names that a server may take for one user.

    Databases compare names as their collation says: often without regard to case, accents, or blanks at the end.
    """
    plain = (''.join(filter(str.isalnum, unicodedata.normalize('NFKD', each.casefold()))) for each in parts)
    return '@'.join(plain).encode()
