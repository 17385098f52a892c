"""The registry v2 API (OCI distribution-spec 1.1) on the Swift driver.

`app.create_app(config, storage)` gives the WSGI application. Dependencies point one way:

    cli, server -> app, endpoints, auth, proxies, htpasswd, config -> manifests, referrers, tags, catalog, uploads, blobs
        -> layout, names, errors

The right-hand side is the domain: it knows no HTTP, and reaches Swift only through the storage driver's public methods.
"""
