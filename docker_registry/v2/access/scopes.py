"""Scopes: for what a token may be used. Their text is, for example, `repository:team/app:pull,push`.

https://distribution.github.io/distribution/spec/auth/scope/
"""

from collections.abc import Callable, Iterable, Mapping

from docker_registry.v2.registry import errors, names

LONGEST = 4096  # characters that a client may ask for; the token must fit into a header
MOST = 100  # scopes that a client may ask for

#: {type of a resource: its actions}. Other types and actions are ignored, so that clients may ask for more than this registry knows.
ACTIONS = {'repository': ('pull', 'push', 'delete'), 'registry': ('*',)}

Resource = tuple[str, str]  # type and name

#: The kinds of access: the type of the resource, and the actions on it. The last action is the one that the request is about.
Access = tuple[str, tuple[str, ...]]
PING: Access = ('', ())
METRICS: Access = ('metrics', ())  # every user may see them, whatever their token is for
CATALOG: Access = ('registry', ('*',))
PULL: Access = ('repository', ('pull',))
PUSH: Access = ('repository', ('pull', 'push'))
DELETE: Access = ('repository', ('delete',))


class Scopes:
    """Actions on resources.

    :param actions: {resource: actions}. The resources are checked values.
    """

    def __init__(self, actions: Mapping[Resource, Iterable[str]] = {}):
        self.actions = {resource: frozenset(some) for resource, some in actions.items() if some}

    @classmethod
    def parse(cls, text: str) -> 'Scopes':
        """Return the scopes of a text, in which spaces separate them. What is not a scope that this registry knows is left out."""
        found: dict[Resource, set[str]] = {}
        for word in text.split():
            kind, _, rest = word.partition(':')
            name, _, actions = rest.rpartition(':')
            kind = kind.partition('(')[0]  # `repository(plugin)` is the same as `repository`
            if _is_resource(kind, name):
                asked = actions.split(',')
                found.setdefault((kind, name), set()).update(known for known in ACTIONS[kind] if known in asked or '*' in asked)
        return cls(found)

    @classmethod
    def asked(cls, texts: Iterable[str]) -> 'Scopes':
        """Return the scopes that a client asks for.

        :raises ParameterInvalid: they are too many, or too long
        """
        text = ' '.join(texts)
        if len(text) > LONGEST or len(text.split()) > MOST:
            raise errors.ParameterInvalid(f'ask for at most {MOST} scopes, with {LONGEST} characters together')
        return cls.parse(text)

    def __str__(self) -> str:
        return ' '.join(
            f'{kind}:{name}:{",".join(action for action in ACTIONS[kind] if action in some)}' for (kind, name), some in self.actions.items()
        )

    def __or__(self, other: 'Scopes') -> 'Scopes':
        return Scopes(
            {
                resource: self.actions.get(resource, frozenset()) | other.actions.get(resource, frozenset())
                for resource in {**self.actions, **other.actions}
            }
        )

    def covers(self, needed: 'Scopes') -> bool:
        return all(some <= self.actions.get(resource, frozenset()) for resource, some in needed.actions.items())

    def only(self, allows: Callable[[str, str, str], bool]) -> 'Scopes':
        """Return these scopes without the actions that are not allowed.

        :param allows: called with the type of a resource, its name, and an action
        """
        return Scopes({resource: [action for action in some if allows(*resource, action)] for resource, some in self.actions.items()})


def _is_resource(kind: str, name: str) -> bool:
    if kind != 'repository':
        return (kind, name) == ('registry', 'catalog')
    try:
        return bool(names.repository(name))
    except errors.NameInvalid:
        return False


def access_of(access: Access, method: str) -> Access:
    """Return the kind of access that a request with this method needs, on a route of a kind."""
    if access == PULL and method not in ('GET', 'HEAD'):
        return DELETE if method == 'DELETE' else PUSH
    return access


def needed_for(access: Access, repository: str | None) -> Scopes:
    """Return the scopes that a token needs for a request. A repository that cannot exist needs none: no endpoint serves it."""
    kind, actions = access
    if kind != 'repository':
        return Scopes({(kind, 'catalog'): actions})
    try:
        return Scopes({(kind, names.repository(repository or '')): actions})
    except errors.NameInvalid:
        return Scopes()
