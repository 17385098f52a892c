"""The command `registry-swift retain`."""

from docker_registry.v2.cli import consent, opening
from docker_registry.v2.cli.arguments import new_parser
from docker_registry.v2.operations import retention, retention_rules
from docker_registry.v2.settings.storage import config_error

RETAIN = """\
Delete old tags and untagged manifests, by rules in a file, beside running registries. deploy/retention.yaml is an example.

    registry-swift retain --rules retention.yaml --dry-run     show what would go, and why
    registry-swift retain --rules retention.yaml --yes         do it, for example every night

A repository that no rule names is left alone. What somebody pushes meanwhile stays. A collection frees the space later.
The exit status is 0, or 1 if something failed. The variables that say where the container is are those of registry-swift check.
"""


def add_command(commands):
    command = new_parser(
        commands.add_parser, 'retain', help='delete old tags and untagged manifests, by rules in a file', description=RETAIN
    )
    command.add_argument('--rules', metavar='FILE', required=True, help='the file of rules')
    command.add_argument('--dry-run', action='store_true', help='delete nothing, and show what would happen')
    consent.add_option(command)
    command.add_argument('--json', action='store_true', help='print a line of JSON for each tag and each untagged manifest')
    command.set_defaults(run=run)


def run(options, environ):
    try:
        rules = retention_rules.read(options.rules)
    except retention_rules.Broken as error:
        raise config_error(f'--rules: {error}')
    if not options.dry_run:
        consent.require_a_way(options)
    domain = opening.domain(options, environ)
    if not options.dry_run and not consent.is_given(options, f'Delete what {options.rules} does not keep? --dry-run shows it.'):
        return 1

    def say(outcome):
        print(retention.as_json(outcome) if options.json else retention.text(outcome, options.dry_run), flush=True)

    counts = retention.Retention(domain, rules, options.dry_run, say).run()
    print(retention.summary_as_json(counts) if options.json else retention.summary(counts, options.dry_run))
    return 0
