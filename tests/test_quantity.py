"""Which quantity a run evaluates: written when it begins, and told alike by figures and MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner import compose, run
from runner.record.events import RunStarted
from runner.record.journal import read_journal
from runner.record.log import first, of
from runner.record.quantity import quantity_of
from runner.review.figures.energy import quantity
from runner.run.preflight import Preparation
from runner.tracking.presentation import evaluation_table, tags
from runner.tracking.translation import Point, Translation
from tests.journals import evaluation, started
from tests.tracking import made


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("experiment=vqe",), "energy"),
        (("experiment=vqd", "experiment.levels=2"), "energy + penalty"),
        (("experiment=vqd", "experiment.levels=1"), "energy"),
        (("experiment=qaoa", "hamiltonian=maxcut", "ansatz=qaoa"), "energy"),
        (("experiment=qaoa", "hamiltonian=maxcut", "ansatz=qaoa", "experiment.cvar=0.2"), "CVaR"),
        (("experiment=estimation",), "energy"),
        (("experiment=estimation", "experiment.observables=[XX]"), "expectation value"),
        (("experiment=dynamics",), "expectation value"),
        (("experiment=dynamics", "experiment.observables=[energy]"), "energy"),
        (("experiment=sampling",), None),
    ],
)
def test_an_experiment_says_what_it_evaluates(words: tuple[str, ...], name: str | None) -> None:
    """By the definitions of docs/experiments.md: a penalty acts from the second level on."""
    assert Preparation(compose(*words)).quantity == name


def translated(events: Any) -> tuple[Translation, list[Point]]:
    """What MLflow is told."""
    translation = Translation()
    return translation, [point for event in events for point in translation.feed(event)]


def test_what_is_minimized_is_no_energy_in_mlflow_either(tmp_path: Path) -> None:
    """Of a CVaR all metrics of evaluations begin with objective/; those of the answer, a mean cost, are energies."""
    result = run(
        compose(
            "experiment=qaoa", "hamiltonian=maxcut", "ansatz=qaoa", "experiment.cvar=0.25", "optimizer=spsa",
            "optimizer.max_evaluations=8", "run.figures=false", "tracking=off",
        ),
        directory=str(tmp_path / "run"),
    )  # fmt: skip
    events = read_journal(result.directory / "journal.jsonl").events

    translation, points = translated(events)

    told = {point.key for point in points}
    assert {"objective/value", "objective/stddev", "objective/best", "objective/error"} <= told
    assert not told & {"energy/value", "energy/stddev", "energy/best", "evaluation/error", "iteration/energy"}
    assert [point.value for point in points if point.key == "result/energy"] == [result.energy]
    assert [point.value for point in points if point.key == "energy/error"] == [result.error]
    assert tags(translation)["runner.quantity"] == "CVaR" == quantity(events).name
    assert "CVaR" in evaluation_table(translation)["columns"]


def test_the_value_of_an_observable_is_no_energy_in_mlflow(tmp_path: Path) -> None:
    """⟨ZZ⟩ of the state |00⟩ is 1, by pencil and paper: result/value, and no result/energy."""
    result = run(
        compose(
            "experiment=estimation", "experiment.observables=[ZZ]", "estimator=exact", "tracking=off",
            "ansatz.initial=zeros", "run.figures=false",
        ),
        directory=str(tmp_path / "run"),
    )  # fmt: skip

    translation, points = translated(read_journal(result.directory / "journal.jsonl").events)

    assert [
        (point.key, point.value) for point in points if point.key in ("result/value", "result/energy")
    ] == [("result/value", pytest.approx(1.0))]
    assert tags(translation)["runner.observable"] == "ZZ"


def test_journals_of_earlier_releases_keep_their_names(tmp_path: Path) -> None:
    """They do not say it: figures go by what was declared, and MLflow, which may have half of one, by energy."""
    journal = made.start(tmp_path / "run", "sqlite:///x.db", tmp_path)
    made.evaluate(journal, range(2))
    journal.close()
    events = list(read_journal(tmp_path / "run" / "journal.jsonl").events)
    started = events[0]
    assert isinstance(started, RunStarted)
    said = {**started.said(), "schemas": {"experiment": "qaoa"}, "config": {"experiment": {"cvar": 0.2}}}
    old = RunStarted(**{name: value for name, value in said.items() if name != "quantity"})

    translation, points = translated([old, *events[1:]])

    assert quantity_of(old) == "CVaR"
    assert {"energy/value", "energy/best"} <= {point.key for point in points}
    assert "runner.quantity" not in tags(translation)
    assert first(of([old], RunStarted), RunStarted) is old


def test_a_quantity_that_is_known_to_a_plug_in_alone_is_called_by_its_name(tmp_path: Path) -> None:
    """As an infidelity: its axis says so, and the answer is called as an energy's."""
    journal = made.start(tmp_path / "run", "sqlite:///x.db", tmp_path)
    journal.close()
    (started,) = of(read_journal(tmp_path / "run" / "journal.jsonl").events, RunStarted)

    told = quantity([RunStarted(**{**started.said(), "quantity": "infidelity"})])

    assert told == ("infidelity", "answer, measured afresh")


def test_what_rounding_leaves_of_zero_is_zero_in_mlflow_and_under_the_mouse(tmp_path: Path) -> None:
    """By hand: 3e-17 is 0 where rounding may leave 6e-14, standard errors stay; what is larger keeps its digits."""
    began = started(experiment="vqe", rounding=6e-14, quantity="energy")
    events = [began, evaluation(0, 3e-17, 3e-17, stddev=0.0), evaluation(1, -2e-9, -2e-9, stddev=2e-15)]

    translation, points = translated(events)

    told = [(point.key, point.value) for point in points]
    assert [value for key, value in told if key == "energy/value"] == [0.0, -2e-9]
    assert [value for key, value in told if key == "energy/stddev"] == [0.0, 2e-15]
    shown = evaluation_table(translation)
    assert [row[shown["columns"].index("energy")] for row in shown["data"]] == [0.0, -2e-9]
    pytest.importorskip("plotly")
    from runner.review.figures.interactive import convergence

    texts = [text for trace in convergence(events, 0.0).data for text in trace.hovertext or ()]
    assert any("energy 0.000000 units of H<br>energy − exact 0 units of H" in text for text in texts)
    assert any("energy −2e-09" in text for text in texts)


CHAIN = ("hamiltonian=heisenberg", "hamiltonian.shape=[4]")


@pytest.mark.parametrize(
    "words",
    [
        ("experiment=krylov", *CHAIN, "experiment.step=0.05"),
        ("experiment=skqd", *CHAIN),
        ("experiment=sqd", "hamiltonian=hydrogen", "hamiltonian.atoms=2"),
    ],
)
def test_experiments_that_sample_tell_how_large_their_hamiltonian_is(words: tuple[str, ...]) -> None:
    """By dense algebra: no energy is larger than the sum of |coefficients|, and rounding leaves 64 ε of that."""
    if "experiment=sqd" in words:
        pytest.importorskip("ffsim")
    config = compose(*words)

    rounding = Preparation(config).rounding

    assert rounding is not None
    magnitude = rounding / (64 * 2**-52)
    largest = abs(np.linalg.eigvalsh(config.hamiltonian.build().to_matrix())).max()
    assert largest <= magnitude <= 40 * largest
