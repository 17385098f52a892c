"""The memory that workers share."""

import contextlib
import gc
import multiprocessing
import os

from docker_registry.v2.registry.shared_memory import Seen, Table, Versions


def tables():
    """Return how many files of tables are open."""
    gc.collect()
    count = 0
    for number in os.listdir('/proc/self/fd'):
        with contextlib.suppress(FileNotFoundError):  # another thread has closed it
            count += 'memfd' in os.readlink(f'/proc/self/fd/{number}')
    return count


def test_a_table_that_nobody_uses_any_more_keeps_no_file():
    before = tables()
    kept = [Table(4, 'd') for _ in range(10)]
    assert tables() >= 10
    del kept

    assert tables() <= before


def in_another_process(call, *arguments):
    process = multiprocessing.get_context('fork').Process(target=call, args=arguments)
    process.start()
    process.join(30)
    assert process.exitcode == 0


def test_a_process_knows_what_another_one_has_seen():
    seen = Seen(64, 60)
    in_another_process(seen.add, 'blob', 5)

    assert seen.has('blob', 5) and not seen.has('blob', 6) and not seen.has('other blob', 5)


def test_what_another_process_discards_is_not_seen_any_more():
    seen = Seen(64, 60)
    seen.add('blob', 5)
    in_another_process(seen.discard, 'blob')

    assert not seen.has('blob', 5)


def test_what_was_seen_long_ago_does_not_count():
    seen = Seen(64, 0)
    seen.add('blob')

    assert 'blob' not in seen


def test_more_than_there_is_room_for_is_forgotten_and_never_wrong():
    seen = Seen(4, 60)
    for number in range(100):
        seen.add(number, number)

    assert 1 <= sum(seen.has(number, number) for number in range(100)) <= 4
    assert not any(seen.has(number, number + 1) for number in range(100))


def test_a_process_sees_that_another_one_has_changed_something():
    versions = Versions(64)
    before = versions.of('a')
    assert versions.of('a') == before
    in_another_process(versions.change, 'a')

    assert versions.of('a') != before
