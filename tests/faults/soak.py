"""`python -m tests.faults --soak MINUTES`: one process conducts sweeps and runs for a long time, and breaks all along.

The conductor is a process of its own that plans some faults itself (Aer, memory, disk, nan, dead tracking servers);
from outside its workers and uploaders are killed and it gets signals. Every run must come to the same bits as an
unbroken one, and the conductor must not grow, hold on to files, or leave processes behind.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

MARK = "RUNNER_SOAK"
"""In the environment of the conductor and of all that descends from it."""
EVERY = (3.0, 7.0)
"""Seconds between two faults from outside."""
SMALL = ("run.figures=false", "optimizer.max_evaluations=14", "backend.engine=aer")
OPTIMIZERS = ("cobyla", "spsa", "nelder_mead")
ATTEMPTS = 12
"""Times a run is resumed before it counts as not resumable."""
GROWTH = 0.05
"""Of the conductor's memory, which is allowed."""
MEASURED: dict[str, tuple[Callable[[Iterable[float]], float], float]] = {
    "rss": (statistics.median, 1 + GROWTH),
    "descriptors": (max, 1.0),
    "threads": (max, 1.0),
}
"""What the conductor may not use more of: what counts of a quarter's steps, and by what factor it may grow."""


def soak(minutes: float, seed: int) -> int:
    """Conduct and break; print what happened. Exit 1 if anything was lost, grew or was left over."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="runner-soak-") as place:
        home = Path(place)
        print(f"what happens is in {home}/steps.jsonl until the end", file=sys.stderr, flush=True)
        began = time.monotonic()
        faults, code, left = _torment(home, minutes * 60, seed)
        steps = [json.loads(line) for line in (home / "steps.jsonl").read_text().splitlines()]
        complaints = judge(steps, code, left)
        print(summary(steps, faults))
        if complaints:
            print("\n".join(complaints))
            print((home / "output.txt").read_text(errors="replace")[-4000:])
        print(
            f"\nsoak of {(time.monotonic() - began) / 60:.1f} min, seed {seed}: {len(complaints)} complaints"
        )
    return 1 if complaints else 0


def _torment(home: Path, seconds: float, seed: int) -> tuple[Counter[str], int, list[str]]:
    """Run the conductor and break it from outside; what was done, its exit code, and what it left behind."""
    rng = random.Random(f"{seed} outside")
    mark = f"{os.getpid()}-{seed}"
    with (home / "output.txt").open("wb") as output:
        conductor = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.soak", str(home), str(seconds), str(seed)],
            stdout=output,
            stderr=output,
            env={**os.environ, MARK: mark},
        )
        done: Counter[str] = Counter()
        last = -2
        end = time.monotonic() + seconds + 180
        while conductor.poll() is None and time.monotonic() < end:
            with contextlib.suppress(subprocess.TimeoutExpired):
                conductor.wait(rng.uniform(*EVERY))
            step = _current(home)
            if conductor.returncode is not None or step is None:
                continue
            kind = rng.choice(("worker killed", "worker killed", "uploader killed", "SIGINT", "SIGTERM"))
            if kind.startswith("SIG"):
                if step < last + 2:  # a second signal of one step would end the process at once, as it should
                    continue
                last = step
                conductor.send_signal(getattr(signal, kind))
            elif not _kill(rng, conductor.pid, mark, uploader=kind.startswith("uploader")):
                continue
            done[kind] += 1
        if conductor.poll() is None:
            conductor.kill()
        code = conductor.wait()
    return done, code, _leftovers(mark)


def _current(home: Path) -> int | None:
    """The number of the step that is under way; None while there is none that may be interrupted."""
    with contextlib.suppress(OSError, ValueError):
        return int((home / "step").read_text())
    return None


def _kill(rng: random.Random, conductor: int, mark: str, *, uploader: bool) -> bool:
    """Kill a random worker, or uploader; False if there is none."""
    found = []
    for pid, parent, line in processes(mark):
        if pid == conductor or "resource_tracker" in line:
            continue
        is_uploader = "runner.tracking" in line
        is_worker = not is_uploader and parent != conductor  # its parent is what all workers are forked from
        if is_uploader if uploader else is_worker or "popen_loky" in line:
            found.append(pid)
    if not found:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(rng.choice(found), signal.SIGKILL)
    return True


def processes(mark: str) -> Iterator[tuple[int, int, str]]:
    """(pid, parent's pid, command line) of every living process with this mark."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield int(entry.name), int(parent), line


def _leftovers(mark: str, patience: float = 40.0) -> list[str]:
    """What lives on after the conductor has ended, and its uploaders had time to."""
    end = time.monotonic() + patience
    while (left := list(processes(mark))) and time.monotonic() < end:
        time.sleep(0.5)
    for pid, _, _ in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [line for _, _, line in left]


def judge(steps: list[dict[str, Any]], code: int, left: list[str]) -> list[str]:
    """What must not be: a line for each."""
    complaints = [] if code == 0 else [f"the conductor ended with {code}"]
    complaints += [f"left over: {line}" for line in left]
    complaints += [
        f"step {step['number']} ({step['kind']}): {error}" for step in steps for error in step["errors"]
    ]
    if not steps:
        return [*complaints, "no step was carried out"]
    early, late = early_and_late(steps)
    for name, (typical, allowed) in MEASURED.items():
        before, after = (typical(step[name] for step in part) for part in (early, late))
        if after > before * allowed:
            complaints.append(f"{name} grew from {before} to {after}")
    return complaints


def early_and_late(steps: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The steps of the second quarter, after warming up, and those of the last."""
    size = max(len(steps) // 4, 1)
    return steps[len(steps) // 4 :][:size], steps[-size:]


def summary(steps: list[dict[str, Any]], outside: Counter[str]) -> str:
    """What happened, in Markdown."""
    kinds = Counter(step["kind"] for step in steps)
    inside = Counter(fault for step in steps for fault in step["faults"])
    totals: dict[str, int] = {
        name: sum(step[name] for step in steps) for name in ("finished", "failed", "resumed")
    }
    lines = ["| fault | times |", "|---|---|"]
    lines += [f"| {name} | {count} |" for name, count in sorted({**outside, **inside}.items())]
    lines.append("")
    lines.append(f"steps: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}")
    lines.append(
        f"runs: {totals['finished']} finished, bit-identical unless told below; {totals['failed']} failed of nan; "
        f"resumed {totals['resumed']} times"
    )
    if steps:
        early, late = early_and_late(steps)
        for name, (typical, _) in MEASURED.items():
            before, after = (typical(step[name] for step in part) for part in (early, late))
            lines.append(
                f"{name}: {before:g} in the second quarter, {after:g} in the last ({typical.__name__})"
            )
    return "\n".join(lines)


class Conductor:
    """The process that lives long: it carries out one step after the other and writes down what came of each."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.rng = random.Random(f"{seed} inside")
        self.references: dict[tuple[str, int], dict[str, str]] = {}
        self.number = 0
        self.store = f"sqlite:///{home / 'mlflow.db'}"
        self.step: dict[str, Any] = {}

    def carry_on(self, seconds: float) -> None:
        """Do steps until the time is up."""
        from runner.record import faults

        for signum in (signal.SIGINT, signal.SIGTERM):  # what arrives between two steps
            signal.signal(signum, lambda *_: None)
        self._make_references()
        kinds: tuple[Callable[[], None], ...] = (self.workers, self.workers, self.here, self.alone, self.nan)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            work = self.rng.choice(kinds)
            names = ("faults", "errors")
            self.step = {"number": self.number, "kind": work.__name__, **{name: [] for name in names}}
            self.step.update(finished=0, failed=0, resumed=0)
            (self.home / "step").write_text(str(self.number))
            try:
                work()
            except Exception:
                self.step["errors"].append(traceback.format_exc()[-3000:])
            faults.plan("")
            os.environ.pop("RUNNER_FAULT", None)
            shutil.rmtree(self.directory, ignore_errors=True)
            self._write_down()
            self.number += 1
        (self.home / "step").unlink()

    @property
    def directory(self) -> Path:
        """Of this step's run or sweep; its name is no other run's."""
        return self.home / f"step-{self.number}"

    def _make_references(self) -> None:
        from runner import compose, run
        from tests.faults.trial import identity

        for optimizer in OPTIMIZERS:
            for seed in (1, 2, 3, 4):
                declared = compose(*SMALL, "tracking=off", f"optimizer={optimizer}", f"seed={seed}")
                directory = self.home / f"{optimizer}-{seed}"
                run(declared, directory=str(directory))
                self.references[optimizer, seed] = identity(directory)
                shutil.rmtree(directory)

    def _write_down(self) -> None:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.step["rss"] = pages * os.sysconf("SC_PAGE_SIZE") >> 10
        self.step["descriptors"] = len(os.listdir("/proc/self/fd"))
        self.step["threads"] = len(os.listdir("/proc/self/task"))
        with (self.home / "steps.jsonl").open("a") as file:
            file.write(json.dumps(self.step) + "\n")

    # steps --------------------------------------------------------------------------------------------------------

    def workers(self) -> None:
        """A sweep in two worker processes, sometimes with a disk that fails, or tracked."""
        optimizers = self.rng.sample(OPTIMIZERS, 2)
        if self.rng.random() < 0.15:
            fault = f"mid_write:{self.rng.randint(20, 90)}:{self.rng.choice(('enospc', 'eio'))}"
            os.environ["RUNNER_FAULT"] = fault
            self.step["faults"].append("disk error in workers")
        self._sweep(optimizers, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")

    def here(self) -> None:
        """A sweep in the conductor's own process, with faults of the engine and of the disk."""
        self._plan(3)
        self._sweep(self.rng.sample(OPTIMIZERS, 1))

    def alone(self) -> None:
        """One tracked run with a fault, resumed until it ends; the store has it once and complete."""
        from runner.tracking import TrackingConfig, sync
        from tests.faults import trial

        optimizer, seed = self.rng.choice(OPTIMIZERS), self.rng.randint(1, 4)
        directory = self.directory
        self._plan(1)
        tracking = self._tracking()
        self._run(optimizer, seed, directory, tracking)
        if any("sqlite" in word for word in tracking):
            artifacts = str(self.home / "artifacts")
            report = sync(directory, TrackingConfig(uri=self.store, artifacts=artifacts))
            for _ in range(20):
                if report.state == "synced":
                    break
                time.sleep(0.5)  # the run's own uploader is still at it
                report = sync(directory, TrackingConfig(uri=self.store, artifacts=artifacts))
            result = json.loads((directory / "result.json").read_text())
            found = [row[1:] for row in trial.stored(self.home / "mlflow.db", directory.name)]
            if found != [("FINISHED", result["evaluations"])]:
                self.step["errors"].append(f"the store holds {found} of {result['evaluations']} evaluations")

    def nan(self) -> None:
        """A run whose k-th energy is nan: failed, and its best is a number."""
        import numpy as np

        from runner import compose, run
        from runner.engine.estimator import EstimatorNumbers, EstimatorPlan
        from tests.faults import trial

        def spoiled(numbers: Any) -> Any:
            return EstimatorNumbers(np.full_like(numbers.evs, np.nan), numbers.stds, numbers.shots)

        honest = EstimatorPlan.run
        trial.spoil(self.rng.randint(2, 10), spoiled)
        self.step["faults"].append("nan")
        try:
            result = run(compose(*SMALL, "tracking=off"), directory=str(self.directory))
        finally:
            EstimatorPlan.run = honest  # type: ignore[method-assign]
        if result.status == "interrupted":
            return
        if result.status != "failed" or result.energy is None or "nan" not in result.stop_reason:
            self.step["errors"].append(f"{result.status}: {result.stop_reason}, energy {result.energy}")
        self.step["failed"] += 1

    # what steps are made of ---------------------------------------------------------------------------------------

    def _plan(self, most: int) -> None:
        from runner.record import faults

        kinds = {
            "Aer raises": "aer:{}:raise", "Aer refuses": "aer:{}:refuse", "out of memory": "simulate:{}:memory",
            "disk full": "mid_write:{}:enospc", "disk error": "mid_write:{}:eio",
        }  # fmt: skip
        chosen = [self.rng.choice(list(kinds)) for _ in range(self.rng.randint(0, most))]
        self.step["faults"] += chosen
        faults.plan(",".join(kinds[name].format(self.rng.randint(1, 60)) for name in chosen))

    def _tracking(self) -> tuple[str, ...]:
        kind = self.rng.choice(("off", "sqlite", "sqlite", "dead"))
        if kind == "off":
            return ("tracking=off",)
        if kind == "dead":
            self.step["faults"].append("tracking server dead")
            return ("tracking.uri=http://127.0.0.1:9", "tracking.timeout=2")
        return (f"tracking.uri={self.store}", f"tracking.artifacts={self.home / 'artifacts'}")

    def _run(self, optimizer: str, seed: int, directory: Path, tracking: tuple[str, ...]) -> None:
        from runner import compose, resume, run
        from runner.errors import StorageError

        declared = compose(*SMALL, *tracking, f"optimizer={optimizer}", f"seed={seed}")
        for _ in range(ATTEMPTS):
            try:
                if _begun(directory):
                    self.step["resumed"] += 1
                    status = resume(directory).status
                else:
                    shutil.rmtree(directory, ignore_errors=True)
                    status = run(declared, directory=str(directory)).status
            except StorageError:
                continue  # the disk error that was planned
            if status == "finished":
                break
        self._same(directory, optimizer, seed)

    def _sweep(self, optimizers: list[str], *launcher: str) -> None:
        from runner.errors import ConfigError, StorageError
        from runner.sweep.entry import resume_sweep, sweep

        directory = self.directory
        seeds = "1,2,3,4"
        arguments = [
            *SMALL, *self._tracking(), *launcher, f"optimizer={','.join(optimizers)}", f"seed={seeds}",
            f"hydra.sweep.dir={directory}",
        ]  # fmt: skip
        for _ in range(ATTEMPTS):
            try:
                if (directory / "sweep.json").exists():
                    self.step["resumed"] += 1
                    code = resume_sweep(directory, quiet=True)
                else:
                    shutil.rmtree(directory, ignore_errors=True)
                    code = sweep(arguments, quiet=True)
            except StorageError:
                continue
            except ConfigError as error:
                if "nothing to resume" not in str(error):
                    raise
                code = 0
            if code == 0:
                break
            os.environ.pop("RUNNER_FAULT", None)  # workers that are forked from now on have a sound disk
        runs = [(optimizer, seed) for optimizer in optimizers for seed in (1, 2, 3, 4)]
        for number, (optimizer, seed) in enumerate(runs):
            self._same(directory / str(number), optimizer, seed)

    def _same(self, directory: Path, optimizer: str, seed: int) -> None:
        """The run has come to the unbroken one's end."""
        from tests.faults import trial

        if trial.status(directory) != "finished":
            reason = (directory / "failure.json", directory / "result.json")
            told = [path.read_text()[:600] for path in reason if path.exists()]
            self.step["errors"].append(f"{optimizer}, seed {seed} is {trial.status(directory)}: {told}")
            return
        found = trial.identity(directory)
        different = [
            name for name, digest in self.references[optimizer, seed].items() if found[name] != digest
        ]
        if different:
            self.step["errors"].append(f"{optimizer}, seed {seed}: {', '.join(different)} differ")
        self.step["finished"] += 1


def _begun(directory: Path) -> bool:
    from runner.record.journal import read_journal
    from runner.record.packed import is_there

    journal = directory / "journal.jsonl"
    return is_there(journal) and bool(read_journal(journal).events)


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    Conductor(Path(sys.argv[1]), int(sys.argv[3])).carry_on(float(sys.argv[2]))
