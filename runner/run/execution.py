"""A declared run from start to end: journal, tracker, one session, the experiment, and closing in reverse."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import review
from runner.declare.composer import schema_names
from runner.declare.config import Declaration, RunConfig, flatten
from runner.declare.messages import check_secrets
from runner.declare.overrides import Overrides
from runner.display.live import notebook
from runner.display.shell import command
from runner.display.stream import as_text, reader
from runner.errors import (
    Interrupted,
    JournalError,
    ResumeError,
    RunnerError,
    StorageError,
    TrackingError,
    TruncationError,
    in_words,
)
from runner.optimizer import StopOptimization
from runner.record.directory import RunDirectory
from runner.record.encoding import encode
from runner.record.environment import environment, versions
from runner.record.events import (
    Checkpoint,
    Evaluation,
    Event,
    HamiltonianRead,
    Iteration,
    JobCompleted,
    Note,
    ProblemPosed,
    Result,
    RunEnded,
    RunResumed,
    RunStarted,
    SessionChanged,
)
from runner.record.files import read_object, require_short
from runner.record.journal import Journal, pack, read_journal
from runner.record.ledger import heading, rows
from runner.record.log import EventLog, count, first, last, of, outcome
from runner.record.logfile import log_file
from runner.record.packed import remove_orphans
from runner.record.replay import IDENTITY, Record, identity_of, lasting
from runner.record.usage import FED, Usage
from runner.run.answer import EXACT, MEASURED, PICK, TRUNCATED, worth
from runner.run.budget import BUDGETS
from runner.run.mitigation import Added, LearnedNoise, counted, measured
from runner.run.packing import Packing
from runner.run.preflight import Preparation
from runner.run.progress import Preparing, Progress, summary
from runner.run.results import Outcome, RunResult
from runner.run.resume import (
    calibration_of,
    complete,
    is_finished,
    reopen,
    repeats_no_time,
    same_noise,
    same_problem,
)
from runner.run.signals import JOBS, PREPARING, StopFlag

if TYPE_CHECKING:
    from runner.run.context import Lab
    from runner.run.problem import Problem
    from runner.tracking import Uploader

log = logging.getLogger("runner")

NOT_CONVERGED = "not converged"
"""What the reason begins with of a run that failed for `run.require_convergence`."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The sweep a run belongs to: it stops with it, and is uploaded by it."""

    name: str
    """The sweep's directory, told apart from every other."""
    stop: StopFlag
    """Its stop flag."""


def run(
    declared: RunConfig | Declaration,
    *,
    directory: str | None = None,
    quiet: bool | None = None,
    sweep: Sweep | None = None,
    affordable: Callable[[Declaration], None] | None = None,
) -> RunResult:
    """Carry out a declared run.

    Args:
        declared: from `compose` or `declare`.
        directory: where to put everything; None: `outputs/runs/<date>_<time>_<name>`.
        quiet: False: a progress line and the summary; True: neither; None: a progress line in a notebook.
        sweep: what it is one of many of.
        affordable: refuses what would take longer here than `run.max_compute_time`; without it that is refused.

    Returns:
        The result; a run that stopped early or failed is told by its `status` and `exit_code`, not by an exception.

    Raises:
        ConfigError: the parts of the declaration do not fit together, or it holds a secret; nothing was created.
        StorageError: the run directory cannot be written.
    """
    began = time.monotonic()
    declaration = declared if isinstance(declared, Declaration) else plain(declared)
    check_secrets(flatten(declaration.values) | {"hydra.run.dir": directory or declaration.directory})
    if affordable is not None:
        affordable(declaration)
    else:
        declaration.config.run.refuse_time_limit()
    with _stop_flag(sweep) as stop, _uploader(declaration.config, sweep) as uploader:
        ids = digest_of(declaration.values)
        with Preparing(quiet=quiet is not False) as stage:
            preparation = Preparation(declaration.config, ids=ids, stage=stage)
            preparation.require_truncation()
            read = preparation.files
        declared_as = to_yaml(declaration.values)
        require_short(declared_as, "the configuration")
        files = RunDirectory.create(
            declaration.name, directory or declaration.directory, ours=sweep is not None
        )
        files.write(files.config, declared_as)
        if (kept := preparation.kept) is not None:
            files.write(files.calibration, json.dumps(kept, default=str))
        try:
            journal = Journal.create(files.journal)
        except StorageError:
            files.withdraw()
            raise
        with journal:
            where: dict[str, Any] = {} if sweep is None else {"parent": sweep.name}
            if (idle := preparation.backend.idle_qubits) is not None:
                where["idle_qubits"] = idle
            if preparation.simulation is not None:
                where["simulation"] = preparation.simulation
            if preparation.choice is not None:
                where["chosen"] = preparation.choice.chosen.name
            if (words := preparation.mitigates) is not None:
                where["mitigation"] = words
            ignored = declaration.config.experiment.ignores
            unit = declaration.config.experiment.energy_unit(declaration.config)
            if (quantity := preparation.quantity) is not None:
                where["quantity"] = quantity
            if unit is not None:
                where["energy_unit"] = unit
            if (residue := preparation.rounding) is not None:
                where["rounding"] = residue
            if read:
                where["files"] = read
            if ignored:
                where["unused"] = list(ignored)
            if declaration.config_dirs:
                where["config_dirs"] = list(declaration.config_dirs)
            if declaration.programmed:
                where["programmed"] = True
            journal.write(
                RunStarted(
                    run_id=files.path.name,
                    identity=IDENTITY,
                    ids=ids,
                    name=declaration.name,
                    experiment=declaration.config.experiment.name,
                    config=declaration.values,
                    schemas=declaration.schemas,
                    overrides=list(declaration.overrides),
                    seed=declaration.config.seed,
                    forked_from=declaration.forked_from,
                    **environment(declaration.config),
                    **where,
                )
            )
            execution = _Execution(declaration, files, journal, stop, uploader, quiet, began)
            return execution.carry_out(preparation, Packing(files.journal))


def resume(
    path: str | Path, *, overrides: Sequence[str] = (), quiet: bool | None = None, sweep: Sweep | None = None
) -> RunResult:
    """Continue an unfinished run where its journal ends; the result is what it would have been without the break.

    A run that was killed after its end gets what it had no time for: figures, report, its place in MLflow.

    Args:
        path: the run directory.
        overrides: `run.*` settings, a larger budget (`optimizer.max_shots`, `session.max_cost`, `session.max_usage`)
            where one ended it, and `plugins=[…]`, where it used some; nothing else that was declared can be changed.
        quiet: False: a progress line and the summary; True: neither; None: a progress line in a notebook.
        sweep: what it is one of many of.

    Raises:
        ConfigError: there is no run to resume, or it is finished and complete.
        JournalError: another process is writing it, or what it holds is damaged.
        ResumeError: code, configuration or environment changed, with the first difference. As long as nothing new
            has happened, the directory stays as it is, to the byte.
    """
    began = time.monotonic()
    files = RunDirectory.existing(path)
    if not files.journal.exists():  # it is packed, and stays so if there is nothing to go on with
        events = read_journal(files.journal).events
        if is_finished(files, events, overrides):
            return _completed(files, events, overrides, quiet)
    with _stop_flag(sweep) as stop, Journal.append_to(files.journal, at_once=False) as journal:
        if is_finished(files, journal.contents.events, overrides):
            journal.close()  # an upload waits for that
            return _completed(files, journal.contents.events, overrides, quiet)
        declaration, budgets = reopen(files, journal, overrides)
        with _uploader(declaration.config, sweep) as uploader, Packing.of(journal) as packing:
            identity = identity_of(journal.contents.events)
            started = first(journal.contents.events[:1], RunStarted)
            with Preparing(quiet=quiet is not False) as stage:
                preparation = Preparation(
                    declaration.config,
                    identity=identity,
                    ids="" if started is None else started.ids,
                    chosen=None if started is None else started.chosen,
                    calibration=calibration_of(files),
                    stage=stage,
                )
            same_noise(files, preparation.backend, identity)
            if journal.contents.dropped:
                journal.announce(Note(level="warning", text=f"journal: {journal.contents.dropped}"))
                log.warning("journal: %s", journal.contents.dropped)
            more = {} if not budgets else {"budgets": budgets}
            journal.announce(RunResumed(pid=os.getpid(), leaves=True, **more))
            execution = _Execution(declaration, files, journal, stop, uploader, quiet, began)
            return execution.carry_out(preparation, packing)


def _completed(
    files: RunDirectory, events: EventLog, overrides: Sequence[str], quiet: bool | None
) -> RunResult:
    """The result of a run that is over, once what it had no time for is made up for."""
    result, done = complete(files, events, overrides, _packed(files, events))
    _pack(result, Packing(files.journal))
    if quiet is False:
        ended = "finished" if result.status == "finished" else f"over ({result.stop_reason})"
        said = [f"{files.path} is {ended}; what was missing:", *done]
        if result.status == "stopped":
            command = resume_command(files, Overrides.of(overrides).plugins)
            said.append(f"to go on in another session: {command}")
        print("\n".join(map(as_text, said)), file=reader(sys.stdout))
    return result


def _packed(files: RunDirectory, events: EventLog) -> list[str]:
    """What a process that was killed while it packed the journal of a finished run left to be done, now done."""
    ended = last(events, RunEnded)
    if ended is None or ended.status != "finished":
        return []
    done = []
    try:
        if pack(files.journal):
            done.append(f"packed {files.journal}")
        done += [f"removed {files.path / name}" for name in remove_orphans(files.journal)]
    except (OSError, RunnerError) as error:
        log.info("the journal stays as it is: %s", error)
    return done


def _pack(result: RunResult, packing: Packing) -> None:
    """Keep the journal of a finished run in fewer bytes."""
    if result.status == "finished":
        packing.finish()


def _chosen(files: RunDirectory, preparation: Preparation) -> str | None:
    """Which device was chosen and why, in words; None where none was."""
    if preparation.choice is not None:
        return preparation.choice.words()
    return read_object(files.calibration).get("why") if files.calibration.exists() else None


def _stop_flag(sweep: Sweep | None) -> contextlib.AbstractContextManager[StopFlag]:
    return StopFlag(PREPARING) if sweep is None else contextlib.nullcontext(sweep.stop)


def _uploader(config: RunConfig, sweep: Sweep | None) -> Uploader:
    """What brings the run into MLflow, warming up as soon as it is entered; a sweep has one for all of its runs."""
    tracking = config.tracking if sweep is None else replace(config.tracking, enabled=False)
    return tracking.build()


class _Execution:
    """One process's part of a run: a new one, or the continuation of an earlier one."""

    def __init__(
        self,
        declaration: Declaration,
        files: RunDirectory,
        journal: Journal,
        stop: StopFlag,
        uploader: Uploader,
        quiet: bool | None,
        began: float,
    ) -> None:
        self.config = declaration.config
        self._typed = declaration.overrides
        self._programmed = declaration.programmed
        self.files = files
        self.journal = journal
        self.record = Record(journal, journal.contents.events)
        self.stop = stop
        self.uploader = uploader
        self.quiet = quiet
        self._names: list[str] = []
        self._began = began
        self._larger: tuple[str, ...] = ()
        """What lets a simulation keep more, where that ended the run."""

    def carry_out(self, preparation: Preparation, packing: Packing) -> RunResult:
        """Run the experiment in its session and write down how it ended, on every way out."""
        with log_file(self.files.log, held=self.journal.untouched) as begin_log:
            self.journal.when_touched(begin_log)
            self.journal.when_touched(lambda: self.uploader.start(self.files.path))
            lab = preparation.lab(self.record, self.stop)
            self._describe(preparation.problem)
            self._names = preparation.problem.parameter_names if preparation.problem else []
            ending = _placed(self._judged(self._experiment(lab, preparation), lab), preparation.problem)
            sessions = lab.describe_sessions()
            partly = ending.broken and not lab.record.whole and lab.knows_its_queue
            if partly:
                result = self._as_recorded(ending, preparation)
            else:
                listed = heading(lab.ledger())
                jobs = rows(lab.ledger(), listed["job_columns"])
                self.files.write_long_json(self.files.session, {**sessions, **listed}, "jobs", jobs)
                added, before = (
                    self._added(preparation, lab, ending.outcome.energy),
                    self._before(preparation, lab),
                )
                result = self._result(ending, sessions, lab, added, before)
                result = replace(result, simulation=preparation.simulation, rounding=preparation.rounding)
            self.files.write(self.files.result, result.to_json())
            self.journal.write(Result(result=json.loads(result.to_json())))
            self.journal.write(
                RunEnded(status=result.status, stop_reason=result.stop_reason, exit_code=result.exit_code)
            )
            self.journal.close()
            self._illustrate(preparation.problem)
            result = replace(result, mlflow_run_id=self.uploader.run_id(), wall_seconds=self._elapsed)
            self.files.write(self.files.result, result.to_json())
            report = self.uploader.finish()
            _pack(result, packing)
        if report.records_unsynced and self.config.tracking.required and result.exit_code == 0:
            result = replace(result, exit_code=TrackingError.exit_code)
            self.files.write(self.files.result, result.to_json())
        if self.quiet is False:
            origin = self.uploader.origin(self._typed)
            found = (
                f"MLflow run {result.mlflow_run_id}{origin}; {self.uploader.page()}"
                if result.mlflow_run_id
                else "off"
            )
            missing = report.message
            if missing and origin:
                missing = f"{self.config.tracking.uri}{origin}: {missing}"
            told = f"{missing or found}; {report.note}" if report.note else missing or found
            summary(
                replace(result, wall_seconds=self._elapsed),
                sessions["sessions"],
                told,
                unit=self.config.experiment.energy_unit(self.config),
                read=self._read(preparation.problem),
                idle=preparation.backend.idle_qubits,
                simulation=preparation.simulation,
                chosen=_chosen(self.files, preparation),
                shots=lab.allotted.in_words,
                exact=self.config.estimator.precision == 0,
                plan=preparation.service.plan,
                again=self._again(result, lab),
                session_over=lab.session_over,
                partly=partly,
            )
        return result

    def _again(self, result: RunResult, lab: Lab) -> str | None:
        """What to type to go on; None where the run has come to its end, and not to that of a budget."""
        if self._larger:
            return self._anew(result)
        larger = lab.spending.larger
        if result.status == "finished" and larger is None:
            return None
        # the same once more would end the same
        settled = result.status == "failed" and (
            lab.session_over or result.stop_reason.startswith(NOT_CONVERGED)
        )
        repeats = not repeats_no_time(self.config)
        if settled and not result.evaluations:
            return None  # there are no parameters to start from
        more = [larger] if larger is not None and repeats else [] if repeats and not settled else ["--fork"]
        return resume_command(self.files, self.config.plugins, *more)

    def _anew(self, result: RunResult) -> str | None:
        """What to type for a new run that keeps more of its states, from the best parameters if there are any."""
        if result.evaluations:
            return resume_command(self.files, self.config.plugins, "--fork", *self._larger)
        if self._programmed:
            return None
        replaced = {"hydra.run.dir", *(text.partition("=")[0] for text in self._larger)}
        typed = [text for text in self._typed if text.partition("=")[0] not in replaced]
        return command(*typed, *self._larger)

    @property
    def _elapsed(self) -> float:
        """Seconds since this process began to prepare the run."""
        return time.monotonic() - self._began

    def _experiment(self, lab: Lab, preparation: Preparation) -> _Ending:
        progress: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if self.quiet is False or (self.quiet is None and notebook() is not None):
            most = self.config.experiment.most_evaluations(self.config, preparation.problem)
            progress = line = Progress(most, rounding=preparation.rounding, quantity=preparation.quantity)
            self.record.listen(line, JobCompleted, Evaluation, Iteration)
        self.stop.now = JOBS
        try:
            with _rare_collections(), progress, lab:
                outcome = self.config.experiment.run(lab)
        except Interrupted as error:
            words = signal.Signals(error.signum).name
            return _Ending(lab.so_far(words), "interrupted", error.exit_code, broken=True)
        except (JournalError, ResumeError):
            raise  # what cannot be read or repeated of the past is no ending of the run
        except StopOptimization as stop:
            return _Ending(lab.so_far(stop.reason), "stopped", 3)
        except RunnerError as error:
            self._larger = error.larger if isinstance(error, TruncationError) else ()
            log.error("%s", error)
            return _Ending(lab.so_far(in_words(error)), "failed", error.exit_code, broken=True)
        except Exception as error:
            log.exception("the experiment failed")
            return _Ending(lab.so_far(in_words(error)), "failed", 1, broken=True)
        if outcome.energy is not None and not math.isfinite(outcome.energy):
            outcome = replace(outcome, energy=None, stddev=None)
            if not outcome.resumable:
                return _Ending(
                    replace(outcome, stop_reason=f"nothing was evaluated: {outcome.stop_reason}"), "failed", 1
                )
        if outcome.resumable and not (lab.shots_used_up and outcome.energy is not None):
            return _Ending(outcome, "stopped", 3)
        return _Ending(outcome, "finished", 0)

    def _judged(self, ending: _Ending, lab: Lab) -> _Ending:
        """The ending, but failed where convergence is required and was not reached."""
        if (
            ending.status != "finished"
            or lab.converged is not False
            or not self.config.run.require_convergence
        ):
            return ending
        reason = f"{NOT_CONVERGED}: {ending.outcome.stop_reason}"
        return _Ending(replace(ending.outcome, stop_reason=reason), "failed", 1)

    def _describe(self, problem: Problem | None) -> None:
        """Put sizes and circuits into the journal, and how a file was understood, once."""
        reading = self.config.hamiltonian.reading
        told = set(self.journal.contents.events.facts())
        posed = first(self.journal.contents.events, ProblemPosed)
        if problem is not None and posed is not None:
            same_problem(posed, problem.describe())
        if reading is not None and HamiltonianRead not in told:
            self.journal.write(HamiltonianRead(**reading.describe()))
        if problem is not None and posed is None:
            self.journal.write(ProblemPosed(**problem.describe()))

    def _read(self, problem: Problem | None) -> str | None:
        """How the file of the Hamiltonian was understood, in words; None where it is from no file."""
        reading = self.config.hamiltonian.reading
        if reading is not None:
            return str(reading.describe()["words"])
        return None if problem is None else problem.source

    def _illustrate(self, problem: Problem | None) -> None:
        """Draw the figures; everything is on disk by now, and a picture that fails takes nothing with it."""
        if not self.config.run.figures:
            return
        try:
            review.illustrate(self.files, problem)
        except Exception:
            log.exception("a figure could not be drawn; the numbers are complete")

    def _added(self, preparation: Preparation, lab: Lab, energy: float | None) -> dict[str, Any] | None:
        """What mitigation took more; jobs that an earlier process of the run carried out count, too."""
        words = preparation.mitigates
        if words is None:
            return None
        service = preparation.service
        told_all = read_journal(self.files.journal).events
        # a real machine's jobs are each told once
        knows = service.capabilities.knows_its_queue
        events: Sequence[Event] = counted(told_all, lab.ledger()) if knows else told_all
        found = Added.of(words, events, service.cost, service.price_per_second)
        told = found.as_dict() | measured(events, lab.mitigation_of, energy) | lab.mitigated
        if (learned := LearnedNoise.of(events)) is not None:
            self.files.write(self.files.noise_model, json.dumps(learned.as_dict(), indent=2) + "\n")
            told["learning"] = learned.told(service.price_per_second)
        return told

    @staticmethod
    def _before(preparation: Preparation, lab: Lab) -> dict[str, Any] | None:
        """What measuring results took where the run had stopped, and what mitigation added to that."""
        told, service = lab.measured_before, preparation.service
        if told is None:
            return None
        if preparation.mitigates is None:
            return asdict(told)
        jobs = itertools.chain.from_iterable(lab.record.measured_before)
        added = Added.of(preparation.mitigates, jobs, service.cost, service.price_per_second)
        return asdict(told) | {
            "mitigation_qpu_seconds": added.qpu_seconds,
            "mitigation_cost": added.cost,
        }

    def _result(
        self,
        ending: _Ending,
        sessions: Mapping[str, Any],
        lab: Lab,
        mitigation: dict[str, Any] | None,
        before: dict[str, Any] | None,
    ) -> RunResult:
        outcome = ending.outcome
        names = outcome.parameter_names or self._names
        truncation, kind = self._truncation(outcome, lab)
        error = None
        if None not in (outcome.energy, outcome.reference_energy) and outcome.energy_kind != PICK:
            error = outcome.energy - outcome.reference_energy  # type: ignore[operator]
        return RunResult(
            experiment=self.config.experiment.name,
            status=ending.status,
            energy=outcome.energy,
            stddev=outcome.stddev,
            reference_energy=outcome.reference_energy,
            reference_note=outcome.reference_note,
            outside_sector=outcome.outside_sector,
            energy_kind=kind,
            sampled=None if kind is None else _sampled(outcome),
            error=error,
            error_sigmas=error / outcome.stddev
            if error is not None and outcome.stddev and kind != TRUNCATED
            else None,
            exact_energy=outcome.exact_energy,
            exact_method=outcome.exact_method,
            exact_note=outcome.exact_note,
            observable=outcome.observable,
            evaluations=outcome.evaluations,
            iterations=outcome.iterations,
            parameters=outcome.parameters,
            parameter_names=names if len(names) == len(outcome.parameters) else [],
            stop_reason=outcome.stop_reason,
            converged=lab.converged,
            usage_seconds=sessions["usage_seconds"],
            cost=sessions["cost"],
            qpu_seconds=lab.qpu_seconds,
            shots=lab.shots,
            measured_before=before,
            truncation=truncation,
            mitigation=mitigation,
            session_ids=[session["id"] for session in sessions["sessions"]],
            mlflow_run_id=None,
            seed=self.config.seed,
            wall_seconds=self._elapsed,
            versions=versions(),
            table=outcome.table,
            exit_code=ending.exit_code,
            directory=self.files.path,
        )

    def _as_recorded(self, ending: _Ending, preparation: Preparation) -> RunResult:
        """The result where not all has been repeated that is recorded: what was told before, or what that adds up to.

        The lowest energy so far is not known then, nor what its sessions are now.
        """
        recorded = self.journal.contents.events
        now: dict[str, object] = {
            "status": ending.status,
            "stop_reason": ending.outcome.stop_reason,
            "exit_code": ending.exit_code,
            "wall_seconds": self._elapsed,
            "mlflow_run_id": None,
        }
        if (told := outcome(recorded)) and self.files.session.is_file():
            return RunResult.of({**told, **now}, self.files.path)
        self.files.session.unlink(missing_ok=True)
        usage = Usage()
        for event in of(recorded, *FED):
            usage.feed(event)
        seconds, words = usage.charged(usage.latest) or 0.0, preparation.mitigates
        lasts, changes = lasting(recorded), of(recorded, SessionChanged)
        found: dict[str, object] = {
            "experiment": self.config.experiment.name,
            "energy": None,
            "stddev": None,
            "reference_energy": ending.outcome.reference_energy,
            "error": None,
            "parameters": [],
            "evaluations": count(lasts, Evaluation),
            "iterations": count(lasts, Iteration),
            "usage_seconds": seconds,
            "qpu_seconds": usage.qpu,
            "cost": seconds * preparation.service.price_per_second,
            "session_ids": list(dict.fromkeys(change.session for change in changes)),
            "table": [row.columns for row in of(lasts, Checkpoint)],
            "simulation": preparation.simulation,
            "mitigation": words and {"setting": words, "qpu_seconds": None, "cost": None},
            "seed": self.config.seed,
            "versions": versions(),
        }
        return RunResult.of({**found, **now}, self.files.path)

    @staticmethod
    def _truncation(outcome: Outcome, lab: Lab) -> tuple[dict[str, float] | None, str | None]:
        """What simulations left out at most, and what the energy is worth for it; None where there is no energy."""
        found = lab.left_out.largest
        if outcome.energy is None:
            if found is not None and outcome.truncation is not None:
                found = {**found, "error": max(outcome.truncation, found.get("error", 0.0))}
            return found, None
        own = (found or {}).get("error") if outcome.truncation is None else outcome.truncation
        if found is not None and own is not None:
            found = {**found, "energy": own}
        return found, worth(outcome.energy_kind, outcome.stddev, own, outcome.energy)


def _sampled(outcome: Outcome) -> bool | None:
    """Whether shots measured an outcome's energy; None where it does not say."""
    return {MEASURED: True, PICK: True, EXACT: False}.get(outcome.energy_kind, outcome.sampled)


@dataclass(frozen=True)
class _Ending:
    outcome: Outcome
    status: str
    exit_code: int
    broken: bool = False
    """The experiment did not get to its end."""


def _placed(ending: _Ending, problem: Problem | None) -> _Ending:
    """The ending with what the problem knows of its reference: which states it is of, and how far the state is in."""
    outcome = ending.outcome
    if problem is None or outcome.energy is None:
        return ending
    if outcome.reference_note is None and outcome.reference_energy == problem.reference_energy:
        outcome = replace(outcome, reference_note=problem.reference_note)
    if outcome.outside_sector is None and len(outcome.parameters) == problem.ansatz.num_parameters:
        outcome = replace(outcome, outside_sector=problem.outside(outcome.parameters))
    return replace(ending, outcome=outcome)


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for garbage less often: once through all that is loaded takes as long as 500 evaluations do.

    What a run leaves behind is freed by counting references; cycles wait until there are a hundred thousand objects.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def plain(config: RunConfig) -> Declaration:
    """The declaration of a configuration that was composed in Python."""
    return Declaration(
        config=config, overrides=(), values=asdict(config), schemas=schema_names(config), programmed=True
    )


def to_yaml(values: Mapping[str, object]) -> str:
    """The text of config.yaml."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(dict(values), Dumper=dumper, sort_keys=False, allow_unicode=True))


def digest_of(values: Mapping[str, Any]) -> str:
    """A digest of what decides a run's numbers, for the ids of its sessions and jobs: the same wherever it is run.

    The run's name, what its process is told (`run`) and where it is recorded are left out; so is what becomes of it
    when its session ends, and what it may spend: a run that stopped and is resumed goes on as one that opened another
    session at once, or had a larger budget.
    """
    deciding = {
        key: value
        for key, value in flatten(dict(values)).items()
        if key.partition(".")[0] not in ("name", "run", "tracking")
        and key not in ("session.on_expiry", *BUDGETS)
    }
    return blake2b(encode(deciding), digest_size=8).hexdigest()


def resume_command(files: RunDirectory, plugins: Sequence[str] = (), *more: str) -> str:
    """What to type to continue a run, as a shell takes it.

    Args:
        files: the run.
        plugins: the modules that it was declared with, which have to be named again.
        more: what else is to be typed.
    """
    return command("resume", files.path, *more, *([f"plugins=[{','.join(plugins)}]"] if plugins else []))
