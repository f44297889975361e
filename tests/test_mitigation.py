"""Mitigation as an experiment declares it: checked before anything is created, repeated on resume, and priced."""

from __future__ import annotations

import dataclasses
import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from runner import compose, run
from runner.__main__ import main
from runner.declare.mitigation import ZneConfig
from runner.errors import ConfigError
from runner.record.events import JobCompleted, JobSubmitted
from runner.record.journal import read_journal
from runner.record.log import of
from runner.record.replay import LEARNER
from runner.review.figures.mitigation import extrapolation
from runner.run.execution import resume
from runner.run.mitigation import Added, measured
from runner.run.preflight import Preparation
from runner.run.progress import fit_in_words, mitigation_lines
from runner.run.results import RunResult
from runner.runtime.cost import CostModel
from runner.tracking.translation import Translation
from runner.whatif.forecast import forecast, table
from runner.whatif.retime import columns
from tests import journals
from tests.choices import choice

pytestmark = pytest.mark.skipif(
    find_spec("qiskit_mitigation") is None, reason="clients before 0.50 have none"
)
QUICK = (
    "backend=fake_manila",
    "optimizer=spsa",
    "optimizer.max_evaluations=8",
    "tracking=off",
    "run.figures=false",
    "estimator.default_shots=256",
)


def test_what_is_declared_are_the_clients_options() -> None:
    """Nothing is said of what is null, and nothing at all at level 0."""
    level2 = choice("estimator", "level2", zne={"noise_factors": [1, 2, 3], "amplifier": None})

    assert choice("estimator", "level0").mitigation == choice("estimator", "shots").mitigation == {}
    assert choice("estimator", "level1").mitigation == {"resilience_level": 1}
    assert level2.mitigation["resilience_level"] == 2


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (
            ("estimator=level2", "estimator.zne.noise_factors=[1]"),
            r"^estimator\.zne\.noise_factors: Must have at least",
        ),
        (
            ("estimator=level2", "estimator.zne.noise_factors=[1,1e9]"),
            r"^estimator\.zne\.noise_factors: noise × 1e\+09 is that of .* two-qubit gates",
        ),
        (
            ("estimator=level2", "estimator.zne.noise_factors=[3,3]"),
            r"^estimator\.zne\.noise_factors: exponential requires at least 2 different",
        ),
        (
            ("estimator=level1", "estimator.zne.noise_factors=[1,3]"),
            r"^estimator\.zne\.noise_factors: acts with zne_m",
        ),
        (("estimator=level2", "estimator.twirling.strategy=some"), r"^estimator\.twirling\.strategy: "),
        (("estimator=level1", "backend=ideal"), r"^estimator\.resilience_level: .* has no noise"),
        (
            ("estimator=page", "backend=ideal"),
            r"has no noise; use estimator=level0, or a backend with noise$",
        ),
        (("estimator.resilience_level=3",), r"^estimator\.resilience_level: "),
        (("estimator=level1", "estimator.final=level3"), r"^estimator\.final: "),
        (
            ("estimator=level0", "estimator.final=level1", "backend=ideal"),
            r"^estimator\.resilience_level: .* no noise",
        ),
        (
            ("estimator=level0", "estimator.final=level2", "estimator.grouping=sorted"),
            r"^estimator\.grouping: ",
        ),
    ],
)
def test_what_cannot_act_is_refused_before_anything_is_created(
    workdir: Path, typed: tuple[str, ...], told: str
) -> None:
    """In one line, with the name that was typed."""
    with pytest.raises(ConfigError, match=told):
        Preparation(compose(*QUICK, *typed))

    assert not list(workdir.iterdir())


def test_a_mitigated_run_goes_on_to_the_same_bits_and_tells_its_price(workdir: Path) -> None:
    """Cut after its fourth job; what was added is what the calibration takes: 256 shots more for each job."""
    typed = (*QUICK, "estimator=level1", "estimator.default_shots=256")
    whole = run(compose(*typed), directory="whole")
    lines = (workdir / "whole/journal.jsonl").read_text().splitlines(keepends=True)
    ends = [place for place, line in enumerate(lines) if json.loads(line)["kind"] == "job.completed"]
    (workdir / "cut").mkdir()
    (workdir / "cut/journal.jsonl").write_text("".join(lines[: ends[3] + 1]))
    (workdir / "cut/config.yaml").write_text((workdir / "whole/config.yaml").read_text())
    again = resume("cut")

    assert (again.energy, again.stddev, again.parameters) == (whole.energy, whole.stddev, whole.parameters)
    assert again.mitigation == whole.mitigation
    jobs = list(of(read_journal("whole/journal.jsonl").events, JobSubmitted))
    assert all(len(job.work or []) == 2 and len(job.unmitigated or []) == 1 for job in jobs)
    assert whole.mitigation is not None
    assert whole.mitigation["setting"].startswith("resilience level 1: readout (TREX)")
    assert 0 < whole.mitigation["qpu_seconds"] == pytest.approx(len(jobs) * 256 * 255e-6, rel=0.2)


def test_what_was_added_is_of_the_jobs_whose_time_stands_beside_it(workdir: Path) -> None:
    """A run that a budget stopped and that went on says of its own jobs what one says that was never stopped.

    The result was measured where it had stopped; by hand, each job adds the calibration's 256 shots of 255 µs.
    """
    typed = (*QUICK, "estimator=level1", "session=batch")
    whole = run(compose(*typed), directory="whole")
    assert whole.shots is not None
    assert whole.qpu_seconds is not None
    stopped = run(compose(*typed, f"optimizer.max_shots={whole.shots - 1}"), directory="parts")
    again = resume("parts", overrides=["optimizer.max_shots=10000000"])

    assert whole.mitigation is not None
    assert again.measured_before is not None
    assert stopped.evaluations < again.evaluations
    assert (again.mitigation, again.qpu_seconds) == (whole.mitigation, whole.qpu_seconds)
    measured = again.measured_before["jobs"]
    assert measured > 0
    assert again.measured_before["mitigation_qpu_seconds"] == pytest.approx(measured * 256 * 255e-6, rel=0.2)
    found = {
        point.key: point.value
        for told in [Translation()]
        for event in read_journal("parts/journal.jsonl").events
        for point in told.feed(event)
    }
    for name in ("qpu_seconds", "cost"):
        both = whole.mitigation[name] + again.measured_before[f"mitigation_{name}"]
        assert found[f"mitigation/{name}"] == pytest.approx(both, rel=1e-12)
    assert found["result/qpu_seconds"] > whole.qpu_seconds


@pytest.mark.parametrize(
    ("level", "optimizer"),
    [("level1", "cobyla"), ("level2", "spsa")]
    + [pytest.param("level2", name, marks=pytest.mark.nightly) for name in ("nft", "l_bfgs_b", "adam")],
)
def test_the_forecast_is_what_is_charged_and_everybody_tells_it(
    workdir: Path, level: str, optimizer: str
) -> None:
    """Within 5 %, also what mitigation adds; MLflow and the report have the run's own numbers."""
    typed = (f"estimator={level}", "estimator.default_shots=512", f"optimizer={optimizer}")
    config = compose(*QUICK, *typed, "optimizer.max_evaluations=12")
    found = forecast(config)
    result = run(config, directory="run")

    assert found.mitigation is not None
    assert result.mitigation is not None
    assert found.usage_seconds == pytest.approx(result.usage_seconds, rel=0.05)
    for name in ("qpu_seconds", "cost"):
        assert found.mitigation[name] == pytest.approx(result.mitigation[name], rel=0.05)
    assert found.mitigation["setting"] == result.mitigation["setting"]
    assert dict(table(found))["mitigation"] == result.mitigation["setting"]
    assert (column := columns("run")[0].retimed).usage_seconds == result.usage_seconds
    assert column.qpu_seconds == pytest.approx(result.qpu_seconds)
    told = Translation()
    points = {
        point.key: point.value
        for event in read_journal("run/journal.jsonl").events
        for point in told.feed(event)
    }
    assert points["mitigation/cost"] == result.mitigation["cost"]
    assert points["mitigation/qpu_seconds"] == result.mitigation["qpu_seconds"]
    assert main(["report", "run"]) == 0
    assert "mitigation adds" in Path("run/report.html").read_text()


LEARNS = (
    *QUICK,
    "estimator=pec",
    "estimator.default_shots=256",
    "estimator.layer_noise_learning.num_randomizations=8",
    "estimator.layer_noise_learning.shots_per_randomization=256",
    "estimator.layer_noise_learning.layer_pair_depths=[0,8]",
)


@pytest.fixture(scope="module")
def cancelled(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A short optimization whose noise is learned once and cancelled in every job."""
    return run(compose(*LEARNS), directory=str(tmp_path_factory.mktemp("learns") / "run"))


def test_noise_is_learned_by_one_job_of_the_session_and_kept_with_the_run(cancelled: RunResult) -> None:
    """Of 19 circuits of 8 · 256 shots; the file, the journal, MLflow and the report tell the same. It occurs twice."""
    directory = cancelled.directory
    events = read_journal(directory / "journal.jsonl").events
    jobs = list(of(events, JobSubmitted))
    (job,) = (one for one in jobs if one.program == "noise-learner")
    (over,) = (one for one in of(events, JobCompleted) if one.job == job.job)
    (layer,) = json.loads((directory / "noise_model.json").read_text())["layers"]
    told = Translation()
    points = {point.key: point.value for event in events for point in told.feed(event)}
    mitigation = cancelled.mitigation
    assert mitigation is not None
    learning = mitigation["learning"]

    assert jobs[0] is job
    assert over.result is not None
    assert layer["rates"] == over.result[0]["rates"]
    assert (layer["device"], len(layer["rates"])) == ("fake_manila", 15)
    assert learning["shots"] == sum(int(count) for count, _ in job.work or ()) == (9 * 2 + 1) * 8 * 256
    assert learning["qpu_seconds"] == over.qpu_seconds == pytest.approx(2 + 19 * 8 * 256 * 255e-6, rel=0.1)
    assert learning["cost"] == pytest.approx(0.8 * over.qpu_seconds)
    assert mitigation["sampling_overhead"] == pytest.approx(math.exp(2 * 4 * sum(layer["rates"])))
    assert (mitigation["noise_gain"], mitigation["mitigated"]) == (0, cancelled.energy)
    assert mitigation["qpu_seconds"] > over.qpu_seconds
    assert points["mitigation/learning_qpu_seconds"] == over.qpu_seconds
    assert points["mitigation/sampling_overhead"] == mitigation["sampling_overhead"]
    assert main(["report", str(directory)]) == 0
    assert layer["layer"] in (page := (directory / "report.html").read_text())
    assert "sampling overhead" in page
    assert any(layer["layer"] in words for _, words in mitigation_lines(mitigation))


@pytest.mark.parametrize(
    ("gain", "left", "words"),
    [
        (0.0, "", "cancelled"),
        (0.25, "0.25 of the noise is left", "but for 0.25 of it"),
        (1.0, "all noise is left", "not at all"),
    ],
)
@pytest.mark.usefixtures("workdir")
def test_what_cancelling_leaves_of_the_noise_is_told_of_several_values(
    gain: float, left: str, words: str
) -> None:
    """γ of the layer, which occurs twice, to the power of 2 · 2 · (1 − gain), by pencil."""
    learning = "estimator.layer_noise_learning"
    found = run(
        compose(
            "experiment=estimation", "ansatz.gates=[[ry,0.7,0],[cx,0,1],[ry,0.4,1],[cx,0,1]]", *QUICK[:1], *QUICK[3:],
            "experiment.observables=[ZZ,XX]", "estimator=pec", f"estimator.pec.noise_gain={gain}",
            f"{learning}.num_randomizations=4", f"{learning}.layer_pair_depths=[0,4]",
        )
    ).mitigation  # fmt: skip

    assert found is not None
    (gamma,) = found["learning"]["gammas"]
    assert found["sampling_overhead"] == pytest.approx(gamma ** (4 * (1 - gain)))
    assert found["noise_gain"] == pytest.approx(gain, abs=1e-12)
    assert (found["learned_stddev"] > 0) == (gain < 1)
    assert words in found["setting"]
    assert dict(mitigation_lines(found))["  cancelled"].endswith(
        left or f"γ² = {found['sampling_overhead']:.4g}"
    )


def test_what_an_energy_was_before_is_told_of_that_energy(workdir: Path) -> None:
    """By the jobs in the journal: level 0 of two is told, not level 1, which was measured last."""
    words = (
        "experiment=vqd", "hamiltonian=pauli", "hamiltonian.terms=[[XX,1],[YY,0.5],[ZI,0.3]]", "experiment.levels=2",
        "estimator=level1", "backend=fake_manila", "optimizer=spsa", "optimizer.max_evaluations=6",
        "estimator.default_shots=200", "experiment.starts=1", "ansatz.reps=1", "tracking=off", "run.figures=false",
    )  # fmt: skip
    whole = run(compose(*words))
    recorded = of(read_journal(whole.directory / "journal.jsonl").events, JobCompleted)
    every = [job.result for job in recorded if job.result and job.workload == "result"]
    (numbers,) = [
        found[0] for found in every if [[whole.energy]] == [np.ravel(one["evs"]).tolist() for one in found]
    ]

    assert whole.mitigation is not None
    assert whole.energy == whole.table[0]["energy"] == whole.mitigation["mitigated"]
    assert whole.mitigation["raw"] == float(np.ravel(numbers["raw"])[0])
    assert whole.mitigation["stddev"] == whole.stddev


def test_nothing_is_told_of_another_point_than_the_energy_is_of() -> None:
    """By hand: two evaluations, of which the first is the lowest; a sum of several values is neither of them."""
    jobs = [
        journals.job(
            index, index, index, index + 1.0, workload="vqe",
            result=[{"evs": [energy], "stds": [0.1], "raw": [energy / 2], "shots": 64}],
        )
        for index, energy in enumerate([-1.0, -0.8])
    ]  # fmt: skip
    whole = [event for job in jobs for event in job]

    assert measured(whole, lambda _: {}, -1.0) == {"raw": -0.5, "mitigated": -1.0, "stddev": 0.1}
    assert measured(whole, lambda _: {}, -0.9) == {}
    assert measured(whole, lambda _: {}, None) == {}


def test_a_forecast_has_learned_what_the_run_will_learn(cancelled: RunResult) -> None:
    """The same seeds: γ is foreseen, and what is charged within 5 %; retiming has the recorded jobs."""
    found = forecast(compose(*LEARNS))

    assert found.shots == pytest.approx(cancelled.shots, rel=0.05)
    assert found.usage_seconds == pytest.approx(cancelled.usage_seconds, rel=0.05)
    assert found.mitigation is not None
    assert cancelled.mitigation is not None
    assert found.mitigation["qpu_seconds"] == pytest.approx(cancelled.mitigation["qpu_seconds"], rel=0.05)
    assert columns(str(cancelled.directory))[0].retimed.qpu_seconds == pytest.approx(cancelled.qpu_seconds)


@pytest.mark.parametrize(("mode", "evaluations"), [("premium", 14), ("batch", 14), ("premium", 500)])
def test_each_session_learns_and_a_forecast_counts_that(workdir: Path, mode: str, evaluations: int) -> None:
    """As many jobs that learn as sessions, by the journal; what is charged is what the forecast said, within 5 %.

    Of 500 evaluations more than are rehearsed one by one elsewhere.
    """
    words = (f"session={mode}", "session.max_time=25", "session.on_expiry=reopen")
    config = compose(*LEARNS, *words, f"optimizer.max_evaluations={evaluations}", "experiment=vqe")
    found, spent = forecast(config), run(config, directory="run")
    jobs = [
        job for job in of(read_journal("run/journal.jsonl").events, JobSubmitted) if job.program == LEARNER
    ]

    assert spent.mitigation is not None
    assert found.mitigation is not None
    assert len(jobs) == len(spent.session_ids) > 1
    learned = spent.mitigation["learning"]["qpu_seconds"]
    assert learned == pytest.approx(len(jobs) * (2 + 19 * 8 * 256 * 255e-6), rel=0.1)
    assert found.usage_seconds == pytest.approx(spent.usage_seconds, rel=0.05)
    assert found.mitigation["qpu_seconds"] == pytest.approx(spent.mitigation["qpu_seconds"], rel=0.05)


@pytest.mark.parametrize("after", [1, *(pytest.param(count, marks=pytest.mark.nightly) for count in (0, 3))])
def test_a_run_that_learns_goes_on_to_the_same_bits(cancelled: RunResult, workdir: Path, after: int) -> None:
    """Cut after the job that learns was submitted, after it came to its end, and after two more."""
    lines = (cancelled.directory / "journal.jsonl").read_text().splitlines(keepends=True)
    kind = "job.completed" if after else "job.submitted"
    ends = [place for place, line in enumerate(lines) if json.loads(line)["kind"] == kind]
    (workdir / "cut").mkdir()
    (workdir / "cut/journal.jsonl").write_text("".join(lines[: ends[max(after - 1, 0)] + 1]))
    (workdir / "cut/config.yaml").write_text((cancelled.directory / "config.yaml").read_text())
    again = resume("cut")

    assert (again.energy, again.stddev, again.parameters) == (
        cancelled.energy,
        cancelled.stddev,
        cancelled.parameters,
    )
    assert again.mitigation == cancelled.mitigation
    assert (
        Path("cut/noise_model.json").read_bytes() == (cancelled.directory / "noise_model.json").read_bytes()
    )


def test_what_one_run_has_learned_another_uses(cancelled: RunResult, workdir: Path) -> None:
    """It learns nothing and gets the same bits; another device, or a layer that is not known, is refused before."""
    given = f"estimator.layer_noise_model=run:{cancelled.directory}"
    found = run(compose(*LEARNS[:-3], given), directory="run")
    programs = {job.program for job in of(read_journal("run/journal.jsonl").events, JobSubmitted)}

    assert programs == {"estimator"}
    assert found.energy == cancelled.energy
    assert not Path("run/noise_model.json").exists()
    with pytest.raises(
        ConfigError, match=r"^estimator\.layer_noise_model: run:.* is of fake_manila, and the back"
    ):
        Preparation(compose(*LEARNS[:-3], given, "backend=device", "backend.device=fake_quito"))
    content = json.loads((cancelled.directory / "noise_model.json").read_text())
    content["layers"][0]["gates"][0][0] = "cz"
    Path("other.json").write_text(json.dumps(content))
    with pytest.raises(
        ConfigError, match=r"^estimator\.layer_noise_model: .* no noise of the layer cx\(.* of cz\("
    ):
        Preparation(compose(*LEARNS[:-3], "estimator.layer_noise_model=file:other.json"))
    with pytest.raises(ConfigError, match=r"^estimator\.layer_noise_model: run:none names no noise model"):
        Preparation(compose(*LEARNS, "estimator.layer_noise_model=run:none"))


def test_noise_is_cancelled_of_the_result_alone_where_that_is_declared(workdir: Path) -> None:
    """The loop is at level 1, and what is declared of learning is the result's."""
    del workdir
    typed = ("estimator=level1", "estimator.final=pec", "estimator.grouping=qubit_wise")
    config = compose(*QUICK, *typed, *(item for item in LEARNS if "layer_noise" in item))
    estimator = config.estimator

    assert estimator.mitigation == {"resilience_level": 1}
    assert estimator.final_mitigation["resilience"]["pec_mitigation"] is True
    assert estimator.final_mitigation["resilience"]["layer_noise_learning"]["num_randomizations"] == 8
    assert choice("estimator", "pea", zne=ZneConfig(amplifier="pea"), final="level2").final_mitigation[
        "resilience"
    ]["zne"] == {"amplifier": "pea"}
    with pytest.raises(ConfigError, match=r"^estimator\.pec_mitigation: .* use estimator\.final=pec"):
        choice("estimator", "pec", final="level2")


def test_only_what_came_to_its_end_is_added_up() -> None:
    """2 s + 100 · 1 ms without, 3 s with; a job that failed adds nothing."""
    common = {"workload": "a", "index": 0, "digest": "", "session": None, "time": 0.0}
    asked = {
        "backend": "", "tags": [], "program": "estimator", "seed": 1, "qpu_estimate": 3.0, "preparation": 0.0,
        "pubs": [], "work": [], "unmitigated": [[100, 750e-6]],
    }  # fmt: skip
    events = [
        event
        for job, status in (("1", "DONE"), ("2", "FAILED"))
        for event in (
            JobSubmitted(job=job, **common, **asked),
            JobCompleted(
                job=job,
                **common,
                status=status,
                started=0.0,
                finished=3.0,
                queue_seconds=0.0,
                qpu_seconds=3.0,
            ),
        )
    ]
    added = Added.of("level 1", events, CostModel(rep_delay=250e-6), price=2.0)

    assert added.qpu_seconds == pytest.approx(0.9)
    assert added.cost == pytest.approx(1.8)


def test_the_result_is_measured_at_a_level_of_its_own(workdir: Path) -> None:
    """3 bases and a calibration of 256 shots in the loop; of the result's 3 noise factors as well; and it goes on."""
    typed = (*QUICK, "estimator=level1", "estimator.default_shots=256", "estimator.final=level2")
    whole = run(compose(*typed), directory="whole")
    lines = (workdir / "whole/journal.jsonl").read_text().splitlines(keepends=True)
    ends = [place for place, line in enumerate(lines) if json.loads(line)["kind"] == "job.completed"]
    (workdir / "cut").mkdir()
    (workdir / "cut/journal.jsonl").write_text("".join(lines[: ends[-2] + 1]))
    (workdir / "cut/config.yaml").write_text((workdir / "whole/config.yaml").read_text())
    again = resume("cut")
    jobs = list(of(read_journal("whole/journal.jsonl").events, JobSubmitted))

    assert (again.energy, again.stddev, again.mitigation) == (whole.energy, whole.stddev, whole.mitigation)
    for job in jobs:
        circuits = 3 * math.prod(job.pubs[0]["shape"]) * (3 if job.workload == "result" else 1)
        assert sum(part[0] for part in job.work or []) == 256 * (circuits + 1)
    assert {job.workload for job in jobs} == {"vqe", "result"}
    assert whole.mitigation is not None
    told, found = whole.mitigation["setting"], whole.mitigation["extrapolation"]
    assert told.startswith("resilience level 1: readout (TREX); of the result resilience level 2: ")
    assert whole.mitigation["mitigated"] == whole.energy
    assert found["noise_factors"] == [1, 3, 5]
    linear = np.polyfit([1, 3, 5], found["energies"], 1)
    assert len(found["energies"]) == len(found["stddevs"]) == len(found["fit_stddevs"]) == 3
    assert found["fits"]["linear"][0] == pytest.approx(linear[1], abs=0.1)
    assert forecast(compose(*typed)).shots == whole.shots


def test_how_something_is_done_belongs_to_the_jobs_that_do_it() -> None:
    """By hand: noise factors are the result's where only it extrapolates, the loop's as well where both do."""
    zne = {"noise_factors": [1.0, 2.0, 3.0]}
    apart = choice("estimator", "level1", zne=ZneConfig(**zne), final="level2")
    both = choice("estimator", "level2", zne=ZneConfig(**zne), final="level2")

    assert apart.mitigation == {"resilience_level": 1}
    assert apart.final_mitigation == {"resilience_level": 2, "resilience": {"zne": zne}}
    assert both.mitigation == both.final_mitigation == apart.final_mitigation
    assert choice("estimator", "level2", final="level0").final_mitigation == {}
    assert choice("estimator", "level2").final_mitigation == {"resilience_level": 2}


def test_bars_are_told_not_to_count_the_fit() -> None:
    """By hand: the fit that was taken is named, the others have their values at no noise, not finite ones none."""
    fits = {"exponential": [-0.9, -0.7], "linear": [-0.8, -0.7], "double_exponential": [None, None]}
    found = {"extrapolator": "exponential", "extrapolated_noise_factors": [0.0, 1.0], "fits": fits}
    told = {"setting": "so", "extrapolation": found, "qpu_seconds": None}

    assert mitigation_lines(told)[1] == (
        "  fit",
        "exponential; ± does not count what the fit itself is off by; linear gives -0.800000",
    )
    assert "gives" not in fit_in_words({**found, "extrapolated_noise_factors": [1.0, 2.0]})


def test_an_extrapolation_is_drawn_with_its_points_and_fits() -> None:
    """A line through (1, −0.9), (3, −0.7), (5, −0.5) meets no noise at −1."""
    extrapolated = {
        "noise_factors": [1, 3, 5], "energies": [-0.9, -0.7, -0.5], "stddevs": [0.01] * 3, "extrapolator": "linear",
        "extrapolated_noise_factors": [0, 1, 3, 5],
        "fits": {
            "exponential": [None, -0.9, -0.7, -0.5], "linear": [-1.0, -0.9, -0.7, -0.5],
            "double_exponential": [None] * 4,
        },
    }  # fmt: skip
    (axes,) = extrapolation(
        {"mitigated": -1.0, "stddev": 0.02, "extrapolation": extrapolated}, "Hartree"
    ).axes
    dashed = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    exact = {"mitigated": -1.0, "stddev": 0.0, "extrapolation": extrapolated}
    (value,) = extrapolation(exact, "Hartree", of="expectation value").axes

    assert (axes.get_ylabel(), value.get_ylabel()) == ("energy [Hartree]", "expectation value")
    assert "without noise: −1.0000" in [text.get_text() for text in value.get_legend().get_texts()]
    assert dashed["linear fit"] == [[0, -1.0], [1, -0.9], [3, -0.7], [5, -0.5]]
    assert dashed["exponential fit"] == [[1, -0.9], [3, -0.7], [5, -0.5]]
    assert "double exponential fit" not in dashed
    assert "without noise: −1.0000 ± 0.0200" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_fit_that_goes_astray_for_a_term_gives_no_energy() -> None:
    """Where the job says that a term is led out of what it can have there is none; the others stay as they are."""
    numbers = {
        "raw": [1.0], "evs": [1.2], "stds": [0.1], "extrapolators": [1.0], "shots": 64,
        "evs_noise_factors": [[1.0, 0.8, 0.6]], "stds_noise_factors": [[0.1] * 3],
        "ensemble_stds_noise_factors": [[0.1] * 3],
        "evs_extrapolated": [[[7.0, 1.0], [1.2, 1.1]]], "astray": [[[1.0, 0.0], [0.0, 0.0]]],
    }  # fmt: skip
    done = dataclasses.replace(journals.job(0, 0, 1, 2)[1], result=[numbers])
    zne = {"noise_factors": [1, 3, 5], "extrapolated_noise_factors": [0, 1]}
    told = measured([done], lambda _: {"resilience_level": 2, "resilience": {"zne": zne}}, 1.2)

    assert told["extrapolation"]["fits"] == {"exponential": [None, 1.0], "linear": [1.2, 1.1]}


def test_an_echo_wins_in_a_run_and_costs_nothing(workdir: Path) -> None:
    """A qubit waits for 20 µs, its frequency 20 kHz off: exp(-(2π·0.02·20)²/2) = 0.04 is left, by pencil."""
    wait = (
        "experiment=estimation",
        "ansatz.gates=[[h,0],[delay,20,0],[h,0]]",
        "experiment.observables=[Z]",
        "backend=fake_manila",
        "estimator=level0",
        "tracking=off",
        "run.figures=false",
    )
    drift = ("backend.quasi_static.detuning=20000", "backend.quasi_static.shots_per_batch=8")
    echo = "estimator.dynamical_decoupling.enable=true"
    still, drifting, echoed = (run(compose(*wait, *more)) for more in ((), drift, (*drift, echo)))
    found = forecast(compose(*wait, *drift, echo))

    assert still.energy is not None
    assert drifting.energy == pytest.approx(0.04 * still.energy, abs=4 * (drifting.stddev or 0))
    assert echoed.energy == pytest.approx(still.energy, abs=0.08)
    assert echoed.mitigation == {
        "setting": "resilience level 0: dynamical decoupling (XX)",
        "qpu_seconds": pytest.approx(0.0, abs=0.01),
        "cost": pytest.approx(0.0, abs=0.01),
    }
    assert found.usage_seconds == pytest.approx(echoed.usage_seconds)
    assert echoed.usage_seconds == pytest.approx(drifting.usage_seconds, abs=0.01)


@pytest.mark.parametrize(
    ("device", "told"),
    [("fake_quito", "is of fake_quito, and the backend is"), ("fake_manila", "has no noise of the layer cx")],
)
def test_noise_of_elsewhere_is_refused_where_the_circuit_is_the_experiments_own(
    workdir: Path, device: str, told: str
) -> None:
    """Before anything is created: a model of another device, and one of a layer that no circuit here has."""
    layer = {"gates": [["cx", [0, 4]]], "qubits": [0, 4], "generators": ["XX"], "rates": [1e-3]}
    Path("noise.json").write_text(json.dumps({"layers": [{**layer, "device": device, "noise": "0"}]}))
    typed = ("experiment=estimation", "ansatz=gates", "ansatz.gates=[[h,0],[cx,0,1]]", "backend=fake_manila")

    with pytest.raises(ConfigError, match=rf"^estimator\.layer_noise_model: file:noise\.json {told}"):
        Preparation(compose(*typed, "estimator=pec", "estimator.layer_noise_model=file:noise.json"))
    assert [path.name for path in workdir.iterdir()] == ["noise.json"]
