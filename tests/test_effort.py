"""What a run takes on this computer: how it is reckoned, by hand, and where it is not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from runner import compose, resume, run
from runner.errors import ConfigError
from runner.run.execution import plain
from runner.run.objective import JobStream
from runner.sweep.entry import sweep
from runner.whatif import effort as module
from runner.whatif.affordable import require_time
from runner.whatif.effort import CLOSING, JOURNAL, Effort, effort, in_words
from runner.whatif.forecast import forecast

SMALL = ("tracking=off", "optimizer=cobyla", "optimizer.max_evaluations=30")


def test_what_was_timed_is_multiplied_by_what_is_forecast(workdir: Path) -> None:
    """By hand: a first job of 2 s, then 0.05 s a point; 30 points, and the best of them measured once more."""
    config = compose(*SMALL)
    found = forecast(config)
    jobs = module._Timed(first=(2.0, 1), then=(0.5, 10))
    timed = module._reckoned(config, found, jobs, starting=3.0)
    given_up = module._reckoned(config, found, module._Timed(), starting=3.0)

    assert (found.evaluations, found.parameter_sets, found.jobs) == (30, 31, 31)
    assert timed.seconds == pytest.approx(3 + 2 + 30 * 0.05 + 31 * JOURNAL + CLOSING)
    assert (timed.at_least, given_up.at_least) == (False, True)
    assert given_up.seconds == pytest.approx(3 + module.PATIENCE + 31 * JOURNAL + CLOSING)


def test_a_run_on_the_walls_clock_takes_what_its_session_does(workdir: Path) -> None:
    """With a minute in a second, the session's seconds are sixtieths."""
    config = compose(*SMALL, "session.clock=wall", "session.clock_scale=60")
    found = forecast(config)

    timed = module._reckoned(config, found, module._Timed(first=(2.0, 1)), starting=0.0)

    assert timed.seconds == pytest.approx(max(found.wall_seconds / 60, 2 + 30 * 2 + 31 * JOURNAL + CLOSING))


def test_trying_leaves_nothing_behind(workdir: Path) -> None:
    """Jobs are carried out, and nothing is written; what a real machine does takes no time here."""
    config = compose(*SMALL)
    found = forecast(config)

    timed = effort(config, found, starting=1.0)

    assert timed is not None
    assert timed.seconds > 1 + CLOSING
    assert timed.memory > 50e6  # Python with NumPy and Qiskit
    assert not list(workdir.iterdir())
    assert effort(compose(*SMALL, "backend=ibm"), found, starting=1.0) is None


def test_it_is_told_in_words() -> None:
    """Time, the usual end where it is another, and memory."""
    known = {"seconds": 200.0, "usual_seconds": 45.0, "memory": 400_000_000}

    assert in_words(Effort(**known, at_least=False)) == (
        "about 3 min 20 s, 45.0 s where it ends as usual; 0.4 GB of memory"
    )
    assert in_words(Effort(**known, at_least=True)) == "more than 3 min 20 s; 0.4 GB of memory"
    assert in_words(Effort(**known, at_least=False, afterwards=5400.0)) == (
        "about 3 min 20 s, 45.0 s where it ends as usual, and up to 1 h 30 min more for what is computed from the "
        "results; 0.4 GB of memory"
    )


def test_what_is_computed_from_results_is_told_where_it_was_not_tried(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that stops after its first job has seen no diagonalization; one that came to its end has seen all."""
    config = compose("experiment=skqd", "hamiltonian.shape=[4]", "experiment.dimension=3", "tracking=off")
    found = forecast(config)
    monkeypatch.setattr(type(config.experiment), "seconds_afterwards", lambda *_: 5400.0)

    whole = effort(config, found, starting=0.0)
    monkeypatch.setattr(module, "ENOUGH", 0.0)
    part = effort(config, found, starting=0.0)

    assert whole is not None
    assert part is not None
    assert (whole.afterwards, part.afterwards) == (0.0, 5400.0)


def test_what_takes_longer_than_declared_is_refused_before_anything_is_created(workdir: Path) -> None:
    """30 evaluations of two qubits take more than a second with the files at the end, by hand 0.8; never an hour."""
    with pytest.raises(
        ConfigError, match=r"takes about .*; 1\.0 s are allowed: refused; allow more"
    ) as refused:
        run(
            compose(*SMALL, "optimizer.max_evaluations=3000", "run.max_compute_time=1"),
            affordable=require_time,
        )

    assert refused.value.key == "run.max_compute_time"
    assert not list(workdir.iterdir())
    with pytest.raises(ConfigError, match="single runs at the command line only"):
        run(compose(*SMALL, "run.max_compute_time=1h"))
    with pytest.raises(ConfigError, match="single runs at the command line only"):
        sweep([*SMALL, "seed=1,2", "run.max_compute_time=1h"], quiet=True)
    assert not list(workdir.iterdir())
    allowed = compose(*SMALL, "run.max_compute_time=1h", "run.figures=false")
    assert run(allowed, directory="run", affordable=require_time).exit_code == 0


def test_what_is_not_known_to_fit_is_refused(workdir: Path) -> None:
    """A trial that was given up tells only the least; a real machine's work takes no time here that could be tried."""
    known = {"seconds": 20.0, "usual_seconds": None, "memory": 1, "allowed": 60.0}

    assert not Effort(**known, at_least=True).fits
    assert Effort(**known, at_least=False).fits
    assert not Effort(**known, at_least=False, afterwards=50.0).fits
    with pytest.raises(ConfigError, match="cannot be tried"):
        require_time(plain(compose(*SMALL, "backend=ibm", "run.max_compute_time=1h")))


def test_a_run_that_goes_on_is_not_asked_how_long_it_takes(workdir: Path) -> None:
    """Its beginning is over."""
    run(compose(*SMALL, "session.max_time=20"), directory="run")

    with pytest.raises(ConfigError, match="before a run begins"):
        resume("run", overrides=["run.max_compute_time=1h"])


def test_a_trial_of_the_kicked_ising_model_begins_where_strings_branch_most(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At θ = 0 the circuit is Clifford; of three points the middle one, π/4, is what takes long."""
    config = compose(
        "experiment=kicked_ising", "backend=generic", "backend.num_qubits=4", "experiment.readout=none",
        "backend.engine=pauli",
        "experiment.depth=1", "experiment.points=3", "experiment.observables=[Z1]", "tracking=off",
    )  # fmt: skip
    seen: list[float] = []
    estimate = JobStream.estimate

    def noted(stream: JobStream, *pubs: Any, **more: Any) -> Any:
        seen.extend(pubs[0][2])
        return estimate(stream, *pubs, **more)

    found = forecast(config)
    monkeypatch.setattr(JobStream, "estimate", noted)
    effort(config, found, starting=0.0)

    assert seen == [pytest.approx(math.pi / 4), *seen[1:]]
    assert sorted(seen) == pytest.approx([0, math.pi / 4, math.pi / 2])
