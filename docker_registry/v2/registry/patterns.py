"""Patterns of names: `team/*`, `**`, `v?.*`."""

import re

LONGEST = 255  # characters, as the longest name of a repository has

_ALLOWED = re.compile(r'[A-Za-z0-9._/*?-]+', re.ASCII)


class Pattern:
    """A pattern of names of repositories or tags.

    `*` stands for any characters except a slash, `**` for any characters, and `?` for one character except a slash. The whole name must
    match. The time to match grows with the length of the name, whatever the pattern is: no regular expression is made.

    :param longest: characters that the pattern may have
    :raises ValueError: the pattern has other characters than names have, none, or too many
    """

    def __init__(self, text: str, longest: int = LONGEST):
        if not _ALLOWED.fullmatch(text) or len(text) > longest:
            raise ValueError(f'{text[:60]!r} is no pattern: it may have letters, digits and ._/-*? only, at most {longest}')
        self.text = text
        #: What every name that matches begins with: the pattern up to the first `*` or `?`.
        self.beginning = re.split('[*?]', text, maxsplit=1)[0]
        self._tokens = re.findall(r'\*\*+|.', text[len(self.beginning) :])
        self._steps = _Steps(self._tokens)

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def is_literal(self) -> bool:
        """True if one name matches, and no other."""
        return not self._tokens

    @property
    def matches_all_beginnings(self) -> bool:
        """True if every name matches that starts with `beginning`."""
        return len(self._tokens) == 1 and self._tokens[0].startswith('**')

    def matches(self, name: str) -> bool:
        if not name.startswith(self.beginning):
            return False
        if self.is_literal:
            return len(name) == len(self.beginning)
        return self.matches_all_beginnings or self._steps.lead_to_the_end(name[len(self.beginning) :])


class _Steps:
    """Goes through a text and keeps all possibilities at the same time, so it never goes back.

    Each possibility is a bit: how many of the tokens may have matched so far. Two tokens that match nothing never follow each other,
    because `***` is one token.
    """

    def __init__(self, tokens: list[str]):
        self._end = 1 << len(tokens)
        self._many, self._any, self._one = (_bits(tokens, kind) for kind in ('**', '*', '?'))
        self._literal = {character: _bits(tokens, character) for character in {*tokens} - {'*', '?'}}

    def lead_to_the_end(self, text: str) -> bool:
        stars = self._many | self._any
        reached = 1 | (1 & stars) << 1
        for character in text:
            stay, go = (self._many, 0) if character == '/' else (stars, self._one)
            reached = reached & stay | (reached & (go | self._literal.get(character, 0))) << 1
            if not reached:
                return False
            reached |= (reached & stars) << 1
        return bool(reached & self._end)


def _bits(tokens: list[str], wanted: str) -> int:
    return sum(1 << at for at, token in enumerate(tokens) if (token[:2] if token.startswith('**') else token) == wanted)
