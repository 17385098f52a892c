"""The domain: repositories, blobs, manifests, tags, referrers, and where they lie. Reaches storage only through the driver."""
