"""The registry v2 API (OCI distribution-spec 1.1) on the Swift driver, in rooms. Each uses only those to its right:

    cli -> http, operations -> access -> registry -> settings

docs/architecture.rst shows what is in each. `http.app.create_app(config, storage)` returns the WSGI application.
"""
