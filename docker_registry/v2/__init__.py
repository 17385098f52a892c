"""The registry v2 API (OCI distribution-spec 1.1) on the Swift driver.

The package is divided into rooms. A room imports only from the rooms to its right:

    cli -> http, operations -> access -> registry -> settings

docs/architecture.rst describes each room. `http.app.create_app(config, storage)` returns the WSGI application.
"""
