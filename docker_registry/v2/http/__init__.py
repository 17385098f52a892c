"""The registry over HTTP: routes, endpoints, bodies, header fields, and the server process. Knows HTTP and no Swift."""
