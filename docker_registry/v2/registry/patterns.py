"""Patterns of names: `team/*`, `**`, `v?.*`."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

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
        self._tokens = _tokens(text[len(self.beginning) :])
        self._steps = _Steps([self._tokens])

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
        return self.matches_all_beginnings or bool(self._steps.ends(name[len(self.beginning) :]))


class Patterns:
    """Patterns that are all matched at the same time. That takes little longer than one of them does."""

    def __init__(self, patterns: Iterable[Pattern]):
        self._texts = sorted({pattern.text for pattern in patterns})
        self._steps = _Steps([_tokens(text) for text in self._texts])

    def matching(self, name: str) -> frozenset[str]:
        """Return the texts of the patterns that match a name."""
        return frozenset([self._texts[number] for number in self._steps.ends(name)])


class _Steps:
    """Goes through a text and keeps all possibilities at the same time, so it never goes back.

    Each possibility is a bit: how many of the tokens of a sequence may have matched so far. After its last token, a sequence has one more
    bit, which no step leads out of. Two tokens that match nothing never follow each other, because `***` is one token.
    """

    def __init__(self, sequences: list[list[str]]):
        bits: dict[str, bytearray] = defaultdict(lambda: bytearray(sum(map(len, sequences)) // 8 + len(sequences) // 8 + 2))
        self._end_of, at = {}, 0
        for number, tokens in enumerate(sequences):
            _set(bits['first'], at)
            for token in tokens:
                _set(bits['**' if token.startswith('**') else token], at)
                at += 1
            _set(bits['end'], at)
            self._end_of[at] = number
            at += 1
        masks = {token: int.from_bytes(some, 'little') for token, some in bits.items()}
        self._first, self._end, self._many, self._any, self._one = (masks.pop(kind, 0) for kind in ('first', 'end', '**', '*', '?'))
        self._literal = masks

    def ends(self, text: str) -> list[int]:
        """Return the numbers of the sequences that the whole text matches."""
        stars = self._many | self._any
        reached = self._first | (self._first & stars) << 1
        for character in text:
            stay, go = (self._many, 0) if character == '/' else (stars, self._one)
            reached = reached & stay | (reached & (go | self._literal.get(character, 0))) << 1
            if not reached:
                return []
            reached |= (reached & stars) << 1
        return [self._end_of[at] for at in _set_bits(reached & self._end)]


def _tokens(text: str) -> list[str]:
    return re.findall(r'\*\*+|.', text)


def _set_bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _set(bits: bytearray, at: int) -> None:
    bits[at >> 3] |= 1 << (at & 7)
