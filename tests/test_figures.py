"""Figures say what the journal says: spans and totals, units, outliers, and what is left out."""

from __future__ import annotations

import base64
import itertools
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from qiskit import QuantumCircuit

from runner import compose, run
from runner.record.events import (
    Checkpoint,
    Estimate,
    Event,
    Iteration,
    JobSubmitted,
    RunInterrupted,
    RunResumed,
)
from runner.record.journal import Journal, read_journal
from runner.review.figures import (
    COLOURS,
    Activities,
    SweepAxes,
    bitstrings,
    circuit_pair,
    convergence,
    draw_run,
    energy_against_usage,
    histogram,
    save,
    session_timeline,
    sweep_overview,
    timeline,
)
from runner.review.figures.circuit import MOST_COLUMNS, measures
from runner.review.figures.energy import STANDS, evaluations, stands
from runner.review.figures.error import ErrorScale, signed
from runner.review.figures.run import last_counts, look_through, reference_of, shared_shots
from runner.review.figures.timeline import BUSY, CLASSICAL, IDLE, INACTIVE, LOST, QPU, QUEUE, WAITING, Span
from tests.journals import evaluation, job, session, started, told


def texts(figure: Figure) -> set[str]:
    """Everything written into a figure."""
    import matplotlib.text

    return {item.get_text() for item in figure.findobj(matplotlib.text.Text)}


def labels(figure: Figure) -> list[tuple[str, str]]:
    """Axis labels of every panel."""
    return [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]


def a_session() -> list[Event]:
    """Queue 10, QPU 5, classical 20 of which 15 idle active and 5 inactive, queue 5, QPU 30 + 10, expiry kills one."""
    return [
        session(0, "open", "opened"),
        *job(0, 0, 10, 15),
        session(10, "active", "first job started"),
        session(30, "inactive", "interactive timeout"),
        *job(1, 35, 40, 70),
        session(40, "active", "re-activated by a job"),
        *job(2, 70, 70, 82, preparation=2),
        *job(0, 70, None, 80, workload="other", status="FAILED"),
        session(80, "active", "maximum time reached", accepting=False),
        session(82, "closed", "maximum time reached", accepting=False),
    ]


def test_timeline_adds_up() -> None:
    """Every second of the session is in exactly one state, every second of a workload in one activity."""
    timeline = Activities.of(a_session())

    assert timeline.end == 82
    assert timeline.seconds(WAITING) == 10
    assert timeline.seconds(BUSY) == 5 + 42
    assert timeline.seconds(IDLE) == 15
    assert timeline.seconds(INACTIVE) == 10
    assert sum(timeline.seconds(state) for state in (WAITING, BUSY, IDLE, INACTIVE)) == 82
    assert timeline.seconds(QPU) == 5 + 30 + 10
    assert timeline.seconds(CLASSICAL) == 20 + 2
    assert timeline.seconds(QUEUE) == 10 + 5 + 10
    assert timeline.seconds(LOST) == 0


def test_timeline_marks_timeouts_expiry_and_closing() -> None:
    """What interrupted or ended the session is told with its time."""
    marks = [(mark.time, mark.text) for mark in Activities.of(a_session()).marks]

    assert marks == [(30, "interactive timeout"), (80, "maximum time reached"), (82, "maximum time reached")]


def test_what_is_computed_is_what_lies_between_jobs() -> None:
    """By hand: of one program 5 s before its answer's job and 10 before the next level, not the 40 of others' jobs."""
    events = [
        *job(0, 0, 0, 10, workload="level 0"), *job(0, 15, 15, 20, workload="result"),
        *job(0, 30, 30, 60, workload="level 1"), *job(1, 60, 60, 65, workload="result"),
    ]  # fmt: skip

    found = Activities.of(events)

    assert found.seconds(CLASSICAL) == 15
    assert [(span.start, span.end) for span in found.workloads["result"] if span.what == CLASSICAL] == [
        (10, 15)
    ]
    assert [(span.start, span.end) for span in found.workloads["level 1"] if span.what == CLASSICAL] == [
        (20, 30)
    ]


def test_racers_compute_while_others_wait() -> None:
    """By hand: their first jobs overlap, so they run at once: a computes from 10 to 30, b from 30 to 45."""
    events = [
        *job(0, 0, 0, 10, workload="a"), *job(0, 0, 10, 30, workload="b"), *job(1, 30, 30, 40, workload="a"),
        *job(1, 45, 45, 50, workload="b"), *job(0, 55, 55, 60, workload="result"),
    ]  # fmt: skip

    lanes = Activities.of(events).workloads

    computed = {
        name: [(s.start, s.end) for s in spans if s.what == CLASSICAL] for name, spans in lanes.items()
    }
    assert computed == {"a": [(10, 30)], "b": [(30, 45)], "result": [(50, 55)]}


def test_timeline_figure_has_a_lane_per_session_and_workload() -> None:
    """Lanes are named, totals are in the legend, the axis has a unit."""
    figure = session_timeline(a_session())

    assert {"session s", "vqe", "other", "QPU: 45.0 s", "interactive timeout"} <= texts(figure)
    assert labels(figure) == [("session clock (s)", "")]


def test_a_lane_of_very_many_jobs_is_drawn_by_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Column by column the shares are those of adding up every span's overlap, one after the other."""
    rng = np.random.default_rng(2)
    starts = np.cumsum(rng.exponential(1.0, 300))
    spans = [
        Span(QPU, start, start + length)
        for start, length in zip(starts, rng.exponential(0.3, 300), strict=True)
    ]
    edges = np.linspace(0, spans[-1].end, 8)
    expected = [
        sum(max(0.0, min(span.end, right) - max(span.start, left)) for span in spans)
        for left, right in itertools.pairwise(edges)
    ]
    monkeypatch.setattr(timeline, "MOST_BARS", 1)
    monkeypatch.setattr(timeline, "MOST_BARS_ANYWHERE", 1)

    assert timeline._covered(spans, edges) == pytest.approx(expected, abs=1e-9)
    assert len(session_timeline(a_session()).axes[0].patches) == 4 + 3  # states, and activities of `vqe`


def test_timeline_of_nothing_is_an_empty_figure(tmp_path: Path) -> None:
    """A run that was killed before it opened a session can still be drawn."""
    save(session_timeline([]), tmp_path / "empty.png")

    assert (tmp_path / "empty.png").stat().st_size > 1000


@pytest.mark.parametrize(("schema", "unit"), [("molecule_terms", "Hartree"), ("pauli", "units of H")])
def test_energy_axes_have_the_hamiltonians_unit(schema: str, unit: str) -> None:
    """Molecules are in Hartree, and get the line of chemical accuracy."""
    events = [started(schemas={"hamiltonian": schema}), evaluation(0, -1.0, -1.0), evaluation(1, -1.1, -1.1)]

    figure = convergence(events, -1.137)

    error = "mHa" if unit == "Hartree" else unit
    assert labels(figure) == [("", f"energy ({unit})"), ("evaluation", f"energy − exact ({error})")]
    assert ("chemical accuracy, 1.6 mHa" in texts(figure)) == (unit == "Hartree")


def test_convergence_keeps_the_interesting_part_readable() -> None:
    """One wild evaluation does not flatten the curve, and what is not a number is left out."""
    events = [evaluation(n, -1.0 - n / 100, -1.0 - n / 100) for n in range(99)]
    events += [evaluation(99, 500.0, -1.98), evaluation(100, "nan", -1.98)]

    low, high = convergence(events).axes[0].get_ylim()

    assert low < -1.98
    assert -1.0 < high < 0.0


def test_workloads_have_their_own_colours() -> None:
    """One curve per workload, in Okabe and Ito's colours, and of noisy energies no running minimum, which is biased."""
    names = ("a", "b", "c")
    exact = [evaluation(0, -1.0, -1.0, name, stddev=0.0) for name in names]
    sampled = [evaluation(0, -1.0, -1.0, name) for name in names]

    steps = [line for line in convergence(exact).axes[0].lines if line.get_drawstyle() == "steps-post"]
    noisy = convergence(sampled).axes[0]

    assert [(line.get_color(), line.get_label()) for line in steps] == [
        (colour, f"{name}: best so far") for colour, name in zip(COLOURS, names, strict=False)
    ]
    assert not [line for line in noisy.lines if line.get_drawstyle() == "steps-post"]
    assert [
        (line.get_color(), label)
        for (line, *_), label in zip(*noisy.get_legend_handles_labels(), strict=True)
    ] == [(colour, f"{name}: evaluations ± σ") for colour, name in zip(COLOURS, names, strict=False)]


@pytest.mark.parametrize(
    ("unit", "stddev", "linear", "ticks"),
    [
        ("Hartree", 0.004, 20.0, ["−20", "−10", "0", "+10", "+20", "+100"]),
        ("Hartree", 0.001, 5.0, ["−5", "−2.5", "0", "+2.5", "+5", "+10", "+100"]),
        ("J", 0.06, 0.5, ["−0.5", "−0.25", "0", "+0.25", "+0.5"]),
    ],
)
def test_the_last_standard_errors_can_be_seen(
    unit: str, stddev: float, linear: float, ticks: list[str]
) -> None:
    """Four σ, rounded up by hand to 1, 2 or 5, are linear; steps of 0.3 on the way there are in decades."""
    scale = ErrorScale.of([0.3, 0.2, -0.002, 0.003], [stddev] * 4, unit)

    assert scale.linear == pytest.approx(linear)
    assert [signed(tick) for tick in scale.ticks()] == ticks
    assert (scale.low, scale.unit) == (pytest.approx(-linear), "mHa" if unit == "Hartree" else unit)
    assert scale.high == pytest.approx(450.0 if unit == "Hartree" else 0.5)


def test_errors_keep_sign_and_length_where_the_answer_lies() -> None:
    """Below the exact energy is below the line, and an error bar is as long below its point as above it."""
    events = [
        started(schemas={"hamiltonian": "molecule_terms"}),
        evaluation(0, -1.0, -1.0, stddev=0.004), evaluation(1, -1.14, -1.14, stddev=0.004),
        Estimate(workload="vqe", energy=-1.139, stddev=0.002),
    ]  # fmt: skip

    panel = convergence(events, -1.137).axes[1]

    answer = panel.containers[-1]
    ((bar,),) = [collection.get_segments() for collection in answer.lines[2]]
    assert answer.lines[0].get_ydata() == pytest.approx([-2.0])
    assert list(bar[:, 1]) == pytest.approx([-4.0, 0.0])
    assert panel.get_yscale() == "symlog"


def test_very_many_error_bars_are_few_lines() -> None:
    """Evaluation n is at −1 − n/8 ± 1/16: all 200 bars are there, gaps between them, neighbours in different lines."""
    events = [evaluation(n, -1.0 - n / 8, -1.0 - n / 8, stddev=1 / 16) for n in range(200)]

    points, _, (bars,) = convergence(events).axes[0].containers[0].lines

    lines = [path.vertices for path in bars.get_paths()]
    ends = np.array(sorted((*bottom, *top) for line in lines for bottom, top, _ in line.reshape(-1, 3, 2)))
    assert len(lines) == 64
    assert all(np.isnan(line[2::3]).all() for line in lines)
    assert ends == pytest.approx(
        np.array([(n + 1, -1.0625 - n / 8, n + 1, -0.9375 - n / 8) for n in range(200)])
    )
    assert [line[0, 0] for line in lines[:3]] == [1, 2, 3]
    assert len(points.get_xdata()) == 200


def test_where_an_optimizer_stands_is_a_line_through_its_steps() -> None:
    """Energies around a point say little of it: two steps, the first after two evaluations, drawn as they were told."""
    events = [
        evaluation(0, -0.5, -0.5), evaluation(1, 0.2, -0.5), Iteration(workload="vqe", iteration=1, energy=-0.6),
        evaluation(2, 0.1, -0.5), Iteration(workload="vqe", iteration=2, energy=-0.9),
    ]  # fmt: skip

    energies, errors = convergence(events, -1.0).axes

    for axes, heights in ((energies, [-0.6, -0.9]), (errors, [0.4, 0.1])):
        (line,) = [line for line in axes.lines if line.get_label() == STANDS]
        assert line.get_xdata() == pytest.approx([2, 3])
        assert line.get_ydata() == pytest.approx(heights)
    exact = convergence(
        [replace(event, stddev=0.0) if event.kind == "evaluation" else event for event in events]
    )
    assert STANDS not in exact.axes[0].get_legend_handles_labels()[1]


def test_without_an_exact_energy_distances_are_those_from_the_answer() -> None:
    """A picture of a run without a reference shows its last steps too."""
    events = [evaluation(0, -1.0, -1.0), Estimate(workload="vqe", energy=-1.25, stddev=0.002)]

    panel = convergence(events).axes[1]

    assert panel.get_ylabel() == "energy − answer (units of H)"
    assert panel.containers[0].lines[0].get_ydata() == pytest.approx([0.25])


def test_many_sessions_share_a_lane() -> None:
    """Thirteen reopened sessions: one lane, every end a short mark, one text with its number."""
    events: list[Event] = []
    for number in range(13):
        name, start = f"s{number}", 10.0 * number
        events += [
            replace(session(start, "active", "first job started"), session=name),
            replace(session(start + 10, "closed", "maximum time reached"), session=name),
        ]

    figure = session_timeline(events)

    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["13 sessions"]
    assert "maximum time reached, 13 times" in texts(figure)
    assert sum(max(line.get_ydata()) == 0.3 for line in axes.lines) == 13


AXIS = "QPU time of all jobs until then (s)"


def test_energy_against_usage_counts_all_jobs_until_then() -> None:
    """By hand: 60 s of learning, 5 and 7 of vqe, 4 of another written late, though over at 72 s, 2 for the answer."""
    events = [
        *job(0, 0, 0, 60, workload="noise-learner"), *job(0, 60, 60, 65), evaluation(0, -1.0, -1.0),
        *job(1, 72, 72, 79), evaluation(1, -1.5, -1.5),
        *job(0, 65, 68, 72, workload="b"), evaluation(0, -1.2, -1.2, "b"),
        *job(0, 79, 79, 81, workload="result"), Estimate(workload="vqe", energy=-1.4, stddev=0.01),
    ]  # fmt: skip

    panel = energy_against_usage(events, -2.0).axes[0]

    vqe, answer, other = (container.lines[0].get_xdata().tolist() for container in panel.containers)
    assert (vqe, other, answer) == ([65, 76], [69], [78])
    assert labels(energy_against_usage(events[:-1])) == [(AXIS, "energy (units of H)")]
    assert labels(energy_against_usage(events, -2.0)) == [(AXIS, "energy − exact (units of H)")]


def test_a_race_is_drawn_against_what_all_its_jobs_took(workdir: Path) -> None:
    """As the lines of its journal add up, read as JSON: the winner's answer comes after every job."""
    racers = "experiment.optimizers=[cobyla,nelder_mead]"
    result = run(
        compose(
            "experiment=vqe_race", racers, "tracking=off", "run.figures=false", "optimizer.max_evaluations=3"
        )
    )
    lines = [json.loads(line) for line in (result.directory / "journal.jsonl").read_text().splitlines()]
    over = [line for line in lines if line["kind"] == "job.completed"]
    ends = {
        name: [one["finished"] for one in over if one["workload"] == name]
        for name in ("cobyla", "nelder_mead")
    }

    panel = energy_against_usage(read_journal(result.directory / "journal.jsonl").events, -2.0).axes[0]

    drawn = {container.get_label(): container.lines[0].get_xdata().tolist() for container in panel.containers}
    for name, times in ends.items():
        until = [sum(one["qpu_seconds"] for one in over if one["finished"] <= time) for time in times]
        assert drawn[f"{name}: evaluations ± σ"] == pytest.approx(until[:3])
    assert drawn["answer, measured afresh"] == pytest.approx([sum(one["qpu_seconds"] for one in over)])


LEVELS = [
    {"level": 0, "energy": -1.5, "stddev": 0.0, "exact": -2.0, "error": 0.5, "evaluations": 1},
    {"level": 1, "energy": -0.5, "stddev": 0.0, "exact": -0.75, "error": 0.25, "evaluations": 1},
]


def levels_of(rows: list[dict[str, Any]], stddev: float) -> list[Event]:
    """A journal with three levels, the last of which had no row yet."""
    energies = (-1.5, -0.5, 1.0)
    found = [evaluation(0, energy, energy, f"level {n}", stddev=stddev) for n, energy in enumerate(energies)]
    return [*found, *(Checkpoint.of(n, row) for n, row in enumerate(rows))]


def test_levels_are_measured_from_their_own_exact_energies() -> None:
    """By hand: 0.5 above −2 and 0.25 above −0.75; of a level without a row nobody has said what is exact."""
    for stddev in (0.0, 0.125):
        energies, errors = convergence(levels_of(LEVELS, stddev), -2.0).axes
        lines = [
            line for line in errors.lines if line.get_color() in COLOURS[:3] and len(line.get_xdata()) == 1
        ]
        assert [line.get_ydata().tolist() for line in lines] == [[0.5], [0.25]], stddev
        dashed = [line for line in energies.lines if line.get_linestyle() == "--" and len(line.get_ydata())]
        exact = [(line.get_color(), line.get_ydata()[0]) for line in dashed]
        assert exact == [(COLOURS[0], -2.0), (COLOURS[1], -0.75)], stddev
    (panel,) = energy_against_usage(levels_of(LEVELS, 0.125), -2.0).axes
    heights = [container.lines[0].get_ydata().tolist() for container in panel.containers]
    assert heights == [[0.5], [0.25]]


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["experiment=vqd", "experiment.levels=2", "experiment.starts=1"], [1.0, 1.0]),
        (
            ["experiment=dissociation_curve", "experiment.parameter=field", "experiment.values=[0.5,2.0]"],
            [0.5, 2.0],
        ),
    ],
    ids=["vqd", "dissociation_curve"],
)
def test_runs_are_drawn_by_their_own_exact_energies(
    workdir: Path, words: list[str], fields: list[float]
) -> None:
    """Two spins of −ZZ − h(X₀ + X₁), by the eigenvalues of that matrix, from the energies in the journal's lines."""
    result = run(
        compose(
            *words, "tracking=off", "run.figures=false", "hamiltonian=tfim", "hamiltonian.shape=[2]", "ansatz=hva",
            "hamiltonian.field=1.0", "optimizer=cobyla", "optimizer.max_evaluations=8", "estimator=exact",
        )
    )  # fmt: skip
    x, z, one = np.array([[0, 1], [1, 0]]), np.diag([1, -1]), np.eye(2)
    exact = [
        np.linalg.eigvalsh(-np.kron(z, z) - h * (np.kron(x, one) + np.kron(one, x)))[level]
        for level, h in zip([0, 1] if "experiment=vqd" in words else [0, 0], fields, strict=True)
    ]
    lines = [json.loads(line) for line in (result.directory / "journal.jsonl").read_text().splitlines()]
    best = {line["workload"]: line["best"] for line in lines if line["kind"] == "evaluation"}

    errors = convergence(
        read_journal(result.directory / "journal.jsonl").events, result.reference_energy
    ).axes[1]

    drawn = [line.get_ydata()[-1] for line in errors.lines if line.get_drawstyle() == "steps-post"]
    assert drawn == pytest.approx([abs(b - e) for b, e in zip(best.values(), exact, strict=True)], abs=1e-9)


@pytest.mark.parametrize(
    ("schema", "settings", "name", "afresh"),
    [
        ("vqd", {"penalty": None}, "energy + penalty", "answer without penalty, measured afresh"),
        ("qaoa", {"cvar": 0.2}, "CVaR", "answer's mean, measured afresh"),
        ("qaoa", {"cvar": 1.0}, "energy", "answer, measured afresh"),
        ("vqe", {}, "energy", "answer, measured afresh"),
        ("estimation", {"observables": []}, "energy", "answer, measured afresh"),
        ("estimation", {"observables": ["ZZ"]}, "expectation value", "answer, measured afresh"),
    ],
)
def test_what_was_minimized_is_called_so(
    schema: str, settings: dict[str, Any], name: str, afresh: str
) -> None:
    """As docs/experiments.md has it: what vqd minimizes has a penalty in it, and what qaoa does may be a CVaR."""
    events = [
        started(schemas={"experiment": schema}, config={"experiment": settings}),
        evaluation(0, -1.0, -1.0), Estimate(workload="vqe", energy=-1.25, stddev=0.25),
    ]  # fmt: skip

    curve, usage = convergence(events, -2.0), energy_against_usage(events, -2.0)

    assert [axes.get_ylabel() for axes in curve.axes] == [
        f"{name} (units of H)",
        f"{name} − exact (units of H)",
    ]
    assert usage.axes[0].get_ylabel() == f"{name} − exact (units of H)"
    assert afresh in texts(curve) & texts(usage)
    pytest.importorskip("plotly")
    from runner.review.figures.interactive import convergence as interactive

    figure = interactive(events, -2.0)
    assert figure.layout.yaxis.title.text == f"{name} (units of H)"
    assert figure.layout.yaxis2.title.text == f"{name} − exact (units of H)"
    assert f"{name} −1.000000" in figure.data[0].hovertext[0]
    assert f"vqe: {afresh}" in {trace.name for trace in figure.data}


def test_points_of_a_curve_are_measured_from_their_own_exact_energies() -> None:
    """By hand, as they are called: at 0.5 and 2 Å; and of their own answers where nothing exact is known."""
    rows = [
        {"bond_length": 0.5, "energy": -1.0, "stddev": 0.1, "exact": -1.25},
        {"bond_length": 2.0, "energy": -0.5, "stddev": 0.1, "exact": -1.0},
    ]
    names = ("bond_length=0.5", "bond_length=2")
    found = [evaluation(0, energy, energy, name) for name, energy in zip(names, (-1.0, -0.5), strict=True)]
    told_rows = [Checkpoint.of(n, row) for n, row in enumerate(rows)]
    unknown = [Checkpoint.of(n, {**row, "exact": None}) for n, row in enumerate(rows)]
    answers = [Estimate(workload=name, energy=-2.0 * n, stddev=0.1) for n, name in enumerate(names, 1)]

    exact = convergence([*found, *told_rows], -1.25).axes[1]
    answer = convergence([*found, *unknown, *answers]).axes[1]

    assert [one.lines[0].get_ydata().tolist() for one in exact.containers] == [[0.25], [0.5]]
    assert answer.get_ylabel() == "energy − answer (units of H)"
    assert [one.lines[0].get_ydata().tolist() for one in answer.containers] == [[1.0], [0.0], [3.5], [0.0]]


def test_hovering_a_level_tells_its_own_error() -> None:
    """The same distances as in the picture, in words and in both panels."""
    pytest.importorskip("plotly")
    from runner.review.figures.interactive import convergence as interactive

    figure = interactive(levels_of(LEVELS, 0.125), -2.0)

    errors = [trace for trace in figure.data if trace.yaxis == "y2" and trace.mode == "markers"]
    assert [list(trace.y) for trace in errors] == [[0.5], [0.25]]
    texts = [trace.hovertext[0] for trace in figure.data if trace.yaxis == "y" and trace.hovertext]
    assert ["energy − exact" in text for text in texts] == [True, True, False]
    assert "energy − exact 0.25 units of H" in texts[1]
    below = [trace for trace in interactive(levels_of(LEVELS, 0.0), -2.0).data if trace.yaxis == "y2"]
    assert [list(trace.y) for trace in below if trace.x[0] is not None] == [[0.5], [0.25]]


def test_histogram_shows_shares_and_sums_up_the_rest() -> None:
    """Shares of all shots; rare words share one bar."""
    figure = histogram({"00": 60, "11": 30, "01": 8, "10": 2}, most=2)

    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == pytest.approx([0.6, 0.3, 0.1])
    assert "2 others" in texts(figure)


def test_bitstrings_whose_correction_is_not_told_have_no_mark() -> None:
    """A table lists the most frequent few; what of the others was corrected is not known, which is not zero."""
    table = [{"bitstring": "00", "quasi_probability": 0.7}, {"bitstring": "11", "quasi_probability": -0.01}]
    figure = bitstrings({"00": 60, "01": 25, "11": 15}, table)
    (marks,) = (line for line in figure.axes[0].lines if str(line.get_label()).startswith("corrected"))

    assert [bar.get_height() for bar in figure.axes[0].patches] == pytest.approx([0.6, 0.25, 0.15])
    assert np.transpose(marks.get_data()).tolist() == [[0, 0.7], [2, -0.01]]  # 01, in the middle, has none
    assert "corrected, of those in the table" in texts(figure)


def test_bitstrings_are_read_from_the_last_sampler_job() -> None:
    """Bits come from the journal's own encoding; registers stand side by side, the last one first."""

    def bits(*words: int) -> dict[str, Any]:
        return {"array": base64.b64encode(bytes(words)).decode(), "bits": 2, "shape": [len(words), 1]}

    events = [
        *job(0, 0, 0, 1, result=[{"a": bits(0, 1, 1), "b": bits(2, 2, 2)}]),
        *job(1, 1, 1, 2, result=[{"evs": 1.0}]),
    ]

    assert last_counts(events) == {"10 00": 1, "10 01": 2}


def test_circuits_are_drawn_with_depth_and_two_qubit_gates() -> None:
    """Both circuits carry their measures; long ones say what is left out."""
    short = QuantumCircuit(2)
    short.h(0)
    short.cx(0, 1)
    long = QuantumCircuit(30)
    for step in range(MOST_COLUMNS + 5):
        long.cx(step % 2, step % 2 + 1)
    for qubit in range(30):
        long.rx(0.1234567, qubit)

    figure = circuit_pair([("as declared", short), ("on the device", long)])

    shown = texts(figure)
    assert measures(short) == "depth 2, 1 two-qubit gate, 2 gates"
    assert "as declared: depth 2, 1 two-qubit gate, 2 gates" in shown
    assert any("more columns" in text and "10 more qubits" in text for text in shown)


def test_sweep_overview_draws_numbers_as_a_curve_and_words_as_places() -> None:
    """Groups have colours; rows without a result are left out."""
    rows = [
        {
            "run": f"{name}-{seed}",
            "optimizer": name,
            "seed": seed,
            "energy": -1.0 - seed,
            "usage_seconds": 10.0,
        }
        for name in ("cobyla", "spsa")
        for seed in (2, 1)
    ]
    rows.append({"run": "failed", "optimizer": "spsa", "seed": 3, "energy": None, "usage_seconds": None})

    curve = sweep_overview(rows, SweepAxes(x="seed", group="optimizer", reference=-3.5))
    places = sweep_overview(rows, SweepAxes())

    assert list(curve.axes[0].lines[0].get_xdata()) == [1, 2]
    assert {"cobyla", "spsa", "exact: −3.500000"} <= texts(curve)
    assert [text.get_text() for text in places.axes[1].get_xticklabels()] == [
        str(row["run"]) for row in rows[:4]
    ]
    assert labels(curve) == [("", "energy (units of H)"), ("seed", "usage (s)")]


def test_a_sweeps_picks_do_not_look_measured() -> None:
    """Of three runs two are picks: hollow, without line and bar, in both kinds of picture; their usage is as good."""
    rows = [
        {"run": n, "seed": n, "status": "finished", "energy": -float(n), "energy_kind": kind, "stddev": spread,
         "usage_seconds": 10.0 * n}
        for n, kind, spread in ((1, "pick", None), (2, "measured", 0.25), (3, "pick", None))
    ]  # fmt: skip
    axes = SweepAxes(x="seed")

    top, usage = sweep_overview(rows, axes).axes

    (measured,) = top.containers
    (picks,) = [line for line in top.lines if line.get_markerfacecolor() == "white"]
    assert measured.lines[0].get_xydata().tolist() == [[2, -2]]
    assert picks.get_xydata().tolist() == [[1, -1], [3, -3]]
    assert "pick of noisy energies, not measured" in texts(top.get_figure())
    assert usage.containers[0].lines[0].get_ydata().tolist() == [10, 20, 30]
    pytest.importorskip("plotly")
    from runner.review.figures.interactive import sweep_overview as interactive

    drawn = interactive(rows, axes).data
    assert list(drawn[0].marker.symbol) == ["circle-open", "circle", "circle-open"]
    assert ["not measured" in text for text in drawn[0].hovertext] == [True, False, True]
    assert set(drawn[1].marker.symbol) == {"circle"}


def test_a_run_gets_the_figures_it_has_something_to_show_for(tmp_path: Path) -> None:
    """Only what the journal tells is drawn."""
    circuit = QuantumCircuit(1)
    circuit.h(0)

    without = draw_run(a_session(), tmp_path / "a")
    drawn = draw_run([*a_session(), evaluation(0, -1.0, -1.0)], tmp_path / "b", circuits=[("c", circuit)])

    assert [path.name for path in without] == ["timeline.png"]
    assert {path.name for path in drawn} == {
        "timeline.png", "convergence.png", "energy_against_usage.png", "circuit.png",
    }  # fmt: skip
    assert all(path.stat().st_size > 1500 for path in drawn)  # an empty one of this size has some 600


def test_reference_comes_from_the_result_or_the_problem() -> None:
    """An unfinished run knows the exact energy already."""
    problem = told("problem", reference_energy=-1.5)

    assert reference_of([problem]) == -1.5
    assert reference_of([problem, told("result", result={"reference_energy": -2.0})]) == -2.0
    assert reference_of([]) is None


def test_hovering_tells_energy_job_and_qpu_seconds() -> None:
    """The interactive curve has the static one's axes and colours, and every evaluation's numbers."""
    pytest.importorskip("plotly")
    from runner.review.figures.interactive import convergence as interactive

    events = [
        started(schemas={"hamiltonian": "molecule_terms"}),
        *job(0, 0, 0, 5), evaluation(0, -1.0, -1.0, stddev=0.02), *job(1, 5, 5, 12), evaluation(1, -1.25, -1.25),
    ]  # fmt: skip

    figure = interactive(events, -1.5)

    points = next(trace for trace in figure.data if trace.mode == "markers")
    assert points.hovertext[0].startswith("<b>vqe, evaluation 1</b><br>energy −1.000000 ± 0.02 Hartree")
    assert (
        "energy − exact 250.000 mHa<br>job vqe-1: 7.0 s QPU<br>QPU time of all jobs so far: 12.0 s"
        in points.hovertext[1]
    )
    assert list(points.error_y.array) == [0.02, 0.01]
    assert points.marker.color == COLOURS[0]
    assert figure.layout.yaxis.title.text == "energy (Hartree)"
    assert figure.layout.yaxis2.title.text == "energy − exact (mHa)"
    assert figure.layout.xaxis2.title.text == "evaluation"


def test_hovering_the_timeline_tells_what_when_and_which_job() -> None:
    """The same stretches as in the static figure, with the same totals."""
    pytest.importorskip("plotly")
    from runner.review.figures.interactive import session_timeline as interactive

    figure = interactive(a_session())

    bars = {bar.name: bar for bar in figure.data}
    assert {"QPU: 45.0 s", "queue: 25.0 s", "inactive: 10.0 s"} <= set(bars)
    assert sum(bars["QPU: 45.0 s"].x) == 45
    assert list(figure.layout.yaxis.categoryarray) == ["session s", "vqe", "other"]
    assert (
        bars["QPU: 45.0 s"].hovertext[1]
        == "<b>vqe: QPU</b><br>30.0 s, from 40.0 s to 1 min 10 s<br>job vqe-1"
    )
    assert [note.text for note in figure.layout.annotations] == [
        "interactive timeout",
        "maximum time reached",
    ]


def test_hovering_a_sweep_tells_each_run() -> None:
    """Groups stand beside one another at a word, and the exact energy is in the picture."""
    pytest.importorskip("plotly")
    from runner.review.figures.interactive import sweep_overview as interactive

    rows = [
        {
            "run": f"{name},{seed}", "optimizer": name, "seed": seed, "status": "finished", "energy": -1.0 - seed / 8,
            "stddev": 0.1, "reference_energy": -1.5, "error": 0.5 - seed / 8, "evaluations": 7, "usage_seconds": 90,
            "cost": 12.0, "reason": "converged",
        }
        for name in ("<b>cobyla", "spsa") for seed in (1, 2)
    ]  # fmt: skip

    figure = interactive(rows, SweepAxes.of(rows))

    assert [(trace.name, list(trace.x)) for trace in figure.data[:2]] == [
        ("1", [-0.125, 0.875]),
        ("2", [0.125, 1.125]),
    ]
    assert list(figure.layout.xaxis.ticktext) == ["&lt;b&gt;cobyla", "spsa"]
    assert figure.layout.yaxis.range[0] < -1.5
    assert figure.data[0].hovertext[1] == (
        "<b>spsa,1</b><br>energy −1.125000 ± 0.1 units of H<br>energy − exact 0.375 units of H<br>"
        "7 evaluations: converged<br>usage 1 min 30 s, 12.00 USD"
    )


def test_what_happens_often_is_written_once() -> None:
    """A label per text with how often it comes, where the first one is; an expiry and its closing are one."""
    from runner.review.figures.timeline import labels as written

    timeouts = [
        session(10.0 * n, state, "interactive timeout") for n, state in enumerate(["inactive", "active"] * 3)
    ]
    expiry = [
        session(70, "active", "maximum time reached", accepting=False),
        session(80, "closed", "maximum time reached"),
    ]

    marks = Activities.of([*timeouts, *expiry]).marks

    assert [(mark.time, text) for mark, text in written(marks)] == [
        (0, "interactive timeout, 3 times"), (70, "maximum time reached"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "axes"),
    [
        ([{"seed": 1}, {"seed": 2}], SweepAxes(x="seed")),
        ([{"field": 0.1, "seed": 1}, {"field": 0.2, "seed": 2}], SweepAxes(x="field", group="seed")),
        ([{"hamiltonian": "h2"}, {"hamiltonian": "lih"}], SweepAxes(x="hamiltonian")),
        ([{}], SweepAxes(energy_unit="Hartree")),
    ],
)
def test_a_sweep_is_drawn_against_what_was_swept(rows: list[dict[str, Any]], axes: SweepAxes) -> None:
    """Seeds only where nothing else was swept; energies of several Hamiltonians have no common unit."""
    table = [{"run": "r", **row, "status": "finished", "energy": -1.0} for row in rows]

    assert SweepAxes.of(table, energy_unit="Hartree" if not rows[0] else "units of H") == axes
    assert SweepAxes.of(
        [{**row, "reference_energy": -place} for place, row in enumerate(table)], energy_unit="Hartree"
    ).y == ("error" if len(rows) > 1 else "energy")


@pytest.mark.parametrize(
    ("swept", "declared", "shown"),
    [
        ("seed", "J", "J"),
        ("hamiltonian.coupling", "J", "units of H"),
        ("hamiltonian.bond_length", "Hartree", "Hartree"),
        ("hamiltonian", "Hartree", "units of H"),
    ],
)
def test_a_sweeps_energies_have_a_unit_where_all_runs_have_it(swept: str, declared: str, shown: str) -> None:
    """J is another one for every coupling; Hartree stay what they are at any distance."""
    table = [{"run": "r", swept: value, "status": "finished", "energy": -1.0} for value in (1, 2)]

    assert SweepAxes.of(table, energy_unit=declared).energy_unit == shown


def test_pictures_are_small_and_look_as_they_were_drawn(tmp_path: Path) -> None:
    """A palette takes less than half of matplotlib's own file, which has the same pixels but for a trace of colour."""
    figure = session_timeline(a_session())
    save(figure, tmp_path / "small.png")
    figure.savefig(tmp_path / "full.png")

    small, full = (Image.open(tmp_path / name) for name in ("small.png", "full.png"))
    assert small.mode == "P"
    assert (tmp_path / "small.png").stat().st_size < (tmp_path / "full.png").stat().st_size / 2
    difference = np.abs(np.asarray(small.convert("RGB"), float) - np.asarray(full.convert("RGB"), float))
    assert difference.mean() < 0.8  # of 255
    assert np.mean(difference > 32) < 1e-3


def test_no_figure_shows_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """K9: titles, legends, labels, ticks and what a circuit calls its gates and parameters, however they are cut."""
    from qiskit.circuit import Gate, Parameter

    from runner.record.redaction import protect_environment
    from runner.review.figures.canvas import canvas
    from runner.review.figures.interactive import sweep_overview as interactive

    monkeypatch.setenv("FIGURES_PASS", secret := 'Canary7Xq9"Zt4Lm2')
    protect_environment()
    drawn = QuantumCircuit(1)
    drawn.ry(2 * Parameter(secret), 0)
    drawn.append(Gate(secret, 1, []), [0])
    drawn.append(Gate("g_" + secret, 1, [Parameter("a_" + secret)]), [0])
    labelled = canvas()
    axes = labelled.subplots()
    axes.plot([0, 1], [0, 1], label=secret)
    axes.set(title=secret, xlabel=secret, ylabel=secret)
    axes.set_xticks([0, 1], ["0", secret])
    axes.legend(title=secret)
    axes.annotate(secret, (0, 0))
    swept = [{"run": secret, secret: f"a {secret}", "energy": -1.0, "reason": secret}]
    hovered = interactive(swept, SweepAxes(x=secret, y="energy", group=secret)).to_json()
    for figure in (labelled, circuit_pair([("as declared", drawn)])):
        save(figure, tmp_path / "figure.png")

        assert not [text for text in texts(figure) if "anary" in text]
        assert "[redac" in "".join(texts(figure))
    assert "anary" not in hovered


def test_a_journal_is_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found at once is what each part finds by itself, and no line is read again for it."""
    registers = {"a": {"array": base64.b64encode(bytes([0, 1, 1])).decode(), "bits": 2, "shape": [3, 1]}}
    shared = [{"shots_per_basis": [1200, 50]}]
    (submitted, over), (lost, killed), (again, done) = job(0, 0, 1, 3), job(1, 3, 3, 5), job(1, 4, 4, 7)
    with Journal.create(tmp_path / "journal.jsonl") as journal:
        for event in [
            started(),
            session(0, "open"),
            JobSubmitted.read({**submitted.said(), "pubs": shared}),
            session(1, "active"),
            over,
            evaluation(0, -1.0, -1.0),
            Iteration.of("vqe", 1, {"energy": -1.0}),
            lost,
            RunInterrupted(reason="killed"),
            killed,
            session(6, "closed", "left"),
            RunResumed(pid=1),
            *job(0, 3, 3, 4, workload="samples", result=[registers]),
            again,
            done,
            evaluation(1, -1.5, -1.5),
            session(8, "closed", "done"),
        ]:
            journal.write(event)
    asked = (Activities.of, evaluations, stands, last_counts, lambda events: shared_shots(events).in_words)
    alone = [ask(read_journal(tmp_path / "journal.jsonl").events) for ask in asked]
    together = read_journal(tmp_path / "journal.jsonl").events

    look_through(together)
    monkeypatch.setattr(type(together), "_event", None)

    assert [ask(together) for ask in asked] == alone
    assert alone[0].end == 8
    assert [span.job for span in alone[0].workloads["vqe"] if span.what == QPU] == ["vqe-0", "vqe-1"]
    assert [row.spent for row in alone[1]["vqe"]] == [
        2,
        6,
    ]  # not what a process did while it was interrupted, as in the summary
    assert alone[3:] == [{"00": 1, "01": 2}, ("50 to 1 200", "in each of 2 bases")]


def test_letters_that_no_font_has_are_drawn_as_boxes_without_a_word(tmp_path: Path) -> None:
    """A received run may be called anything: U+001B is the escape character, U+E000 has no meaning; both are drawn."""
    for name in ("odd.png", "odd.svg"):
        figure = Figure()
        figure.subplots().set_title("\x1b[31m \ue000")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            save(figure, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0
