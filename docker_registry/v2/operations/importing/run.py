"""The order of an import: what there is, then layers, and each image as soon as its layers are blobs.

Everything is written as by a push: data, link, manifest, tag; and last the memo. So wherever a run ends, readers see whole images, what
is left over is garbage that a collection frees, and the next run goes on.
"""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from docker_registry.core import exceptions
from docker_registry.v2.operations.importing.attempts import Attempts
from docker_registry.v2.operations.importing.conversion import Conversion, require_whole
from docker_registry.v2.operations.importing.depth import Depth
from docker_registry.v2.operations.importing.layers import Layers
from docker_registry.v2.operations.importing.memo import Memo, Rejected
from docker_registry.v2.operations.importing.outcomes import IMPORTED, PLANNED, Outcome, Outcomes
from docker_registry.v2.operations.importing.planning import Choice, Plan, Planned, Planning, counted
from docker_registry.v2.operations.importing.problems import Skipped, Stopped
from docker_registry.v2.operations.importing.storing import Storing
from docker_registry.v2.operations.importing.tagging import Image, Tagging
from docker_registry.v2.operations.importing.tree import Tree
from docker_registry.v2.operations.progress import BYTES, Progress
from docker_registry.v2.registry import errors, formats
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.domain import Domain


@dataclass(frozen=True)
class Options:
    """How to import.

    :param is_here: the v1 registry is in the container of the new one
    :param link: make blobs of the objects of the v1 registry, instead of copying these
    :param replace: overwrite tags that somebody else has pushed
    :param ignore_checksums: see `Conversion`
    :param workers: layers that are converted at the same time
    :param threads: requests to Swift at a time, apart from those for the bytes of layers
    """

    choice: Choice = field(default_factory=Choice)
    is_here: bool = True
    link: bool = False
    media_type: str = formats.DOCKER_IMAGE
    dry_run: bool = False
    replace: bool = False
    ignore_checksums: bool = False
    workers: int = 2
    threads: int = 16


class Import:
    """One run.

    :param domain: the registry that gets the images
    :param tree: the v1 registry
    """

    def __init__(self, domain: Domain, tree: Tree, options: Options, progress: Progress):
        self._domain, self._tree, self._options, self._progress = domain, tree, options, progress
        self._attempt = Attempts()
        self._together = Together(2 * options.threads)
        self._memo = Memo(domain.storage, tree)
        self._storing = Storing(domain, tree, options.is_here, options.link)
        depth = Depth(domain, self._memo, self._storing)
        self._tagging = Tagging(domain, tree, self._memo, depth, options.media_type, options.replace)
        self._has_stopped = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> Outcomes:
        """Import what was not imported before, and say what has become of each tag.

        :raises: the errors of the driver, if Swift is down or the settings are wrong. What one tag needs is an outcome, and no error
        """
        plan = Planning(self._tree, self._memo, self._tagging, self._together, self._progress, self._attempt).plan(
            self._options.choice, self._options.ignore_checksums
        )
        found = Outcomes(str(self._tree), self._options.dry_run, plan.places, plan.done)
        found.layers_to_read, found.bytes_to_read = len(plan.missing), sum(plan.missing.values())
        if self._options.dry_run:
            self._foresee(plan, found)
        else:
            self._convert(plan, found)
        found.uses_links = found.uses_links or self._storing.are_any_held()
        found.tags.sort(key=lambda outcome: (outcome.tag.repository, outcome.tag.tag))
        return found

    def _foresee(self, plan: Plan, found: Outcomes) -> None:
        """Say what would become of each tag, as far as that shows without the bytes of layers."""
        rejected = {layer.image: layer for layer in plan.layers if isinstance(layer, Rejected)}
        images = [*plan.missing, *rejected]
        with self._progress.stage('Looking at images', 'images', len(images)) as advance:

            def problem(image: str) -> Exception | None:
                try:
                    require_whole(self._tree, image, rejected.get(image))
                except (Skipped, exceptions.UnspecifiedError, errors.RegistryError) as why:
                    return why
                return None

            with self._together.each(problem, images) as looks:
                problems = dict(zip(images, counted(looks, advance)))

        def look(planned: Planned) -> None:
            for image in planned.tag.chain:
                if why := problems.get(image):
                    raise why

        outcomes = [(planned.tag, self._attempt.about(planned.tag, functools.partial(look, planned))) for planned in plan.tags]
        found.tags += [outcome or Outcome(tag, PLANNED) for tag, outcome in outcomes]
        needed = {image for tag, outcome in outcomes if not outcome for image in tag.chain} & plan.missing.keys()
        found.layers_to_read, found.bytes_to_read = len(needed), sum(plan.missing[image] for image in needed)
        found.uses_links = self._options.link and any(not outcome for _, outcome in outcomes)

    def _convert(self, plan: Plan, found: Outcomes) -> None:
        total = sum(plan.missing.values())
        with self._progress.stage('Converting layers', BYTES, total) as show:
            advance, ignore = functools.partial(self._advance, show), self._options.ignore_checksums
            conversion = Conversion(self._domain.storage, self._tree, self._memo, self._storing, advance, ignore)
            with Layers(conversion, self._storing, plan.layers, self._options.workers) as layers:
                for planned in plan.tags:
                    layers.start(planned.tag.chain, planned.tag.target)
                finish = functools.partial(self._finish, layers)
                with self._together.each(finish, plan.tags) as outcomes:
                    try:
                        found.tags += outcomes
                    except BaseException:  # also from the operator: what is being converted ends here, too
                        self._has_stopped.set()
                        layers.cancel()
                        raise
                found.layers, found.used, found.uses_links = layers.converted, layers.used, layers.are_linked

    def _advance(self, show: Callable[[int], Any], count: int) -> None:
        if self._has_stopped.is_set():
            raise Stopped
        with self._lock:
            show(count)

    def _finish(self, layers: Layers, planned: Planned) -> Outcome:
        tag = planned.tag

        def write() -> Image:
            return self._tagging.write(tag, [layers.get(image, tag.target) for image in tag.chain], planned.last)

        image = self._attempt.about(tag, write)
        if isinstance(image, Outcome):
            return image
        return Outcome(tag, IMPORTED, image.remark, str(image.digest), image.size)
