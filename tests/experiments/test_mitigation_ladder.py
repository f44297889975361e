"""The ladder of error mitigation: every rung against dense algebra, repeated on resume, priced and drawn."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import transpile
from qiskit.quantum_info import Statevector
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from runner import compose, resume, run
from runner.__main__ import main
from runner.errors import ConfigError
from runner.record.directory import RunDirectory
from runner.record.journal import read_journal
from runner.review.figures.mitigation import ladder
from runner.review.report import illustrate
from runner.run.preflight import Preparation
from runner.run.results import RunResult
from runner.whatif.forecast import forecast
from tests.choices import choice
from tests.faults.kinds import LEARNING
from tests.faults.trial import identity
from tests.test_run import TWO_QUBIT_GROUND_STATE, events

LADDER = ("experiment=mitigation_ladder", "tracking=off", "run.figures=false", "estimator.default_shots=2048")


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A ladder on fake_manila as it stands."""
    return run(compose(*LADDER), directory=str(tmp_path_factory.mktemp("ladder") / "run"))


def by_counting(parameters: list[float], shots: int = 100_000) -> float:
    """The energy of the page's Hamiltonian on fake_manila by Aer's own noise model, term by term."""
    device = FakeManilaV2()
    simulator = AerSimulator(noise_model=NoiseModel.from_backend(device), seed_simulator=5)
    operator = choice("hamiltonian", "two_qubit").build()
    ansatz = choice("ansatz", "efficient_su2").build(operator).assign_parameters(parameters)
    energy = 0.0
    for label, coefficient in operator.to_list():
        circuit = ansatz.copy()
        for qubit, letter in enumerate(reversed(label)):
            if letter == "Y":
                circuit.sdg(qubit)
            if letter in "XY":
                circuit.h(qubit)
        circuit.measure_all()
        placed = transpile(circuit, device, initial_layout=[0, 1], optimization_level=1, seed_transpiler=1)
        counts = simulator.run(placed, shots=shots).result().get_counts()
        read = [place for place, letter in enumerate(label) if letter != "I"]
        signs = sum(n * (-1) ** sum(word[place] == "1" for place in read) for word, n in counts.items())
        energy += coefficient.real * signs / shots
    return energy


def test_the_ladder_starts_at_what_the_device_gives_and_ends_at_the_truth(climbed: RunResult) -> None:
    """The truth by a state vector and as the ground state, the raw energy by Aer: 0.08 too high, half of it readout."""
    operator = choice("hamiltonian", "two_qubit").build()
    ansatz = choice("ansatz", "efficient_su2").build(operator)
    ideal = Statevector(ansatz.assign_parameters(climbed.parameters)).expectation_value(operator).real
    rows = {row["rung"]: row for row in climbed.table}

    assert list(rows) == ["raw", "readout", "zne", "both", "learning", "pec", "pea"]
    assert ideal == pytest.approx(TWO_QUBIT_GROUND_STATE, abs=1e-6)
    assert climbed.reference_energy == pytest.approx(ideal, abs=1e-9)
    assert rows["learning"]["energy"] is rows["learning"]["error"] is None
    for row in (row for row in rows.values() if row["rung"] != "learning"):
        assert row["error"] == pytest.approx(row["energy"] - ideal, abs=1e-9)
    # which of the pairs of qubits the circuit is put on changes the raw energy by about 0.03
    assert rows["raw"]["energy"] == pytest.approx(by_counting(climbed.parameters), abs=0.05)
    assert rows["raw"]["error"] > 5 * rows["raw"]["stddev"]
    assert abs(rows["both"]["error"]) < 4 * rows["both"]["stddev"]
    assert rows["both"]["error"] < min(rows["readout"]["error"], rows["zne"]["error"])
    for learned in ("pec", "pea"):
        assert abs(rows[learned]["error"]) < 4 * rows[learned]["stddev"] < 0.2
    assert (climbed.energy, climbed.error) == (rows["pea"]["energy"], rows["pea"]["error"])
    told = climbed.mitigation
    assert told["setting"].startswith("rung pea: resilience level 2: ")
    assert (told["mitigated"], told["raw"]) == (climbed.energy, None)  # what was twirled is no rung raw
    assert told["setting"].endswith("; added by all rungs together")
    # by the table's own rows: all of them, learning included, against six times the raw one
    took = sum(row["qpu_seconds"] for row in rows.values()) - 6 * rows["raw"]["qpu_seconds"]
    assert told["qpu_seconds"] == pytest.approx(took, rel=1e-9)


def test_every_rung_is_one_job_of_the_one_session_with_its_shots_and_price(climbed: RunResult) -> None:
    """3 bases of 2048 shots; the calibration is one circuit more, three noise factors are three times as many.

    Noise is learned once, from 55 circuits of 32 randomizations and 128 shots; what cancels it takes γ² more, the
    layer occurring twice.
    """
    rows = climbed.table
    submitted = events(climbed, "job.submitted")
    learned = json.loads((climbed.directory / "noise_model.json").read_text())["layers"]
    overhead = math.prod(math.exp(2 * 4 * sum(layer["rates"])) for layer in learned)
    cancelled = 3 * math.ceil(2048 / 64 * overhead) * 64 + 2048

    assert [job.workload for job in submitted] == [
        "raw",
        "readout",
        "zne",
        "both",
        "noise-learner",
        "pec",
        "pea",
    ]
    assert len({job.session for job in submitted}) == len(climbed.session_ids) == 1
    assert len(learned) == 1
    assert [row["shots"] for row in rows[:4]] == [2048 * circuits for circuits in (3, 4, 9, 10)]
    assert [row["shots"] for row in rows[4:]] == [55 * 32 * 128, cancelled, 2048 * 10]
    assert rows[4]["rung"] == "learning"
    assert sum(row["shots"] for row in rows) == climbed.shots
    assert sum(row["qpu_seconds"] for row in rows) == pytest.approx(climbed.qpu_seconds)
    assert [row["cost"] for row in rows] == pytest.approx([0.8 * row["qpu_seconds"] for row in rows])
    page = illustrate(RunDirectory(climbed.directory))
    assert (climbed.directory / "figures/ladder.png").is_file()
    assert "how far that is from the ideal energy" in page.read_text()


def test_a_forecast_is_what_the_ladder_takes(climbed: RunResult) -> None:
    """To the last shot."""
    found = forecast(compose(*LADDER))

    assert (found.jobs, found.shots) == (7, climbed.shots)
    assert found.qpu_seconds == pytest.approx(climbed.qpu_seconds)


def test_a_ladder_that_is_cut_goes_on_to_the_same_bits(climbed: RunResult, workdir: Path) -> None:
    """After its second job."""
    lines = (climbed.directory / "journal.jsonl").read_text().splitlines(keepends=True)
    ends = [place for place, line in enumerate(lines) if json.loads(line)["kind"] == "job.completed"]
    os.mkdir("cut")
    Path("cut/journal.jsonl").write_text("".join(lines[: ends[1] + 1]))
    Path("cut/config.yaml").write_text((climbed.directory / "config.yaml").read_text())

    assert resume("cut").table == climbed.table


def in_a_process(hash_seed: int, *words: str, fault: str = "") -> int:
    """The exit code of a command line whose sets of strings come in an order of their own."""
    variables = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "RUNNER_FAULT": fault}
    return subprocess.run([sys.executable, "-m", "runner", *words], env=variables, check=False).returncode


def test_processes_whose_sets_come_in_other_orders_climb_the_same_ladder(workdir: Path) -> None:
    """Unbroken here, killed when the noise was learned, and resumed: each in a process with a hash seed of its own."""
    words = (*LADDER, "experiment.rungs=[raw,pec,pea]", *LEARNING)
    unbroken = main([*words, "hydra.run.dir=whole"])
    killed = in_a_process(2, *words, "hydra.run.dir=broken", fault="simulate:4:kill9")
    before = read_journal("broken/journal.jsonl").events
    resumed = in_a_process(3, "resume", "broken")
    learned = [json.loads(Path(name, "noise_model.json").read_text()) for name in ("whole", "broken")]

    assert (unbroken, killed, resumed) == (0, -signal.SIGKILL, 0)
    assert sum(event.kind == "job.completed" for event in before) == 3  # raw, what learned the noise, and PEC
    assert identity(Path("broken")) == identity(Path("whole"))
    assert learned[0] == learned[1]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("experiment.rungs=[raw,raw]",), r"^experiment\.rungs: name each rung once"),
        (("experiment.rungs=[raw,dd]",), r"^experiment\.rungs\[1\]: "),
        (("estimator=level1",), r"^estimator: .* use estimator=level2"),
        (
            ("estimator.zne_mitigation=false",),
            r"^estimator\.zne_mitigation: is off, and .* both and pea and zne",
        ),
        (
            ("estimator.zne.noise_factors=[1,2]", "experiment.rungs=[raw,readout]"),
            r"^estimator\.zne\.noise_factors: acts in zne and both and pea, and experiment\.rungs is \[raw,readout\]",
        ),
        (
            ("estimator.zne.amplifier=pea", "experiment.rungs=[raw,pec]"),
            r"^estimator\.zne\.amplifier: acts in zne",
        ),
        (
            ("estimator.pec.max_overhead=9", "experiment.rungs=[both]"),
            r"^estimator\.pec\.max_overhead: acts in pec,",
        ),
        (("backend=ideal",), r"^estimator\.resilience_level: .* has no noise"),
        (
            ("ansatz=gates", "ansatz.gates=[[ry,a,0],[ry,b,1]]"),
            r"^estimator: noise of two-qubit gates would be",
        ),
        (
            ("ansatz.initial=values", f"ansatz.initial_values={[0.1] * 12}"),
            r"^ansatz\.initial: .* add experiment\.at=initial",
        ),
    ],
)
def test_a_rung_that_cannot_act_is_refused_before_anything_is_created(
    workdir: Path, typed: tuple[str, ...], told: str
) -> None:
    """In one line, with the reason."""
    with pytest.raises(ConfigError, match=told):
        Preparation(compose(*LADDER, *typed))

    assert not list(workdir.iterdir())


def test_rungs_that_learn_are_parts_of_what_is_declared() -> None:
    """TREX with either; what is declared of learning and of the factors is theirs, of folding it is not."""
    typed = ("estimator.layer_noise_learning.num_randomizations=8", "estimator.zne.noise_factors=[1,2,3]")
    preparation = Preparation(compose(*LADDER, *typed, "experiment.rungs=[raw,pec,pea]"))
    rungs = preparation.prepared.rungs
    learning = {"num_randomizations": 8}

    assert rungs["pec"] == {
        "resilience_level": 1, "resilience": {"layer_noise_learning": learning, "pec_mitigation": True}, "twirling": {},
    }  # fmt: skip
    assert rungs["pea"]["resilience"] == {
        "layer_noise_learning": learning, "zne": {"noise_factors": [1.0, 2.0, 3.0], "amplifier": "pea"},
    }  # fmt: skip
    assert "layer_noise_learning" not in rungs["both"]["resilience"]
    assert (preparation.mitigates or "").startswith(
        "rung raw: nothing; rung pec: resilience level 1: readout (TREX)"
    )


def test_declared_parameters_are_taken_as_they_are() -> None:
    """One rotation by 0.4 on each of two qubits and a CX: ⟨ZI⟩ is cos²(0.4), by pencil and paper."""
    typed = ("ansatz=gates", "ansatz.gates=[[ry,a,0],[ry,b,1],[cx,0,1]]", "ansatz.initial=values")
    terms = ("hamiltonian=pauli", "hamiltonian.terms=[[ZI,1.0]]", "ansatz.initial_values=[0.4,0.4]")
    prepared = Preparation(compose(*LADDER, *typed, *terms, "experiment.at=initial")).prepared

    assert prepared.parameters.tolist() == [0.4, 0.4]
    assert prepared.ideal == pytest.approx(np.cos(0.4) ** 2)


@pytest.mark.parametrize(("unit", "constant"), [(1.0, 0.0), (2.0**-30, 0.0), (2.0**30, 0.0), (1.0, 1e7)])
def test_the_optimum_is_found_in_any_unit(unit: float, constant: float) -> None:
    """The lowest energy of XX + 0.5 YY + 0.3 ZI, which the ansatz reaches, by dense algebra."""
    terms = f"[[XX,{unit}],[YY,{0.5 * unit}],[ZI,{0.3 * unit}],[II,{constant}]]"
    typed = ("hamiltonian=pauli", f"hamiltonian.terms={terms}")
    prepared = Preparation(compose(*LADDER, *typed)).prepared
    x, y, z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
    matrix = np.kron(x, x) + 0.5 * np.kron(y, y) + 0.3 * np.kron(z, np.eye(2))

    assert (prepared.ideal - constant) / unit == pytest.approx(np.linalg.eigvalsh(matrix)[0], abs=1e-6)


def test_the_figure_says_how_far_off_and_at_what_price() -> None:
    """Labels as printed from the numbers; a table that is no ladder is not drawn."""
    row = {
        "rung": "raw", "energy": -0.9, "stddev": 0.01, "error": 0.1, "shots": 1000, "qpu_seconds": 2.0, "cost": 1.6,
    }  # fmt: skip
    figure = ladder([row], -1.0, "Hartree")

    assert figure is not None
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == ["ideal −1.0000", "off by +0.1000 ± 0.0100", "1.60 USD\n1 000 shots"]
    assert ladder([{"index": 0, "value": 1.0}], -1.0, "J") is ladder([row], None, "J") is None


@pytest.mark.parametrize("expiry", ["reopen", "stop"])
def test_noise_is_not_learned_in_one_session_after_the_other(
    workdir: Path, capsys: pytest.CaptureFixture[str], expiry: str
) -> None:
    """Learning takes 61.2 s of QPU time, by its jobs' own count, and a session of 60 s takes no other job then."""
    settings = [*LADDER, "session.max_time=60", f"session.on_expiry={expiry}", "hydra.run.dir=run"]
    if expiry == "stop":
        assert main(settings) == 3
        assert "opens another session" in capsys.readouterr().out
        settings = ["resume", "run"]
    assert main(settings) == 1

    out = capsys.readouterr().out
    assert "session ended when noise had been learned in it, before a job that uses it" in out
    assert "go on with" not in out
    assert "going on" not in out
    done = [
        event for event in read_journal(Path("run/journal.jsonl")).events if event.kind == "job.completed"
    ]
    learned = [event.qpu_seconds for event in done if event.workload == "noise-learner"]
    assert len(learned) == 2
    assert min(learned) > 60
    assert main(["resume", "run"]) == 1
    again = [
        event for event in read_journal(Path("run/journal.jsonl")).events if event.kind == "job.completed"
    ]
    assert len(again) == len(done)


@pytest.mark.parametrize(
    ("limits", "learned"),
    [
        (("session.max_cost=20",), 0),  # USD, where learning alone takes 49
        (("session.max_time=70", "session.on_expiry=reopen"), 2),  # seconds, where it takes 61
        (("session.max_time=70",), 1),
    ],
)
def test_rows_add_up_to_what_was_paid(workdir: Path, limits: tuple[str, ...], learned: int) -> None:
    """By the jobs in the journal: what was learned again counts again, and what never ran has no row."""
    typed = ("experiment.rungs=[raw,zne,pec,pea]", "estimator.default_shots=1000", "session=batch")
    result = run(compose(*LADDER, *typed, *limits))
    recorded = read_journal(result.directory / "journal.jsonl").events
    done = {event.job: event for event in recorded if event.kind == "job.completed" and event.qpu_seconds}
    learning = [event for event in done.values() if event.workload == "noise-learner"]
    works = [event.work for event in recorded if event.kind == "job.submitted" and event.job in done]
    rows = [row for row in result.table if row["rung"] == "learning"]

    def together(name: str, table: list[dict[str, Any]]) -> float:
        return sum(row[name] for row in table)

    assert len(learning) == learned
    assert bool(rows) == bool(learned)
    assert together("qpu_seconds", rows) == pytest.approx(sum(event.qpu_seconds for event in learning))
    assert together("cost", rows) == pytest.approx(0.8 * together("qpu_seconds", rows))
    assert together("qpu_seconds", result.table) == pytest.approx(result.qpu_seconds)
    assert result.qpu_seconds == pytest.approx(sum(event.qpu_seconds for event in done.values()))
    assert together("shots", result.table) == result.shots
    assert result.shots == sum(executions for work in works for executions, _ in work)


def test_a_session_that_is_over_when_noise_is_learned_is_refused(workdir: Path) -> None:
    """Before anything is paid for, where the estimator says that noise is learned."""
    declared = compose(
        "experiment=vqe", "backend=fake_manila", "estimator=pec", "estimator.default_shots=512", "session.max_time=60",
        "tracking=off",
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"60 s are over when noise has been learned, about 61\.2 s"):
        run(declared)
