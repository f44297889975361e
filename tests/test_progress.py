"""What the terminal shows: the progress line, and errors in the unit they have."""

from __future__ import annotations

import io
import json
import math
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from runner.__main__ import main
from runner.declare.composer import compose
from runner.display.live import rows, value_console
from runner.display.words import (
    clock,
    counted_up,
    digits_of,
    energy_lines,
    energy_number,
    error_in_words,
    error_number,
    in_cell,
    truncation_in_words,
    without_residue,
)
from runner.record.directory import RunDirectory
from runner.record.events import Iteration, RunEnded
from runner.record.journal import Journal
from runner.run import progress
from runner.run.answer import worth
from runner.run.execution import resume_command
from runner.run.preflight import Preparation
from runner.run.progress import Preparing, Progress, summary, usage_in_words
from runner.run.results import RunResult
from runner.runtime.plan import PLANS
from tests.journals import evaluation, job, started


def test_evaluations_that_are_counted_up_say_so() -> None:
    """5, 11, 18 of 18 in all are of an ansatz that grows; 5, 6, 7 of 18 are minimizations, and one row may be both."""
    grown, apart = (
        [{"evaluations": count, "error": 0.1} for count in counts] for counts in ((5, 11, 18), (5, 6, 7))
    )

    assert [list(row) for row in counted_up(grown, 18)] == [["evaluations so far", "error"]] * 3
    assert counted_up(grown, 20) == counted_up(grown, 18)  # the fourth was not minimized to the end
    assert counted_up(apart, 18) == apart
    assert counted_up(grown[:1], 5) == grown[:1]
    assert counted_up([{"energy": 1.0}], None) == [{"energy": 1.0}]


@pytest.mark.parametrize(
    ("error", "exact", "unit", "words"),
    [
        (0.0016, -1.137, "Ha", "+1.600 mHa"),
        (-2e-6, None, "Ha", "-0.002 mHa"),
        (0.0012, -12.0, "J", "+0.0012 J (0.01 %)"),
        (0.5, -10.0, None, "+0.5 (5 %)"),
        (0.5, 0.0, "eV", "+0.5 eV"),
        (1.0, None, None, "+1"),
        (1.8e-15, -13.5, "J", "+0 J (exact to rounding)"),
        (0.008667, -1e12, "J", "+0.00867 J (0.00000000000087 %)"),  # a float at 1e12 resolves 1.2e-4
        (2.4e-4, -1e12, "J", "+0 J (exact to rounding)"),
    ],
)
def test_only_hartree_are_in_thousandths(
    error: float, exact: float | None, unit: str | None, words: str
) -> None:
    """A lattice has no Hartree: its error is in its own unit and in per cent."""
    assert error_in_words(error, exact, unit) == words


def test_shots_that_came_out_alike_are_not_called_exact() -> None:
    """Twenty shots of −1.3 prove no −1.3: what is exact there lies 0.0145 above, a number of its own."""
    result = {
        "energy": -1.3, "stddev": 0.0, "energy_kind": "measured", "error": 0.0, "reference_energy": -1.3,
        "exact_energy": -1.28553, "exact_method": "statevector",
    }  # fmt: skip
    energy, here, _ = energy_lines(result, None)

    assert energy == (
        "energy", "-1.300000", "no spread in its shots, which is no error bar: +0 from the reference",
    )  # fmt: skip
    assert here[1] == "-1.285530"
    assert energy_lines(result | {"energy_kind": "exact"}, None)[0][2].endswith(
        "(exact to rounding) from the reference"
    )
    bar = energy_lines(result | {"stddev": 0.1, "exact_energy": None}, None)[0][2]
    assert bar == "+0.0 σ from the reference: +0"


@pytest.mark.parametrize(
    ("energy", "words"),
    [
        (-2.69072491e-08, "-2.69072e-08"), (-4.36e-18, "-4.36e-18"), (0.0, "0.000000"), (-1.5, "-1.500000"),
        (1.5e-4, "0.000150"), (2.5e15, "2.5e+15"),
    ],
)  # fmt: skip
def test_energies_have_digits_in_any_unit(energy: float, words: str) -> None:
    """Six decimals of 10⁻⁸ are zeros; a distance that is rounding is none."""
    assert energy_number(energy) == words
    assert error_number(4e-16, -1.0) == "+0.000000"
    assert error_number(6.9e-9, -2.7e-8) == "+6.9e-09"


def test_what_is_left_out_of_a_small_energy_is_told() -> None:
    """2 % of an energy of 2.7·10⁻⁹ are not rounding, though 5·10⁻¹¹ of an energy of 1 are."""
    told = {"error": 5e-11, "energy": 5e-11}
    kind = worth("exact", None, 5e-11, -2.7e-9)
    result = {"energy": -2.7e-9, "energy_kind": kind, "sampled": False, "truncation": told}

    assert worth("exact", None, 5e-11, -1.3) == worth("exact", None, 5e-11) == "exact"
    assert energy_lines(result, None) == [
        ("energy", "-2.7e-09", "without shot noise, within 5e-11 by what its simulation left out")
    ]
    assert truncation_in_words(told, -2.7e-9) == "expectation values within 5e-11"
    assert truncation_in_words(told, -1.3) == ""


def test_the_summary_says_what_came_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Energy, distance from the truth in its σ and in the right unit, cost, and where it lies."""
    result = RunResult(
        experiment="vqe", status="finished", energy=-9.9, stddev=0.01, reference_energy=-10.0, error=0.1,
        evaluations=3, iterations=1, parameters=[0.0], stop_reason="done", usage_seconds=75.0, cost=60.0,
        session_ids=["s"], mlflow_run_id=None, seed=1, wall_seconds=0.5, versions={}, table=[], exit_code=0,
        directory=Path("here"), qpu_seconds=70.0, shots=1234567,
    )  # fmt: skip
    session = {"id": "s", "status": "Closed", "reason": "closed by close()"}

    summary(result, [session], "off", unit=None, plan=PLANS["premium"])

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "energy -9.900000 ± 0.01 +10.0 σ from the reference: +0.1 (1 %)" in lines
    assert "reference -10.000000" in lines
    assert "session s closed by close()" in lines
    assert "usage 75.0 s charged (1 min 15 s); 70.0 s on the QPU; 1 234 567 shots" in lines
    assert "price 60.00 USD: premium plan, 0.8 USD a second" in lines
    assert "files here" in lines


@pytest.mark.parametrize(
    ("charged", "qpu", "words"),
    [
        (71.5, 71.5, "71.5 s charged (1 min 12 s); all of it on the QPU"),
        (71.5, 60.0, "71.5 s charged (1 min 12 s); 60.0 s on the QPU"),
        (5.0, None, "5.0 s charged"),
    ],
)
def test_usage_is_told_once(charged: float, qpu: float | None, words: str) -> None:
    """Of a batch, what is charged is what it took on the QPU."""
    result = RunResult(
        experiment="vqe", status="finished", energy=None, stddev=None, reference_energy=None, error=None,
        evaluations=0, iterations=0, parameters=[], stop_reason="done", usage_seconds=charged, cost=None,
        session_ids=[], mlflow_run_id=None, seed=1, wall_seconds=0.5, versions={}, qpu_seconds=qpu,
    )  # fmt: skip

    assert usage_in_words(result) == words


def test_what_is_copied_is_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that is longer than a terminal is wide is torn neither where it lies nor in the command."""
    where = Path("outputs", "a" * 100)
    result = RunResult(
        experiment="vqe", status="stopped", energy=None, stddev=None, reference_energy=None, error=None,
        evaluations=0, iterations=0, parameters=[], stop_reason="no time", usage_seconds=1.0, cost=None,
        session_ids=[], mlflow_run_id=None, seed=1, wall_seconds=0.5, versions={}, directory=where,
    )  # fmt: skip
    again = resume_command(RunDirectory(where), ["my_plugin"])

    summary(result, [], "off", unit=None, again=again, session_over=True)

    lines = capsys.readouterr().out.splitlines()
    assert f"files        {where}" in lines
    assert any(
        line.startswith("going on") and "opens another session, and one more" in line for line in lines
    )
    (line,) = [line for line in lines if line.startswith("go on with")]
    assert shlex.split(line.removeprefix("go on with")) == [
        "python", "-m", "runner", "resume", str(where), "plugins=[my_plugin]",
    ]  # fmt: skip


@pytest.mark.parametrize(("exact", "words"), [(True, ["0.5", "0.25"]), (False, ["0.5", "0", "0.25", "0"])])
def test_a_table_of_exact_values_has_no_standard_errors(
    exact: bool, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Sampled ones are printed also where every shot was the same, which gives 0."""
    result = RunResult(
        experiment="dynamics", status="finished", energy=None, stddev=None, reference_energy=None, error=None,
        evaluations=1, iterations=0, parameters=[], stop_reason="done", usage_seconds=1.0, cost=None,
        session_ids=["s"], mlflow_run_id=None, seed=1, wall_seconds=0.5, versions={}, exit_code=0,
        table=[{"ZI": 0.5, "ZI stddev": 0.0, "energy": 0.25, "stddev": 0.0}], directory=Path("here"),
    )  # fmt: skip

    summary(result, [], "off", unit=None, exact=exact)

    *_, header, row = capsys.readouterr().out.splitlines()
    assert row.split() == words
    assert ("stddev" in header) is not exact


@pytest.mark.parametrize(("scale", "digits"), [(1.0, "2e-09"), (1e-9, "2e-18")])
def test_what_rounding_leaves_of_zero_is_zero_by_the_scale_of_the_hamiltonian(
    scale: float, digits: str
) -> None:
    """Of |c| that add up to 2: 64 ulp of that are 2.8e-14, by hand; what is larger keeps its digits in every unit."""
    result = {
        "energy": 3e-17 * scale, "stddev": 0.0, "error": -4e-16 * scale, "reference_energy": 4e-16 * scale,
        "energy_kind": "exact", "rounding": 64 * 2**-52 * 2 * scale,
        "table": [{
            "time": 3e-17, "ZI": 1e-15 * scale, "ZI stddev": 0.0, "ZI exact": -1e-16 * scale, "XX": 2e-9 * scale,
            "XX stddev": 0.0, "energy": 1e-15 * scale, "outside": 2e-18, "count": 3, "word": "00",
        }],
    }  # fmt: skip

    assert energy_lines(result, "J") == [
        ("energy", "0.000000", "without shot noise: +0 J from the reference"), ("reference", "0.000000", ""),
    ]  # fmt: skip
    (before,), (after,) = result["table"], without_residue(result)["table"]
    assert after == {**before, "ZI": 0.0, "ZI exact": 0.0, "energy": 0.0}
    assert in_cell("XX", without_residue(result)["table"][0]["XX"]) == digits
    assert energy_lines({**result, "energy": 2e-9 * scale}, "J")[0][1] == digits
    assert without_residue({**result, "rounding": None})["energy"] == 3e-17 * scale  # of an earlier release


@pytest.mark.parametrize(
    ("declared", "magnitude"),
    [
        (("experiment=vqe", "hamiltonian=pauli", "hamiltonian.terms=[[ZZ,-0.5],[XI,0.25]]"), 0.75),
        (("experiment=dissociation_curve", "hamiltonian=tfim", "hamiltonian.shape=[2]", "experiment.parameter=field",
          "experiment.values=[0.5,2.0,1.0]", "ansatz=hva"), 2.0),
        (("experiment=estimation", "experiment.observables=[ZZ,{XX: 0.5, YY: -2}]", "hamiltonian=two_qubit"), 1.0),
        (("experiment=dynamics", "hamiltonian.shape=[3]", "hamiltonian.coupling=5e9", "hamiltonian.field=4e9",
          "experiment.total_time=1e-9", "experiment.steps=5"), 1.0),
    ],
)  # fmt: skip
def test_rounding_follows_the_smallest_sum_of_coefficients(
    declared: tuple[str, ...], magnitude: float
) -> None:
    """On paper: two sites have one bond, J = 1, and two fields h: from 1 + 2·½ on; a mean of Z's has 1."""
    found = Preparation(compose(*declared, "tracking=off")).rounding

    assert found == pytest.approx(64 * 2**-52 * magnitude)


def test_the_line_shows_an_energy_that_is_zero_to_rounding_as_zero() -> None:
    """2.8e-14 is that of coefficients that add up to 2; a true small energy has its digits."""
    line = Progress(None, rounding=2.8e-14)
    told = []
    for index, energy in enumerate((2e-9, 3e-17)):
        line(evaluation(index, energy, energy))
        told.append(line.line(0.0))

    assert "best 2e-09" in told[0]
    assert "best 0.000000" in told[1]


def test_the_line_calls_what_is_minimized_by_its_name() -> None:
    """A CVaR is no energy: of one workload, and of several; what is an energy needs no name there."""
    cvar, levels, energy = Progress(None, quantity="CVaR"), Progress(None), Progress(None, quantity="energy")
    levels.expect(None, quantity="energy + penalty")

    cvar(evaluation(0, -1.5, -1.5))
    energy(evaluation(0, -1.5, -1.5))
    for name in ("level 0", "level 1"):
        levels(evaluation(0, -1.5, -1.5, name))

    assert "best CVaR -1.500000  session" in cvar.line(0.0)
    assert "best -1.500000  session" in energy.line(0.0)
    assert "level 0 energy + penalty -1.500000  level 1 energy + penalty -1.500000" in levels.line(0.0)


def test_whoever_watches_a_run_sees_zero_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What rounding may leave is in the journal: 2.8e-14, by hand; an earlier release did not tell it."""
    monkeypatch.setattr("runner.display.live.PLAIN_INTERVAL", 0.0)
    shown = []
    for name, told in (("now", {"rounding": 2.8e-14}), ("earlier", {})):
        (tmp_path / name).mkdir()
        with Journal.create(tmp_path / name / "journal.jsonl") as journal:
            for event in (started(**told), evaluation(0, 3e-17, 3e-17), RunEnded(status="interrupted")):
                journal.write(event)
        assert main(["watch", str(tmp_path / name)]) == 0
        shown.append(capsys.readouterr())

    assert "best 0.000000" in "".join(shown[0])
    assert "best 3e-17" in "".join(shown[1])


@pytest.mark.parametrize("size", [1.0, 1e-9])
def test_expectation_values_that_are_zero_are_printed_as_zero(
    size: float, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On |00⟩ turned by ry(0.3) on qubit 0: ⟨Z0⟩ = cos 0.3, ⟨X1⟩ = ⟨Y0⟩ = 0, on paper, in units of any size."""
    (workdir / "turned.qasm").write_text(
        'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; ry(0.3) q[0]; h q[1]; h q[1];'
    )
    observables = ",".join(f"{{{word}: {size}}}" for word in ("IZ", "XI", "IY"))
    declared = (
        "experiment=estimation",
        "ansatz=file",
        "ansatz.path=turned.qasm",
        "estimator=exact",
        "tracking=off",
    )

    assert (
        main([*declared, f"experiment.observables=[{observables}]", "run.figures=false", "hydra.run.dir=x"])
        == 0
    )

    result = json.loads((workdir / "x" / "result.json").read_text())
    printed = capsys.readouterr().out
    assert result["rounding"] == pytest.approx(64 * 2**-52 * size)
    assert re.search(rf" {math.cos(0.3) * size:.6g}\b", printed)
    assert not re.search(r"\de-(1[5-9]|2\d)", printed)


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        (
            {"energy": -1.1, "stddev": 0.02, "error": 0.03, "energy_kind": "measured", "exact_energy": -1.128,
             "exact_method": "statevector"},
            [("energy", "-1.100000 ± 0.02", "+1.5 σ from the reference"),
             ("exact here", "-1.128000", "at the same parameters without shot noise: +2.000 mHa from the reference"),
             ("reference", "-1.130000", "")],
        ),
        (
            {"energy": -1.1, "stddev": 0.02, "error": 0.03, "energy_kind": "measured", "exact_energy": -1.128,
             "exact_method": "density_matrix"},
            [("energy", "-1.100000 ± 0.02", "+1.5 σ from the reference"),
             ("exact here", "-1.128000", "at the same parameters without shot noise, under the backend's noise: "
              "+2.000 mHa from the reference"),
             ("reference", "-1.130000", "")],
        ),
        (
            {"energy": -1.1, "stddev": 0.02, "error": 0.03, "energy_kind": "measured", "exact_note": "nobody knows"},
            [("energy", "-1.100000 ± 0.02", "+1.5 σ from the reference: +30.000 mHa"),
             ("exact here", "not known", "nobody knows"),
             ("reference", "-1.130000", "")],
        ),
        (
            {"energy": -1.1, "stddev": 0.0, "error": 0.03, "energy_kind": "exact", "exact_energy": -1.1},
            [("energy", "-1.100000", "without shot noise: +30.000 mHa from the reference"),
             ("reference", "-1.130000", "")],
        ),
        (
            {"energy": -1.16, "energy_kind": "pick"},
            [("energy", "-1.160000", "the lowest of noisy evaluations, biased low: not measured afresh")],
        ),
        (
            {"energy": 1e-4, "stddev": 0.0, "error": 1.13, "energy_kind": "truncated", "sampled": False,
             "truncation": {"energy": 0.0023}},
            [("energy", "0 within 0.0024", "without shot noise, within 0.0023 by what its simulation left out"),
             ("reference", "-1.130000", "")],
        ),
        (  # shots came out alike
            {"energy": -1.0, "stddev": 0.0, "error": 0.13, "energy_kind": "truncated", "sampled": True,
             "truncation": {"energy": 0.0023}},
            [("energy", "-1.000000", "no spread in its shots, which is no error bar, "
              "within 0.0023 by what its simulation left out: +130.000 mHa from the reference"),
             ("reference", "-1.130000", "")],
        ),
        (  # an earlier result does not tell
            {"energy": -1.0, "stddev": 0.0, "error": 0.13, "energy_kind": "truncated",
             "truncation": {"energy": 0.0023}},
            [("energy", "-1.000000",
              "within 0.0023 by what its simulation left out: +130.000 mHa from the reference"),
             ("reference", "-1.130000", "")],
        ),
        (
            {"energy": 1e-4, "stddev": 1e-3, "error": 1.13, "energy_kind": "truncated", "sampled": True,
             "truncation": {"energy": 0.0023}},
            [("energy", "0 within 0.0024",
              "within 0.0023 by what its simulation left out: beside shot noise of ± 0.001"),
             ("reference", "-1.130000", "")],
        ),
    ],
)  # fmt: skip
def test_an_energy_is_shown_as_what_it_is(
    facts: dict[str, object], lines: list[tuple[str, str, str]]
) -> None:
    """Measured: σ from the reference, and the optimizer's part of it; exact: no σ; a pick is compared with nothing."""
    assert energy_lines({"reference_energy": -1.13, **facts}, "Ha") == lines


def test_what_takes_long_to_prepare_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has taken as long as that; quick parts are not, and nothing is said where nobody listens."""
    said, unheard = io.StringIO(), io.StringIO()
    now = [0.0]  # a clock of our own: a busy machine takes none of its time
    looks: list[float] = []

    def monotonic() -> float:
        looks.append(now[0])
        return now[0]

    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=monotonic))
    with Preparing(quiet=False, console=Console(file=said)) as stage:
        for begin, name in ((0.0, "reading"), (0.9, "transpiling 4 qubits for fake_torino")):
            stage(name)
            now[0] = begin + 0.9
            before = len(looks)
            wait_for(lambda before=before: len(looks) > before + 1)  # the one that looks has seen this time
        quick = said.getvalue()
        now[0] = 2.0
        wait_for(lambda: bool(said.getvalue()))
    with Preparing(quiet=True, console=Console(file=unheard)) as stage:
        stage("transpiling")
        now[0] = 99.0

    assert quick == ""
    assert said.getvalue() == "transpiling 4 qubits for fake_torino …\n"
    assert unheard.getvalue() == ""


def test_a_first_job_that_takes_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line comes also where no event does."""
    said = io.StringIO()
    for name in ("SILENT", "PATIENT"):
        monkeypatch.setattr(progress, name, 0.02)
    monkeypatch.setattr("runner.display.live.PLAIN_INTERVAL", 0.0)
    with Progress(10, console=Console(file=said)):
        wait_for(lambda: "\n" in said.getvalue())

    assert said.getvalue().startswith("no result yet after ")


def test_iterations_are_told_where_nothing_is_evaluated() -> None:
    """Of what is computed from jobs, or from shots of another run without any."""
    line = Progress(None, console=Console(file=io.StringIO()))
    line(Iteration(workload="sqd", iteration=2, energy=-1.5))

    assert line.line(0.0) == "iteration 2: -1.500000  session 0.0 s"


PACES = {
    "compiles twice": ([30.0, 16.0, 1.0, 1.0, 1.0], "1.0 s an evaluation"),
    "compiles for ever": ([30.0, 16.0, 4.0, 1.0, 9.0], None),
    "quick": ([30.0, 0.01, 0.01, 0.01, 0.01], None),
}


@pytest.mark.parametrize(("seconds", "each"), PACES.values(), ids=PACES)
def test_what_an_evaluation_takes_is_told_by_jobs_that_agree(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float], each: str | None
) -> None:
    """By hand: jobs of two after one of one; what is compiled, and what other programs take, does not count.

    The wall's clock goes three times as fast as the processor's.
    """
    said, now = io.StringIO(), 0.0
    line = Progress(1000, console=Console(file=said, width=300))
    monkeypatch.setattr(progress.time, "process_time", lambda: now)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 3 * now)
    for index, one in enumerate([*seconds, 0.0]):
        now += one * (2 if index else 1)
        line(job(index, 0.0, 0.0, 1.0)[1])
        for _ in range(2 if index else 1):
            line(evaluation(index, -1.0, -1.0))

    told = [row for row in said.getvalue().splitlines() if "an evaluation" in row]
    if each is None:
        assert not told
    else:  # the last of eleven evaluations is not there yet: 1000 − 10 are left
        assert told == [
            f"this takes up to 16 min 30 s here: {each}, at most 1000; Ctrl-C ends it with what it has, and it can be "
            "resumed"
        ]


def wait_for(done: Callable[[], bool]) -> None:
    """Let other threads work until they have done something."""
    for _ in range(500):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("nothing happened in five seconds")


def test_the_progress_line_follows_the_evaluations() -> None:
    """Number, best energy, session clock, and how long at most; every workload where there are several."""
    progress = Progress(4, console=Console(file=io.StringIO()))
    with progress:
        progress(evaluation(0, -1.5, -1.5))
        progress(job(0, 0.0, 0.0, 61.0)[1])
        progress(evaluation(1, -1.75, -1.75))

        assert progress.line(progress._started + 10).startswith(
            "evaluation 2/4  best -1.750000  session 1 min 01 s  at most 10.0 s left"
        )
        progress(evaluation(0, 0.25, 0.25, "other"))

        assert "vqe -1.750000  other 0.250000" in progress.line(progress._started)


@pytest.mark.parametrize(
    ("seconds", "words"), [(41.24, "41.2 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (1e300, "1e+300 s")]
)
def test_times_read_as_people_say_them(seconds: float, words: str) -> None:
    """Seconds, minutes, hours."""
    assert clock(seconds) == words


def test_what_is_rounding_is_not_told_as_left_out() -> None:
    """A state that lost nothing has no words; one that lost a weight, but no value, has those of the weight."""
    assert truncation_in_words({"discarded_weight": 0.0, "error": 3e-15}) == ""
    assert truncation_in_words({"discarded_weight": 2e-7, "error": 0.0}) == "a weight of 2e-07 of the state"


def test_a_table_in_a_pipe_has_no_blanks_at_the_ends_of_its_lines() -> None:
    """A long last cell would fill every line with hundreds of them; blanks between the columns stay."""
    pipe = io.StringIO()

    value_console(pipe, width=10_000).print(
        rows([{"what": "jobs", "value": "7"}, {"what": "x", "value": "7" * 50}])
    )

    assert pipe.getvalue() == "what  value\njobs  7\nx     " + "7" * 50 + "\n"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("stddev", 0.0130677, "0.013"), ("Z0 stddev", 160.3, "160"), ("stddev", 0.0, "0"), ("cost", 9.99358, "9.99"),
        ("cost", 0.004, "0.004"), ("cost", 1e308, "1e+308"), ("cost", 0.0, "0.00"), ("qpu_seconds", 12.492, "12.49"),
        ("usage_seconds", -3.0, "-3.00"), ("energy", -0.70404412, "-0.704044"), ("energy", 0.0, "0"),
    ],
)  # fmt: skip
def test_a_number_in_a_table_has_the_digits_of_its_column(name: str, value: float, told: str) -> None:
    """As the lines above the table have them; none is lost, and there are never hundreds."""
    assert in_cell(name, value) == told


def of_column(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """A column as it is shown."""
    return [in_cell(name, row[name], digits_of(rows).get(name)) for row in rows]


def test_what_differs_is_told_beside_a_large_constant() -> None:
    """By hand: four digits of the spread, two of a standard error, and six decimals where nothing tells more.

    Columns that are compared have as many; six digits where these tell all that is known.
    """
    levels = [{"energy": 999997.0000053, "exact": 999997.0}, {"energy": 1000001.2345678, "exact": 1000001.0}]
    measured = [{"Z0": 1e6 + 0.123456, "Z0 stddev": 0.013, "Z0 exact": 1e6 + 0.1111}]
    usual = [
        {"energy": -0.7029303944, "stddev": 0.014, "exact": -0.7029303945},
        {"energy": -0.5, "exact": -0.6},
    ]
    cuts = [{"bitstring": "01", "cost": 1000003.0}, {"bitstring": "00", "cost": 999997.25}]

    assert of_column("energy", levels) == ["999997", "1000001.235"]
    assert of_column("exact", levels) == ["999997", "1000001"]
    assert of_column("energy", levels[1:]) == ["1000001.234568"]
    assert of_column("Z0", measured) == ["1000000.123"]
    assert of_column("Z0 exact", measured) == ["1000000.111"]
    assert of_column("energy", usual) == ["-0.70293", "-0.5"]
    assert of_column("exact", usual) == ["-0.70293", "-0.6"]
    assert of_column("cost", cuts) == ["1000003", "999997.25"]
