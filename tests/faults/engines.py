"""Trials in which the simulation itself breaks: Aer raises or only says that it failed, memory runs out."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

from runner.record.journal import read_journal
from runner.tracking.sync import locked
from tests.faults import trial

if TYPE_CHECKING:
    from tests.faults.campaign import Broken, Campaign

AER = ("backend.engine=aer", "optimizer=cobyla", "optimizer.max_evaluations=8")
CHAIN = ("hamiltonian=tfim", "ansatz.reps=1", "optimizer=cobyla", "optimizer.max_evaluations=3")
LARGE = (*CHAIN, "hamiltonian.shape=[22]")
CASES: dict[str, tuple[str, ...]] = {
    "aer_exact": (*AER, "estimator=exact"),
    "aer_shots": AER,
    "aer_noisy": (*AER, "backend=noisy"),
    "aer_race": (*AER, "experiment=vqe_race"),
    "kernel": ("backend.engine=kernel", "estimator=exact", "optimizer=cobyla", "optimizer.max_evaluations=8"),
    "aer_large": (*LARGE, "backend.engine=aer", "estimator=exact"),
    "kernel_large": (*LARGE, "backend.engine=kernel", "estimator=exact"),
    "kernel_middle": (*CHAIN, "hamiltonian.shape=[20]", "backend.engine=kernel", "estimator=exact"),
}
"""Kinds of runs by what simulates them; the large ones need 64 MiB at a time, which no heap keeps free."""

CAUSES = {
    "aer:raise": r"its simulation failed: .*a fault for tests",
    "aer:refuse": r"simulation failed on Aer: ERROR: a fault for tests",
    "simulate:memory": r"its simulation failed: out of memory",
    "simulate:starve": r"[Oo]ut of memory|[Ii]nsufficient memory|[Cc]annot allocate|[Uu]nable to allocate|for want",
}
"""What breaks, as `point:action`, and what the user is to read about it."""


def fails(campaign: Campaign, case: str, cause: str, k: int) -> str:
    """The k-th simulation fails: the run ends as failed with its cause, and goes on when the fault is gone."""
    from tests.faults.campaign import Broken

    run = Broken(campaign, case, f"{cause.replace(':', '-')}-{case}-{k}")
    ended = trial_of(run, cause, k)
    aborted = (ended.code == -signal.SIGABRT and "LLVM ERROR" in ended.output) or (
        ended.code == -signal.SIGSEGV and cause == "simulate:starve"
    )
    if not aborted:  # LLVM and Aer end the process when they find no memory; that is as good as a kill
        told(run, ended, cause)
    run.finish(lost=2 if case.endswith("race") else 1)
    return "1 aborted" if aborted else "1 failed"


def fails_tracked(campaign: Campaign, case: str, cause: str, k: int) -> str:
    """The same, tracked: MLflow says FAILED, and FINISHED once the run has gone on; it holds it once."""
    from tests.faults.campaign import Broken

    database = campaign.home / "mlflow.db"
    store = (f"tracking.uri=sqlite:///{database}", f"tracking.artifacts={campaign.home}/artifacts")
    where = f"tracked-{cause.replace(':', '-')}-{case}-{k}"
    run = Broken(campaign, case, where, options=("run.figures=false", "seed=11", *store))
    told(run, trial_of(run, cause, k), cause)
    for status in ("FAILED", "FINISHED"):
        with locked(run.directory):
            found = trial.stored(database, where)
        result = json.loads((run.directory / "result.json").read_text())
        assert found == [(result["mlflow_run_id"], status, result["evaluations"])], f"{found}, {result}"
        if status == "FAILED":
            run.finish(lost=1, keep=True)
    run.forget()
    return "1 failed"


def trial_of(run: Broken, cause: str, k: int) -> trial.Ending:
    """Start it with this fault at the k-th occasion."""
    point, action = cause.split(":")
    return run.go_on(fault=f"{point}:{k}:{action}")


def told(run: Broken, ended: trial.Ending, cause: str) -> None:
    """It ended as failed: exit 1 and no traceback, everything before it kept, the cause in the result, all closed."""
    assert (run.directory / "result.json").exists(), f"exit {ended.code}: {ended.output}"
    result = json.loads((run.directory / "result.json").read_text())
    assert (ended.code, result["status"]) == (1, "failed"), f"exit {ended.code}: {ended.output}"
    assert re.search(CAUSES[cause], result["stop_reason"]), result["stop_reason"]
    assert "\n" not in result["stop_reason"], result["stop_reason"]
    assert "Traceback" not in ended.output, ended.output
    events = read_journal(run.directory / "journal.jsonl").events
    evaluations = sum(event.kind == "evaluation" for event in events)
    assert (events[-1].kind, events[-1].status) == ("run.ended", "failed"), events[-1]
    assert result["evaluations"] == evaluations, f"{evaluations} evaluations in the journal, {result}"
    sessions = json.loads((run.directory / "session.json").read_text())["sessions"]
    assert [session["status"] for session in sessions] == ["Closed"], sessions
