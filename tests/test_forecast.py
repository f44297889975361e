"""A forecast is what a run takes that uses its whole budget, and says what will end it before."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from qiskit.circuit import Parameter, QuantumCircuit

from runner import compose, run
from runner.__main__ import main
from runner.display.words import clock
from runner.errors import ConfigError
from runner.record.journal import read_journal
from runner.whatif.forecast import forecast, table
from runner.whatif.rehearsal import each_once
from tests.choices import choice, choices

BUDGET = 30
pytestmark = pytest.mark.usefixtures(
    "workdir"
)  # what is usual is looked up among the runs below the current folder

SMALL = ("tracking=off", "run.figures=false", "ansatz=real_amplitudes", f"optimizer.max_evaluations={BUDGET}")
UNUSED = 1
"""Evaluations that are left over where a method takes two at once."""


ALIKE = (
    "bfgs", "cg", "tnc", "slsqp", "dogleg", "trust_ncg", "trust_krylov", "trust_exact", "trust_constr", "newton_cg",
    "cobyqa", "powell",
)  # fmt: skip
"""Optimizers whose jobs are of the same kind as another one's."""


@pytest.mark.parametrize(
    "optimizer",
    [pytest.param(name, marks=pytest.mark.nightly if name in ALIKE else ()) for name in choices("optimizer")],
)
def test_forecast_agrees_with_runs_that_use_their_budget(optimizer: str, tmp_path: Path) -> None:
    """Usage, jobs and cost within 5 % for every optimizer; a run that converges earlier takes less."""
    curved = choice("optimizer", optimizer).uses_hessian
    estimator = ("estimator=exact",) if curved else ("estimator=level0", "estimator.default_shots=200")
    config = compose(*SMALL, f"optimizer={optimizer}", *estimator)

    found = forecast(config)
    actual = run(config, directory=str(tmp_path / "run"))

    jobs = sum(
        event.kind == "job.submitted" for event in read_journal(tmp_path / "run" / "journal.jsonl").events
    )
    assert found.fits
    if "used up" in actual.stop_reason or actual.evaluations >= BUDGET - UNUSED:
        assert found.usage_seconds == pytest.approx(actual.usage_seconds, rel=0.05)
        assert found.cost == pytest.approx(actual.cost, rel=0.05)
        assert found.jobs == pytest.approx(jobs, rel=0.05)
    else:
        assert found.usage_seconds >= actual.usage_seconds


@pytest.mark.parametrize(
    "session",
    [
        ("session=batch", "session.queue_delay.seconds=30"),
        ("session=job", "session.queue_delay.kind=lognormal", "session.queue_delay.seconds=5"),
        ("session=payg", "session.latency=70"),
        ("session.max_time=60", "session.on_expiry=reopen", "session.queue_delay.seconds=7"),
        ("backend=generic", "session.overhead=0.5", "session.rep_delay=0.001"),
    ],
)
def test_forecast_agrees_in_every_mode(session: tuple[str, ...], tmp_path: Path) -> None:
    """Queueing, time-outs, re-activation, re-opening and the cost model are the run's own."""
    config = compose(*SMALL, *session)

    found = forecast(config)
    actual = run(config, directory=str(tmp_path / "run"))

    events = read_journal(tmp_path / "run" / "journal.jsonl").events
    assert found.usage_seconds == pytest.approx(actual.usage_seconds, rel=0.05)
    assert found.cost == pytest.approx(actual.cost, rel=0.05)
    assert found.wall_seconds == pytest.approx(
        max(event.said().get("time", 0.0) for event in events), rel=0.05
    )


LONG = (
    "adapt_vqe", "dissociation_curve", "vqd", "dynamics", "kicked_ising", "krylov", "mitigation_ladder", "sqd",
    "varqite",
)  # fmt: skip
"""Experiments with many optimizations or circuits; made smaller, test_presets.py forecasts them too."""


@pytest.mark.parametrize(
    "experiment",
    [pytest.param(name, marks=pytest.mark.nightly if name in LONG else ()) for name in choices("experiment")],
)
def test_every_experiment_can_be_forecast(experiment: str, workdir: Path) -> None:
    """Made-up numbers are good enough for every algorithm's own program."""
    if experiment == "sqd":
        for package in ("ffsim", "pyscf", "qiskit_addon_sqd"):
            pytest.importorskip(package)
    found = forecast(
        compose(f"experiment={experiment}", "hydra.mode=RUN", "tracking=off", "optimizer.max_evaluations=20")
    )

    assert found.jobs >= 1
    assert found.shots >= 1
    assert found.usage_seconds > 0


SHRUNK = {
    "adapt_vqe": ("hamiltonian=h2",),
    "dissociation_curve": ("experiment.values=[0.7,0.9,1.2]", "gradient=adjoint"),
    "dynamics": ("hamiltonian.shape=[3]", "experiment.steps=2"),
    "kicked_ising": ("experiment.points=2",),
    "qaoa": ("hamiltonian.nodes=4", "ansatz.reps=1", "optimizer.max_evaluations=20"),
    "vqd": ("experiment.levels=2", "experiment.starts=1", "gradient=adjoint"),
    "varqite": ("experiment.steps=2",),
    "vqe": ("optimizer.max_evaluations=20",),
    "vqe_race": ("optimizer.max_evaluations=20",),
}
"""What makes a preset small; budgets are left where the method ends by itself."""
QUICK = ("estimation", "sampling", "qaoa")


@pytest.mark.parametrize(
    "experiment",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.nightly)
        for name in choices("experiment")
        if not name.startswith(("sweep_", "search_"))
    ],
)
def test_every_preset_takes_what_its_forecast_says(experiment: str, workdir: Path) -> None:
    """Within 5 %: of the bound where the budget is used up, of the usual figure where it ends before."""
    config = compose(
        f"experiment={experiment}", "tracking=off", "run.figures=false", *SHRUNK.get(experiment, ())
    )

    found = forecast(config)
    actual = run(config)

    jobs = sum(
        event.kind == "job.submitted" for event in read_journal(actual.directory / "journal.jsonl").events
    )
    if found.usual is None:
        assert found.usage_seconds == pytest.approx(actual.usage_seconds, rel=0.05)
        assert found.jobs == jobs
    else:
        assert found.usage_seconds >= actual.usage_seconds
        assert found.usual.usage_seconds == pytest.approx(actual.usage_seconds, rel=0.05)
        assert found.usual.jobs == jobs
        assert found.usual.cost == pytest.approx(found.usual.usage_seconds * 0.8)
        assert found.usual.source == "tried here with seed 1"


HVA = (
    "experiment=dissociation_curve", "hamiltonian=tfim", "ansatz=hva", "experiment.parameter=field",
    "session.on_expiry=reopen",
)  # fmt: skip
NIGHTLY = pytest.mark.nightly


@pytest.mark.parametrize(
    "declared",
    [
        (),
        pytest.param(("seed=5",), marks=NIGHTLY),
        (*HVA, "hamiltonian.shape=[3]", "experiment.values=[0.5,1.0]", "ansatz.reps=2"),
        pytest.param((*HVA, "hamiltonian.shape=[4]", "experiment.values=[0.5,1.0,2.0]"), marks=NIGHTLY),
        pytest.param(("experiment=adapt_vqe", "hamiltonian=h2"), marks=NIGHTLY),
        pytest.param(("experiment=adapt_vqe", "hamiltonian=lih_4q"), marks=NIGHTLY),
        pytest.param(("experiment=vqd", "hamiltonian=h2", "ansatz=uccsd", "ansatz.reps=2"), marks=NIGHTLY),
        pytest.param(
            ("hamiltonian=h2", "ansatz=uccsd", "estimator=exact", "optimizer=cma_es"), marks=NIGHTLY
        ),
    ],
)
def test_what_is_usual_is_what_a_run_takes(declared: tuple[str, ...], workdir: Path) -> None:
    """How early methods end, the landscape alone tells: from 21 to 162 gradients for one chain at two fields."""
    config = compose("tracking=off", "run.figures=false", *declared)

    found = forecast(config).usual
    actual = run(config)

    assert found is not None
    assert found.usage_seconds == pytest.approx(actual.usage_seconds, rel=0.05)


def test_energies_are_counted_as_a_run_counts_them(workdir: Path) -> None:
    """An ansatz that grows looks at the gradients of its pool, whose energies no optimizer asks for."""
    declared = (
        "experiment=adapt_vqe",
        "hamiltonian=h2",
        "experiment.max_operators=1",
        "optimizer=nft",
        "gradient=auto",
    )
    config = compose(
        "tracking=off", "run.figures=false", "estimator=level0", "estimator.default_shots=600", *declared
    )

    found = forecast(config)
    actual = run(config)

    assert found.evaluations == config.optimizer.max_evaluations
    assert found.usual is not None
    assert (found.usual.evaluations, found.usual.usage_seconds) == (
        actual.evaluations,
        pytest.approx(actual.usage_seconds),
    )


@pytest.mark.parametrize(
    ("declared", "evaluations"),
    [
        ((), 1 + 7 * (1 + 2 * 12)),  # NFT: a fresh energy and two more for each of 12 angles, seven times
        (("optimizer=l_bfgs_b", "estimator=exact"), 14),  # 2.3 · 12^0.7 = 13.1
        pytest.param(
            ("experiment=adapt_vqe", "hamiltonian=h2"), 5, marks=NIGHTLY
        ),  # one of three excitations
    ],
)
def test_circuits_too_large_to_be_tried_go_by_measured_counts(
    declared: tuple[str, ...], evaluations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts by hand from the measured ones; a last energy of which nothing could follow may be left out."""
    monkeypatch.setattr("runner.whatif.rehearsal.TRIED_QUBITS", 1)

    found = forecast(compose("tracking=off", *declared)).usual

    assert found is not None
    assert found.source == "by its method's usual count"
    assert found.evaluations in (evaluations - 1, evaluations)


def test_what_was_recorded_tells_what_is_usual(workdir: Path) -> None:
    """Finished runs of the same configuration, by their median; the seed may differ, the shots may not."""
    quick = (*SMALL, "optimizer.max_evaluations=5")
    taken = [run(compose(*quick, f"seed={seed}")) for seed in (1, 2)]

    found = forecast(compose(*quick, "seed=3"))
    other = forecast(compose(*quick, "estimator.default_shots=77"))

    assert other.usual is None
    assert found.usual is not None
    assert found.usual.source == "median of 2 recorded runs"
    assert found.usual.usage_seconds == pytest.approx(sum(result.usage_seconds for result in taken) / 2)
    assert found.usual.evaluations == 5
    assert dict(table(found))["usually"].startswith("5 evaluations")


def test_a_target_is_forecast_by_its_bound_and_by_random_states(workdir: Path) -> None:
    """The declared standard error takes at most the bound's shots; the run stays below, the usual figure too."""
    config = compose(*SMALL, "hamiltonian=h2", "estimator=target", "optimizer.max_evaluations=10")

    found = forecast(config)
    actual = run(config)

    assert found.usual is not None
    assert found.usage_seconds >= max(found.usual.usage_seconds, actual.usage_seconds)
    assert found.usage_seconds > 1.5 * found.usual.usage_seconds


def test_exact_energies_are_charged_with_the_declared_shots() -> None:
    """H2 has five bases, 350 µs an execution: 2 s + 512 · 5 · 350 µs, by docs/cost.md."""
    found = forecast(
        compose("tracking=off", "hamiltonian=h2", "ansatz=uccsd", "estimator=exact", "optimizer=cobyla",
                "estimator.default_shots=512", "optimizer.max_evaluations=1")
    )  # fmt: skip

    assert found.qpu_seconds == pytest.approx(found.jobs * (2 + 512 * 5 * 350e-6))


def documented() -> list[str]:
    """Commands of docs/experiments.md that run one experiment."""
    page = (Path(__file__).parents[1] / "docs" / "experiments.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", page, re.S | re.M)).replace("\\\n", " ")
    return [line for line in blocks.splitlines() if line.startswith("python -m runner experiment=")]


@pytest.mark.parametrize(
    "command",
    [pytest.param(line, marks=() if "estimation" in line else NIGHTLY) for line in documented()],
)
def test_documented_experiments_end_before_their_session(command: str, workdir: Path) -> None:
    """Tried as they stand, none of them is stopped by the longest session of its plan."""
    found = forecast(compose(*shlex.split(command)[3:], "tracking=off"))

    assert found.fits or (found.usual is not None and found.usual.fits)


def test_a_session_that_is_too_short_is_told_with_the_moment() -> None:
    """Numbers are those of the whole budget; what breaks first is named."""
    found = forecast(compose(*SMALL, "optimizer=cobyla", "session.max_time=2m"))

    whole = forecast(compose(*SMALL, "optimizer=cobyla"))
    assert not found.fits
    assert found.jobs == whole.jobs
    assert found.usage_seconds == pytest.approx(whole.usage_seconds)
    assert "of 30 evaluations" in str(found.breaks_first)
    assert [limit.name for limit in found.limits if not limit.fits] == ["session.max_time"]


def test_a_job_that_is_too_long_breaks_first() -> None:
    """A limit that one energy keeps ends the run at the first job of several; one that none keeps is refused."""
    with pytest.raises(ConfigError, match=r"max_execution_time: one energy is a job of about 12 s"):
        forecast(compose(*SMALL, "estimator.max_execution_time=5"))
    found = forecast(compose(*SMALL, "optimizer=spsa", "estimator.max_execution_time=15"))

    assert not found.fits
    assert [limit.name for limit in found.limits if not limit.fits] == ["estimator.max_execution_time"]


def test_the_open_plans_allocation_is_a_limit() -> None:
    """Ten minutes per 28 days: more may run here, but not there."""
    found = forecast(compose(*SMALL, "session=job", "session.plan=open", "optimizer.max_evaluations=80"))

    assert not found.fits
    assert found.cost == 0
    assert "allocation" in str(found.breaks_first)


@pytest.mark.parametrize("optimizer", ["spsa", "l_bfgs_b"])
def test_long_budgets_are_reckoned_from_a_part(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rehearsing 100 evaluations of 250 gives what rehearsing all of them gives."""
    from runner.whatif import rehearsal

    config = compose(f"optimizer={optimizer}", "optimizer.max_evaluations=250")
    monkeypatch.setattr(rehearsal, "REHEARSED", 250)
    whole = forecast(config)
    monkeypatch.setattr(rehearsal, "REHEARSED", 100)

    part = forecast(config)

    assert part.jobs == pytest.approx(whole.jobs, rel=0.02)
    assert part.usage_seconds == pytest.approx(whole.usage_seconds, rel=0.02)
    assert part.wall_seconds == pytest.approx(whole.wall_seconds, rel=0.02)


@pytest.mark.parametrize(("sweeps", "most", "evaluations"), [(4, 2000, 101), (4, 60, 60), (1, 2000, 26)])
def test_sweeps_are_forecast_as_declared(sweeps: int, most: int, evaluations: int) -> None:
    """By hand: a sweep over twelve rotations is 1 + 12 × 2 energies, and there is one before the first.

    The last two of a budget that ends within a pair are not evaluated.
    """
    found = forecast(
        compose("optimizer=nft", f"optimizer.sweeps={sweeps}", f"optimizer.max_evaluations={most}")
    )

    assert found.bounded
    assert evaluations - UNUSED <= found.evaluations <= evaluations


@pytest.mark.parametrize(
    "optimizer",
    [
        (
            "optimizer=spsa",
            "optimizer.learning_rate=0.2",
            "optimizer.perturbation=0.2",
            "optimizer.iterations=1",
        ),
        ("optimizer=nft", "optimizer.sweeps=1"),
    ],
)
def test_what_a_landscape_decides_is_forecast_as_at_most(optimizer: tuple[str, ...], tmp_path: Path) -> None:
    """Whether a job chooses among the answer and the lowest evaluation: no run takes more, and the forecast says so."""
    declared = (*SMALL[:3], *optimizer, "estimator=level0", "estimator.default_shots=1")

    found = forecast(compose(*declared))
    taken = [
        run(compose(*declared, f"seed={seed}"), directory=str(tmp_path / str(seed))) for seed in (1, 2, 3)
    ]

    assert max(result.shots for result in taken) == found.shots
    without = found.usage_seconds - found.choosing_seconds
    for result in taken:
        expected = found.usage_seconds if result.shots == found.shots else without
        assert result.usage_seconds == pytest.approx(expected, rel=0.01)
    assert "at most" in dict(table(found))
    assert f"{clock(found.choosing_seconds)} less" in dict(table(found))["at most"]


def test_costs_are_told_for_every_plan() -> None:
    """The same usage at each plan's price; the open plan has no sessions."""
    found = forecast(compose(*SMALL))

    assert found.costs["premium"] == found.cost
    assert found.costs["payg"] == pytest.approx(2 * found.cost)
    assert found.costs["open"] is None


def test_an_optimizer_without_budget_is_called_a_guess() -> None:
    """Nobody can know how long it will take."""
    assert not forecast(compose(*SMALL, "optimizer.max_evaluations=null")).bounded


def test_the_verb_prints_a_table_and_writes_forecast_json(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file lies in hydra.run.dir, from where a run takes it along, or below outputs/forecasts."""
    code = main(["forecast", "optimizer=cobyla", "optimizer.max_evaluations=5", "hydra.run.dir=here"])
    printed = capsys.readouterr().out
    main(["forecast", "optimizer.max_evaluations=5"])

    content = json.loads((workdir / "here" / "forecast.json").read_text())
    assert code == 0
    assert {"usage_seconds", "wall_seconds", "cost", "jobs", "shots", "fits"} <= set(content)
    assert content["jobs"] == 6
    assert content["fits"] is True
    assert "fits" in printed
    assert len(list((workdir / "outputs" / "forecasts").glob("*/forecast.json"))) == 1


def test_what_the_device_takes_is_told_before_this_computer_is_tried(
    workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the trial comes to nothing, the table was printed, and no file is written."""

    def stopped(*_: object, **__: object) -> None:
        raise ConfigError("no trial")

    monkeypatch.setattr("runner.whatif.effort.effort", stopped)
    code = main(["forecast", "optimizer=cobyla", "optimizer.max_evaluations=5", "hydra.run.dir=here"])

    printed = capsys.readouterr().out
    assert re.search(r"^fits +yes$", printed, re.MULTILINE)
    assert code == 2
    assert "on this computer" not in printed
    assert not (workdir / "here").exists()


def test_each_instruction_once_keeps_qubits_couplings_and_kinds() -> None:
    """By hand: of two alike the first stays; other angles, other qubits and what depends on a parameter are kinds."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(3)
    circuit.rz(0.5, 0)
    circuit.cx(0, 1)
    circuit.rz(0.5, 0)
    circuit.rz(a, 0)
    circuit.rz(a + b, 0)
    circuit.cx(0, 1)
    circuit.cx(1, 0)
    circuit.rz(0.25, 0)
    circuit.x(2)

    once = each_once(circuit)

    assert [
        (item.name, [circuit.find_bit(bit).index for bit in item.qubits], item.params) for item in once.data
    ] == [
        ("rz", [0], [0.5]), ("cx", [0, 1], []), ("rz", [0], [a]), ("cx", [1, 0], []), ("rz", [0], [0.25]),
        ("x", [2], []),
    ]  # fmt: skip


@pytest.mark.parametrize(("sites", "refused"), [(3, False), (20, True)])
def test_a_forecast_refuses_what_a_run_refuses(sites: int, refused: bool) -> None:
    """Exact values under noise are those of a density matrix, of 16·4²⁰ bytes: more than any machine has."""
    declared = compose(
        *SMALL, "backend=fake_torino", "estimator=exact", "hamiltonian=tfim", f"hamiltonian.shape=[{sites}]"
    )
    if not refused:
        assert forecast(declared).fits
        return
    for tried in (forecast, run):
        with pytest.raises(ConfigError, match="density matrix of 20 qubits"):
            tried(declared)


@pytest.mark.parametrize("declared", [("optimizer=spsa",), ("hamiltonian=tfim", "hamiltonian.shape=[9]")])
def test_a_forecast_simulates_nothing_that_is_large_or_known(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, declared: tuple[str, ...]
) -> None:
    """No simulation of a method that uses its budget up, or of nine qubits; never a job, a journal or a file."""
    from runner.engine.estimator import EstimatorPlan

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a circuit was simulated")

    forecast(compose(*SMALL))
    monkeypatch.setattr(EstimatorPlan, "run", refuse)
    forecast(compose(*SMALL, *declared))

    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize("level", [pytest.param(0, marks=NIGHTLY), 2])
def test_a_real_machine_is_forecast_from_its_snapshot_without_an_account(
    level: int, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every level as long as the same circuit on the snapshot takes; what it was, and what is not known, is said."""

    def no_account() -> None:
        raise ConfigError("no usable IBM Quantum account", key="backend")

    monkeypatch.setattr("runner.services.connect", no_account)
    words = (*SMALL, f"estimator=level{level}")
    ibm = forecast(compose(*words, "backend=ibm", "backend.name=ibm_torino"))
    snapshot = forecast(compose(*words, "backend=fake_torino"))

    assert ibm.circuit == snapshot.circuit
    assert ibm.circuit["duration_seconds"] > 1e-6
    assert (ibm.usage_seconds, ibm.shots, ibm.cost) == (
        snapshot.usage_seconds,
        snapshot.shots,
        snapshot.cost,
    )
    assert ibm.mitigation == snapshot.mitigation
    assert (ibm.mitigation is None) == (level == 0)
    assert ibm.stand_in is not None
    assert "snapshot fake_torino" in ibm.stand_in
    assert snapshot.stand_in is None
    assert ibm.between is not None
    assert f"adds {clock(ibm.jobs - 1)}, {(ibm.jobs - 1) * 0.8:.2f} USD" in ibm.between
    assert ("between jobs", ibm.between) in table(ibm)
    assert snapshot.between is None
    with pytest.raises(ConfigError, match=r"'ibm_nowhere' cannot be forecast without an account.* ibm_"):
        forecast(compose(*SMALL, "backend=ibm", "backend.name=ibm_nowhere"))
