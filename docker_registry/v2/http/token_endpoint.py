"""The endpoint that issues tokens. See `access.tokens`."""

import json

from werkzeug import Response

from docker_registry.v2.access.scopes import Scopes


def get_token(registry, request):
    """Issue a token: https://distribution.github.io/distribution/spec/auth/token/"""
    document = registry.guard.grant(request, Scopes.asked(request.args.getlist('scope')))
    return Response(json.dumps(document), content_type='application/json', headers={'Cache-Control': 'no-store'})
