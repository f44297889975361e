"""A search carried out: Optuna proposes a batch of trials, the launcher runs it, Optuna is told, and so on.

The sampler is seeded afresh for every batch from the sweep's seed and the number of trials so far, so what it proposes
depends on the results alone: not on the launcher, and not on whether the search was interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from runner.declare.config import Declaration
from runner.declare.overrides import Override, Overrides
from runner.declare.provenance import check_plugins, check_preset, check_storage
from runner.errors import ConfigError, StorageError
from runner.record import faults
from runner.runtime.seeds import derive_seed
from runner.sweep.compose import Combination, SweepPlanner, SweepSettings, first_of, named
from runner.sweep.conductor import (
    Conductor,
    base_of,
    check_together,
    extras,
    header,
    to_complete,
    wanted,
)
from runner.sweep.directory import SweepDirectory
from runner.sweep.launcher import Launcher, required
from runner.sweep.member import OVER, Row, Task
from runner.sweep.optuna import OptunaSweeper, corners, distribution
from runner.sweep.study import StoredStudy, Trials, check_free

if TYPE_CHECKING:
    from runner.tracking import TrackingConfig

SEPARATE_DATABASE = "sqlite:///outputs/optuna.db"
"""Where studies go when the tracking store is no database that we reach."""

KILLED = 137
"""Exit code of a run whose process was killed."""

MORE_ATTEMPTS = 2
"""Times that a trial whose process was killed is continued; then it counts as failed."""


def search(
    planner: SweepPlanner,
    settings: SweepSettings,
    overrides: Sequence[str],
    *,
    quiet: bool = False,
) -> int:
    """Search from the start.

    Raises:
        ConfigError: a range is no range, or its ends are bad input; nothing was run.
    """
    required("optuna", "optuna", "hydra/sweeper")
    swept, fixed = _split(planner, settings)
    declared = []
    combinations = []
    for label in corners(swept):
        combination = Combination(overrides=_typed(fixed, label, settings), label=label)
        with named(label):
            declared.append(planner.declare(combination.overrides))
        combinations.append(combination)
    check_together(declared, combinations, settings.launcher)
    tracking = declared[0].config.tracking
    address = _address(settings.sweeper, tracking)
    if address is not None and settings.sweeper.study_name is not None:
        check_free(settings.sweeper.study_name, address, tracking)
    directory = SweepDirectory.create(
        wanted(settings, declared[0], corners(swept)[0]),
        header(
            settings,
            overrides,
            declared[0],
            sweeper={"name": settings.choices["sweeper"], "values": asdict(settings.sweeper)},
        ),
    )
    return _Search(planner, settings, directory, declared[0], settings.launcher, quiet).carry_out()


def resume_search(
    directory: SweepDirectory, launcher: Launcher | None, typed: Overrides, *, quiet: bool = False
) -> int:
    """Go on with a search where it stopped; its plug-ins and the address of its study are `typed` again.

    Raises:
        ConfigError: all trials are over, and nothing else is missing; or something was not typed again.
    """
    required("optuna", "optuna", "hydra/sweeper")
    plugins = typed.plugins
    check_plugins(Overrides.of(directory.header["overrides"]).plugins, plugins)
    planner = SweepPlanner(directory.header["overrides"], directory.header.get("config_dirs", ()))
    settings = planner.settings()
    recorded = directory.header["sweeper"].get("values")
    if recorded is not None:  # conf/ may say otherwise by now
        try:
            settings = replace(settings, sweeper=type(settings.sweeper)(**recorded))
        except TypeError as error:
            raise ConfigError(
                f"{directory.path / 'sweep.json'} is damaged (sweeper): {error}; restore it"
            ) from error
    for item in check_storage(settings.sweeper.storage, typed):
        settings = replace(settings, sweeper=replace(settings.sweeper, storage=item.value))
    declared = base_of(directory, plugins)
    return _Search(planner, settings, directory, declared, launcher, quiet).carry_out()


class _Search:
    """One process's part of a search."""

    def __init__(
        self,
        planner: SweepPlanner,
        settings: SweepSettings,
        directory: SweepDirectory,
        declared: Declaration,
        launcher: Launcher | None,
        quiet: bool,
    ) -> None:
        self._planner = planner
        self._settings = settings
        self._sweeper: OptunaSweeper = settings.sweeper
        self._swept, self._fixed = _split(planner, settings)
        self._directory = directory
        self._declared = declared
        self._launcher = launcher
        self._quiet = quiet
        self._name = self._sweeper.study_name or directory.identity
        space = {item.element: distribution(item) for item in self._swept}
        self._trials = Trials(self._sweeper, space)
        self._stored: StoredStudy | None = None

    def carry_out(self) -> int:
        """Run batch after batch until every trial is over; returns the sweep's exit code."""
        tasks = self._directory.tasks()
        known = {task.number: task.look() for task in tasks}
        left = [task for task in tasks if known[task.number]["status"] not in OVER]
        for task, proposal in zip(tasks, self._directory.proposals(), strict=True):
            self._trials.recall(task, proposal, None if task in left else known[task.number])
        self._stored = self._store()
        conductor = Conductor(
            self._directory, self._launcher, self._declared, total=self._sweeper.n_trials, quiet=self._quiet
        )
        if len(tasks) >= self._sweeper.n_trials and not left:
            for line in to_complete(self._directory, self._declared, [*known.values()], self._lacking()):
                conductor.note(line)
        with conductor:
            self._follow()
            conductor.know(row for row in known.values() if row["status"] in OVER)
            batches = [left] if left else []
            while len(tasks) < self._sweeper.n_trials or batches:
                batch = batches.pop() if batches else self._ask(len(tasks))
                tasks += [task for task in batch if task.number >= len(tasks)]
                if not self._judge(conductor, batch):
                    break
            if not self._quiet:
                conductor.note(self._best())
        return conductor.exit_code

    def _judge(self, conductor: Conductor, batch: Sequence[Task]) -> bool:
        """Carry out a batch and tell Optuna how it went; whether the search goes on after it."""
        rows = {row["number"]: row for row in conductor.carry_out(batch)}
        for _ in range(MORE_ATTEMPTS):
            killed = [task for task in batch if rows[task.number].get("exit_code") == KILLED]
            if conductor.stop.signum is None and killed:
                rows |= {row["number"]: row for row in conductor.carry_out(killed)}
        decided = [row for row in rows.values() if _is_decided(row)]
        if conductor.stop.signum is not None or len(decided) < len(batch):
            return False  # what is to be proposed next depends on all of them
        for row in decided:
            self._trials.tell(row)
        self._follow()
        failed = sum(row["status"] == "failed" for row in decided)
        if failed / len(batch) > self._sweeper.max_failure_rate:
            conductor.note(
                f"{failed} of {len(batch)} trials failed, more than hydra.sweeper.max_failure_rate"
            )
            return False
        return True

    def _ask(self, number: int) -> list[Task]:
        """The next batch: chosen by Optuna, declared, and written down before anybody else hears of it."""
        seed = derive_seed(self._sweeper.seed, "trials", number) % 2**32
        count = min(self._sweeper.n_jobs, self._sweeper.n_trials - number)
        tasks, proposals = [], []
        for place, (label, proposal) in enumerate(self._trials.ask(count, seed), number):
            with named(label):
                declared = self._planner.declare(_typed(self._fixed, label, self._settings))
            task = self._directory.task(
                place, declared.overrides, label, declared.values, declared.schemas, declared.config
            )
            tasks.append(task)
            proposals.append(proposal)
        faults.reach("asked")
        self._directory.plan(tasks, proposals)
        faults.reach("planned")
        self._follow()
        return tasks

    def _best(self) -> str:
        """One line on the best trial, or on the Pareto front."""
        best = self._trials.study.best_trials
        if not best:
            return "search    no trial gave a result"
        names = ", ".join(self._sweeper.objective)
        runs = ", ".join(str(trial.number) for trial in best[:10])
        what = "best run" if len(self._sweeper.objective) == 1 else "Pareto front, runs"
        where = "" if self._stored is None else f"; study {self._name!r}"
        return f"search    {what} {runs} by {names}{where}"

    def _store(self) -> StoredStudy | None:
        """The study's copy in a database, if it is to have one."""
        tracking = self._declared.config.tracking
        address = _address(self._sweeper, tracking)
        if address is None:
            return None
        return StoredStudy(self._name, self._directory.identity, self._sweeper, address, tracking)

    def _lacking(self) -> list[str]:
        if self._stored is None or not self._stored.lacks(self._trials.all):
            return []
        return ["study     was not complete; brought in now"]

    def _follow(self) -> None:
        if self._stored is not None:
            self._stored.follow(self._trials.all)


def _is_decided(row: Row) -> bool:
    """Whether a run came to an end that carrying it out again would give again, as far as anybody can tell."""
    ended = row["status"] in (*OVER, "failed")
    return ended and row.get("exit_code") != StorageError.exit_code


def _address(sweeper: OptunaSweeper, tracking: TrackingConfig) -> str | None:
    """The address of the study's database; None where it is to have none."""
    if sweeper.storage != "auto":
        return sweeper.storage
    if not tracking.enabled:
        return None
    return SEPARATE_DATABASE if tracking.uri.startswith("http") else str(tracking.uri)


def _split(planner: SweepPlanner, settings: SweepSettings) -> tuple[list[Override], list[Override]]:
    """(what is searched, what is fixed); ranges of the preset count where the command line says nothing."""
    typed = {item.element for item in settings.swept}
    words = [f"{key}={value}" for key, value in settings.sweeper.params.items() if key not in typed]
    preset = planner.listed(Overrides.of(words))
    check_preset(preset)
    for override in preset:
        first_of(override)
    together = [*settings.swept, *preset]
    swept = [item for item in together if item.swept]
    if not swept:
        raise ConfigError(
            "nothing to search: give a range, e.g. ansatz.reps='range(1,5)'", key="hydra/sweeper"
        )
    return swept, [item for item in together if not item.swept]


def _typed(fixed: Sequence[Override], label: Mapping[str, str], settings: SweepSettings) -> tuple[str, ...]:
    """The overrides of one trial."""
    constant = [item.text for item in fixed]
    return (*constant, *(f"{key}={value}" for key, value in label.items()), *extras(settings))
