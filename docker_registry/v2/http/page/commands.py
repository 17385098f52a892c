"""The commands that pull an image, to copy."""

from docker_registry.v2.access import addresses


def pull(request, repository, reference):
    """Return [(program, command)].

    :param reference: a tag, or a `Digest`
    """
    host = request.host if addresses.is_host(request.host) else 'REGISTRY'
    place = f'{host}/{repository}{"@" if ":" in str(reference) else ":"}{reference}'
    plain = request.scheme == 'http'
    return [
        ('docker', f'docker pull {place}'),
        ('podman', f'podman pull {"--tls-verify=false " if plain else ""}{place}'),
        ('skopeo', f'skopeo copy {"--src-tls-verify=false " if plain else ""}docker://{place} oci:{repository.rpartition("/")[2]}'),
    ]
