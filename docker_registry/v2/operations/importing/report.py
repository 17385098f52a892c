"""The outcome of an import, as text for people and as JSON."""

import json
from collections.abc import Sequence

from docker_registry.v2.operations import space
from docker_registry.v2.operations.importing import naming
from docker_registry.v2.operations.importing.outcomes import FAILED, IMPORTED, PLANNED, SKIPPED, UNCHANGED, Outcome, Outcomes
from docker_registry.v2.operations.importing.unlinking import Unlinked
from docker_registry.v2.operations.survey.report import printable

SHOWN = 20  # remarks about layers

PRIVATE = """\
These repositories were private. A repository of this registry is open to everybody who may use the registry, unless rules say otherwise.
Write a file of rules before you serve them (docs/rules.rst):"""
LINKED = """\
Layers of these images are objects of the v1 registry. Never delete what is below {source}/images and {source}/_segments, until
registry-swift import-v1 --unlink has copied them. Objects below _held in the container say which layers they are; registry-swift gc and
the driver of the v1 registry (0.3 or newer) leave them alone."""


def as_json(found: Outcomes) -> str:
    return json.dumps(
        {
            'from': found.source,
            'dry_run': found.is_dry_run,
            'counts': {state: found.count()[state] for state in (IMPORTED, UNCHANGED, PLANNED, SKIPPED, FAILED)},
            'tags': [_tag(outcome) for outcome in found.tags],
            'repositories': [{'name': place.name, 'as': place.target, 'private': place.is_private} for place in found.places],
            'layers': {'converted': len(found.layers), 'to_read': found.layers_to_read, 'bytes_to_read': found.bytes_to_read},
            'remarks': [{'image': layer.image, 'remarks': layer.remarks} for layer in found.remarked],
            'linked': found.uses_links,
            'requests': found.requests,
            'seconds': found.seconds,
        },
        indent=2,
    )


def _tag(outcome: Outcome) -> dict[str, object]:
    tag = outcome.tag
    about: dict[str, object] = {'name': str(tag), 'as': tag.new_name if tag.target and tag.target_tag else None, 'state': outcome.state}
    about |= {'image': outcome.image} if outcome.image else {}
    about |= {'digest': outcome.digest} if outcome.digest else {}
    about |= {'size': outcome.size} if outcome.state == IMPORTED else {}
    return about | ({'why': outcome.why} if outcome.why else {})


def as_text(found: Outcomes) -> str:
    lines = [printable(_line(outcome)) for outcome in found.tags if outcome.state != UNCHANGED]
    lines += _remarks(found)
    renamed = [place for place in found.places if place.target and not naming.is_own(place.name, place.target)]
    if renamed:
        lines += ['', 'These repositories have new names:', *(f'    {printable(place.name)} is now {place.target}' for place in renamed)]
    private = [place for place in found.places if place.is_private]
    if private:
        lines += ['', PRIVATE, *(f'    {printable(place.target or place.name)}' for place in private)]
    if found.uses_links:
        lines += ['', LINKED.format(source=found.source)]
    return '\n'.join([*lines, *([''] if lines else []), _summary(found)])


def _line(outcome: Outcome) -> str:
    tag = outcome.tag
    name = f'{tag} as {tag.new_name}' if tag.new_name != str(tag) and tag.target and tag.target_tag else str(tag)
    if outcome.state == IMPORTED:
        return f'{outcome.state:9} {name}  {outcome.digest}  {space.text(outcome.size)}' + (f'  ({outcome.why})' if outcome.why else '')
    return f'{outcome.state:9} {name}' + (f': {outcome.why}' if outcome.why else '')


def _remarks(found: Outcomes) -> list[str]:
    remarks = [printable(f'    {layer.image}: {remark}') for layer in found.remarked for remark in layer.remarks]
    more = len(remarks) - SHOWN
    return (
        ['', 'About the layers of these images:', *remarks[:SHOWN], *([f'    and {more} more; --json shows all'] if more > 0 else [])]
        if remarks
        else []
    )


def _summary(found: Outcomes) -> str:
    count = found.count()
    if found.is_dry_run:
        text = f'This is a dry run: nothing was changed. {count[PLANNED]} tags would be imported'
        text += f', and {found.layers_to_read} layers with {space.text(found.bytes_to_read)} read'
    else:
        text = f'{count[IMPORTED]} tags were imported, and {len(found.layers)} layers converted'
    text += f'; {count[UNCHANGED]} tags were imported before, {count[SKIPPED]} were skipped.'
    if count[FAILED]:
        text += f' Of {count[FAILED]} tags Swift did not tell enough: run this again.'
    return text


def unlinked_as_json(found: Sequence[Unlinked]) -> str:
    layers = [{'image': layer.image, 'size': layer.size} | ({'why': layer.why} if layer.why else {}) for layer in found]
    return json.dumps({'layers': layers, 'held': sum(bool(layer.why) for layer in found)}, indent=2)


def unlinked_as_text(found: Sequence[Unlinked], source: str) -> str:
    held = [layer for layer in found if layer.why]
    lines = [printable(f'held      {layer.image}: {layer.why}') for layer in held]
    copied = [layer for layer in found if layer.size]
    rest = len(found) - len(held) - len(copied)
    lines.append(f'{len(copied)} layers were copied, with {space.text(sum(layer.size for layer in copied))}.')
    lines += [f'{rest} layers did not have to be: no image needs them any more, or they were copied before.'] if rest else []
    lines.append(f'{len(held)} layers are still held.' if held else f'No image of this registry needs what is below {source} any more.')
    return '\n'.join(lines)
