"""The registry over HTTP: routes, endpoints, bodies, header fields, and the server process. It does not speak to Swift itself."""
