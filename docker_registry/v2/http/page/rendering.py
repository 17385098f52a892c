"""Makes responses from templates, and serves the files that they name."""

import hashlib
import pathlib
import time

import jinja2
from werkzeug import Response

from docker_registry.v2.http.page import words
from docker_registry.v2.http.responses import error_document
from docker_registry.v2.registry import errors

PATH = '/ui/'
HERE = pathlib.Path(__file__).parent
BASIC = 'Basic realm="registry"'  # the only way in which a browser asks for a password
TYPES = {'.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml'}
FILES = {path.name: path.read_bytes() for path in (HERE / 'static').iterdir() if path.suffix in TYPES}
VERSION = hashlib.sha256(b''.join(FILES[name] for name in sorted(FILES))).hexdigest()[:8]

#: Nothing from elsewhere, no script or style inside the page, no other site that shows it in a frame or gets its forms.
FIELDS = {
    'Content-Security-Policy': ("default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
    'Referrer-Policy': 'same-origin',
    'Cache-Control': 'no-store',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
}

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / 'templates'),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(size=words.size, instant=words.instant, short=words.short)
_templates.globals.update(root=PATH, version=VERSION)


def page(registry, request, template, status=200, **values):
    """Return a page.

    :param values: what the template shows. It escapes everything
    """
    now = time.time()
    text = _templates.get_template(template).render(
        user=request.identity.name, has_logins=registry.guard.has_logins, age=lambda written: words.age(written, now), **values
    )
    content = text.encode(errors='replace')  # JSON can have half of a pair of surrogates, which UTF-8 cannot
    return Response(content, status, content_type='text/html; charset=utf-8', headers=FIELDS)


def static(registry, request, name):
    """Serve a file that templates name. Its URL changes with its content, so browsers may keep it.

    During an upgrade the page may come from another instance, and name another version of the file. Nobody may keep this one for that.
    """
    if name not in FILES:
        raise errors.NotFound()
    is_named = request.args.get('v') == VERSION
    headers = FIELDS | {'Cache-Control': 'public, max-age=86400, immutable' if is_named else 'no-cache'}
    return Response(FILES[name], content_type=TYPES[pathlib.PurePath(name).suffix], headers=headers)


def error_response(registry, request, error):
    """Return the response to an error: a page below `PATH`, and else what the API answers."""
    answer = error_document(error)
    if not registry.has_page or not f'{request.path}/'.startswith(PATH):
        return answer
    shown = page(registry, request, 'error.html', error.status, title=answer.status.partition(' ')[2].capitalize(), message=error.message)
    for name, value in answer.headers.items():
        if name not in ('Content-Type', 'Content-Length'):
            shown.headers[name] = BASIC if name == 'WWW-Authenticate' else value
    return shown
