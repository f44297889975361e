"""Sixteen H2 runs and two hundred tiny ones: serial against two worker processes, alternating.

`python -m benchmarks.sweep [ROUNDS]`
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

H2 = ["experiment=vqe", "hamiltonian=h2", "seed=range(16)"]
TINY = ["hamiltonian=two_qubit", "estimator=exact", "optimizer.max_evaluations=30", "seed=range(200)"]
OFF = ["tracking=off"]
PARALLEL = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def timed(words: list[str], folder: Path) -> float:
    """Seconds from typing the command to its end."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "runner", "-m", *words, f"hydra.sweep.dir={folder}"]
    ended = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{' '.join(command[2:])} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}")
    return time.perf_counter() - start


def events(folder: Path) -> list[list[object]]:
    """Every number of every run that was measured."""
    found = []
    for journal in sorted(folder.glob("*/journal.jsonl"), key=lambda path: int(path.parent.name)):
        lines = (json.loads(line) for line in journal.open(encoding="utf-8"))
        found.append([(e["energy"], e["stddev"]) for e in lines if e["kind"] == "evaluation"])
    return found


ALONE = """
import sys, tempfile, time
from runner.config import declare
from runner.run import run
with tempfile.TemporaryDirectory() as folder:
    runs = [declare([*sys.argv[1:], "run.figures=false", f"seed={seed}"]) for seed in range(200)]
    run(runs[0], directory=f"{folder}/first")
    start = time.perf_counter()
    for seed, one in enumerate(runs):
        run(one, directory=f"{folder}/{seed}")
    print(time.perf_counter() - start)
"""


def alone(words: list[str]) -> float:
    """Seconds of 200 runs in a loop, in a process that is warm: nothing of a sweep, nothing of starting Python."""
    command = [sys.executable, "-c", ALONE, *(word for word in words if not word.startswith("seed="))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(rounds: int) -> None:
    """Print medians and ratios."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for title, words in {
            "16 H2 runs, tracking off": [*H2, *OFF],
            "16 H2 runs, tracked in sqlite": H2,
            "200 tiny runs, tracking off": [*TINY, *OFF],
        }.items():
            times: dict[str, list[float]] = {"serial": [], "joblib": []}
            bare = []
            for number in range(rounds):
                folders = {kind: home / f"{len(list(home.iterdir()))}-{kind}" for kind in times}
                order = list(folders.items())[:: 1 if number % 2 == 0 else -1]
                for kind, folder in order:
                    times[kind].append(timed([*words, *(PARALLEL if kind == "joblib" else [])], folder))
                assert events(folders["serial"]) == events(folders["joblib"]), "numbers differ"
                if title.startswith("200"):
                    bare.append(alone(words))
            serial, joblib = (statistics.median(times[kind]) for kind in times)
            ratios = [one / other for one, other in zip(*times.values(), strict=True)]
            print(
                f"{title}: serial {serial:.1f} s, 2 workers {joblib:.1f} s, ratio {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f}); every energy the same to the last bit",
                flush=True,
            )
            if bare:
                compute = statistics.median(bare)
                print(
                    f"    the runs alone {compute:.1f} s: the sweep costs {serial / compute:.2f} times that, "
                    f"with 2 workers {joblib / compute:.2f} times",
                    flush=True,
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
