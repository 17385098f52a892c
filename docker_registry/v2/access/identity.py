"""Who sends a request: the user, and what rules can call the user."""

import string
from dataclasses import dataclass, field

_PLAIN = frozenset((string.ascii_letters + string.digits + '._-').encode())


@dataclass(frozen=True)
class Identity:
    """A client that has logged in, or `ANONYMOUS`.

    :param name: the user's name, for the log and for tokens
    :param principals: what rules can name: the name itself for a user of the htpasswd file; for other logins, texts that begin with the
        kind of login, such as `keystone:images@Default`, in which `quoted` keeps the parts apart
    :param source: the login that has checked the password: `htpasswd`, `keystone` or `swift`
    :param stored: the stored hash of an htpasswd user's password
    """

    name: str
    principals: frozenset[str] = frozenset()
    source: str = ''
    stored: bytes | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        """Return whether the client has logged in."""
        return bool(self.source)


ANONYMOUS = Identity('')


def quoted(text: str) -> str:
    """Return a name as it stands in a principal: every byte but letters, digits and `._-` is percent-encoded (RFC 3986, 2.1).

    Otherwise somebody who may choose the name of a project could choose one that reads like a project of another domain, or like a role.
    """
    return ''.join(chr(byte) if byte in _PLAIN else f'%{byte:02X}' for byte in text.encode())
