"""`python -m tests.faults [--nightly] [--seed N]`: break things on purpose and print what was lost.

Every trial is a process forked from this one, which has imported everything and started no thread, and carries out a
real command line; with --nightly one trial in twenty is made of plain `python -m runner` processes instead.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

from tests.faults.ledger import Ledger

# no library may start threads of its own, because a fork would not have them: Aer, BLAS, Qiskit's Rust
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", QISKIT_IN_PARALLEL="TRUE")

CHAIN = 4
"""Kills of one run before it is left to finish."""


def main() -> int:
    """Run the campaign; exit 1 if anything was lost."""
    from tests.faults.rows import carry_out, published, table
    from tests.faults.soak import soak

    options = read()
    if options.soak is not None:
        return soak(options.soak, options.seed)
    began = time.monotonic()
    ledger = Ledger(
        options.progress,
        {
            name: getattr(options, name)
            for name in ("seed", "kills", "signals", "cases", "nightly", "plain", "inputs")
        },
    )
    with tempfile.TemporaryDirectory(prefix="runner-faults-") as home:
        campaign, rows = prepare(options, Path(home), ledger)
        carry_out(campaign, rows, options.workers, ledger)
    print(table(rows), flush=True)  # before what the fuzzer says
    tried = sum(row.tried for row in rows)
    lost = sum(len(row.lost) for row in rows)
    if options.inputs and (fuzzed := ledger.known("fuzz", 0)) is not None:
        print(fuzzed["output"])
        lost += fuzzed["code"]
    elif options.inputs:
        command = [
            sys.executable,
            "-m",
            "tests.faults.fuzz",
            f"--inputs={options.inputs}",
            f"--seed={options.seed}",
            f"--workers={options.workers}",
            "--row",
        ]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        lost += done.returncode
        ledger.add("fuzz", 0, output=done.stdout, code=done.returncode)
    if options.table:
        typed = " ".join(word for word in sys.argv[1:] if not word.startswith("--table"))
        print("\n" + published(rows, f"python -m tests.faults {typed}"))
    print(
        f"\n{tried} trials, seed {options.seed}, {options.workers} at a time, {time.monotonic() - began:.0f} s"
    )
    return 1 if lost or not tried else 0


def read() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    add = parser.add_argument
    add("--nightly", action="store_true", help="2 000 kills and 1 000 signals over all kinds of runs, not 12")
    add("--seed", type=int, default=1, help="of every random choice; printed with each failure")
    add(
        "--proof",
        action="store_true",
        help="at least 2 000 kills over all kinds of runs, 1 000 signals, 300 disk faults, 100 outages, and 100 000 "
        "damaged files and requests, in one table",
    )
    add("--inputs", type=int, help="damaged files and requests (with --proof 100 000)")
    add("--kills", type=int, help="kills per kind of run")
    add("--signals", type=int, help="signals per kind of run")
    add("--cases", nargs="*", help="only these kinds of runs")
    add("--rows", help="only rows of the table whose name contains this")
    add("--trial", type=int, help="only this trial of each row, as a failure names it")
    add("--plain", type=float, help="share of trials made of plain `python -m runner` processes")
    add(
        "--soak",
        type=float,
        metavar="MINUTES",
        help="instead: sweeps and runs that break all along, in one process",
    )
    add("--table", action="store_true", help="print docs/reliability.md's table and README's line too")
    add(
        "--progress",
        type=Path,
        metavar="FILE",
        help="keep what came of every trial in FILE, and go on from there (with --proof outputs/faults-SEED.jsonl)",
    )
    add(
        "--workers",
        type=int,
        default=(os.cpu_count() or 1) + 1,
        help="trials at a time; one more than there are processors, for some of them wait",
    )
    options = parser.parse_args()
    options.nightly = options.nightly or options.proof
    if options.proof and options.progress is None:
        options.progress = Path(f"outputs/faults-{options.seed}.jsonl")
    if options.inputs is None:
        options.inputs = 100_000 if options.proof else 0
    return options


def prepare(options: argparse.Namespace, home: Path, ledger: Ledger):
    """Warm up, make the unbroken runs, and list the rows with their trials."""
    from runner.record import packed
    from tests.faults import searches
    from tests.faults.campaign import CASES, DEFAULT_CASES, Campaign
    from tests.faults.kinds import STOPS, kills_of
    from tests.faults.place import mounting_is_permitted
    from tests.faults.rows import Row, make_references

    packed.SMALLEST = 0  # these runs are small, and what happens to long ones happens to them
    nightly = options.nightly
    # rows of sweeps have kinds of their own, as the command has that a failure is printed with
    named = [case for case in options.cases or () if case not in searches.CASES]
    cases = named or (list(CASES) if nightly and not options.cases else DEFAULT_CASES)
    warm_up(home, cases)
    if nightly:
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - once, for every sync that is forked
    kills = dict.fromkeys(cases, 4 if options.kills is None else options.kills)
    if nightly and options.kills is None:
        kills = kills_of(cases, 2000)
    signals = options.signals if options.signals is not None else (_share(1000, cases) if nightly else 1)
    plain = options.plain if options.plain is not None else (0.05 if nightly else 0.0)
    campaign = Campaign(home, options.seed, plain=plain, composed=0.75)
    rows = []
    for case in cases:
        count = -(-kills[case] // CHAIN)
        chains = [(case, n, min(CHAIN, kills[case] - n * CHAIN)) for n in range(count)]
        rows.append(Row(f"kill -9, {case}", "kills", chains))
        rows.append(Row(f"SIGINT/SIGTERM, {case}", "signals", [(case, n) for n in range(signals)]))
    for case in STOPS if nightly else ("stopped",):
        going_on = [(case, n) for n in range(40 if nightly else 2)]
        rows.append(Row(f"going on broken, {case}", "stops", going_on))
    for case in cases[:2] if nightly else cases[:1]:
        last = campaign.reference(case).events
        for action in ("enospc", "eio", "erofs") if nightly else ("enospc",):
            writes = range(1, last + 1) if nightly else (2, last // 2, last)
            rows.append(Row(f"{action} at a write, {case}", "disk", [(case, k, action) for k in writes]))
    case = cases[0]
    last = campaign.reference(case).events
    if mounting_is_permitted():
        sizes, crowds, moments = (
            (24, range(1, 9), range(2, last, 6)) if nightly else (2, (4, 6), (last // 2,))
        )
        rows.append(Row(f"disk full, {case}", "full", [(case, n) for n in range(sizes)]))
        rows.append(Row(f"no room for another file, {case}", "crowded", [(case, n) for n in crowds]))
        rows.append(Row(f"disk read-only, {case}", "read_only", [(case, k) for k in moments]))
    removed = [(case, n) for n in range(20 if nightly else 2)]
    rows.append(Row(f"directory deleted or moved, {case}", "vanishes", removed))
    cuts = [(case, n) for n in range(60 if nightly else 2)]
    rows.append(Row(f"journal cut and a bit flipped, {case}", "damaged", cuts))
    values = itertools.product(range(1, 13) if nightly else (2,), (math.nan, math.inf))
    rows.append(Row(f"energy nan or infinite, {case}", "not_a_number", [(case, *one) for one in values]))
    clocks = [(one, n) for one in (cases[:2] if nightly else cases[:1]) for n in range(10 if nightly else 1)]
    rows.append(Row("clock set", "clock", clocks))
    rows += engine_rows(nightly)
    if nightly:
        limited = [(one, n) for one in cases for n in range(2)]
        rows.append(Row("little memory", "limited", limited))
        rows.append(Row(f"tracked and killed, {case}", "tracked", [(case, n) for n in range(20)]))
        requests = [(case, point) for point in ("before_request", "after_request")]
        rows.append(Row(f"sync killed at every request, {case}", "sync", requests))
        rows.append(Row(f"sync to two stores killed at every request, {case}", "sync_elsewhere", requests))
        rows += sweep_rows()
        outages = [(case, n) for n in range(10)]
        rows.append(Row("tracking servers late, dying, failing, silent, slow", "outages", outages))
        if os.geteuid() == 0:
            rows.append(
                Row("a user without rights", "another_user", [(one, n) for n, one in enumerate(cases[:8])])
            )
        rows.append(Row("processes that meet at a fresh store", "writers", [(case, n) for n in range(20)]))
    for row in rows:
        row.select(options.rows, options.trial)
    left = [(row, n) for row in rows for n in row.numbers if ledger.known(row.fault, n) is None]
    needed = dict.fromkeys(row.trials[n][0] for row, n in left)
    make_references(campaign, [case for case in needed if isinstance(case, str)], options.workers)
    return campaign, rows


def _share(total: int, cases: list[str]) -> int:
    """What comes to each kind of run, so that together there are no fewer."""
    return -(-total // len(cases))


def engine_rows(nightly: bool) -> list:
    """What breaks in the simulation itself, in which kinds of runs and at which evaluations."""
    from tests.faults.rows import Row

    if not nightly:
        chosen = [("aer_race", "aer:refuse", 4), ("aer_race", "simulate:memory", 2)]
        return [Row("simulation fails", "engine", chosen)]
    rows = []
    for case in ("aer_exact", "aer_shots", "aer_noisy", "aer_race", "kernel"):
        causes = ["simulate:memory"] if case == "kernel" else ["aer:raise", "aer:refuse", "simulate:memory"]
        trials = [(case, cause, k) for cause in causes for k in range(1, 8)]
        rows.append(Row(f"simulation fails, {case}", "engine", trials))
    large = (("aer_large", 1), ("aer_large", 2), ("aer_large", 3), ("kernel_large", 1), ("kernel_middle", 1))
    starved = [(case, "simulate:starve", k) for case, k in large]
    rows.append(Row("out of memory", "starved", starved))
    tracked = [(case, "aer:raise", k) for case in ("aer_exact", "aer_noisy") for k in (1, 5)]
    rows.append(Row("simulation fails in a tracked run", "engine_tracked", tracked))
    return rows


def sweep_rows() -> list:
    """What breaks in sweeps and searches as a whole; with samplers and databases of every kind."""
    from tests.faults.place import mounting_is_permitted
    from tests.faults.rows import Row
    from tests.faults.searches import CASES

    rows = []
    for case in CASES:
        rows.append(Row(f"kill -9, {case}", "sweep_kills", [(case, n, CHAIN) for n in range(5)]))
    for case in ("sweep", "search_tpe_sqlite", "search_nsga2_null"):
        rows.append(Row(f"worker killed, {case}", "sweep_workers", [(case, n) for n in range(4)]))
        if mounting_is_permitted():
            rows.append(Row(f"disk full, {case}", "sweep_full", [(case, n) for n in range(8)]))
    if find_spec("submitit"):
        submitted = [("sweep", n, "submitit") for n in range(4)]
        rows.append(Row("job of submitit killed", "sweep_workers", submitted))
    return rows


def warm_up(home: Path, cases: Sequence[str] = ()) -> None:
    """Runs in this process, one of each kind, so that every forked one finds everything imported and compiled.

    What a kind loads takes up to ten times as long as its run; plain processes, of which there are some, load it.
    """
    from runner.__main__ import main as command
    from tests.faults.campaign import SMALL
    from tests.faults.kinds import CASES, COLD

    race = ("experiment=vqe_race", "optimizer.max_evaluations=3")
    kinds = {"race": race, **{case: CASES[case] for case in cases if case in CASES and case not in COLD}}
    with (home / "warm-up.txt").open("w") as output, redirect_stdout(output), redirect_stderr(output):
        for case, overrides in kinds.items():
            place = home / f"warm-up-{case}"
            command([*SMALL, *overrides, f"hydra.run.dir={place}"])
            shutil.rmtree(place)
    import optuna  # noqa: F401 - once, for all forked searches
    import sqlalchemy  # noqa: F401

    tasks = Path("/proc/self/task")
    threads = Counter(
        (task / "comm").read_text().strip() for task in tasks.iterdir() if task.name != str(os.getpid())
    )
    del threads["jemalloc_bg_thd"]  # an allocator's, which begins another one in a forked process
    assert not threads, f"threads are left that forked processes would miss: {dict(threads)}"


if __name__ == "__main__":
    sys.exit(main())
