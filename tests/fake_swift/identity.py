# -*- coding: utf-8 -*-
"""Logins: v1, as Swift's TempAuth does them, and Keystone v2 and v3."""

import json
import time
import uuid

from .messages import Refusal, Response, as_json, iso_time


class Identity(object):
    """Logs users in and knows the valid tokens. A token is valid for `token_life` seconds.

    `tokens` has the time when each token expires. A v1 login returns the same token until that expires, as TempAuth does.
    """

    v1_status = 200

    def __init__(self, swift, token_life):
        self.swift, self.token_life, self.tokens, self.v1_token = swift, token_life, {}, None

    def knows(self, token):
        return self.tokens.get(token, 0) > time.time()

    def token(self):
        """Issue a new token."""
        token = 'AUTH_tk' + uuid.uuid4().hex
        self.tokens[token] = time.time() + self.token_life
        return token

    def answer(self, request):
        path = request.path.rstrip('/')
        if path.startswith('/auth'):
            return self.version_1(request)
        routes = {('POST', '/v2.0/tokens'): self.version_2, ('POST', '/v3/auth/tokens'): self.version_3}
        if (request.method, path) in routes:
            return routes[request.method, path](json.loads(request.body.decode('utf-8')))
        documents = {'': self.versions, '/v2.0': lambda: self.version('v2.0'), '/v3': lambda: self.version('v3')}
        if request.method != 'GET' or path not in documents:
            raise Refusal(404)
        return documents[path]()

    def version_1(self, request):
        headers, swift = request.headers, self.swift
        user = headers.get('X-Auth-User') or headers.get('X-Storage-User')
        key = headers.get('X-Auth-Key') or headers.get('X-Storage-Pass')
        if (user, key) != (swift.user, swift.key):
            raise Refusal(401, headers={'Www-Authenticate': 'Swift realm="unknown"'})
        if not self.knows(self.v1_token):
            self.v1_token = self.token()
        life = int(self.tokens[self.v1_token] - time.time())
        return Response(self.v1_status, {
            'X-Storage-Url': swift.storage_url, 'X-Auth-Token': self.v1_token, 'X-Storage-Token': self.v1_token,
            'X-Auth-Token-Expires': life})

    def version_2(self, body):
        swift, auth = self.swift, body.get('auth', {})
        login = auth.get('passwordCredentials', {})
        tenants = [auth.get('tenantName'), auth.get('tenantId')]
        if (login.get('username'), login.get('password')) != (swift.username, swift.key) or not (
                {swift.project, swift.project_id} & set(tenants) or tenants == [None, None]):
            raise self.unauthorized()
        endpoints = [{'id': region, 'region': region, 'publicURL': swift.endpoint(region, 'public'),
                      'internalURL': swift.endpoint(region, 'internal'), 'adminURL': swift.endpoint(region, 'internal')}
                     for region in swift.regions]
        catalog = [] if tenants == [None, None] else [
            {'type': 'object-store', 'name': 'swift', 'endpoints': endpoints, 'endpoints_links': []}]
        user = {'id': swift.user_id, 'name': swift.username, 'username': swift.username,
                'roles': [{'name': 'member'}], 'roles_links': []}
        token = {'id': self.token(), 'issued_at': iso_time(time.time()), 'expires': iso_time(time.time() + self.token_life),
                 'tenant': {'id': swift.project_id, 'name': swift.project, 'enabled': True}}
        return Response(200, {'Content-Type': 'application/json'}, as_json({'access': {
            'token': token, 'user': user, 'serviceCatalog': catalog, 'metadata': {'is_admin': 0, 'roles': []}}}))

    def version_3(self, body):
        swift, auth = self.swift, body.get('auth', {})
        identity, scope = auth.get('identity', {}), auth.get('scope', {})
        checks = {'password': self.right_password, 'application_credential': self.right_credential}
        methods = identity.get('methods') or ['']
        if not all(method in checks and checks[method](identity.get(method, {})) for method in methods):
            raise self.unauthorized()
        if scope and not self.right_scope(scope):
            raise self.unauthorized()
        domain = {'id': swift.domain_id, 'name': swift.domain}
        token = {'methods': methods, 'user': {'id': swift.user_id, 'name': swift.username, 'domain': domain},
                 'issued_at': iso_time(time.time(), '%Y-%m-%dT%H:%M:%S.000000Z'), 'audit_ids': ['fake'],
                 'expires_at': iso_time(time.time() + self.token_life, '%Y-%m-%dT%H:%M:%S.000000Z')}
        if scope or 'application_credential' in methods:
            token.update(project={'id': swift.project_id, 'name': swift.project, 'domain': domain},
                         roles=[{'id': 'member', 'name': 'member'}], catalog=self.catalog_3())
        return Response(201, {'Content-Type': 'application/json', 'X-Subject-Token': self.token()}, as_json({'token': token}))

    def catalog_3(self):
        endpoints = [{'id': region + interface, 'interface': interface, 'region': region, 'region_id': region,
                      'url': self.swift.endpoint(region, interface)}
                     for region in self.swift.regions for interface in ('public', 'internal')]
        return [{'type': 'object-store', 'id': 'swift', 'name': 'swift', 'endpoints': endpoints}]

    def named(self, given, name, identifier):
        """Whether a login names this user or project. Keystone wants an id, or a name with its domain."""
        domain = given.get('domain', {})
        in_domain = domain.get('id') == self.swift.domain_id or domain.get('name') == self.swift.domain
        return given.get('id') == identifier if 'id' in given else given.get('name') == name and in_domain

    def right_password(self, given):
        user = given.get('user', {})
        return user.get('password') == self.swift.key and self.named(user, self.swift.username, self.swift.user_id)

    def right_credential(self, given):
        swift = self.swift
        if 'id' in given:
            found = given['id'] == swift.app_credential_id
            if not found:
                raise self.not_found('Could not find Application Credential: %s.' % given['id'])
        else:
            found = given.get('name') == swift.app_credential_name and self.named(
                given.get('user', {}), swift.username, swift.user_id)
        return found and given.get('secret') == swift.app_credential_secret

    def right_scope(self, scope):
        if 'OS-TRUST:trust' in scope:
            return scope['OS-TRUST:trust'].get('id') == self.swift.trust_id
        return self.named(scope.get('project', {}), self.swift.project, self.swift.project_id)

    @staticmethod
    def unauthorized():
        error = {'code': 401, 'title': 'Unauthorized', 'message': 'The request you have made requires authentication.'}
        return Refusal(401, json.dumps({'error': error}), content_type='application/json')

    @staticmethod
    def not_found(message):
        error = {'code': 404, 'title': 'Not Found', 'message': message}
        return Refusal(404, json.dumps({'error': error}), content_type='application/json')

    def document(self, name):
        """What Keystone tells about one version of its API."""
        return {'id': {'v3': 'v3.14'}.get(name, name), 'status': 'stable' if name == 'v3' else 'deprecated',
                'updated': '2020-04-07T00:00:00Z', 'media-types': [],
                'links': [{'rel': 'self', 'href': '%s/%s/' % (self.swift.url, name)}]}

    def version(self, name):
        return Response(200, {'Content-Type': 'application/json'}, as_json({'version': self.document(name)}))

    def versions(self):
        values = [self.document('v3'), self.document('v2.0')]
        return Response(300, {'Content-Type': 'application/json'}, as_json({'versions': {'values': values}}))
