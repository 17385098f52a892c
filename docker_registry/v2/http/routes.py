"""The routes: which endpoint serves a request, and which kind of access the request needs."""

import re

from docker_registry.v2.access import scopes
from docker_registry.v2.access.challenges import TOKEN_PATH
from docker_registry.v2.http import blob_endpoints, endpoints, token_endpoint, upload_endpoints
from docker_registry.v2.http.page import endpoints as page
from docker_registry.v2.http.page import rendering

# A repository name may contain any word of the routes, such as `blobs`. So it is everything before the last words of the route.
# The last column is the kind of access that requests need; None means that the guard is not asked.
API = [
    (re.compile(pattern), methods, action)
    for pattern, methods, action in (
        (r'/', {'GET': page.root}, None),
        (r'/v2/?', {'GET': endpoints.base}, scopes.PING),
        (r'/v2/_catalog', {'GET': endpoints.list_repositories}, scopes.CATALOG),
        (TOKEN_PATH, {'GET': token_endpoint.get_token, 'POST': token_endpoint.post_token}, None),
        (r'/healthz', {'GET': endpoints.healthz}, None),
        (r'/readyz', {'GET': endpoints.readyz}, None),
        (r'/metrics', {'GET': endpoints.metrics}, scopes.METRICS),
        (r'/v2/(?P<repository>.+)/tags/list', {'GET': endpoints.list_tags}, scopes.PULL),
        (
            r'/v2/(?P<repository>.+)/manifests/(?P<reference>[^/]+)',
            {'GET': endpoints.get_manifest, 'PUT': endpoints.put_manifest, 'DELETE': endpoints.delete_manifest},
            scopes.PULL,
        ),
        (r'/v2/(?P<repository>.+)/referrers/(?P<digest>[^/]+)', {'GET': endpoints.list_referrers}, scopes.PULL),
        (r'/v2/(?P<repository>.+)/blobs/uploads/?', {'POST': upload_endpoints.begin_upload}, scopes.PUSH),
        (
            r'/v2/(?P<repository>.+)/blobs/uploads/(?P<token>[^/]+)',
            {
                'GET': upload_endpoints.get_upload,
                'PATCH': upload_endpoints.append_to_upload,
                'PUT': upload_endpoints.finish_upload,
                'DELETE': upload_endpoints.cancel_upload,
            },
            scopes.PUSH,
        ),
        (
            r'/v2/(?P<repository>.+)/blobs/(?P<digest>[^/]+)',
            {'HEAD': blob_endpoints.head_blob, 'GET': blob_endpoints.get_blob, 'DELETE': blob_endpoints.delete_blob},
            scopes.PULL,
        ),
    )
]

#: Without REGISTRY_UI there are none of these. Only forms of the page send a POST. A slash at the end tells a list from a tag `tags`.
PAGE = [
    (re.compile(pattern), methods, action)
    for pattern, methods, action in (
        (r'/ui/?', {'GET': page.repositories}, scopes.CATALOG),
        (r'/ui/_login', {'GET': page.log_in}, scopes.PING),
        (r'/ui/_static/(?P<name>[^/]+)', {'GET': rendering.static}, None),
        (r'/ui/(?P<repository>.+)/manifests/(?P<reference>[^/]+)', {'GET': page.show_manifest}, scopes.PULL),
        (r'/ui/(?P<repository>.+)/delete/', {'GET': page.confirm, 'POST': page.delete}, scopes.DELETE),
        (r'/ui/(?P<repository>.+)/tags/?', {'GET': page.list_tags}, scopes.PULL),
    )
]

ROUTES = API + PAGE
