"""What an operator names on the command line: tags, manifests and repositories."""

from collections.abc import Iterable
from dataclasses import dataclass

from docker_registry.v2.registry import errors, names
from docker_registry.v2.registry.names import Digest


@dataclass(frozen=True)
class Target:
    """A tag, a manifest, or a whole repository, if it has neither."""

    repository: str
    tag: str = ''
    digest: Digest | None = None

    def __str__(self) -> str:
        return self.repository + (f':{self.tag}' if self.tag else '') + (f'@{self.digest}' if self.digest else '')


def parse(texts: Iterable[str], repositories: Iterable[str] = ()) -> list[Target]:
    """Return what texts such as `NAME:TAG` and `NAME@DIGEST` and the names of repositories mean, each once: tags, manifests, repositories.

    :raises ValueError: one of them is wrong; the text says what to write
    """
    found = dict.fromkeys([*map(image, texts), *map(_repository, repositories)])
    return sorted(found, key=lambda target: (not target.tag, not target.digest))


def image(text: str) -> Target:
    """Return the `Target` for `NAME:TAG` or `NAME@DIGEST`.

    :raises ValueError: it is neither
    """
    name, at, digest = text.partition('@')
    try:
        if at:
            return Target(names.repository(name), digest=names.digest(digest))
        name, colon, tag = text.rpartition(':')
        if not colon:
            raise ValueError(f'{text!r} names neither a tag nor a digest. Write {text}:TAG, {text}@DIGEST or --repository {text}')
        return Target(names.repository(name), names.tag(tag))
    except errors.RegistryError as error:
        raise ValueError(f'{errors.short(text)!r} is not NAME:TAG or NAME@sha256:..., without the host of the registry: {error}')


def _repository(text: str) -> Target:
    try:
        return Target(names.repository(text))
    except errors.NameInvalid:
        raise ValueError(f'--repository {errors.short(text)!r} is not the name of a repository. Write it without host and tag')
