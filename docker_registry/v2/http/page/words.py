"""How the page writes sizes, times and names, and in which order."""

import datetime
import re

UNITS = ((86400 * 365, 'year'), (86400 * 30, 'month'), (86400, 'day'), (3600, 'hour'), (60, 'minute'))


def size(count):
    """Return a number of bytes as people read it: powers of 1000, as docker and registries show them."""
    if count is None:
        return ''
    for unit in ('B', 'kB', 'MB', 'GB', 'TB'):
        if count < 1000 or unit == 'TB':
            return f'{count:.0f} {unit}' if unit == 'B' or count >= 100 else f'{count:.1f} {unit}'
        count /= 1000


def age(written, now):
    """Return how long ago something was: `3 days ago`. Both times are seconds since the epoch."""
    for seconds, unit in UNITS:
        count = int((now - written) // seconds)
        if count > 0:
            return f'{count} {unit}{"s" if count > 1 else ""} ago'
    return 'just now'


def visible(text):
    """Return a text with escapes for what one cannot see, or what changes the order of letters. Lines and tabs stay."""
    if text.isprintable():
        return text
    return ''.join(letter if letter.isprintable() or letter in '\n\t' else ascii(letter)[1:-1] for letter in text)


def instant(written):
    """Return a time as ISO 8601 in UTC."""
    return datetime.datetime.fromtimestamp(written, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


def natural(text):
    """Return the key that sorts 1.9 before 1.10."""
    return [(1, int(part), '') if '0' <= part[0] <= '9' else (0, 0, part) for part in re.findall(r'[0-9]+|[^0-9]+', text)]


def short(digest):
    """Return the first digits of a digest, which people compare."""
    return str(digest).partition(':')[2][:12]
