"""Lets the pages of other sites use the API, if the operator says which (CORS).

https://fetch.spec.whatwg.org/#http-cors-protocol. A browser sends a request of a page, or shows the page the response, only if the fields
here allow it. Other clients ignore them.
"""

from werkzeug import Response

from docker_registry.v2.settings.values import ANY

READING = ('GET', 'HEAD')
METHODS = (*READING, 'POST', 'PUT', 'PATCH', 'DELETE')
#: What pages may send besides what every page may. `*` would not include Authorization.
SENT = 'Accept, Authorization, Cache-Control, Content-Range, Content-Type, If-Match, If-None-Match, Range, X-Request-Id'
#: What pages may read of a response besides Content-Type, Cache-Control and Last-Modified.
EXPOSED = (
    'Accept-Ranges, Allow, Content-Length, Content-Range, Date, Docker-Content-Digest, Docker-Distribution-Api-Version, '
    'Docker-Upload-UUID, ETag, Link, Location, OCI-Chunk-Min-Length, OCI-Filters-Applied, OCI-Subject, OCI-Tag, Range, Retry-After, '
    'WWW-Authenticate, X-Request-Id'
)
REMEMBERED = 7200  # seconds for which a browser keeps the answer to a preflight; Chromium keeps none for longer


class Cors:
    """Answers browsers that ask what the page of another site may do. It is about the API only: all paths below /v2/.

    :param origins: the sites, such as `https://ui.example.com`. Their pages may do what their user may, with the password that the browser
        knows. Or `ANY` alone: then all pages may read, but without that password.
    """

    def __init__(self, origins):
        self._origins, self._any = frozenset(origins), ANY in origins

    def preflight(self, request):
        """Return the response to a browser that asks before it sends a request, or None if it is another request, or of another site.

        The browser sends no password with it. So this comes before any login.
        """
        if request.method != 'OPTIONS' or 'Access-Control-Request-Method' not in request.headers:
            return None
        if not (self._any and _is_api(request.path) or self.names(request.environ)):
            return None
        allowed = {
            'Access-Control-Allow-Methods': ', '.join(READING if self._any else METHODS),
            'Access-Control-Allow-Headers': SENT,
            'Access-Control-Max-Age': str(REMEMBERED),
        }
        response = Response(status=204, headers=allowed)
        del response.headers['Content-Type']
        return response

    def names(self, environ):
        """Return whether the page of a site with a name sent a request to the API, as a WSGI environment."""
        return environ.get('HTTP_ORIGIN') in self._origins and _is_api(environ.get('PATH_INFO', ''))

    def add_fields(self, request, response):
        """Add to a response what tells a browser that the page may read it. Errors are responses, too."""
        if not self._origins or not _is_api(request.path):
            return
        if self._any:
            response.headers['Access-Control-Allow-Origin'] = ANY
        else:
            response.vary.add('Origin')  # a cache must not give it to the page of another site, or to this one what others got
            if not self.names(request.environ):
                return
            response.headers['Access-Control-Allow-Origin'] = request.headers['Origin']
            response.headers['Access-Control-Allow-Credentials'] = 'true'
        response.headers['Access-Control-Expose-Headers'] = EXPOSED


def _is_api(path):
    return path == '/v2' or path.startswith('/v2/')
