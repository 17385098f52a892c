"""What the link of a revision tells about its manifest, as metadata. So nobody has to read and parse the manifest again."""

from typing import NamedTuple

from docker_registry.v2.registry import errors, formats, names
from docker_registry.v2.registry.names import Digest
from docker_registry.v2.registry.storage import Stat

TYPE, STATED, SUBJECT = 'type', 'stated', 'subject'


class Said(NamedTuple):
    """What a manifest says: its media type, whether it states that itself, and its subject."""

    media_type: str
    stated: bool
    subject: Digest | None


def metadata(parsed: formats.Parsed) -> dict[str, str]:
    """Return the metadata for the link of a manifest. Without a subject there is no `SUBJECT`."""
    subject = {SUBJECT: str(parsed.subject)} if parsed.subject else {}
    return {TYPE: parsed.media_type, STATED: 'yes' if parsed.stated else 'no', **subject}


def said(link: Stat) -> Said | None:
    """Return what a link tells. None if it tells nothing: CNCF distribution, and earlier versions of this registry, wrote it.

    Metadata that this registry cannot have written count as none.
    """
    found = link.metadata or {}
    try:
        subject = names.digest(found[SUBJECT]) if SUBJECT in found else None
        return Said(names.media_type(found.get(TYPE, '')), found.get(STATED) == 'yes', subject)
    except (errors.DigestInvalid, errors.ManifestInvalid):
        return None
