"""Gives inputs to the parsers of the registry that nobody has thought of, and checks what they promise.

    python tests/fuzz all --seconds 30
    python tests/fuzz manifest --seconds 3600 --seed 7

atheris makes the inputs: it changes those that it has, and keeps what runs new lines of the code (https://github.com/google/atheris).
It keeps them in build/fuzz for the next run. Exit status: 0 if nothing was found, 1 if something was, 2 if it could not run.
CONTRIBUTING.rst says what to do with a finding.
"""

import argparse
import pathlib
import random
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / 'v2')]

import target as target_module  # noqa: E402

FOLDER = HERE.parents[1] / 'build' / 'fuzz'
HANGS = 20  # seconds after which an input counts as one that never ends
LONGEST_SHOWN = 4000  # characters of a finding's literal


def main(argv):
    options = arguments(argv)
    known = names(options.modules)
    if options.target not in ('all', *known):
        print(f'there is no target {options.target}. Targets: all, {", ".join(known)}')
        return 2
    if options.search:
        return search(options)
    print(f'seed {options.seed}', flush=True)
    failed = [name for name in (known if options.target == 'all' else [options.target]) if not fuzz(name, options)]
    print(f'{len(failed)} targets failed: {", ".join(failed)}' if failed else 'nothing was found')
    return 1 if failed else 0


def arguments(argv):
    parser = argparse.ArgumentParser(prog='python tests/fuzz', description=__doc__.partition('\n')[0])
    parser.add_argument('target', help='name of a target, or all')
    parser.add_argument('--seconds', type=int, default=10, help='time for each target; 10 by default')
    parser.add_argument(
        '--seed', type=int, default=random.randrange(1, 2**31), help='starts the chance; another one for each run by default'
    )
    parser.add_argument('--folder', type=pathlib.Path, default=FOLDER, help='where inputs and findings are kept; build/fuzz by default')
    parser.add_argument('--modules', nargs='+', default=target_module.MODULES, help='modules that have the targets; all by default')
    parser.add_argument('--search', action='store_true', help=argparse.SUPPRESS)  # in a process of its own, which a finding ends
    return parser.parse_args(argv)


def names(modules):
    """Return the names of all targets. Another process imports them, because `search` must import them itself."""
    code = 'import sys; sys.path[:0] = %r; import target; print(*target.load(%r))' % (sys.path[:3], modules)
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split()


def fuzz(name, options):
    """Search in a process of its own, and show what it finds. Return whether it found nothing."""
    found = options.folder / name / 'found'
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True)
    log = options.folder / name / 'log'
    with open(log, 'wb') as output:
        command = [sys.executable, __file__, name, '--search', '--seconds', str(options.seconds), '--seed', str(options.seed)]
        command += ['--folder', options.folder, '--modules', *options.modules]
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT).returncode
    text = log.read_text(errors='replace')
    runs = [line.split()[-1] for line in text.splitlines() if line.startswith('stat::number_of_executed_units')]
    print(f'{name:24} {"passed" if status == 0 else "FAILED"} {runs[-1] if runs else "?"} inputs', flush=True)
    if status:
        print(text[max(text.find('=== Uncaught'), len(text) - 6000) :].partition('\n==')[0])
        for path in sorted(found.iterdir()):
            print(f'\n{name} fails on {path}:\n{path.read_bytes()!r:.{LONGEST_SHOWN}}', flush=True)
    return status == 0


def search(options):
    """Search until the time is over, or until an input fails. Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=['docker_registry']):
        target = target_module.load(options.modules)[options.target]
    target_module.bound_memory()
    folder = options.folder / options.target
    corpus, words = folder / 'corpus', folder / 'words'
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(target.seeds):
        (corpus / f'seed-{number}').write_bytes(data)
    words.write_text(''.join('"%s"\n' % ''.join(f'\\x{byte:02x}' for byte in word) for word in target.words))

    flags = {
        'max_total_time': options.seconds,
        'seed': options.seed,
        'max_len': target_module.LONGEST,
        **({'dict': words} if target.words else {}),
        'artifact_prefix': f'{folder / "found"}/',
        'timeout': HANGS,
        'rss_limit_mb': 0,
        'print_final_stats': 1,
        'verbosity': 0,
        'close_fd_mask': 0,
    }
    atheris.Setup([sys.argv[0], *(f'-{key}={value}' for key, value in flags.items()), str(corpus)], target)
    atheris.Fuzz()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
