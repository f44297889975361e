"""The command line: `python -m runner [VERB] [overrides]`; one line and an exit code for everything that goes wrong."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence

try:
    from runner.cli.verb import CommandLine
    from runner.display.stream import Reader, error_line, readers
    from runner.errors import Interrupted, RunnerError, out_of_memory
except KeyboardInterrupt:
    os.write(2, b"interrupted\n")  # nobody imports this module but for a command line
    os._exit(130)

# a process that ends need not look for garbage among all it has loaded: that takes a second, after a sweep
atexit.register(gc.freeze)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line and return the process's exit code."""
    try:
        for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")  # last bits depend on it, and the matrices are small
        # libraries take it for UTF-8, which the current folder's name need not be; it is its own short name
        sys.path[:] = [
            "" if entry == os.getcwd() and not entry.isprintable() else entry for entry in sys.path
        ]
        with readers() as output:
            return _main(list(sys.argv[1:] if arguments is None else arguments), output)
    except KeyboardInterrupt:
        os.write(2, b"interrupted\n")
        return 130


def _main(arguments: list[str], output: Reader) -> int:
    try:
        from runner.cli.line import module, read
        from runner.declare.messages import warnings_in_one_line
        from runner.record.redaction import protect_environment  # inside: Ctrl-C may come while it is read

        protect_environment()
        with warnings_in_one_line():
            line = read(arguments)
            verb = module(line.verb).VERB
            printing = any(flag.prints and flag.key in line.flags for flag in verb.flags)
            output.forgiving = verb.beside and not (printing or line.wants_help)
            output.clean = not verb.data and "cfg" not in line.flags  # which holds no secret
            code = _help(line) if line.wants_help else module(line.verb).main(line)
            output.flush()
            return code
    except Interrupted as error:
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except PermissionError as error:
        print(f"error: {error.filename}: permission denied; ask its owner, or name another", file=sys.stderr)
        return 2
    except RunnerError as error:
        print(error_line(error), file=sys.stderr)
        return error.exit_code
    except (MemoryError, ImportError, RuntimeError, SystemError) as error:
        if not out_of_memory(error):
            raise
        print("error: out of memory; take a smaller problem, or free some", file=sys.stderr)
        return 1


def _help(line: CommandLine) -> int:
    from runner.cli.search import help_on

    print(help_on(line.arguments, line.config_dirs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
