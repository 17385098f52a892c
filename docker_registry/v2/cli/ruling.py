"""The command `registry-swift rules`."""

import datetime
import json

from docker_registry.v2.access import htpasswd, rule_lines, rule_warnings, rule_words
from docker_registry.v2.access import rules as rules_file
from docker_registry.v2.access.identity import ANONYMOUS, Identity
from docker_registry.v2.cli.arguments import new_parser
from docker_registry.v2.registry import names
from docker_registry.v2.settings.storage import config_error

RULES = """\
Say what the rules of a file allow, and which line says so. Or check the file. The command needs no Swift. The file is the one that
`serve --rules` (REGISTRY_RULES) names. docs/rules.rst explains it. These are rules:

    # who              what             where
    group ci           = robot-ci robot-nightly
    allow  everybody   pull             public/**
    allow  users       pull             **
    allow  users       push,delete      home/{user}/**
    allow  @ci         push             team-a/** !team-a/release/**
    deny   everybody   overwrite        **:v*

    registry-swift rules /etc/registry/rules robot-ci team-a/app:v1

        robot-ci, team-a/app:v1
        pull       yes  line 4: allow users pull **
        push       yes  line 6: allow @ci push team-a/** !team-a/release/**
        delete     no   no line allows it
        overwrite  no   line 7: deny everybody overwrite **:v*

    registry-swift rules /etc/registry/rules everybody public/app      for somebody without a login
    registry-swift rules /etc/registry/rules keystone:images@Default/member team-a/app
    registry-swift rules --check --htpasswd /etc/registry/htpasswd /etc/registry/rules

--check shows all mistakes with their lines, and warns of what may not be meant: an allow that a deny takes whole, a group that no line
names, a login that has ended, a user who is not in the htpasswd file. The exit status is 1 if there are mistakes. Check a file before
you put it in its place: while the registry cannot use it, nobody gets in.

Without a tag, the answers are about pushing blobs, and about deleting what has no tag.
"""


def add_command(commands):
    command = new_parser(commands.add_parser, 'rules', help='say who may do what, by a file of rules, and why', description=RULES)
    command.add_argument('file', metavar='FILE', help='the file of rules')
    command.add_argument(
        'user', metavar='USER', nargs='?', help='everybody, a user of the htpasswd file, or principals of another login, joined by commas'
    )
    command.add_argument('target', metavar='REPOSITORY[:TAG]', nargs='?', help='what the user wants to use; it need not be there')
    command.add_argument('--check', action='store_true', help='check the file, and say nothing about a user')
    command.add_argument('--htpasswd', metavar='FILE', help='with --check: warn of users who are not in this file')
    command.add_argument('--json', action='store_true', help='print a line of JSON for each action, or for each mistake and warning')
    command.set_defaults(run=run)


def run(options, environ):
    if options.check != (options.target is None) or options.check and options.user:
        raise config_error('name a user and a repository, or use --check with nothing but the file')
    try:
        return check(options) if options.check else answer(options)
    except (rules_file.Broken, ValueError) as error:
        raise config_error(str(error))


# What a user may do


def answer(options):
    """Print what a user may do."""
    rules, identity = rules_file.read(options.file), identity_of(options.user)
    repository, tag = _target(options.target)
    rights = rules.rights(identity, repository)
    day = rules.expires(options.user)
    if not options.json:
        print(f'{options.user}, {options.target}')
    for action in rule_words.ACTIONS:
        decision = rights.decide(action, tag)
        text = rules.text_of(decision.line)
        if options.json:
            found = {'action': action, 'allowed': decision.allowed, 'line': decision.line, 'text': text, 'login_ends': day and str(day)}
            print(json.dumps(found))
        else:
            print(f'{action:9}  {"yes" if decision.allowed else "no":3}  {f"line {decision.line}: {text}" if text else decision.text}')
    if not options.json:
        _add_notes(rights, options.user, tag, day)
    return 0


def _add_notes(rights, user, tag, day):
    depends = [action for action in rule_words.ACTIONS if tag is None and rights.has_tag_rules(action)]
    if depends:
        print(f'Some lines are about tags. Ask again with a tag: {", ".join(depends)} may be different.')
    if day:
        print(f'The login of {user} {"ended" if day <= _today() else "ends"} at the beginning of {day} (UTC).')


def identity_of(text):
    """Return the identity that a user means.

    :raises ValueError: it is none; the text says what to write
    """
    if text == rule_words.EVERYBODY:
        return ANONYMOUS
    if ':' not in text:
        if text == rule_words.USERS or text.startswith('@'):
            raise ValueError(f'{text!r} is not one user. Write the name of one of them, or everybody')
        return Identity(text, frozenset([text]), htpasswd.KIND)
    principals = set(map(rule_words.member, text.split(',')))
    if not all(':' in principal for principal in principals):
        raise ValueError(f'{text!r} has a name and a principal. Write principals only')
    # Who has a role in a project is in the project, and a user of an account is in the account.
    principals.update([principal.partition('/')[0] for principal in principals])
    principals.update([f'swift:{word.partition("@")[2]}' for word in principals if word.startswith('swift-user:')])
    return Identity(text, frozenset(principals), text.partition(':')[0])


def _target(text):
    repository, colon, tag = text.partition(':')
    return names.repository(repository), names.tag(tag) if colon else None


def _today():
    return datetime.datetime.now(datetime.timezone.utc).date()


# Whether the file is right


def check(options):
    """Print all mistakes and warnings, and return the exit status."""
    statements = rule_lines.load(options.file)
    users = {name.decode() for name in htpasswd.read(options.htpasswd)} if options.htpasswd else None
    warnings = rule_warnings.of(statements, _today(), users)
    found = sorted(
        [(number, 'mistake', text) for number, text in statements.errors] + [(number, 'warning', text) for number, text in warnings]
    )
    for number, kind, text in found:
        if options.json:
            print(json.dumps({'line': number, 'kind': kind, 'text': text}))
        else:
            print(f'{options.file}, line {number}: {"warning: " if kind == "warning" else ""}{text}')
    if not options.json:
        print(f'{len(statements.lines)} lines allow or deny something, {len(statements.errors)} mistakes, {len(warnings)} warnings')
    return 1 if statements.errors else 0
