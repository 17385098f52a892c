"""What clients do while a collection runs, each in steps: a generator that ends a step with `yield`. Afterwards all must be well."""

from docker_registry.v2.operations.collection import contents
from docker_registry.v2.registry import layout, names
from registry_client import digest_of


def has(registry, repository, content):
    return registry('HEAD', f'/v2/{repository}/blobs/{digest_of(content)}').status_code == 200


def push_blobs(registry, pushed):
    """Push what the registry does not have, as docker does."""
    for content in pushed.blobs:
        if not has(registry, pushed.repository, content):
            registry.push_blob(pushed.repository, content)


def push_again(world):
    """Push all images that were deleted, and one of all blobs that were never in an image."""
    registry = world.registry()
    images = [*world.garbage, world.new_image('a', 'lone', *world.lone)]
    for pushed in images:
        push_blobs(registry, pushed)
    yield
    for pushed in images:
        world.put(registry, pushed)


def push_at_another_instance(world):
    """The manifests go to a registry that has not seen the blobs."""
    images = [*world.garbage, world.new_image('a', 'lone', *world.lone)]
    for pushed in images:
        push_blobs(world.registry(), pushed)
    yield
    registry = world.registry()
    for pushed in images:
        world.put(registry, pushed)


def ask_and_offer(world):
    """Only look for the blobs. If they are there, the manifests must be taken, and else they may."""
    registry = world.registry()
    images = [*world.garbage, world.new_image('a', 'lone', *world.lone[2:4])]
    found = [all(has(registry, pushed.repository, content) for content in pushed.blobs) for pushed in images]
    yield
    for pushed, is_there in zip(images, found):
        answer = world.offer(registry, pushed.repository, pushed.tag, pushed.manifest)
        assert answer.status_code == 201 or not is_there, answer.data


def offer(world):
    """Send the manifests without a look for the blobs."""
    registry = world.registry()
    for pushed in world.garbage:
        world.offer(registry, pushed.repository, pushed.tag, pushed.manifest)
    yield


def mount(world, source='a'):
    """Mount all garbage into another repository, and push what cannot be mounted."""
    registry = world.registry()
    pushed = world.new_image('mounted', 'v', *[layer for image in world.garbage for layer in image.layers], *world.lone)
    for content in pushed.blobs:
        query = f'?mount={digest_of(content)}' + (f'&from={source}' if source else '')
        answer = registry('POST', f'/v2/mounted/blobs/uploads/{query}')
        if answer.status_code != 201:
            registry.push_blob('mounted', content)
    yield
    world.put(registry, pushed)


def mount_from_any(world):
    return mount(world, None)


def send_all(world):
    """Push the blobs whatever there is: large ones in chunks, and end these uploads later."""
    registry = world.registry()
    pushed = world.new_image('sent', 'v', *[layer for image in world.garbage for layer in image.layers], *world.lone)
    uploads = []
    for content in pushed.blobs:
        answer = registry('PATCH', registry.upload('sent'), content)
        assert answer.status_code == 202
        uploads.append((answer.headers['Location'], content))
    yield
    for where, content in uploads:
        joint = '&' if '?' in where else '?'
        answer = registry('PUT', f'{where}{joint}digest={digest_of(content)}')
        assert answer.status_code == 201, answer.data
    world.put(registry, pushed)


def pull(world):
    """Pull everything, and keep what that has put back."""
    registry = world.registry()
    for (repository, digest), _ in list(world.acknowledged.items()):
        assert registry('GET', f'/v2/{repository}/manifests/{digest}').status_code == 200
        for blob in world.blobs_of(digest):
            assert registry('GET', f'/v2/{repository}/blobs/{blob}').status_code == 200
    for pushed in world.garbage:  # and what is gone
        registry('GET', f'/v2/{pushed.repository}/manifests/{pushed.tag}')
        for content in pushed.blobs:
            registry('GET', f'/v2/{pushed.repository}/blobs/{digest_of(content)}')
    yield


def delete(world):
    """Delete an image, the tag of another, and links of blobs that are no part of one."""
    registry = world.registry()
    kept = next(digest for (repository, digest), tags in world.acknowledged.items() if repository == 'b' and 'kept' in tags)
    world.delete(registry, 'b', kept)
    yield
    world.delete_tag(registry, 'a', 'kept')
    for content in world.lone:
        registry('DELETE', f'/v2/a/blobs/{digest_of(content)}')


def share(world):
    """Push new images that share layers with those that stay, into their repository and into a new one."""
    registry = world.registry()
    images = [world.new_image(repository, 'new', *world.kept_layers, world.bytes()) for repository in ('a', 'new')]
    for pushed in images:
        push_blobs(registry, pushed)
    yield
    for pushed in images:
        world.put(registry, pushed)


def write_as_distribution(world):
    """CNCF distribution: it looks for data, links them later, and knows nothing of a trash."""
    storage = world.place.storage()
    pushed = world.new_image('foreign', 'v', *[layer for image in world.garbage for layer in image.layers], *world.lone)
    there = [storage.exists(layout.blob(names.digest(digest_of(content)))) for content in pushed.blobs]
    yield
    for content, is_there in zip(pushed.blobs, there):
        if not is_there:  # as a plain object: a dynamic one has no bytes while listings are late
            storage.put_content(layout.blob(names.digest(digest_of(content))), content)
        world.link('foreign', content)
    world.distribution_manifest('foreign', 'v', pushed.manifest)


def restore(world):
    """An operator puts back all that is in the trash."""
    contents.restore(world.place.storage(), {digest_of(content) for content in world.content.values()})
    yield


ALL = [
    push_again,
    push_at_another_instance,
    ask_and_offer,
    offer,
    mount,
    mount_from_any,
    send_all,
    pull,
    delete,
    share,
    write_as_distribution,
    restore,
]
