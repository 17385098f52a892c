"""The domain: repositories, blobs, manifests, tags, referrers, and their paths. It reaches storage only through the driver."""
