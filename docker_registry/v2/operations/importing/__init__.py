"""Makes images of the registry v2 API out of the images that a v1 registry has left in Swift, without a docker engine."""
