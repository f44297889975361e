"""Long runs and many runs: what looking at them takes, in processor seconds and memory.

python -m benchmarks.long FOLDER [evaluations]

Makes three recordings of 100 000 evaluations in FOLDER: jobs of two parameter sets without a session, the same with
shots for each basis, and one job for each evaluation in sessions that are opened again. Beside each verb stands what it
takes for a run of 60 evaluations, which is what imports take; `resume` is of a copy that was killed after its last
evaluation, so that nothing is left to be simulated. The table that was measured last is in docs/performance.md.
"""

from __future__ import annotations

import gzip
import mmap
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.arguments import read

COMMON = ("tracking=off", "run.figures=false")
RECORDINGS = {
    "two sets a job": ("estimator=exact", "optimizer=spsa", "session=job", "optimizer.stability=10"),
    "two sets a job, with shots": ("optimizer=spsa", "session=job", "optimizer.stability=10"),
    "one job an evaluation": (
        "estimator=exact", "optimizer=adam", "gradient=adjoint", "optimizer.gtol=1e-300",
        "optimizer.learning_rate=1e-7",
        "session.on_expiry=reopen", "session.overhead=0", "session.rep_delay=0.00001",
    ),
}  # fmt: skip
VERBS = ("list", "watch", "retime", "report", "resume")


def taken(*words: str) -> tuple[float, float]:
    """Processor seconds and MB of `python -m runner` with these words."""
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"runner {' '.join(words)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def record(folder: Path, words: tuple[str, ...], evaluations: int) -> tuple[float, float]:
    """What a run of so many evaluations takes."""
    shutil.rmtree(folder, ignore_errors=True)
    limits = (f"optimizer.iterations={evaluations}", f"optimizer.max_evaluations={evaluations}")
    return taken(*COMMON, *words, *limits, f"hydra.run.dir={folder}")


def killed(folder: Path) -> Path:
    """A copy of a run as it was when its last evaluation had been written."""
    copy = folder.with_name(f"{folder.name}_killed")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    shutil.copy(folder / "config.yaml", copy)
    journal = folder / "journal.jsonl"
    with (
        journal.open("rb") if journal.exists() else gzip.open(f"{journal}.gz") as source,
        (copy / "journal.jsonl").open("w+b") as target,
    ):
        # piece by piece: what starts a process counts as the process's own memory
        shutil.copyfileobj(source, target)
        with mmap.mmap(target.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end = content.find(b"\n", content.rfind(b',"kind":"evaluation",')) + 1
        target.truncate(end)
    return copy


def looked(verb: str, folder: Path) -> tuple[float, float]:
    """What a verb takes for a run."""
    return taken(verb, str(killed(folder) if verb == "resume" else folder))


def main() -> None:
    """Print a table."""
    asked = read(
        "__main__",
        __doc__,
        ("folder", {"type": Path, "metavar": "FOLDER"}),
        ("evaluations", {"nargs": "?", "type": int, "default": 100_000}),
    )
    folder, evaluations = asked.folder, asked.evaluations
    print("| recording | verb | s | MB | MB of imports |\n|---|---|---|---|---|")
    for name, words in RECORDINGS.items():
        long, short = folder / name.replace(", ", "_").replace(" ", "_"), folder / "short"
        for verb in ("run", *VERBS):
            small = record(short, words, 60) if verb == "run" else looked(verb, short)
            seconds, memory = record(long, words, evaluations) if verb == "run" else looked(verb, long)
            print(f"| {name} | {verb} | {seconds:.1f} | {memory:.0f} | {small[1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
