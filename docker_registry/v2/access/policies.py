"""What a policy answers: what somebody may do. A policy is the file of rules, see `rules`, or one of these without a file."""

import datetime
from dataclasses import dataclass
from typing import Protocol

from docker_registry.v2.access.identity import Identity


@dataclass(frozen=True)
class Decision:
    """Whether a client may do something.

    :param line: number of the deny in the file of rules that forbids it, else of the first allow; None if no line is about it
    """

    allowed: bool
    line: int | None = None

    @property
    def text(self) -> str:
        """The reason, for people."""
        return 'no line allows it' if self.line is None else f'{"allow" if self.allowed else "deny"}, line {self.line}'


class Rights(Protocol):
    """What one client may do in one repository. The actions are `pull`, `push`, `overwrite` (of a tag) and `delete`."""

    def decide(self, action: str, tag: str | None = None) -> Decision: ...
    def may(self, action: str, tag: str | None = None) -> bool: ...
    def possible(self, action: str) -> Decision:
        """Return whether there may be a tag, or something without a tag, for which it is allowed."""

    def has_tag_rules(self, action: str) -> bool:
        """Return whether it may depend on the tag."""


class Visible(Protocol):
    """The repositories that somebody may see in a list."""

    def sees(self, repository: str) -> bool: ...
    def after(self, text: str) -> str | None:
        """Return the smallest text, at least `text`, from which on there may be a repository to see. None: there is none."""


class Policy(Protocol):
    """Who may do what. Every question raises `watched.Broken` if the policy cannot be used."""

    everybody_lists: bool  # whether clients without a login may list repositories, if they may pull any

    def rights(self, identity: Identity, repository: str) -> Rights: ...
    def visible(self, identity: Identity) -> Visible: ...
    def pulls_something(self, identity: Identity) -> bool: ...
    def pulls_everything(self, identity: Identity) -> bool: ...
    def expires(self, name: str) -> datetime.date | None:
        """Return the day on which the login of a user of the htpasswd file ends, if it does."""


class Everything:
    """All rights in all repositories."""

    def decide(self, action: str, tag: str | None = None) -> Decision:
        return self.possible(action)

    def possible(self, action: str) -> Decision:
        return Decision(self.may(action))

    def may(self, action: str, tag: str | None = None) -> bool:
        return True

    def has_tag_rules(self, action: str) -> bool:
        return False

    def sees(self, repository: str) -> bool:
        return True

    def after(self, text: str) -> str | None:
        return text


class Nothing(Everything):
    def may(self, action: str, tag: str | None = None) -> bool:
        return False


class Pulls(Everything):
    def may(self, action: str, tag: str | None = None) -> bool:
        return action == 'pull'


class UsersOnly:
    """The policy without a file: users may do everything, and everybody may pull if the registry allows that."""

    everybody_lists = False

    def __init__(self, everybody_pulls: bool):
        self._everybody_pulls = everybody_pulls
        self._others: Everything = Pulls() if everybody_pulls else Nothing()

    def rights(self, identity: Identity, repository: str) -> Rights:
        return Everything() if identity else self._others

    def visible(self, identity: Identity) -> Visible:
        return Everything()

    def pulls_something(self, identity: Identity) -> bool:
        return bool(identity) or self._everybody_pulls

    pulls_everything = pulls_something

    def expires(self, name: str) -> datetime.date | None:
        return None
