"""Results that a well-formed journal holds and that no such job gives are refused, in both ways of recalling (K17)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.declare.composer import compose
from runner.errors import JournalError
from runner.record.events import Event, JobCompleted
from runner.record.journal import read_journal
from runner.run.execution import resume, run
from runner.runtime.recorded import Bounds, Expected, all_fit, misfit
from runner.runtime.repetition import Repetition
from runner.runtime.results import arrays_of, columns_of, numbers_of
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
        ("each basis", {"shots": 0}, "shots are 0, not 10000"),
        ("each basis", {"shots": 9999}, "shots are 9999, not 10000"),
        ("each basis", {"shots": 10000.0}, "shots are 10000.0, not 10000"),
        ("exact", {"shots": 10000}, "shots are 10000, not untold"),
        ("slopes", {"shots": 10000}, "shots are 10000, not untold"),
        ("mitigated", {"shots": 512}, "shots are 512, not 4096"),
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


FORMS: tuple[Callable[[float], Any], ...] = (
    lambda x: {"evs": x, "gradients": [x, -x, 0.5]},
    lambda x: {"evs": [x, 0.5], "stds": [0.0, x], "shots": 7, "variances": [[x], [0.0]]},
    lambda x: {"evs": [[x, 0.1, -x]], "shots": None},
    lambda x: {"evs": []} if x else {"evs": [x]},
    lambda x: {"evs": [x] * int(1 + 10 * x)},
    lambda x: {"evs": "nan" if x > 0.5 else x},
    lambda x: {"evs": [x, 1 if x > 0.5 else 1.0]},
    lambda x: {"evs": x, "shots": True},
    lambda x: {"evs": x} if x > 0.5 else {"stds": x},
    lambda x: {"evs": {"array": "", "bits": 1, "shape": []}, "stds": x},
    lambda _: {},
)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_numbers_of_many_jobs_are_read_as_those_of_each(form: Callable[[float], Any], parts: int) -> None:
    """To the type and bit what `arrays_of` reads of one, which says of what it cannot be that it is none."""
    results = [[form(0.1 * number)] * parts for number in range(9)]
    for found, result in zip(numbers_of(results), results, strict=True):
        single = [arrays_of(one) for one in result]
        if None in single:
            assert found is None
            continue
        assert found is not None
        for one, other in zip(found, single, strict=True):
            assert list(one) == list(other)
            for name, value in one.items():
                assert np.shape(value) == np.shape(other[name])
                assert type(value) is type(other[name]) or np.shape(value) == ()
                assert repr(np.asarray(value).tolist()) == repr(np.asarray(other[name]).tolist())
    assert numbers_of([[form(0.1)], []])[1] == []


@pytest.mark.parametrize("value", [0.5, 1.5, -1.5, math.nan])
@pytest.mark.parametrize("changed", ["evs", "stds", "shots", "nothing", "shape"])
def test_numbers_of_many_jobs_fit_where_those_of_each_do(changed: str, value: float) -> None:
    """What `misfit` says of one job decides."""
    bounds = {"evs": Bounds.of((2,), -1.0, 1.0), "stds": Bounds.of((2,), 0.0, 1.0)}
    expected = [Expected(bounds, shots=5)]
    results = [[{"evs": [0.1, 0.2], "stds": [0.0, 0.1], "shots": 5}] for _ in range(4)]
    if changed == "shape":
        results = [[{**one[0], "evs": [0.1, 0.2, 0.3]}] for one in results]
    elif changed == "shots":
        results[2][0]["shots"] = int(value) if value == value else None
    elif changed != "nothing":
        results[2][0][changed][1] = value
    columns = columns_of(results)

    each = [misfit(numbers or [], expected) is None for numbers in numbers_of(results)]

    assert columns is not None
    assert all_fit(columns, expected) == all(each)
    assert not all_fit(columns, [])
