"""The endpoint that issues tokens, as docker and containerd use it. See `access.tokens`."""

import contextlib
import json
from urllib.parse import parse_qs

from werkzeug import Response

from docker_registry.v2.access.guard import authorization
from docker_registry.v2.access.scopes import Scopes
from docker_registry.v2.registry import errors

LONGEST_FORM = 64 * 1024  # bytes
MOST_FIELDS = 200  # of a form
FORM_SECONDS = 10  # for a form to arrive, which is read before any password is checked


def get_token(registry, request):
    """Issue a token for Basic credentials or for none: https://distribution.github.io/distribution/spec/auth/token/"""
    kind, credentials = authorization(request)
    asked, offline = Scopes.asked(request.args.getlist('scope')), request.args.get('offline_token') == 'true'
    return _response(registry.guard.grant(request, kind, credentials, asked, offline, registry.cors.names(request.environ)))


def post_token(registry, request):
    """Issue a token for a form with a password or a refresh token: https://distribution.github.io/distribution/spec/auth/oauth/

    A form has one scope, with spaces in it. skopeo sends several.
    """
    form = _form(request)
    kind = form.get('grant_type', [''])[0]
    needed = {'password': ('username', 'password'), 'refresh_token': ('refresh_token',)}.get(kind)
    if needed is None:
        raise errors.ParameterInvalid('grant_type must be password or refresh_token')
    if any(name not in form for name in needed):
        raise errors.ParameterInvalid(f'the form lacks {" or ".join(needed)}')
    credentials = ':'.join(form[name][0] for name in needed).encode('latin-1')
    asked, offline = Scopes.asked(form.get('scope', [])), form.get('access_type') == ['offline']
    return _response(registry.guard.grant(request, 'basic' if kind == 'password' else 'refresh', credentials, asked, offline))


def _form(request):
    """Return the form in a request's body as {name: values}. Their characters are the bytes that the client sent.

    :raises ParameterInvalid: the body is too long, or has too many fields
    :raises RequestInvalid: the body did not arrive in `FORM_SECONDS`
    """
    within = request.environ.get('registry.within', contextlib.nullcontext)  # the server has it, and tests without a server do not
    with within(FORM_SECONDS):
        content = request.body.read_all(LONGEST_FORM)
    if content is None:
        raise errors.ParameterInvalid('the form is too long', status=413)
    try:
        return parse_qs(content.decode('latin-1'), keep_blank_values=True, encoding='latin-1', max_num_fields=MOST_FIELDS)
    except ValueError:
        raise errors.ParameterInvalid('the form has too many fields')


def _response(document):
    return Response(json.dumps(document), content_type='application/json', headers={'Cache-Control': 'no-store'})
