"""Finds out who sends a request, and admits it if the policy lets this client do it.

Users log in with Basic authentication, or exchange their password for a token. docker asks `/v2/` once how to log in, and cannot pull
without a login unless it gets a token: https://distribution.github.io/distribution/spec/auth/token/
"""

import base64
import contextlib
import datetime
import logging
from collections.abc import Iterator
from typing import Protocol

from docker_registry.v2.access import audit, challenges, htpasswd, policies
from docker_registry.v2.access.challenges import BASIC, TOKEN_PATH, Challenges
from docker_registry.v2.access.identity import ANONYMOUS, Identity
from docker_registry.v2.access.logins import Logins
from docker_registry.v2.access.scopes import CATALOG, METRICS, PING, PULL, Access, Scopes, access_of, needed_for
from docker_registry.v2.access.tokens import Invalid, Tokens
from docker_registry.v2.access.watched import Broken
from docker_registry.v2.registry import errors, names, tally

logger = logging.getLogger(__name__)

EVERYTHING = policies.Everything()


class Request(challenges.Request, audit.Request, Protocol):
    """What the guard sets of a request: who sends it, its `rights` in the repository, and the `scopes` of its token."""

    rights: policies.Rights
    scopes: Scopes | None


class Everybody:
    """The guard of a registry without passwords and rules: admits every request."""

    has_logins = False

    def admit(self, request: Request, access: Access, repository: str | None = None) -> None:
        request.rights = EVERYTHING

    def admit_again(self, request: Request, access: Access, repository: str | None = None) -> None:
        pass

    def may_mount(self, request: Request, source: str | None) -> bool:
        return True

    def visible(self, request: Request) -> policies.Visible:
        return EVERYTHING

    def is_public(self, repository: str) -> bool:
        return True

    def grant(self, request: Request, kind: str, credentials: bytes, asked: Scopes, offline: bool, has_prompt: bool = False) -> dict:
        raise errors.NotFound(detail=TOKEN_PATH)


class Guard:
    """Admits those whom a policy gives the right to what they want.

    :param logins: `Logins`, or None if nobody can log in
    :param tokens: `tokens.Tokens` to ask clients for tokens, or None to ask for passwords; needed if anybody may pull without a login
    """

    def __init__(self, logins: Logins | None, tokens: Tokens | None, policy: policies.Policy):
        self._logins, self._tokens, self._policy = logins, tokens, policy
        self._challenges = Challenges(tokens is not None)
        self.has_logins = logins is not None

    def admit(self, request: Request, access: Access, repository: str | None = None) -> None:
        """Admit a request and set its `identity`, `scopes` and `rights`, or raise.

        What a request may do is decided before storage is asked. So nobody learns whether something is there that they may not pull.
        If it depends on tags, the request is admitted, and its endpoint calls `require` when it knows them.

        :raises Unauthorized: the request needs a login, its login or token is wrong, or its token is for something else
        :raises Denied: the user has logged in, and may not do this
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises Unavailable: the file of users or the rules cannot be used, or a login elsewhere cannot be checked
        """
        access = access_of(access, request.method)
        needed = needed_for(access, repository)
        with _usable_files():
            is_bearer = self._identify(request, needed)
            decision = self._decide(request, access, repository, is_bearer)
        self._require(request, access, repository, decision)
        if not decision.allowed or request.scopes is not None and not request.scopes.covers(needed):
            raise self._challenges.unauthorized(request, needed, 'insufficient_scope' if is_bearer else '')

    def admit_again(self, request: Request, access: Access, repository: str | None = None) -> None:
        """Ask again about an admitted request, all of whose body is there: a client can take any time to send it.

        It is too late to ask for a new token or a password, so these may end meanwhile. What an operator takes counts.

        :raises Unauthorized: the user is gone, or has another password, or the login has ended, or everybody has lost the right
        :raises Denied: the user has lost the right
        :raises Unavailable: the file of users or the rules cannot be used
        """
        access, identity = access_of(access, request.method), request.identity
        needed = needed_for(access, repository)
        with _usable_files():
            if identity.source == htpasswd.KIND and self._logins and self._logins.identity(identity) != identity:
                raise self._challenges.unauthorized(request, needed, '', 'the user or the password has changed; log in again')
            self._require_unexpired(identity, self._challenges.make(request, needed))
            decision = self._decide(request, access, repository, request.scopes is not None)
        self._require(request, access, repository, decision)
        if not decision.allowed:
            raise self._challenges.unauthorized(request, needed, '')

    def _require(self, request: Request, access: Access, repository: str | None, decision: policies.Decision) -> None:
        """:raises Denied: a user may not do this"""
        if not decision.allowed and request.identity:
            audit.refused(request, access[1][-1], repository, decision)
            raise errors.Denied()

    def _identify(self, request: Request, needed: Scopes) -> bool:
        """Set the `identity` and the `scopes` of a request. Return whether it has a token."""
        kind, credentials = authorization(request)
        if kind == 'basic':
            request.identity = self._log_in(request, credentials, self._challenges.make(request, needed))
        elif kind == 'bearer' and self._tokens:
            try:
                request.identity, request.scopes = self._tokens.read(credentials)
            except Invalid as error:
                raise self._challenges.unauthorized(request, needed, 'invalid_token', str(error))
            self._require_unexpired(request.identity, self._challenges.make(request, needed))
        return kind == 'bearer'

    def _decide(self, request: Request, access: Access, repository: str | None, is_bearer: bool) -> policies.Decision:
        """Return whether the policy lets the client do this, whatever its token is for.

        docker asks `/v2/` without a login how to log in. It asks for tokens later only if the answer is a challenge.
        """
        identity, actions = request.identity, access[1]
        somebody = bool(identity) or self._policy.pulls_something(ANONYMOUS)  # also asks whether the policy can be used at all
        if access == PING:
            return policies.Decision(bool(identity) or is_bearer and somebody)
        if access == METRICS:
            return policies.Decision(bool(identity))
        if access == CATALOG:
            return policies.Decision(bool(identity) or self._policy.everybody_lists and somebody)
        try:
            request.rights = self._policy.rights(identity, names.repository(repository or ''))
        except errors.NameInvalid:  # the endpoint says so
            return policies.Decision(bool(identity) or access == PULL and somebody)
        return request.rights.possible(actions[-1])

    def may_mount(self, request: Request, source: str | None) -> bool:
        """Return whether an admitted request may mount a blob from a repository, or from any if that is None."""
        with _usable_files():
            if source is None:
                return request.scopes is None and self._policy.pulls_everything(request.identity)
            is_asked = request.scopes is None or request.scopes.covers(needed_for(PULL, source))
            return is_asked and self._policy.rights(request.identity, source).may('pull')

    def visible(self, request: Request) -> policies.Visible:
        """Return which repositories an admitted request may see."""
        with _usable_files():
            return self._policy.visible(request.identity)

    def is_public(self, repository: str) -> bool:
        """Return whether everybody may pull a repository. If nobody can say that at the moment, nobody else may keep it, either."""
        try:
            return self._policy.rights(ANONYMOUS, repository).may('pull')
        except Broken:
            return False

    def grant(self, request: Request, kind: str, credentials: bytes, asked: Scopes, offline: bool, has_prompt: bool = False) -> dict:
        """Return the response document with a token for a user, or with an anonymous token.

        The token is for what the client asks and may do. To ask for more is no error.

        :param kind: 'basic' for the credentials of Basic authentication, 'refresh' for a refresh token, anything else for none
        :param offline: True to return a refresh token as well
        :param has_prompt: True for a browser: asked for a password, it asks its user. Without one it gets no token for nothing
        :raises NotFound: this registry issues no tokens
        :raises Unauthorized: the login is wrong, or a browser needs one
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises Unavailable: the file of users or the rules cannot be used, or a login elsewhere cannot be checked
        """
        if not self._tokens:
            raise errors.NotFound(detail=TOKEN_PATH)
        with _usable_files():
            if kind == 'basic':
                request.identity = self._log_in(request, credentials, BASIC)
            elif kind == 'refresh':
                request.identity = self._refresh(request, credentials, self._tokens)
            allowed = self._allowed(request.identity, asked)
        if has_prompt and self.has_logins and not request.identity and asked.actions and not allowed.actions:
            raise errors.Unauthorized(headers={'WWW-Authenticate': BASIC})
        document = self._tokens.make(request.identity, allowed)
        if not request.identity:  # if only users may pull, the token is for nothing; docker tries a push for a minute if it gets none
            return document
        audit.token(request, allowed)
        refresh = offline and (credentials.decode() if kind == 'refresh' else self._tokens.make_refresh(request.identity))
        return document | {'refresh_token': refresh} if refresh else document

    def _allowed(self, identity: Identity, asked: Scopes) -> Scopes:
        """Return what is asked and allowed."""
        lists = bool(identity) or self._policy.everybody_lists and self._policy.pulls_something(identity)

        def allows(kind: str, name: str, action: str) -> bool:
            return lists if kind == 'registry' else self._policy.rights(identity, name).possible(action).allowed

        return asked.only(allows)

    # Logins

    def _log_in(self, request: Request, credentials: bytes, challenge: str) -> Identity:
        """Return who has sent credentials.

        :raises Unauthorized: the user name or the password is wrong
        :raises TooManyRequests: too many logins failed, or too many are in progress
        :raises watched.Broken: the file of users cannot be used
        """
        name, _, password = credentials.partition(b':')
        identity = self._logins and self._logins.check(name, password, request.remote_addr)
        if identity:
            self._require_unexpired(identity, challenge)
            return identity
        known = self._logins and self._logins.source_of(name)  # what is no name may be a password
        tally.count(tally.LOGIN_WRONG)
        user = name.decode() if known else 'an unknown user'
        facts = {'event': 'wrong password', 'user': user if known else None, 'from': request.remote_addr}
        logger.warning('a wrong password for %s from %s', user, request.remote_addr, extra={'facts': facts})
        raise errors.Unauthorized('wrong user name or password', headers={'WWW-Authenticate': challenge})

    def _refresh(self, request: Request, token: bytes, tokens: Tokens) -> Identity:
        """Return who has sent a refresh token.

        :raises Unauthorized: the token is not valid
        :raises TooManyRequests: too many logins failed
        :raises watched.Broken: the file of users cannot be used
        """
        try:
            identity = tokens.read_refresh(token)
            self._require_unexpired(identity, BASIC)
            return identity
        except Invalid as error:
            if self._logins:
                self._logins.refuse(error.user.encode(), token, request.remote_addr)
            tally.count(tally.LOGIN_WRONG)
            logger.warning('a refresh token for %s from %s: %s', error.user or 'an unknown user', request.remote_addr, error)
            raise errors.Unauthorized(str(error), headers={'WWW-Authenticate': BASIC})

    def _require_unexpired(self, identity: Identity, challenge: str) -> None:
        """:raises Unauthorized: the user's login has ended, as the policy says"""
        last = self._policy.expires(identity.name) if identity.source == htpasswd.KIND else None
        if last and datetime.datetime.now(datetime.timezone.utc).date() >= last:
            logger.warning('the login of %s ended on %s, as the rules say', identity.name, last)
            raise errors.Unauthorized(f'the login of this user ended on {last}', headers={'WWW-Authenticate': challenge})


def require(request: Request, action: str, repository: str, tag: str | None) -> None:
    """Raise `Denied` if an admitted request may not do something with one tag of its repository; None for no tag."""
    decision = request.rights.decide(action, tag)
    if not decision.allowed:
        audit.refused(request, action, repository, decision, tag)
        raise errors.Denied()


@contextlib.contextmanager
def _usable_files() -> Iterator[None]:
    """Turn `Broken` into `Unavailable`: while the file of users or the rules cannot be used, nobody can be called right or wrong."""
    try:
        yield
    except Broken:
        raise errors.Unavailable('the registry cannot look up users and their rights at the moment; retry later')


def authorization(request: Request) -> tuple[str, bytes]:
    """Return (scheme in lower case, credentials) of a request. Credentials of Basic are decoded (RFC 7617).

    The scheme is '' if there is no Authorization header, or if Basic credentials are not base64.
    """
    scheme, _, credentials = request.headers.get('Authorization', '').strip().partition(' ')
    if scheme.lower() != 'basic':
        return scheme.lower(), credentials.strip().encode('latin-1')
    try:
        return 'basic', base64.b64decode(credentials.strip(), validate=True)
    except ValueError:
        return '', b''
