"""Patterns of names: `team/*`, `**`, `v?.*`."""

import re

_ALLOWED = re.compile(r'[A-Za-z0-9._/*?-]{1,255}', re.ASCII)


class Pattern:
    """A pattern of names of repositories or tags.

    `*` stands for any characters except a slash, `**` for any characters, and `?` for one character except a slash. The whole name must
    match. The time to match grows with the length of the pattern times that of the name, whatever they are: no regular expression is made.

    :raises ValueError: the pattern has other characters than names have, or none
    """

    def __init__(self, text: str):
        if not _ALLOWED.fullmatch(text):
            raise ValueError(f'{text[:60]!r} is no pattern: it may have letters, digits and ._/-*? only, at most 255')
        self.text = text
        self._tokens = re.findall(r'\*\*+|.', text)

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def matches(self, name: str) -> bool:
        # How much of the pattern may have matched so far: all possibilities at the same time, so it never goes back.
        reached = self._with_empty_stars({0})
        for character in name:
            reached = self._with_empty_stars({after for at in reached for after in self._after(at, character)})
            if not reached:
                return False
        return len(self._tokens) in reached

    def _after(self, at: int, character: str) -> tuple[int, ...]:
        token = self._tokens[at] if at < len(self._tokens) else ''
        if token.startswith('**') or token == '*' and character != '/':
            return (at,)
        return (at + 1,) if token == character or token == '?' and character != '/' else ()

    def _with_empty_stars(self, reached: set[int]) -> set[int]:
        for at in list(reached):
            while at < len(self._tokens) and self._tokens[at].startswith('*'):
                at += 1
                reached.add(at)
        return reached
