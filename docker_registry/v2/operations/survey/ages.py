"""How old the pieces are that a query of a survey gives."""

from typing import Any

from docker_registry.v2.operations.survey.survey import Survey

DAY = 86400
#: Ages, and what they are called: of what is younger than so many seconds. The last step has all that is older.
STEPS = (('1d', DAY), ('7d', 7 * DAY), ('30d', 30 * DAY), ('365d', 365 * DAY))
OLDER = 'older'


def ages(survey: Survey, query: str) -> dict[str, Any]:
    """Return how many pieces a query gives, their bytes, and how old they are. A piece without a time counts as new."""
    pieces = f'WITH piece (modified, bytes) AS ({query}), aged AS (SELECT max(? - coalesce(modified, ?), 0) AS age, bytes FROM piece) '
    started = (survey.started, survey.started)
    count, size, youngest, oldest = survey.db.execute(
        pieces + 'SELECT count(*), coalesce(sum(bytes), 0), min(age), max(age) FROM aged', started
    ).fetchone()
    step = ' '.join(f"WHEN age < {seconds} THEN '{name}'" for name, seconds in STEPS)
    steps = {name: {'count': 0, 'bytes': 0} for name in [*dict(STEPS), OLDER]}
    for name, number, bytes_ in survey.db.execute(
        pieces + f"SELECT CASE {step} ELSE '{OLDER}' END, count(*), coalesce(sum(bytes), 0) FROM aged GROUP BY 1", started
    ):
        steps[name] = {'count': number, 'bytes': bytes_}
    return {'count': count, 'bytes': size, 'youngest': youngest, 'oldest': oldest, 'ages': steps}
