"""The file of rules: who may do what. It is read again when it changes. docs/rules.rst explains the format."""

import datetime

from docker_registry.v2.access import rule_lines
from docker_registry.v2.access.identity import Identity
from docker_registry.v2.access.policies import Decision
from docker_registry.v2.access.rulebook import Rights, Rulebook
from docker_registry.v2.access.visible import Visible
from docker_registry.v2.access.watched import Broken, File

__all__ = ['Broken', 'Decision', 'Rights', 'Rules', 'Visible', 'read']


class Rules:
    """The rules in a file. While the file cannot be used, all questions raise `Broken`."""

    everybody_lists = True

    def __init__(self, path: str):
        """Read the file.

        :raises Broken: the file cannot be used
        """
        self._path = path
        self._file = File(path, read, 'rules', 'nobody gets in until you correct the file of rules')

    def __str__(self) -> str:
        return f'the rules of {self._path}'

    def rights(self, identity: Identity, repository: str) -> Rights:
        """Return what a client may do in a repository, which need not be there.

        :raises Broken: the file cannot be used
        """
        return self._file.current().rights(identity, repository)

    def expires(self, name: str) -> datetime.date | None:
        """Return the day at whose beginning, in UTC, the login of a user of the htpasswd file ends, or None if it does not end.

        :raises Broken: the file cannot be used
        """
        return self._file.current().expires(name)

    def pulls_everything(self, identity: Identity) -> bool:
        """Return whether one line lets a client pull everything, and none takes any pull from the client.

        :raises Broken: the file cannot be used
        """
        return self._file.current().pulls_everything(identity)

    def pulls_something(self, identity: Identity) -> bool:
        """Return whether there may be a repository from which a client may pull.

        :raises Broken: the file cannot be used
        """
        return self._file.current().pulls_something(identity)

    def visible(self, identity: Identity) -> Visible:
        """Return the repositories from which a client may pull. The answer stays as it is if the file changes.

        :raises Broken: the file cannot be used
        """
        return self._file.current().visible(identity)


def read(path: str) -> Rulebook:
    """Return the rules of a file.

    :raises Broken: the file cannot be used. The text names the first line that is wrong.
    """
    statements = rule_lines.load(path)
    if statements.errors:
        (number, text), *more = statements.errors
        others = f' (and {len(more)} more: registry-swift rules --check)' if more else ''
        raise Broken(f'{path}, line {number}: {text}{others}')
    return Rulebook(statements)
