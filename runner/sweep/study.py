"""What Optuna proposes from: the trials as the sweep's directory has them, and a copy of them in a database.

The directory is the truth. Proposals come from a study in memory, so a process that is killed while it asks leaves
nothing behind; a batch is written down with what its sampler remembers before the database hears of it, and whatever
the database lacks is brought in later. So the study after any number of kills is that of a search that never broke.
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

from runner.errors import ConfigError, StorageError, require_memory
from runner.record import faults
from runner.record.redaction import redact
from runner.sweep.member import Row, Task
from runner.sweep.optuna import OptunaSweeper

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

    from runner.tracking import TrackingConfig

OWNER = "runner.sweep"
"""Attribute of a stored study: which sweep's trials it holds."""

Proposal = dict[str, Any]
"""What a sampler remembers of one trial, `trial`, and what it has changed in its memory of the study, `study`."""


class Trials:
    """The trials of a search in memory, in the order in which they were proposed.

    Args:
        sweeper: how they are chosen and judged.
        space: swept key → its distribution.
    """

    def __init__(self, sweeper: OptunaSweeper, space: Mapping[str, BaseDistribution]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self._sweeper = sweeper
        self._space = dict(space)
        self._storage = optuna.storages.InMemoryStorage()
        self.study: Study = optuna.create_study(storage=self._storage, directions=[*sweeper.directions])  # type: ignore[list-item]
        self._id = self._storage.get_study_id_from_name(self.study.study_name)

    def recall(self, task: Task, proposal: Proposal, row: Row | None) -> None:
        """Take in a trial that was proposed before; without a row it has yet to be judged."""
        from optuna.trial import TrialState, create_trial

        for key, value in proposal.get("study", {}).items():
            self._storage.set_study_system_attr(self._id, key, value)
        values = None if row is None else self._sweeper.values(row)
        judged = TrialState.FAIL if values is None else TrialState.COMPLETE
        self.study.add_trial(
            create_trial(
                state=TrialState.RUNNING if row is None else judged,
                values=values,
                params={key: parsed(task.label[key], kind) for key, kind in self._space.items()},
                distributions=self._space,
                user_attrs={"run": task.number},
                system_attrs=proposal.get("trial", {}),
            )
        )

    def ask(self, count: int, seed: int) -> list[tuple[dict[str, str], Proposal]]:
        """The next trials: swept key → value as it is typed, and what has to be known to recall each."""
        self.study.sampler = self._sweeper.build(seed)
        return [self._ask() for _ in range(count)]

    def _ask(self) -> tuple[dict[str, str], Proposal]:
        before = dict(self._storage.get_study_system_attrs(self._id))
        trial: Trial = self.study.ask(self._space)
        trial.set_user_attr("run", trial.number)
        after = self._storage.get_study_system_attrs(self._id)
        changed = {key: value for key, value in after.items() if before.get(key) != value}
        label = {key: _text(value) for key, value in trial.params.items()}
        return label, {"trial": dict(self._found(trial.number).system_attrs), "study": changed}

    def tell(self, row: Row) -> None:
        """Take in how one trial ended."""
        from optuna.trial import TrialState

        values = self._sweeper.values(row)
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        self.study.tell(row["number"], values, state=state)

    @property
    def all(self) -> list[FrozenTrial]:
        """Every trial, in order."""
        return self.study.get_trials(deepcopy=False)

    def _found(self, number: int) -> FrozenTrial:
        return self.all[number]


class StoredStudy:
    """The copy of a search's trials in a database, where Optuna's own tools find it.

    Args:
        name: of the study.
        owner: identity of the sweep that it belongs to.
        sweeper: says its directions and the names of its values.
        address: of the database.
        tracking: where runs are recorded, which may be the same database.

    Raises:
        StorageError: the database cannot be reached or written.
        ConfigError: the study is another search's.
    """

    def __init__(
        self, name: str, owner: str, sweeper: OptunaSweeper, address: str, tracking: TrackingConfig
    ) -> None:
        with in_words():
            self._storage = database(address, tracking)
            self._name, self._owner, self._sweeper = name, owner, sweeper
            self._study = self._open()
            self._known = self._study.get_trials()

    def lacks(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether something is missing in it, or different."""
        return len(self._known) != len(trials) or not all(map(_same, self._known, trials))

    def follow(self, trials: Sequence[FrozenTrial]) -> None:
        """Bring in what is new; what cannot be brought in, because it was told otherwise, is written anew.

        Raises:
            StorageError: the database refused; trying again later brings in the rest.
        """
        with in_words():
            if len(self._known) > len(trials) or not all(map(_may_become, self._known, trials)):
                self._begin_again()
            for number, trial in enumerate(trials[: len(self._known)]):
                if not self._known[number].state.is_finished() and trial.state.is_finished():
                    faults.reach("study")
                    self._study.tell(number, trial.values, state=trial.state)
                    self._known[number] = trial
            for trial in trials[len(self._known) :]:
                faults.reach("study")
                self._study.add_trial(trial)
                self._known.append(trial)

    def _open(self) -> Study:
        import optuna

        study = optuna.create_study(
            storage=self._storage,
            study_name=self._name,
            directions=[*self._sweeper.directions],  # type: ignore[list-item]
            load_if_exists=True,
        )
        owner = study.user_attrs.get(OWNER, self._owner if self._name == self._owner else None)
        if owner is None and not study.get_trials(deepcopy=False):
            owner = self._owner
        if owner != self._owner:
            raise taken(self._name)
        study.set_user_attr(OWNER, owner)
        with contextlib.suppress(ValueError):  # Optuna wants them different from each other
            study.set_metric_names(self._sweeper.objective)
        return study

    def _begin_again(self) -> None:
        import optuna

        optuna.delete_study(study_name=self._name, storage=self._storage)
        self._study, self._known = self._open(), []


def _may_become(stored: FrozenTrial, trial: FrozenTrial) -> bool:
    """Whether the stored trial is this one, or this one before it was told."""
    same = stored.params == trial.params and stored.user_attrs.get("run") == trial.user_attrs.get("run")
    return same and (not stored.state.is_finished() or _same(stored, trial))


def _same(stored: FrozenTrial, trial: FrozenTrial) -> bool:
    facts = (stored.params, stored.state, stored.values, stored.user_attrs.get("run"))
    return facts == (trial.params, trial.state, trial.values, trial.user_attrs.get("run"))


def taken(name: str) -> ConfigError:
    """What is said where a study of this name holds the trials of another search."""
    return ConfigError(
        f"a study {name!r} is in the database already, with trials of another search; choose another name",
        key="hydra.sweeper.study_name",
    )


def check_free(name: str, address: str, tracking: TrackingConfig) -> None:
    """Refuse the name of a study that is there already, before anything of a new search is created.

    Raises:
        ConfigError: it is.
        StorageError: the database cannot be reached or written.
    """
    import optuna

    file = Path(address.removeprefix("sqlite:///"))
    if address.startswith("sqlite:///") and not file.exists():
        return
    with in_words():
        if name in optuna.get_all_study_names(database(address, tracking)):
            raise taken(name)


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Say what is the matter with the study's database in one line.

    Raises:
        StorageError: it is locked, or cannot be reached or written.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StorageError(f"the study's database: {why}; resume the sweep once that is over") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        told = f"{error.__cause__ or ''} {error}".strip()
        why = "another program keeps it locked" if "locked" in told else _reason(told)
        raise StorageError(f"the study's database: {why}; resume the sweep once that is over") from error
    except ImportError as error:
        require_memory(error)
        raise ConfigError(
            f"the study's database needs a driver: {error}; install it, or take a sqlite:/// address",
            key="hydra.sweeper.storage",
        ) from error


def _reason(told: str) -> str:
    """The first line of what a database says, without the name of a class before it."""
    line = redact(told.splitlines()[0])
    return line.rpartition("Error) ")[2]


def database(address: str, tracking: TrackingConfig) -> Any:
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


def _text(value: Any) -> str:
    """A value as it is typed: floats in the shortest form that reads back to the same."""
    return value if isinstance(value, str) else json.dumps(value)


def parsed(text: str, space: BaseDistribution) -> Any:
    """A value of a trial from its text."""
    kind = {"IntDistribution": int, "FloatDistribution": float}.get(type(space).__name__, str)
    return kind(text)
