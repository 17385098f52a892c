"""Makes a tag of the registry v2 API out of one of a v1 registry, when its layers are blobs."""

import dataclasses
from dataclasses import dataclass

from docker_registry.v2.operations.importing import depth, images
from docker_registry.v2.operations.importing.depth import Depth
from docker_registry.v2.operations.importing.memo import Layer, Memo, Tagged
from docker_registry.v2.operations.importing.problems import Skipped
from docker_registry.v2.operations.importing.tree import Tree
from docker_registry.v2.registry import errors
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.names import Digest

#: docker's own empty layer: the gzip of an archive without entries. Clients refuse an image that has no layers at all.
EMPTY = bytes.fromhex('1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000')
EMPTY_DIFF_ID = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef'


@dataclass(frozen=True)
class Tag:
    """A tag of a v1 registry, and what it becomes.

    :param repository: name in the v1 registry
    :param path: of the tag there
    :param target: the new repository, `target_tag` the new tag
    :param chain: ids of the images of which it consists, the base first; () as long as it is not known
    """

    repository: str
    tag: str
    path: str
    target: str
    target_tag: str
    chain: tuple[str, ...] = ()

    @property
    def image(self) -> str:
        return self.chain[-1]

    def __str__(self) -> str:
        return f'{self.repository}:{self.tag}'

    @property
    def new_name(self) -> str:
        return f'{self.target}:{self.target_tag}'


@dataclass(frozen=True)
class Image:
    """An image that was stored: the digest of its manifest, and the bytes of its configuration and its layers together.

    :param remark: what an operator should know, or ''
    """

    digest: Digest
    size: int
    remark: str


class Tagging:
    """Writes images. Threads share it.

    :param media_type: of manifests, see `images.manifest`
    :param replace: overwrite tags that somebody else has pushed
    """

    def __init__(self, domain: Domain, tree: Tree, memo: Memo, depth: Depth, media_type: str, replace: bool):
        self._domain, self._tree, self._memo, self._depth = domain, tree, memo, depth
        self._media_type, self._replace = media_type, replace

    def may_write(self, tag: Tag, last: Tagged | None) -> bool:
        """Return whether the new tag is free, or is what the last import has made of it.

        :param last: what the memo says of the tag
        """
        current = self._current(tag)
        return self._replace or current is None or (last is not None and last.knows(str(current)))

    def _current(self, tag: Tag) -> Digest | None:
        try:
            return self._domain.tags.resolve(tag.target, tag.target_tag)
        except errors.ManifestUnknown:
            return None

    def write(self, tag: Tag, layers: list[Layer], last: Tagged | None) -> Image:
        """Store the configuration and the manifest of an image, and tag it. All its layers are part of the repository.

        :raises Skipped: somebody has pushed another image under this tag, or a layer is missing in the image
        """
        _require_agreement(tag, layers)
        if layers and all(layer.is_empty for layer in layers):
            layers = [self._with_a_layer(tag, layers[0]), *layers[1:]]
        all_layers, layers = layers, self._depth.fit(tag.target, layers)
        configuration = images.config(self._tree.image(tag.image).document, layers)
        content = images.manifest(self._media_type, configuration, layers)
        digest = Digest.of(content)
        current = self._current(tag)
        if not self._replace and current not in (None, digest) and not (last and last.knows(str(current))):
            raise Skipped(taken(tag))
        self._domain.blobs.store_bytes(tag.target, Digest.of(configuration), configuration)
        tagged = Tagged(tag.image, tag.new_name, str(digest), str(current or ''))
        self._memo.write_tagged(tag.path, tagged)
        # A tag that is not there must still not be there when this one comes into being.
        immutable = [] if self._replace or current else [tag.target_tag]
        try:
            self._domain.manifests.put(tag.target, digest, content, self._media_type, [tag.target_tag], immutable=immutable)
        except errors.TagImmutable:
            raise Skipped(taken(tag))
        self._memo.write_tagged(tag.path, dataclasses.replace(tagged, is_done=True))
        return Image(digest, len(configuration) + sum(layer.size for layer in layers), depth.remark(all_layers))

    def _with_a_layer(self, tag: Tag, base: Layer) -> Layer:
        digest = Digest.of(EMPTY)
        self._domain.blobs.store_bytes(tag.target, digest, EMPTY)
        history = {name: value for name, value in base.history.items() if name != 'empty_layer'}
        return dataclasses.replace(base, digest=str(digest), size=len(EMPTY), kind='gzip', diff_id=EMPTY_DIFF_ID, history=history)


def _require_agreement(tag: Tag, layers: list[Layer]) -> None:
    """:raises Skipped: the ancestry of the image leaves out the parent of one of its images"""
    for layer, below in zip(layers, ('', *tag.chain)):
        if layer.parent and layer.parent != below:
            raise Skipped(
                f'images/{tag.image}/ancestry does not agree with the parent of image {layer.image}, which is {layer.parent}. '
                'Without this file, an import follows the parents'
            )


def taken(tag: Tag) -> str:
    return f'the tag {tag.new_name} is there already, and no note says that an import has made it. Give --replace to overwrite it'
