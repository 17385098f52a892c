"""One line in the log for each login, token, refusal, push and delete: who, from where, what, and which line of the rules says so."""

import logging
from typing import Protocol

from docker_registry.v2.access.identity import Identity
from docker_registry.v2.access.policies import Decision
from docker_registry.v2.access.scopes import Scopes

logger = logging.getLogger(__name__)


class Request(Protocol):
    """What a line says of a request."""

    identity: Identity
    remote_addr: str | None
    id: str


def login(identity: Identity, address: str | None) -> None:
    """A password was checked, and is right. Clients that send it again within five minutes make no further line."""
    logger.info('login user=%s by=%s from=%s', _written(identity.name), identity.source, address or '-')


def token(request: Request, allowed: Scopes) -> None:
    """A user got a token."""
    _write(request, 'token', f'scope="{allowed}"')


def refused(request: Request, action: str, repository: str | None, decision: Decision, tag: str | None = None) -> None:
    """A user may not do what the request wants."""
    _write(request, 'refused', f'action={action} {_place(repository, tag)} rule={decision.line or "-"}')


def changed(request: Request, action: str, repository: str, decision: Decision, tag: str | None, digest: str | None) -> None:
    """A push or a delete has succeeded."""
    _write(request, action, f'{_place(repository, tag)} digest={digest or "-"} rule={decision.line or "-"}')


def _write(request: Request, event: str, facts: str) -> None:
    user, address = _written(request.identity.name), request.remote_addr or '-'
    logger.info('%s user=%s from=%s %s id=%s', event, user, address, facts, request.id)


def _place(repository: str | None, tag: str | None) -> str:
    return f'repository={_written(repository or "")}' + (f' tag={_written(tag)}' if tag else '')


def _written(text: str) -> str:
    """Return a text as one word, so that nobody can forge a line, or a part of one."""
    return text.encode('unicode_escape').decode().replace(' ', '\\x20') or '-'
