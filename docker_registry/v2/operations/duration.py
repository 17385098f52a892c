"""Durations as operators write them: `7d`, `12h`, `30m`, `90s`, `0`."""

import re

UNITS = {'d': 86400, 'h': 3600, 'm': 60, 's': 1}


def parse(text: str) -> int:
    """Return the seconds of a duration: a whole number and one of `UNITS`, or `0`.

    :raises ValueError: it is none, or longer than 99999 days
    """
    match = re.fullmatch('([0-9]{1,10})([dhms])', text)
    seconds = 0 if text == '0' else int(match[1]) * UNITS[match[2]] if match else None
    if seconds is None or seconds > 99999 * UNITS['d']:
        raise ValueError(f'must be a whole number and a unit (7d, 12h, 30m, 90s) or 0, not {text[:40]!r}')
    return seconds


def text(seconds: float) -> str:
    """Return what `parse` reads as these seconds, in the largest unit that needs no fraction. It leaves out parts of a second."""
    whole = max(int(seconds), 0)
    unit = next((unit for unit, size in UNITS.items() if whole and whole % size == 0), '')
    return f'{whole // UNITS[unit]}{unit}' if unit else '0'


def roughly(seconds: float) -> str:
    """Return how long something took or how old it is, for people: at least two of the largest unit that fits, and no rest."""
    unit = next((unit for unit, size in UNITS.items() if seconds >= 2 * size), 's')
    return f'{max(int(seconds), 0) // UNITS[unit]}{unit}'
