"""Text from clients costs little time, whatever it is: every regular expression, and every parser that clients reach.

A worker serves nobody else while it parses. An ambiguous expression may take the square, or worse, of the time for a text that nearly
matches. So each is tried on texts of 8 KiB that nearly match: a character of a good text is repeated at one or two places.
"""

import ast
import contextlib
import itertools
import logging
import pathlib
import re

import pytest
from gunicorn.http import body
from werkzeug.test import EnvironBuilder

import docker_registry.v2
import processor
from docker_registry.v2.access import addresses, guard, tokens
from docker_registry.v2.access.scopes import Scopes
from docker_registry.v2.http import app, headers, proxies, ranges, server, token_endpoint
from docker_registry.v2.registry import errors, layout, names, strict_json, upload_state

LENGTH = 8 * 1024
SECONDS = 0.02  # of the processor; a query of 4,000 parameters takes 0.006, and the square of the time would be 0.1 or more
FOLDER = pathlib.Path(docker_registry.v2.__file__).parent
UPLOAD = '/v2/a/blobs/uploads/0123'


def hostile(text):
    """Yield texts of `LENGTH` that begin like a text, with a character repeated at one or two places, and that end in a bad character."""
    text = text[:24]
    for one, place in itertools.product(sorted({*text, ' '}), range(len(text) + 1)):
        yield text[:place] + one * LENGTH + '\0'
        for other in (place, place + 1, place + 2):
            yield text[:place] + one * (LENGTH // 2) + text[place:other] + one * (LENGTH // 2) + text[other:] + '\0'
    for start, length in itertools.product(range(len(text)), range(1, 6)):
        yield (text[:start] + text[start : start + length] * LENGTH)[:LENGTH] + '\0'


def require_quick(call, texts):
    def parse():
        with contextlib.suppress(errors.RegistryError, ValueError, tokens.Invalid):
            call(text)

    for text in texts:
        took = processor.seconds(parse, SECONDS)
        assert took < SECONDS, f'{took:.3f} seconds for {text[:30]!r}...{text[-30:]!r}'


# Regular expressions

#: {the argument of `re` in the source: a text that matches}
EXPRESSIONS = {
    r"r'[\w.-]{1,64}'": 'my-id_1.2',
    "'(/blobs/uploads/).{24,}'": '/blobs/uploads/' + 'a' * 24,
    r"r'\(\?P(<\w+>)[^()]*\)'": '(?P<digest>[^/]+)',
    r"r'(/v2/.+/blobs/uploads/[^/?&]+)((?:[?&].*)?)'": UPLOAD + '&digest=x?y',
    r"r'(?:bytes[ =])?(\d{1,19})-(\d{1,19})(?:/(?:\d+|\*))?'": 'bytes 0-12/34',
    "'[0-9]{1,19}'": '12',
    r"rb'\r\n([0-9A-Fa-f]{1,8})\r\n'": '\r\n1f\r\n',
    r"rb'\r?|\r\n[0-9A-Fa-f]{0,8}\r?'": '\r\n1f',
    "rb'applicationcredential-([A-Za-z0-9_-]{1,64})'": 'applicationcredential-0a',
    "rb'%([0-9A-Fa-f]{2})'": '%0a',
    "'[0-9]{1,6}'": '12',
    "'[0-9]+|[^0-9]+'": '12',
    "'[0-9]+'": '12',
    """'[\\'"]'""": "'",
    r"rb'\.?[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}'": '.a-b_c.' + 'd' * 43,
    r"rb'([^:\s]{1,255}):(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31})'": 'alice:$2y$05$' + 'a' * 21 + 'O' + 'b' * 31,
    r"r'([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}'": '[::1]:80',
    r"r'[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?'": 'a.b:80',
    r"r'[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*'": 'a.b__c--d/e_f',
    "r'[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'": 'v1.2-3_4',
    "r'[a-zA-Z0-9!#$&^_.+-]{1,127}/[a-zA-Z0-9!#$&^_.+-]{1,127}'": 'application/vnd.a+json',
    "'[0-9a-f]+'": '0a1b',
    "'/index/([^/]+)/([^/]+)/link$'": '/index/sha256/0a/link',
    "'[0-9a-f]{32}'": '0123456789abcdef' * 2,
    # Names of objects, and manifests that a survey reads
    r"""rb'"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"'""": '"sha256:' + 'a' * 64 + '"',
    r"""rb'"(?:[^"\\]|\\.)*"'""": '"a\\"b"',
    "'sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}'": 'sha256:' + 'a' * 64,
    r"r'/([a-z0-9]+(?:[+._-][a-z0-9]+)*)/([a-zA-Z0-9=_-]+)/link\Z'": '/sha256+b64u/0a=/link',
    r"r'-[0-9a-f]{8}\Z'": '-0123abcd',
    r"r'[^\w./-]'": ' ',
    # What other registries and CNCF distribution write
    r"""r'(\w+)="([^"]*)"'""": 'realm="https://a"',
    "'/(sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128})/link$'": '/sha256/' + 'a' * 64 + '/link',
    "'/(sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128})(?=/|$)'": '/sha256/' + 'a' * 64,
    r"r'(.*/)(\d{16})$'": 'segments/' + '0' * 16,
    r"r'(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64})(\..*)?'": 'sha256-' + 'a' * 64 + '.sig',
    # What Keystone and the proxy of Swift say
    "'[0-9]{1,9}'": '12',
    r"r'https?://[^/?#]+(/(?:[^?#]+/)?v1(?:\.0)?/[^/?#]+)/*'": 'http://a/b/v1/AUTH_a/',
    # What a v1 registry has stored
    r"r'(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)'": '2014-03-14T09:26:53.589793238Z',
    r"r'(?:.*:)?(\d{1,5})(/(?:tcp|udp))?'": '127.0.0.1:53:53/udp',
    "'[^a-z0-9]+'": '-_',
    "'[^a-zA-Z0-9._-]+'": '+ ',
    r"r'\.|_|__|-+'": '--',
    "'[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}'": 'a' * 64,
    r"r'images/([^/]+)/layer'": 'images/' + 'a' * 64 + '/layer',
    r"r'(sha256:[0-9a-f]{64}) below (.*)\n'": 'sha256:' + 'a' * 64 + ' below files\n',
    # What operators write
    "'[0-9]{4}-[0-9]{2}-[0-9]{2}'": '2027-01-31',
    "'[A-Za-z0-9._/*?-]+'": 'team/*',
    "'[*?]'": '*',
    r"r'\*\*+|.'": '**',
    "'([0-9]{1,10})([dhms])'": '12d',
    r"r'[0-9]{1,9}(\.[0-9]{1,9})?'": '1.5',
    "'[1-9][0-9]{0,3}'": '12',
    "'REGISTRY_AUTH(_(HTPASSWD|TOKEN|SILLY).*)?'": 'REGISTRY_AUTH_TOKEN_X',
    r"r'(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?'": 'https://ui.example.com:8443',
    r"r'REGISTRY_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_[0-9]+_\w+)?)'": 'REGISTRY_PORT_5000_TCP',
    "'REGISTRY_[A-Z0-9_]+'": 'REGISTRY_RULES',
    "'^<<$'": '<<',
    "'^(~|null|Null|NULL|)$'": 'null',
    "'[0-9]{1,15}'": '12',
    '\'https?://(?:[!-"$-.0->A-~]*@)?(?:[A-Za-z0-9._-]+|\\\\[[0-9A-Fa-f:.]+\\\\])(?::([0-9]{1,5}))?(?:[/?][!-"$-~]*)?\'': 'https://a:b@c.d:80/e?f',
    r"r'(?i:https?)://(?:[^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(?:[/?#]\S*)?'": 'HTTPS://a.b:80/c?d',
    "'[@?#]'": '?',
    "'[?#]'": '?',
    "'([?#]).*'": '?a=b',
    "'[0-9a-f]{16}'": '0123456789abcdef',
    "'[\\\\w.+-]{1,127}/[\\\\w.+-]{1,127}'": 'application/octet-stream',
    '"([!#$%&\'*+.^_`|~0-9A-Za-z-]+):[ \\\\t]*([!-~](?:[ -~\\\\t]*[!-~])?)[ \\\\t]*"': 'Authorization: Bearer a',
}
#: Arguments that are no text. `app.ROUTES` is tried below.
NAMED = {'pattern', "'|'.join((f'{pattern}(?P<{kind}>)' for kind, pattern in patterns.items()))"}


def expressions():
    """Yield (argument of `re` as it stands in the source, name of the function, module) for each call of `re`."""
    for path in sorted(FOLDER.rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == 're':
                yield ast.unparse(node.args[0]), node.func.attr, str(path.relative_to(FOLDER))


def values():
    return {ast.literal_eval(argument): text for argument, text in EXPRESSIONS.items()}


def test_every_expression_is_tried_here():
    found = {argument for argument, name, _ in expressions() if name not in ('escape', 'error')} - NAMED

    assert {ast.literal_eval(argument) for argument in found} == set(values())


@pytest.mark.parametrize('pattern', values(), ids=range(len(EXPRESSIONS)))
def test_an_expression_is_quick_on_a_text_that_nearly_matches(pattern):
    text = values()[pattern]
    used = {name for argument, name, _ in expressions() if argument not in NAMED and ast.literal_eval(argument) == pattern}
    compiled = re.compile(pattern, re.DOTALL)
    match = compiled.search if used & {'search', 'sub', 'split'} else compiled.fullmatch  # the source compiles nothing for a search
    encoded = (lambda text: text.encode()) if isinstance(pattern, bytes) else str
    assert match(encoded(text))

    require_quick(match, map(encoded, hostile(text)))


def test_an_expression_that_takes_the_square_of_the_time_would_be_found():
    with pytest.raises(AssertionError, match='seconds for'):
        require_quick(re.compile(r'\d+,').search, hostile('1,'))


# Parsers


def request_with(**environ):
    return app.Request(dict(EnvironBuilder('/v2/').get_environ(), **environ))


def field(name):
    """Return a function that passes a text to the application's request as a header field."""

    def make(read):
        return lambda text: read(request_with(**{name: text}))

    return make


def challenge(request):
    return addresses.is_host(request.host)


def terse(text):
    record = logging.LogRecord('gunicorn.error', logging.WARNING, '', 1, 'Invalid request from ip=%s: %s', ('127.0.0.1', text), None)
    return server.Terse().filter(record)


class Form:
    """A request with a form."""

    def __init__(self, text):
        self.environ, self.body, self._text = {}, self, text.encode('latin-1')

    def read_all(self, most):
        return self._text


PARSERS = {
    'Range': (ranges.parse, 'bytes=0-1, -5,7-'),
    'Content-Range': (headers.content_range, 'bytes 0-12/34'),
    'Content-Length': (lambda text: headers.content_length({'CONTENT_LENGTH': text}), '12'),
    'n': (headers.page_size, '12'),
    'the URL of an upload': (lambda text: headers.mend_upload_url({'PATH_INFO': text}), UPLOAD + '&digest=x'),
    'If-None-Match': (field('HTTP_IF_NONE_MATCH')(lambda request: request.if_none_match), 'W/"a", "b" ,c'),
    'If-Match': (field('HTTP_IF_MATCH')(lambda request: request.if_match), 'W/"a", "b" ,c'),
    'Authorization: Basic': (field('HTTP_AUTHORIZATION')(guard.authorization), 'Basic YTpi'),
    'Host': (field('HTTP_HOST')(challenge), 'a.b:80'),
    'X-Request-Id': (field('HTTP_X_REQUEST_ID')(lambda request: request.id), 'a-b'),
    'X-Forwarded-For': (
        lambda text: proxies.Proxies([]).apply({'REMOTE_ADDR': '10.0.0.1', 'HTTP_X_FORWARDED_FOR': text}),
        '10.0.0.2, fe80::1%eth0',
    ),
    'the query': (lambda text: request_with(QUERY_STRING=text).args.getlist('tag'), 'tag=a&tag=%ff&n=%41+;'),
    'the path': (lambda text: request_with(PATH_INFO=text).logged_path, '/v2/\xff/blobs/uploads/x'),
    'the path in the log': (lambda text: request_with(PATH_INFO=text).logged_path, UPLOAD),
    'a form': (lambda text: token_endpoint._form(Form(text)), 'grant_type=password&username=%61+%ff'),
    'scopes': (Scopes.parse, 'repository(plugin):a/b:pull,push registry:catalog:*'),
    'a repository name': (names.repository, 'a.b__c/d'),
    'a reference': (names.reference, 'v1.2'),
    'a digest': (names.digest, 'sha256:0a'),
    'a media type': (names.media_type, 'application/vnd.a+json ; charset=utf-8'),
    'the token of an upload': (lambda text: upload_state.StateTokens(b'key', 60).read('a', text, 0), 'abcd-_='),
    'an access token': (lambda text: tokens.Tokens(b'key', 60, None).read(text.encode()), 'eyJ.abc_-'),
    'a path in a listing': (layout.digest_in_index, 'v1/index/sha256/0a/link'),
    'a manifest': (lambda text: strict_json.load(text.encode()), '{"a": [1, -2.5e3, "\\u0041"]}'),
    "a message of gunicorn's": (terse, "Invalid header: b'x'"),
    'the extension of a chunk': (lambda text: body.CHUNK_EXT_RE.fullmatch(text.encode()), ';a = "b\\"c" ; d=e'),
}


@pytest.mark.parametrize('name', PARSERS)
def test_a_parser_is_quick(name):
    parse, text = PARSERS[name]

    require_quick(parse, hostile(text))


@pytest.mark.parametrize('pattern, methods, action', app.ROUTES, ids=range(len(app.ROUTES)))
def test_a_route_is_quick(pattern, methods, action):
    for text in ('/v2/a/tags/list', '/v2/a/manifests/v1', '/v2/a/referrers/x', '/v2/a/blobs/x', UPLOAD):
        require_quick(pattern.fullmatch, hostile(text))
