"""Many processes at once, and the same run many times over in every way there is (G6, G10)."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner import compose, resume, run
from runner.errors import ResumeError
from runner.record.directory import RunDirectory
from runner.record.journal import Journal, read_journal
from runner.run.resume import reopen
from runner.sweep.entry import sweep
from tests.faults.trial import identity
from tests.journals import told

SMALL = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=10", "seed=5")


def _create(start: Any, answers: Any) -> None:
    start.wait()
    directory = RunDirectory.create("same")
    answers.put((str(directory.path), time.time()))


@pytest.mark.nightly
@pytest.mark.parametrize("repeat", range(5))
def test_G6_sixty_four_processes_get_sixty_four_directories(workdir: Path, repeat: int) -> None:
    """All leave one barrier, so all within a second; every one has a directory of its own."""
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(64), context.Queue()
    processes = [context.Process(target=_create, args=(start, answers)) for _ in range(64)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()

    moments = [moment for _, moment in found]
    assert max(moments) - min(moments) < 1
    assert len({path for path, _ in found}) == 64
    assert all(Path(path).is_dir() for path, _ in found)


def interrupted(source: Path, target: Path, events: int) -> None:
    """What a run leaves that was killed after so many events."""
    target.mkdir()
    shutil.copy(source / "config.yaml", target)
    lines = (source / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (target / "journal.jsonl").write_bytes(b"".join(lines[:events]))


@pytest.mark.nightly
@pytest.mark.parametrize("experiment", ["vqe", "vqe_race"])
def test_G10_fifty_times_the_same_bits(workdir: Path, experiment: str) -> None:
    """Alone, in a sweep here and in worker processes, and resumed from every part of its journal: one digest."""
    small = (*SMALL, f"experiment={experiment}")
    found = []
    for number in range(12):
        found.append(run(compose(*small), directory=f"alone-{number}").directory)
    events = len(read_journal(found[0] / "journal.jsonl").events)
    for number in range(14):
        interrupted(found[0], workdir / f"resumed-{number}", 2 + number * (events - 4) // 13)
        found.append(resume(workdir / f"resumed-{number}").directory)
    repeated = "name=" + ",".join(f"n{number}" for number in range(12))
    for name, launcher in (("here", ()), ("workers", ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"))):
        assert sweep([*small, *launcher, repeated, f"hydra.sweep.dir={name}"], quiet=True) == 0
        found += [workdir / name / str(number) for number in range(12)]

    assert len(found) == 50
    digests = {json.dumps(identity(path), sort_keys=True) for path in found}
    assert len(digests) == 1


def test_G10_another_thread_count_is_told(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is continued with another number of threads is refused: last bits could differ."""
    whole = run(compose(*SMALL), directory="whole").directory
    interrupted(whole, workdir / "part", 9)
    with Journal.append_to(workdir / "part" / "journal.jsonl") as journal:
        started, *others = journal.contents.events
        changed = [told("run.started", {**started.said(), "threads": 2}), *others]
        journal.contents = replace(journal.contents, events=changed)

        with pytest.raises(ResumeError, match="threads is 1 now and was 2"):
            reopen(RunDirectory.existing("part"), journal)
