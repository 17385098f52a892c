"""The settings of notifications: a table like those in `config`."""

import re
from dataclasses import dataclass

from docker_registry.v2.settings.config import number, setting

ACTIONS = ('pull', 'push', 'mount', 'delete')


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(text.replace(',', ' ').split())
    if not all(map(_is_url, urls)) or len(set(urls)) < len(urls):
        raise ValueError('must be http or https URLs, each once, separated by blanks or commas')
    return urls


def _is_url(text: str) -> bool:
    match = re.fullmatch(r'https?://(?:[!-"$-.0->A-~]*@)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(?:[/?][!-"$-~]*)?', text)
    return match is not None and 0 < int(match[1] or 80) < 2**16


def _actions(text: str) -> tuple[str, ...]:
    words = tuple(text.replace(',', ' ').split())
    if not set(words) <= set(ACTIONS):
        raise ValueError(f'must be some of {", ".join(ACTIONS)}, separated by commas')
    return words


def _media_types(text: str) -> tuple[str, ...]:
    words = tuple(text.replace(',', ' ').split())
    if not all(re.fullmatch(r'[\w.+-]{1,127}/[\w.+-]{1,127}', word, re.ASCII) for word in words):
        raise ValueError('must be media types such as application/octet-stream, separated by commas')
    return words


@dataclass(frozen=True)
class Notifications:
    """Who is told of pulls, pushes and deletes."""

    notifications_url: tuple[str, ...] = setting(
        (),
        'URLs that get a POST for each pull, push, mount and delete, separated by blanks or commas. Unset: nobody is told',
        _urls,
        secret=True,
    )
    notifications_headers_file: str = setting(
        '', 'file with header fields for these POSTs, such as `Authorization: Bearer ...`, one a line; re-read when it changes'
    )
    notifications_ca: str = setting('', 'file of the CA certificates (PEM) for https URLs. Unset: those of the certifi package')
    notifications_timeout: int = setting(5, 'time that a listener has to respond', number(1, 300), unit='seconds')
    notifications_backoff: int = setting(
        60,
        'longest pause before a POST that failed is sent again; the first is half a second, and each is twice the last',
        number(1, 3600),
        unit='seconds',
    )
    notifications_queue: int = setting(
        10000,
        'events that each worker process keeps for each listener, of about 1 KB each. If there are more, it drops the oldest',
        number(1, 10**6),
    )
    notifications_ignore_actions: tuple[str, ...] = setting(
        (), f'kinds of events that are not sent, some of {", ".join(ACTIONS)}', _actions
    )
    notifications_ignore_media_types: tuple[str, ...] = setting(
        (), 'media types whose events are not sent; `application/octet-stream` is that of every blob', _media_types
    )
