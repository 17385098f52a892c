"""The WSGI application: routes requests, turns errors into responses, and writes one log line for each request."""

import contextlib
import contextvars
import functools
import logging
import re
import time

from werkzeug import Request as WerkzeugRequest
from werkzeug.exceptions import HTTPException

from docker_registry.core import exceptions
from docker_registry.v2.access import audit, guard, scopes
from docker_registry.v2.access.identity import ANONYMOUS
from docker_registry.v2.access.logins import Logins
from docker_registry.v2.access.policies import UsersOnly
from docker_registry.v2.access.tokens import Tokens
from docker_registry.v2.http import browsers, cors, headers, logs, proxies, tracing
from docker_registry.v2.http.bodies import Body, Counted
from docker_registry.v2.http.metrics.nothing import NO_METRICS
from docker_registry.v2.http.page.details import Details
from docker_registry.v2.http.page.rendering import PATH, error_response
from docker_registry.v2.http.readiness import Readiness
from docker_registry.v2.http.redirects import Redirects
from docker_registry.v2.http.responses import COMMON_FIELDS
from docker_registry.v2.http.routes import API, ROUTES
from docker_registry.v2.http.work import Places, Work
from docker_registry.v2.registry import errors, names
from docker_registry.v2.registry.catalog import Positions
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.registry.keys import Keys
from docker_registry.v2.registry.protection import Protection
from docker_registry.v2.registry.read_only import ReadOnly
from docker_registry.v2.registry.upload_state import StateTokens
from docker_registry.v2.settings import config as config_module

logger = logging.getLogger(__name__)

READING = ('GET', 'HEAD')
COMMITTED = {'POST': (201,), 'PUT': (201,), 'DELETE': (202,)}  # methods with the statuses that say: the registry has changed
PROBES = ('/healthz', '/readyz', '/metrics')  # never wait for a place: /readyz itself limits what it asks of Swift
LONGEST_LOGGED_PATH = 512  # characters; the path of the longest repository name with the longest digest fits


def create_app(
    config,
    storage,
    users=None,
    access=config_module.Access(),
    threads=config_module.ServerSettings.threads,
    loopback_only=False,
    rules=None,
    logins=None,
    metrics=NO_METRICS,
):
    """Return the registry as a WSGI application.

    :param config: `config.Config`
    :param storage: the Swift driver, `docker_registry.core.driver.fetch('swift')(...)`
    :param users: `htpasswd.Users`, or None
    :param access: `config.Access`
    :param threads: requests of one client address that are worked on at a time
    :param loopback_only: see `browsers.Browsers`
    :param rules: `rules.Rules`, or None: then users may do everything
    :param logins: the places that know passwords, see `logins.Source`, in the order in which they are asked. Unset: `users`. Without any
        place and without rules, everybody may do everything
    :param metrics: `metrics.counting.Metrics`
    """
    sources = logins if logins is not None else [users] if users else []
    return Registry(config, storage, access, threads, loopback_only, lambda key: _guard(users, sources, rules, access, key), metrics)


class Request(WerkzeugRequest):
    """A request with its `body`, its `id` for the log, and the `parts` of its path as the route names them.

    The guard sets who sends it, the `scopes` of its token, and its `rights`.
    """

    identity = ANONYMOUS
    scopes = None
    rights = None
    work = body = None
    route = None  # the pattern of its route
    parts = {}

    def __init__(self, environ):
        super().__init__(environ)
        self.events = []  # what it has done, for notifications; see `events.Event`
        given = environ.get('HTTP_X_REQUEST_ID', '')
        self.id = given if re.fullmatch(r'[\w.-]{1,64}', given, re.ASCII) else tracing.new_id()

    def attach_body(self):
        """Set `body`.

        :raises SizeInvalid: the Content-Length is not a number
        """
        self.body = Body(self.environ['wsgi.input'], headers.content_length(self.environ))

    def begin_work(self, places):
        """Set `work`, if it is our server that calls the application. Others have their own limits, and tell nothing of their clients.

        :raises TooManyRequests: too many requests of the same address are being worked on
        """
        if connection := self.environ.get('registry.connection'):
            self.work = connection.work = Work(places, self.remote_addr, self.path.startswith(PATH))
            if self.method in ('POST', 'PUT', 'PATCH') and '/blobs/uploads' in self.path:
                self.work.transfer()

    def collect_body(self):
        """Say that the body is kept in memory until all of it is there."""
        if self.work:
            self.work.collects = True

    def read_from(self, stream):
        """Say what the response is read from. While the client does not take it, the stream is released.

        :raises TooManyRequests: too many bodies of the same address are on their way
        """
        if self.work:
            self.work.transfer(stream)

    def waiting(self):
        """Return a context in which the request waits for another one, and other requests of the same address get its place."""
        return self.work.paused() if self.work else contextlib.nullcontext()

    def end_work(self):
        if self.work:
            self.environ['registry.connection'].work = None
            self.work.end()

    @property
    def logged_path(self):
        """The path in one line, without the token of an upload: whoever has the token can go on with the upload."""
        path = audit.written(self.path)  # as one word: line breaks could forge a line, and blanks the fields after it
        return errors.short(re.sub('(/blobs/uploads/).{24,}', r'\1...', path), LONGEST_LOGGED_PATH)


class Registry:
    """The WSGI application. Endpoints use its attributes to reach the domain. `events` may be set to an `events.Events`."""

    events = None

    def __init__(self, config, storage, access, threads, loopback_only, make_guard, metrics):
        self._places = Places(threads)
        tracing.watch(storage)
        self.metrics = metrics.of(storage)
        self.routes = [row for row in (ROUTES if access.ui else API) if row[2] != scopes.METRICS or metrics.is_shown]
        self.read_only, self.has_page, self.deletes_on_page = access.read_only, access.ui, access.ui_delete
        storage = ReadOnly(storage) if self.read_only else storage
        domain = Domain(storage, config)
        self.config, self.storage = config, storage
        self._proxies, self.cors = proxies.Proxies(access.trusted_proxies), cors.Cors(access.cors_origins)
        self._browsers = browsers.Browsers(loopback_only, self.cors)
        keys = Keys(storage, domain.absence, config.upload_secret)
        self.guard = make_guard(functools.partial(keys.key, 'logins of the registry v2 API'))
        carried = functools.partial(keys.key, 'uploads of the registry v2 API')
        self.state_tokens, self.positions = StateTokens(carried, config.upload_lifetime), Positions(carried)
        self.blobs, self.uploads, self.tags, self.shared = domain.blobs, domain.uploads, domain.tags, domain.shared
        self.domain, self.details = domain, Details(domain, config.sparse_manifests)
        self.redirects = Redirects(storage, access.redirect, access.redirect_size)
        self.referrers, self.manifests, self.trash = domain.referrers, domain.manifests, domain.trash
        self.protection = Protection(domain.together, domain.manifests)
        self.readiness = Readiness(storage, config.retry_after)

    def read_token(self, repository, token):
        """Return the upload that a URL names.

        :raises NameInvalid: the repository name is not valid
        :raises UploadUnknown: the token is not valid, or has expired
        """
        return self.state_tokens.read(names.repository(repository), token, time.time())

    def __call__(self, environ, start_response):
        started = time.monotonic()
        from_proxy = self._proxies.apply(environ)
        headers.mend_upload_url(environ)
        request = Request(environ)
        self.metrics.begin()
        trace = tracing.Trace(request.id)
        with trace.current():
            response = self._answer(request, from_proxy)
            context = contextvars.copy_context()  # in which the requests to Swift are counted while the body is read
        for field in COMMON_FIELDS.items():
            response.headers.setdefault(*field)
        response.headers['X-Request-Id'] = request.id
        self.cors.add_fields(request, response)

        def done(count, is_complete):
            request.end_work()
            seconds = time.monotonic() - started
            self.metrics.end(request, response.status_code, count, seconds)
            logs.request(request, response, count, seconds, trace)
            if self.events:
                self.events.tell(request, response, is_complete, from_proxy)

        try:
            return Counted(response(environ, start_response), done, context)
        except BaseException:  # the server refuses a field of the head
            request.end_work()
            self.metrics.drop()
            raise

    def _answer(self, request, from_proxy):
        try:
            headers.require_short(request.environ)
            request.attach_body()
            self._browsers.check(request.environ, from_proxy)
            if preflight := self.cors.preflight(request):
                return preflight
            if request.path not in PROBES:
                request.begin_work(self._places)
            return self._dispatch(request)
        except errors.RegistryError as error:
            return error_response(self, request, error)
        except exceptions.UnspecifiedError as error:
            return error_response(self, request, self._storage_error(request, error))
        except HTTPException as error:
            return error_response(self, request, errors.ParameterInvalid(error.description, status=error.code))
        except Exception:
            logger.exception('%s %s failed (id %s)', request.method, request.logged_path, request.id)
            return error_response(self, request, errors.Internal(detail={'request': request.id}))

    def _dispatch(self, request):
        for pattern, methods, action in self.routes:
            match = pattern.fullmatch(request.path)
            if match:
                request.route, request.parts = pattern.pattern, match.groupdict()
                method = 'GET' if request.method == 'HEAD' and 'HEAD' not in methods else request.method
                if method not in methods:
                    raise errors.MethodNotAllowed(headers=self._allowed(methods, action))
                if action is not None:
                    repository = match.groupdict().get('repository')
                    self.guard.admit(request, action, repository)
                    request.body.at_end = functools.partial(self.guard.admit_again, request, action, repository)
                    if self.read_only and method not in READING:  # only now: strangers are asked who they are, as ever
                        raise errors.ReadOnly(headers=self._allowed(methods, action))
                response = methods[method](self, request, **match.groupdict())
                if action == scopes.PULL and method in READING and not self.guard.is_public(match['repository']):
                    response.cache_control.private = True  # a cache that others use must not keep it
                if action is not None and response.status_code in COMMITTED.get(method, ()):
                    self._audit(request, scopes.access_of(action, method), response, **match.groupdict())
                return response
        raise errors.NotFound(detail=request.path)

    def _audit(self, request, access, response, repository, reference=None, digest=None, token=None):
        """Log that a request has changed something: a line for each tag, or one if there is none. `deletes` logs deletes of tags."""
        tag = reference if reference and ':' not in reference else None
        digest = response.headers.get('Docker-Content-Digest') or digest or (None if tag else reference)
        action = access[1][-1]
        if action == 'delete' and tag:
            return
        for one in response.headers.getlist('OCI-Tag') or [tag]:
            audit.changed(request, action, repository, request.rights.decide(action, one), one, digest)

    def _allowed(self, methods, action):
        """Return the field that a 405 must have. It is empty if no method is allowed at the moment (RFC 9110, 10.2.1)."""
        allowed = {*methods, 'HEAD'} if 'GET' in methods else set(methods)
        if self.read_only and action is not None:
            allowed.intersection_update(READING)
        return {'Allow': ', '.join(sorted(allowed))}

    def _storage_error(self, request, error):
        """Return the error that the client sees for an error of storage. It is never "not found"."""
        if isinstance(error, exceptions.WrongArgumentsError):  # Swift cannot have such a name
            return errors.NameInvalid()
        facts = {'event': 'storage error', 'status': getattr(error, 'status', None), 'trans_id': getattr(error, 'trans_id', None)}
        logger.error('%s %s: %s (id %s)', request.method, request.logged_path, error, request.id, extra={'facts': facts})
        if getattr(error, 'status', None) == 413:
            return errors.Denied('storage is full: the quota in Swift is exceeded')
        wait = getattr(error, 'retry_after', None) or self.config.retry_after
        return errors.Unavailable(detail={'request': request.id}, headers={'Retry-After': str(int(wait))})


def _guard(users, sources, rules, access, key):
    if not sources and not rules:
        return guard.Everybody()
    others = [source.kind for source in sources if source is not users]
    asks_for_tokens = rules or access.anonymous_pull or access.bearer_tokens
    tokens = Tokens(key, access.token_lifetime, users, others) if asks_for_tokens else None
    logins = Logins(sources, access.login_failures) if sources else None
    return guard.Guard(logins, tokens, rules or UsersOnly(access.anonymous_pull))
