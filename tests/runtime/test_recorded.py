"""Results that a well-formed journal holds and that no such job gives are refused, in both ways of recalling (K17)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.declare.composer import compose
from runner.errors import JournalError
from runner.record.events import Event, JobCompleted
from runner.record.journal import read_journal
from runner.run.execution import resume, run
from runner.runtime.repetition import Repetition
from tests.runtime.test_repetition import QUIET, broken_off

KINDS = {
    "each basis": ("optimizer=spsa", "optimizer.max_evaluations=12"),
    "exact": ("estimator=exact", "optimizer=spsa", "optimizer.max_evaluations=12"),
    "slopes": ("estimator=exact", "optimizer=adam", "gradient=adjoint", "optimizer.max_evaluations=6"),
    "mitigated": ("estimator=level1", "backend=noisy", "optimizer=spsa", "optimizer.max_evaluations=6"),
    "bits": ("experiment=sampling",),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run of each kind, made once."""
    root, made = tmp_path_factory.mktemp("runs"), {}

    def of(kind: str) -> Path:
        if kind not in made:
            run(compose(*KINDS[kind], *QUIET), quiet=True)
            (found,) = Path("outputs/runs").iterdir()
            made[kind] = found.rename(root / kind)
        return made[kind]

    return of


def last_done(events: Sequence[Event]) -> int:
    """Where the last job is over, of those of which the third at most is meant."""
    done = [place for place, event in enumerate(events) if isinstance(event, JobCompleted)]
    return done[:3][-1]


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("each basis", {"evs": [-0.1] * 5}, r"evs has shape \(5\), not shape \(2\)"),
        ("each basis", {"evs": -0.1}, r"evs has shape \(\)"),
        ("each basis", {"evs": []}, r"evs has shape \(0\)"),
        ("each basis", {"evs": None}, "evs is no array"),
        ("each basis", {"evs": [-99.0, 0.0]}, "evs holds -99, which cannot be"),
        ("each basis", {"evs": ["nan", 0.0]}, "evs holds nan, which cannot be"),
        ("each basis", {"stds": [0.1] * 3}, r"stds has shape \(3\)"),
        ("each basis", {"stds": [0.1, -0.1]}, "stds holds -0.1"),
        ("each basis", {"stds": [0.1, 1e308]}, r"stds holds 1e\+308"),
        ("each basis", {"variances": [[1.0, 1.0]]}, r"variances has shape \(1, 2\), not shape \(1, 3\)"),
        ("each basis", {"variances": None}, "variances is no array"),
        ("each basis", {"variances": [[1e308] * 3]}, r"variances holds 1e\+308"),
        ("each basis", {"variances": [[0.1, -1.0, 0.1]]}, "variances holds -1"),
        ("each basis", {"shots": 0}, "shots are no whole number of at least 1"),
        ("exact", {"evs": [3.0, 0.0]}, "evs holds 3"),
        ("slopes", {"gradients": [[1.0]]}, r"gradients has shape \(1, 1\)"),
        ("mitigated", {"evs": [1.0]}, r"evs has shape \(1\)"),
        ("mitigated", {"stds": -1.0}, "stds holds -1"),
        ("bits", {"meas": {"array": "AA==", "bits": 8, "shape": [1, 1]}}, "its registers are not those"),
    ],
)  # fmt: skip
def test_what_no_job_gives_is_refused(
    kind: str,
    change: dict[str, Any],
    told: str,
    runs: Callable[[str], Path],
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two parameter sets, one observable of two qubits in three bases; |⟨H⟩| is at most Σ|c|, about 2.2 for H₂."""
    whole = runs(kind)
    events = read_journal(whole / "journal.jsonl").events
    place = last_done(events)

    def untrue(events: list[Event]) -> list[Event]:
        over = events[place]
        assert isinstance(over, JobCompleted)
        assert over.result is not None
        return [*events[:place], replace(over, result=[{**over.result[0], **change}])]

    damaged = broken_off(whole, "damaged", place + 1, untrue)
    line = rf"^the journal is damaged: result of job .*: ({told}).*; restore it$"
    with pytest.raises(JournalError, match=line):
        resume(damaged)
    monkeypatch.setattr(Repetition, "answer", lambda *_: [])
    with pytest.raises(
        JournalError, match=line
    ):  # it was no end of the run: once more, job by job, is the same
        resume(damaged)
    assert not (damaged / "result.json").exists()


@pytest.mark.parametrize("result", [[], "twice"])
def test_results_of_other_pubs_are_refused(result: Any, runs: Callable[[str], Path], workdir: Path) -> None:
    """A job of one PUB has the numbers of one."""
    whole = runs("exact")
    place = last_done(read_journal(whole / "journal.jsonl").events)

    def untrue(events: list[Event]) -> list[Event]:
        over = events[place]
        assert isinstance(over, JobCompleted)
        assert over.result is not None
        return [*events[:place], replace(over, result=[] if result == [] else [*over.result] * 2)]

    with pytest.raises(JournalError, match=r"it has numbers of [02] PUBs, not of 1; restore it"):
        resume(broken_off(whole, "damaged", place + 1, untrue))
