"""The objects of the domain, connected: one of each, all on the same storage."""

from typing import Any

from docker_registry.v2.registry.absence import Absence
from docker_registry.v2.registry.blobs import Blobs
from docker_registry.v2.registry.concurrency import Together
from docker_registry.v2.registry.content_cache import ContentCache
from docker_registry.v2.registry.deletions import Deletions
from docker_registry.v2.registry.manifests import Manifests
from docker_registry.v2.registry.pruning import Pruning
from docker_registry.v2.registry.referrers import Referrers
from docker_registry.v2.registry.sharing import Shared
from docker_registry.v2.registry.storage import Storage
from docker_registry.v2.registry.tags import Tags
from docker_registry.v2.registry.trash import Trash
from docker_registry.v2.registry.uploads import Uploads
from docker_registry.v2.settings.config import Config


class Domain:
    """What the server and the commands of an operator share. It sends no request to storage before somebody uses it."""

    def __init__(self, storage: Storage, config: Config):
        self.storage = storage
        self.together = Together(config.storage_threads)
        self.shared = Shared[Any]()  # looks at pages of listings
        self.absence = Absence(storage, config.replication_cycle)
        self.deletions = Deletions(storage, self.together, self.absence, config.replication_cycle)
        self.trash = Trash(storage)
        contents = ContentCache(config.manifest_cache)
        self.blobs = Blobs(storage, self.together, self.absence, self.trash, contents, config.replication_cycle)
        self.uploads = Uploads(storage, self.blobs)
        self.tags = Tags(storage, self.together, self.deletions)
        self.referrers = Referrers(storage, self.together, self.tags)
        self.manifests = Manifests(
            storage,
            self.together,
            self.blobs,
            self.tags,
            self.deletions,
            self.referrers,
            self.absence,
            self.trash,
            contents,
            config.sparse_manifests,
            config.manifest_references,
            config.manifest_limit,
        )
        self.pruning = Pruning(storage, self.together, self.tags, self.deletions, self.manifests)
