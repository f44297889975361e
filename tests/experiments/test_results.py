"""The notebook's view of what experiments report: frames and figures, straight from the frozen result."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from runner import compose, run
from runner.review.figures.table import curves, is_curve


def test_an_evolution_is_a_frame_and_a_curve(workdir: Path) -> None:
    """One row per moment; the figure shows every observable beside its exact values, and is in the report."""
    result = run(
        compose("experiment=dynamics", "tracking=off", "hamiltonian.shape=[2]", "experiment.steps=3")
    )

    frame = result.to_frame()
    axes = result.plot().axes[0]
    assert list(frame["time"]) == pytest.approx([0, 2 / 3, 4 / 3, 2])
    assert axes.get_xlabel() == "time"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "mean_z, exact", "energy, exact", "mean_z", "energy",
    ]  # fmt: skip
    assert (result.directory / "figures" / "table.png").is_file()
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.table = []  # type: ignore[misc]


def test_samples_are_a_frame_and_a_histogram(workdir: Path) -> None:
    """One row per bitstring."""
    result = run(compose("experiment=sampling", "tracking=off", "experiment.shots=100"))

    assert sorted(result.to_frame()["bitstring"]) == ["00", "11"]
    assert result.to_frame()["count"].sum() == 100
    assert result.plot().axes[0].get_xlabel().startswith("bitstring")


def test_a_histogram_has_the_shots_that_the_table_does_not_list(workdir: Path) -> None:
    """All shots' shares, though one row is told; two registers side by side, and not what each of them held."""
    circuit = workdir / "two.qasm"
    circuit.write_text('OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[1] a; bit[1] b; h q[0]; x q[1];'
                       "a[0] = measure q[0]; b[0] = measure q[1];")  # fmt: skip
    result = run(
        compose(
            "experiment=sampling", "tracking=off", f"ansatz.path={circuit}", "ansatz=file",
            "experiment.shots=100", "experiment.top=1",
        )
    )  # fmt: skip
    figure = result.plot()

    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == ["1 0", "1 1"]  # b, which is 1, stands on the left of a, which is either
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == pytest.approx(1)
    assert "measured, 100 shots" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_an_optimization_keeps_both_views(workdir: Path) -> None:
    """Evaluations by default, the racers' table on demand; racers are no curve, so the figure is the convergence."""
    result = run(compose("experiment=vqe_race", "tracking=off", "optimizer.max_evaluations=4"))

    assert len(result.to_frame()) == 8
    assert list(result.to_frame(table=True)["optimizer"]) == ["cobyla", "nelder_mead"]
    assert result.plot().axes[-1].get_xlabel() == "evaluation"


def test_a_curve_over_the_unit_has_none(workdir: Path) -> None:
    """By hand the lowest energy of −J·ZZ − h(X₀ + X₁) is −√(J² + 4h²): at J = 2 not in J, which else is 1."""
    words = (
        "experiment=dissociation_curve", "hamiltonian=tfim", "hamiltonian.shape=[2]", "ansatz=hva", "tracking=off",
        "run.figures=false", "optimizer=cobyla", "optimizer.max_evaluations=9", "estimator=exact",
        "hamiltonian.field=1.0",
    )  # fmt: skip
    printed = {}
    for name, values in (("coupling", "[0.5,2.0]"), ("coupling", "[1.0]"), ("field", "[0.5,2.0]")):
        result = run(compose(*words, f"experiment.parameter={name}", f"experiment.values={values}"))
        text = (result.directory / "journal.jsonl").read_text().partition("\n")[0]
        printed[name, values] = result.reference_energy, json.loads(text).get("energy_unit")

    assert printed == {
        ("coupling", "[0.5,2.0]"): (pytest.approx(-(8**0.5)), None),
        ("coupling", "[1.0]"): (pytest.approx(-(5**0.5)), "J"),
        ("field", "[0.5,2.0]"): (pytest.approx(-(17**0.5)), "J"),
    }


def test_only_what_runs_along_something_is_a_curve() -> None:
    """Words, a single row, or numbers that go up and down are none; errors and counts are not drawn."""
    assert curves([]) is None
    assert not is_curve([{"time": 0.0, "energy": 1.0}])
    assert not is_curve([{"optimizer": "a", "energy": 1.0}, {"optimizer": "b", "energy": 2.0}])
    assert not is_curve([{"x": 0.0, "energy": 1.0}, {"x": 1.0, "energy": 1.0}, {"x": 0.5, "energy": 1.0}])
    assert not is_curve([{"x": 0.0, "error": 1.0}, {"x": 1.0, "error": 1.0}])
    assert is_curve([{"x": 1.0, "energy": 1.0}, {"x": 0.0, "energy": 1.0}])


def test_a_curve_of_what_is_told_at_some_places_only() -> None:
    """Checks at some places are not drawn; where some exact values are only references, the line is called so."""
    rows: list[dict[str, object]] = [
        {"theta": 0.0, "Z": 0.9, "Z stddev": 0.1, "Z exact": 1.0, "Z stabilizer": 1.0},
        {"theta": 1.0, "Z": 0.4, "Z stddev": 0.2, "Z reference": 0.5},
        {"theta": 2.0, "Z": 0.1, "Z stddev": 0.1, "Z exact": 0.0},
    ]
    figure = curves(rows)
    assert figure is not None
    axes = figure.axes[0]
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}

    assert lines["Z, reference"] == [1.0, 0.5, 0.0]
    assert not any("stabilizer" in str(label) for label in lines)
    assert sorted(text.get_text() for text in axes.get_legend().get_texts()) == ["Z", "Z, reference"]


def test_layers_are_drawn_by_their_noise_and_not_by_their_sizes() -> None:
    """Whole numbers along the axis, and one curve: counts of gates and qubits would press it flat."""
    rows = [{"layer": n, "gates": 10 - n, "qubits": 20, "generators": 231, "gamma": 1.2} for n in range(3)]
    axes = curves(rows).axes[0]

    assert axes.get_ylabel() == "gamma"
    assert [tick for tick in axes.get_xticks() if tick != round(tick)] == []


def test_exact_energies_and_error_bars_are_those_of_energies() -> None:
    """As by hand: columns without a name say nothing of overlaps, or of a probability outside a sector."""
    levels = [
        {"level": 0, "energy": -1.0, "stddev": 0.1, "exact": -1.2, "error": 0.2, "evaluations": 9},
        {"level": 1, "energy": -0.5, "stddev": None, "exact": -0.4, "error": None, "outside": 0.01, "evaluations": 9},
    ]  # fmt: skip
    overlaps = [
        {"dimension": n, "time": n / 5, "energy": None, "stddev": None, "exact": -9.0, "real": n / 9, "imaginary": 0.5}
        for n in (1, 2)
    ]  # fmt: skip
    several = [{"x": n, "a": 1.0, "b": 2.0, "exact": 3.0, "stddev": 0.5} for n in (1, 2)]
    single = [{"x": n, "a": 1.0, "exact": 3.0, "stddev": 0.5} for n in (1, 2)]

    assert drawn(levels) == {
        "energy": [-1.0], "energy, of unknown standard error": [-0.5], "energy, exact": [-1.2, -0.4]
    }  # fmt: skip
    assert bars(levels) == {"energy": [[-1.1, -0.9]]}
    assert drawn(overlaps) == {"real": [1 / 9, 2 / 9], "imaginary": [0.5, 0.5]}
    assert drawn(several) == {"a": [1.0, 1.0], "b": [2.0, 2.0]}
    assert bars(several) == {}
    assert drawn(single) == {"a": [1.0, 1.0], "a, exact": [3.0, 3.0]}
    assert bars(single) == {"a": [[0.5, 1.5]] * 2}


def test_what_the_first_row_has_not_is_drawn_all_the_same() -> None:
    """Noise may leave a row without an energy, the first one too."""
    rows = [{"x": 0.0, "energy": None}, {"x": 1.0, "energy": -1.0}, {"x": 2.0, "energy": -2.0, "more": 7.0}]

    assert drawn(rows) == {"energy": [-1.0, -2.0], "more": [7.0]}


def drawn(rows: list[dict[str, object]]) -> dict[str, list[float]]:
    """Curve → its heights."""
    (axes,) = curves(rows).axes
    handles, names = axes.get_legend_handles_labels()
    return {
        name: [float(y) for y in (handle[0] if isinstance(handle, tuple) else handle).get_ydata()]
        for handle, name in zip(handles, names, strict=True)
    }


def bars(rows: list[dict[str, object]]) -> dict[str, list[list[float]]]:
    """Curve → where its error bars begin and end, of those that it has."""
    (axes,) = curves(rows).axes
    return {
        container.get_label(): [[float(y) for y in ends[:, 1]] for ends in bars.get_segments() if len(ends)]
        for container in axes.containers
        for bars in container.lines[2]
    }
