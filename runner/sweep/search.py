"""A search carried out: Optuna proposes a batch of trials, the launcher runs it, Optuna is told, and so on.

The sampler is seeded afresh for every batch from the sweep's seed and the number of trials so far, so what it proposes
depends on the results alone: not on the launcher, and not on whether the search was interrupted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.declare.config import Declaration
from runner.declare.messages import plugins_in
from runner.declare.provenance import check_plugins, check_preset
from runner.errors import ConfigError, StorageError
from runner.record.redaction import redact
from runner.sweep.compose import Combination, Composer, Settings, named
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
from runner.sweep.member import Row, Task
from runner.sweep.optuna import OptunaSweeper, corners, distribution

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from runner.tracking import TrackingConfig

SEPARATE_DATABASE = "sqlite:///outputs/optuna.db"
"""Where studies go when the tracking store is no database that we reach."""


def search(
    composer: Composer,
    settings: Settings,
    overrides: Sequence[str],
    *,
    config_dirs: Sequence[str] = (),
    quiet: bool = False,
) -> int:
    """Search from the start.

    Raises:
        ConfigError: a range is no range, or its ends are bad input; nothing was run.
    """
    required("optuna", "optuna", "hydra/sweeper")
    swept, fixed = _split(settings)
    declared = []
    combinations = []
    for label in corners(swept):
        combination = Combination(overrides=_typed(fixed, label, settings), label=label)
        with named(label):
            declared.append(composer.declare(combination.overrides))
        combinations.append(combination)
    check_together(declared, combinations, settings.launcher)
    directory = SweepDirectory.create(
        wanted(settings, declared[0], corners(swept)[0]),
        header(
            settings,
            overrides,
            declared[0],
            sweeper={"name": "optuna"},
            config_dirs=[str(Path(folder).absolute()) for folder in config_dirs],
        ),
    )
    return _Search(composer, settings, directory, declared[0], settings.launcher, quiet).carry_out()


def resume_search(
    directory: SweepDirectory, launcher: Launcher | None, *, plugins: Sequence[str] = (), quiet: bool = False
) -> int:
    """Go on with a search where it stopped; `plugins` were typed again.

    Raises:
        ConfigError: all trials are over, and nothing else is missing.
    """
    required("optuna", "optuna", "hydra/sweeper")
    check_plugins(plugins_in(directory.header["overrides"]), plugins)
    with Composer(directory.header["overrides"], directory.header.get("config_dirs", ())) as composer:
        settings = composer.settings()
        declared = base_of(directory, plugins)
        return _Search(composer, settings, directory, declared, launcher, quiet).carry_out()


class _Search:
    """One process's part of a search."""

    def __init__(
        self,
        composer: Composer,
        settings: Settings,
        directory: SweepDirectory,
        declared: Declaration,
        launcher: Launcher | None,
        quiet: bool,
    ) -> None:
        self._composer = composer
        self._settings = settings
        self._sweeper: OptunaSweeper = settings.sweeper
        self._swept, self._fixed = _split(settings)
        self._space = {item.get_key_element(): distribution(item) for item in self._swept}
        self._directory = directory
        self._declared = declared
        self._launcher = launcher
        self._quiet = quiet

    def carry_out(self) -> int:
        """Run batch after batch until every trial is over; returns the sweep's exit code."""
        tasks = self._directory.tasks()
        known = {task.number: self._directory.look(task) for task in tasks}
        left = [task for task in tasks if known[task.number]["status"] != "finished"]
        over = len(tasks) >= self._sweeper.n_trials and not left
        lacking = to_complete(self._directory, self._declared, len(tasks)) if over else []
        conductor = Conductor(
            self._directory, self._launcher, self._declared, total=self._sweeper.n_trials, quiet=self._quiet
        )
        for line in lacking:
            conductor.note(line)
        with conductor, _in_words():
            study = self._study()
            conductor.know(row for row in known.values() if row["status"] == "finished")
            batches = [left] if left else []
            while len(tasks) < self._sweeper.n_trials or batches:
                batch = batches.pop() if batches else self._ask(study, len(tasks))
                tasks += [task for task in batch if task.number >= len(tasks)]
                rows = conductor.carry_out(batch)
                if conductor.stop.signum is not None:
                    break
                for row in rows:
                    self._tell(study, row)
                failed = sum(row["status"] == "failed" for row in rows)
                if failed / len(rows) > self._sweeper.max_failure_rate:
                    conductor.note(
                        f"{failed} of {len(rows)} trials failed, more than hydra.sweeper.max_failure_rate"
                    )
                    break
            if not self._quiet:
                conductor.note(self._best(study))
        return conductor.exit_code

    def _study(self) -> Any:
        """The study in its database, told of every trial of ours that is over."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        address = self._storage()
        study = optuna.create_study(
            storage=None if address is None else _database(address, self._declared.config.tracking),
            study_name=self._sweeper.study_name or self._directory.identity,
            directions=[*self._sweeper.directions],  # type: ignore[list-item]
            load_if_exists=True,
        )
        with contextlib.suppress(ValueError):
            study.set_metric_names(self._sweeper.objective)
        told = {trial.user_attrs.get("run") for trial in study.trials if trial.state.is_finished()}
        for task in self._directory.tasks():
            row = self._directory.look(task)
            if row["number"] not in told and row["status"] in ("finished", "stopped", "failed"):
                self._tell(study, row)
        return study

    def _ask(self, study: Any, number: int) -> list[Task]:
        """The next batch: chosen by Optuna, declared, and written down before it is run."""
        from runner.runtime import derive_seed

        study.sampler = self._sweeper.build(derive_seed(self._sweeper.seed, "trials", number) % 2**32)
        tasks = []
        for place in range(number, min(number + self._sweeper.n_jobs, self._sweeper.n_trials)):
            trial = study.ask(self._space)
            trial.set_user_attr("run", place)
            label = {key: _text(value) for key, value in trial.params.items()}
            with named(label):
                declared = self._composer.declare(_typed(self._fixed, label, self._settings))
            task = self._directory.task(
                place, declared.overrides, label, declared.values, declared.schemas, declared.config
            )
            tasks.append(task)
        self._directory.plan(tasks)
        return tasks

    def _tell(self, study: Any, row: Row) -> None:
        """Give Optuna one result; a trial the database does not know is put into it."""
        import optuna

        values = self._sweeper.values(row)
        state = optuna.trial.TrialState.COMPLETE if values is not None else optuna.trial.TrialState.FAIL
        mine = [trial for trial in study.trials if trial.user_attrs.get("run") == row["number"]]
        if any(trial.state.is_finished() for trial in mine):
            return
        if mine:
            study.tell(mine[0].number, values, state=state)
            return
        study.add_trial(
            optuna.trial.create_trial(
                params={key: _parsed(row[key], space) for key, space in self._space.items()},
                distributions=self._space,
                values=values,
                state=state,
                user_attrs={"run": row["number"]},
            )
        )

    def _best(self, study: Any) -> str:
        """One line on the best trial, or on the Pareto front."""
        best = study.best_trials
        if not best:
            return "search    no trial gave a result"
        names = ", ".join(self._sweeper.objective)
        runs = ", ".join(str(trial.user_attrs.get("run")) for trial in best[:10])
        what = "best run" if len(self._sweeper.objective) == 1 else "Pareto front, runs"
        return f"search    {what} {runs} by {names}; study {study.study_name!r}"

    def _storage(self) -> str | None:
        """The address of the study's database."""
        if self._sweeper.storage != "auto":
            return self._sweeper.storage
        tracking = self._declared.config.tracking
        reached = tracking.enabled and not tracking.uri.startswith("http")
        return str(tracking.uri) if reached else SEPARATE_DATABASE


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Say what is the matter with the study's database in one line.

    Raises:
        StorageError: it is locked, or cannot be reached or written.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        told = f"{error} {error.__cause__ or ''}"
        why = "another program keeps it locked" if "locked" in told else redact(told.splitlines()[0])
        raise StorageError(f"the study's database: {why}; resume the sweep once that is over") from error


def _database(address: str, tracking: TrackingConfig) -> Any:
    """Optuna's storage in a database that MLflow may be using too.

    Both libraries keep the version of their tables in one called alembic_version. MLflow's must be there first;
    Optuna then takes it for its own and only has to be kept from comparing it.
    """
    import optuna

    logging.getLogger("alembic").setLevel(logging.WARNING)
    if address.startswith("sqlite:///"):
        Path(address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    if address == tracking.uri:
        name = tracking.experiment or "runner"
        set_up = "import sys; from runner.tracking.store import Store; Store(*sys.argv[1:])"
        command = [sys.executable, "-c", set_up, address, tracking.artifacts, name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            why = redact((done.stderr.strip().splitlines() or ["no reason given"])[-1]).rpartition(
                "StoreError: "
            )[2]
            raise StorageError(f"the study's database {redact(address)} cannot be set up: {why}")
    return optuna.storages.RDBStorage(address, skip_compatibility_check=True)


def _split(settings: Settings) -> tuple[list[Override], list[Override]]:
    """(what is searched, what is fixed); ranges of the preset count where the command line says nothing."""
    from runner.declare.messages import parse

    typed = {item.get_key_element() for item in settings.swept}
    preset = parse([f"{key}={value}" for key, value in settings.sweeper.params.items() if key not in typed])
    check_preset(preset)
    together = [*settings.swept, *preset]
    swept = [item for item in together if item.is_sweep_override()]
    if not swept:
        raise ConfigError(
            "nothing to search: give a range, e.g. ansatz.reps='range(1,5)'", key="hydra/sweeper"
        )
    return swept, [item for item in together if not item.is_sweep_override()]


def _typed(fixed: Sequence[Override], label: Mapping[str, str], settings: Settings) -> tuple[str, ...]:
    """The overrides of one trial."""
    constant = [str(item.input_line) for item in fixed]
    return (*constant, *(f"{key}={value}" for key, value in label.items()), *extras(settings))


def _text(value: Any) -> str:
    """A value as it is typed: floats in the shortest form that reads back to the same."""
    return value if isinstance(value, str) else json.dumps(value)


def _parsed(text: str, space: Any) -> Any:
    """A value of a trial from its text."""
    kind = {"IntDistribution": int, "FloatDistribution": float}.get(type(space).__name__, str)
    return kind(text)
