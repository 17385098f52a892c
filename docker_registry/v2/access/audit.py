"""One line in the log for each login, token, refusal, push and delete: who, from where, what, and which line of the rules says so."""

import logging
from typing import Protocol

from docker_registry.v2.access.identity import Identity
from docker_registry.v2.access.policies import Decision
from docker_registry.v2.access.scopes import Scopes
from docker_registry.v2.registry import tally

logger = logging.getLogger(__name__)


class Request(Protocol):
    """What a line says of a request."""

    identity: Identity
    remote_addr: str | None
    id: str


def login(identity: Identity, address: str | None) -> None:
    """A password was checked, and is right. Clients that send it again within five minutes make no further line."""
    tally.count(tally.LOGIN_RIGHT)
    facts = {'message': 'login', 'event': 'login', 'user': identity.name, 'by': identity.source, 'from': address}
    logger.info('login user=%s by=%s from=%s', written(identity.name), identity.source, address or '-', extra={'facts': facts})


def token(request: Request, allowed: Scopes) -> None:
    """A user got a token."""
    tally.count(tally.TOKEN)
    _write(request, 'token', f'scope="{allowed}"', scope=str(allowed))


def refused(request: Request, action: str, repository: str | None, decision: Decision, tag: str | None = None) -> None:
    """A user may not do what the request wants."""
    text = f'action={action} {_place(repository, tag)} rule={decision.line or "-"}'
    _write(request, 'refused', text, action=action, repository=repository, tag=tag, rule=decision.line)


def changed(request: Request, action: str, repository: str, decision: Decision, tag: str | None, digest: str | None) -> None:
    """A push or a delete has succeeded."""
    text = f'{_place(repository, tag)} digest={digest or "-"} rule={decision.line or "-"}'
    _write(request, action, text, repository=repository, tag=tag, digest=digest, rule=decision.line)


def _write(request: Request, event: str, text: str, **facts: object) -> None:
    """Write a line, with its facts as an `extra` for a log that is not text."""
    user, address = request.identity.name, request.remote_addr
    facts = {'message': event, 'event': event, 'user': user, 'from': address, **facts, 'id': request.id}
    logger.info('%s user=%s from=%s %s id=%s', event, written(user), address or '-', text, request.id, extra={'facts': facts})


def _place(repository: str | None, tag: str | None) -> str:
    return f'repository={written(repository or "")}' + (f' tag={written(tag)}' if tag else '')


def written(text: str) -> str:
    """Return a text as one word, so that nobody can forge a line, or a part of one."""
    return text.encode('unicode_escape').decode().replace(' ', '\\x20') or '-'
