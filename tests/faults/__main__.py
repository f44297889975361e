"""`python -m tests.faults [--nightly] [--seed N]`: break things on purpose and print what was lost."""

from __future__ import annotations

import argparse
import itertools
import math
import os
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

# no library may start threads of its own, because a fork would not have them: Aer, BLAS, Qiskit's Rust
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", QISKIT_IN_PARALLEL="TRUE")

CHAIN = 4
"""Kills of one run before it is left to finish."""


def main() -> int:
    """Run the campaign; exit 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--nightly", action="store_true", help="1 000 kills and signals over all cases, not 20"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of every random choice; printed with each failure"
    )
    parser.add_argument("--kills", type=int, help="kills per case")
    parser.add_argument("--signals", type=int, help="signals per case")
    parser.add_argument("--cases", nargs="*", help="only these")
    arguments = parser.parse_args()
    from tests.faults.campaign import CASES, DEFAULT_CASES, Campaign, table

    cases = arguments.cases or (list(CASES) if arguments.nightly else DEFAULT_CASES)
    kills = arguments.kills if arguments.kills is not None else (112 if arguments.nightly else 7)
    signals = arguments.signals if arguments.signals is not None else (112 if arguments.nightly else 3)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="runner-faults-") as home:
        warm_up(Path(home))
        campaign = Campaign(Path(home), arguments.seed)
        for case in cases:
            campaign.row(
                f"kill -9, {case}",
                (lambda case=case, n=n: campaign.kills(case, CHAIN, n) for n in range(-(-kills // CHAIN))),
            )
            campaign.row(
                f"SIGINT/SIGTERM, {case}",
                (lambda case=case, n=n: campaign.signals(case, n) for n in range(signals)),
            )
        case = cases[0]
        _, events, _ = campaign.reference(case)
        every = range(2, events, 1 if arguments.nightly else 25)
        for action in ("enospc", "eio"):
            campaign.row(
                f"{action} at a write, {case}",
                (lambda k=k, action=action: campaign.disk(case, k, action) for k in every),
            )
        campaign.row(
            f"energy nan or infinite, {case}",
            (
                lambda k=k, value=value: campaign.not_a_number(case, k, value)
                for k, value in itertools.product(
                    range(1, 13, 1 if arguments.nightly else 8), (math.nan, math.inf)
                )
            ),
        )
        if arguments.nightly:
            campaign.row(
                f"tracked and killed, {case}", (lambda n=n: campaign.tracked(case, n) for n in range(20))
            )
            campaign.row(f"sync killed at every request, {case}", iter([lambda: campaign.sync(case)]))
    print(table(campaign.rows))
    print(f"\nseed {arguments.seed}, {time.monotonic() - began:.0f} s")
    lost = [text for row in campaign.rows for text in row.lost]
    for text in lost[:5]:
        print(f"\n{text}", file=sys.stderr)
    return 1 if lost else 0


def warm_up(home: Path) -> None:
    """One run in this process, so that every forked one finds everything imported and compiled."""
    from runner.__main__ import main as command
    from tests.faults.campaign import SMALL

    place = home / "warm-up"
    run = [*SMALL, "experiment=vqe_race", "optimizer.max_evaluations=3", f"hydra.run.dir={place}"]
    with (home / "warm-up.txt").open("w") as output, redirect_stdout(output), redirect_stderr(output):
        command(run)
        command(["resume", str(place)])
    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, f"{threads - 1} threads are left that forked processes would miss"


if __name__ == "__main__":
    sys.exit(main())
