"""`python -m tests.golden RELEASE`: record the corpus that this release's journals are judged by later.

Each kind of run is carried out twice, unbroken and (some) broken off; of the broken one the journal is kept, of the
unbroken one the result and the session. Nothing in them tells of the machine but the processor's name, which is
replaced, and the versions of the packages, which decide whether the bits can be the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from runner.record import faults

HERE = Path(__file__).parent
ALWAYS = ("tracking=off", "run.figures=false", "seed=7")
KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "exact_gradient": (
        ("optimizer=l_bfgs_b", "estimator=exact", "gradient=adjoint", "optimizer.max_evaluations=4"),
        "",
    ),
    "noisy": (("backend=noisy", "optimizer=nft", "optimizer.max_evaluations=6"), ""),
    "sampling": (("experiment=sampling",), ""),
    "batch": (("session=batch", "optimizer=nelder_mead", "optimizer.max_evaluations=8"), ""),
    "expired": (("optimizer=cobyla", "optimizer.max_evaluations=8", "session.max_time=60"), ""),
    "race_interrupted": (("experiment=vqe_race", "optimizer.max_evaluations=6"), "before_journal:19:int"),
    "spsa_killed": (("optimizer=spsa", "optimizer.max_evaluations=12"), "mid_write:20:kill9"),
    "failed": (("optimizer=cobyla", "backend.engine=aer", "optimizer.max_evaluations=8"), "aer:5:raise"),
}
"""What is declared, and the fault that breaks it off; without one it comes to its end, or to that of its session."""
BROKEN = "broken/"


def main(release: str) -> int:
    """Record every kind of run below `release`; an existing corpus is never changed."""
    target = HERE / release
    target.mkdir()
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        for kind, (overrides, fault) in KINDS.items():
            _in_a_process(kind, overrides, "")
            if fault:
                _in_a_process(BROKEN + kind, overrides, fault)
            keep = target / kind
            keep.mkdir()
            for file in ("config.yaml", "result.json", "session.json"):
                shutil.copy(Path(kind) / file, keep / file)
            broken = Path(BROKEN + kind)
            shutil.copy((broken if broken.exists() else Path(kind)) / "journal.jsonl", keep / "journal.jsonl")
            print(f"{kind}: {sum(path.stat().st_size for path in keep.iterdir()) >> 10} KiB")
    return 0


def _in_a_process(name: str, overrides: tuple[str, ...], fault: str) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _record(name, overrides, fault)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0 or "kill9" in fault, f"{name} was not recorded"


def _record(name: str, overrides: tuple[str, ...], fault: str) -> None:
    """Carry out one run; where its session ends early, keep the journal as it is then and go on."""
    from runner import compose, resume, run

    with _anonymous():
        declared = compose(*ALWAYS, *overrides)
        faults.plan(fault)
        result = run(declared, directory=name)
        if result.status == "stopped":
            shutil.copytree(name, BROKEN + name)
            resume(name)


@contextlib.contextmanager
def _anonymous() -> Iterator[None]:
    """Let runs record nothing of the machine."""
    from runner.record import environment as module

    honest = module.environment

    def nameless(*arguments: Any) -> dict[str, Any]:
        return {**honest(*arguments), "processor": "any", "commit": None, "pid": 0}

    with (
        patch("runner.run.execution.environment", nameless),
        patch("runner.run.resume.environment", nameless),
    ):
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
