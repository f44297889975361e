"""What is done to bitstrings in a run: corrected readout, twirled samples; on resume, in forecast, and refused."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from runner import compose, run
from runner.errors import ConfigError
from runner.record.events import JobSubmitted
from runner.record.journal import read_journal
from runner.record.log import of
from runner.run.execution import resume
from runner.run.mitigation import CALIBRATION
from runner.run.preflight import Preparation
from runner.whatif.forecast import forecast
from tests.journals import plain

READOUT = pytest.mark.skipif(find_spec("mthree") is None, reason="mthree comes with the extra 'readout'")
CLIENT = pytest.mark.skipif(
    find_spec("qiskit_mitigation") is None, reason="clients before 0.50 have no mitigation"
)
QUICK = ("tracking=off", "run.figures=false")
MISREAD = (
    "backend=noisy",
    "backend.depolarizing_1q=0",
    "backend.depolarizing_2q=0",
    "backend.readout_error=0.08",
    "experiment.readout_mitigation.enable=true",
)
GRAPH = ("experiment=qaoa", "hamiltonian.nodes=4", "hamiltonian.degree=3", "optimizer.max_evaluations=6")


def _cut(name: str, jobs: int) -> None:
    """A copy of the run `whole` whose process was killed after so many completed jobs."""
    lines = plain("whole").read_text().splitlines(keepends=True)
    ends = [place for place, line in enumerate(lines) if '"job.completed"' in line]
    Path(name).mkdir()
    (Path(name) / "journal.jsonl").write_text("".join(lines[: ends[jobs - 1] + 1]))
    (Path(name) / "config.yaml").write_text(Path("whole/config.yaml").read_text())


@READOUT
def test_a_bell_pair_is_read_as_it_was(workdir: Path) -> None:
    """Each bit flipped by 8 %: 0.4264 and 0.0736 by pencil, corrected to a half and nothing; both are told."""
    typed = ("experiment=sampling", *QUICK, *MISREAD, "experiment.shots=4000")
    whole = run(compose(*typed), directory="whole")
    found = forecast(compose(*typed))
    rows: Mapping[str, Any] = {str(row["bitstring"]): row for row in whole.table}
    _cut("cut", 1)
    again = resume("cut")
    jobs = list(of(read_journal("whole/journal.jsonl").events, JobSubmitted))

    for word, exact, quasi in (
        ("00", 0.4264, 0.5),
        ("11", 0.4264, 0.5),
        ("01", 0.0736, 0.0),
        ("10", 0.0736, 0.0),
    ):
        assert rows[word]["probability"] == pytest.approx(exact, abs=4 * (exact / 4000) ** 0.5)
        assert rows[word]["quasi_probability"] == pytest.approx(quasi, abs=4 * rows[word]["quasi_stddev"])
    assert rows["00"]["quasi_stddev"] < 0.02
    assert [(job.workload, len(job.pubs)) for job in jobs] == [(CALIBRATION, 2), ("sampling", 1)]
    assert again.table == whole.table
    assert whole.mitigation is not None
    assert whole.mitigation == again.mitigation == found.mitigation
    assert whole.mitigation["qpu_seconds"] == pytest.approx(whole.qpu_seconds - (2 + 4000 * 350e-6), abs=0.01)
    assert (found.usage_seconds, found.cost) == pytest.approx((whole.usage_seconds, whole.cost))


@READOUT
def test_the_mean_cost_of_qaoa_is_corrected_and_what_was_read_told(workdir: Path) -> None:
    """A term of two bits that are each flipped by 8 % is read (1 - 0.16)² too small, by pencil; constants are not."""
    whole = run(compose(*GRAPH, *QUICK, *MISREAD), directory="whole")
    _cut("cut", 3)
    again = resume("cut")

    assert (again.energy, again.stddev, again.table) == (whole.energy, whole.stddev, whole.table)
    assert whole.mitigation is not None
    assert whole.mitigation["mitigated"] == whole.energy
    constant = float(
        sum(
            coefficient.real
            for pauli, coefficient in Preparation(
                compose(*GRAPH, *QUICK, *MISREAD)
            ).problem.hamiltonian.to_list()
            if set(pauli) == {"I"}
        )
    )
    shrunk = (whole.mitigation["raw"] - constant) / (whole.energy - constant)
    assert shrunk == pytest.approx(0.84**2, abs=0.03)
    for row in whole.table:
        # a count of n has the error √n at least where few are read; each bit's correction makes it larger
        least = row["count"] ** 0.5 / whole.table[0]["count"] * whole.table[0]["probability"]
        assert {"quasi_probability", "quasi_stddev"} <= row.keys()
        assert 0.9 * least * (1 - row["probability"]) ** 0.5 < row["quasi_stddev"] < 5 * least


@CLIENT
def test_samples_of_an_experiment_are_twirled_and_priced(workdir: Path) -> None:
    """Nine randomizations of ⌈100/9⌉ shots are drawn, charged and forecast."""
    typed = (
        "experiment=sampling",
        "backend=fake_manila",
        "experiment.shots=100",
        "experiment.twirling.enable_gates=true",
        "experiment.twirling.num_randomizations=9",
    )
    whole, found = run(compose(*QUICK, *typed)), forecast(compose(*typed))

    assert sum(int(str(row["count"])) for row in whole.table) == whole.shots == 108
    assert whole.mitigation is not None
    assert whole.mitigation["setting"] == found.mitigation["setting"] == "twirled gates"
    assert found.usage_seconds == pytest.approx(whole.usage_seconds)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        pytest.param(
            ["experiment=sampling", "experiment.readout_mitigation.enable=true"],
            "readout_mitigation.enable: cannot act: .* misreads none of these qubits",
            marks=READOUT,
        ),
        pytest.param(
            ["experiment=sampling", "experiment.twirling.enable_measure=true"],
            "experiment.twirling: twirled measurements cannot act, for .* has no noise",
            marks=CLIENT,
        ),
        (
            ["experiment=sampling", "backend=noisy", "experiment.dynamical_decoupling.enable=true"],
            "experiment.dynamical_decoupling.enable: cannot act: the noise of backend=noisy has no memory",
        ),
        (
            ["backend=noisy", "estimator=level0", "estimator.dynamical_decoupling.enable=true"],
            "estimator.dynamical_decoupling.enable: cannot act: the noise of backend=noisy has no memory",
        ),
        (
            ["experiment=sampling", "backend=noisy", "estimator=level1"],
            "estimator: sampling draws bitstrings, and what is done to expectation values does not act",
        ),
        (
            ["experiment=sampling", "experiment.readout_mitigation.shots=5"],
            "acts with readout_mitigation.enable",
        ),
        (["experiment=qaoa", "experiment.twirling.num_randomizations=0"], "must be at least 1, got 0"),
        pytest.param(
            ["experiment=qaoa", "backend=noisy", "experiment.twirling.strategy=all"],
            "experiment.twirling.strategy: acts with twirling.enable_gates",
            marks=CLIENT,
        ),
    ],
)
def test_what_cannot_act_is_refused_before_anything_is_created(typed: list[str], told: str) -> None:
    """In one line with the reason."""
    with pytest.raises(ConfigError, match=told):
        Preparation(compose(*QUICK, *typed))
