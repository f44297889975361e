"""What a run is declared to be: the typed configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.ansatz import AnsatzConfig
from runner.declare.alternatives import check_acting
from runner.declare.backend import BackendConfig
from runner.declare.checks import require_choice, require_range, shorten
from runner.declare.estimator import EstimatorConfig
from runner.declare.overrides import Overrides
from runner.declare.plain import Values
from runner.display import markup
from runner.errors import ConfigError
from runner.hamiltonian.declared import HamiltonianConfig
from runner.optimizer import OptimizerConfig
from runner.run.experiment import Experiment
from runner.runtime.duration import parse_duration
from runner.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from runner.declare.session import SessionConfig
else:  # OmegaConf reads the annotation, and cannot merge into a class that has a union, as max_time is one
    SessionConfig = Any

CONF = Path(__file__).resolve().parents[2] / "conf"

MEASURED = {
    "estimator.grouping": "qubit_wise",
    "estimator.shot_allocation": "uniform",
    "estimator.term_reading": "own_basis",
}
"""How the real service measures."""
GROUPS = ("experiment", "backend", "session", "hamiltonian", "ansatz", "optimizer", "estimator", "tracking")
"""The choices that make up a run; each is a folder of conf/ and a module of runner/ (or experiments/)."""

GRADIENTS = ("auto", "none", "parameter_shift", "adjoint", "spsa")
BUDGET = "optimizer.max_evaluations"
"""May be typed for every experiment: one without an optimizer stays within any budget."""

RESUME = ("never", "auto")
COMPUTING = "run.max_compute_time"
MISSING: Any = "???"
"""What OmegaConf calls a value that has to be given."""


@dataclass(kw_only=True)
class RunOptions:
    """How this process goes about the run; nothing here changes a number."""

    resume: str = "never"
    """`auto` continues an unfinished run of the same configuration (in `hydra.run.dir` where that is typed); `never`
    starts a new one."""

    allow_environment_change: bool = False
    """Resume although packages, threads or the processor changed; numbers may then differ in their last bits."""

    require_convergence: bool = False
    """End as failed, with everything kept, where a minimizer stopped before its own criterion was met."""

    max_compute_time: str | None = None
    """Refuse, before anything is created, what would take longer on this machine by a trial: 90, 25m, 1h 30m."""

    figures: bool = True
    """Draw figures and write report.html at the end; `python -m runner report DIR` can do it later."""

    def __post_init__(self) -> None:
        require_choice("run.resume", self.resume, RESUME)
        _ = self.max_compute_seconds

    def refuse_time_limit(self) -> None:
        """Refuse a limit on the time here, where nobody asks whether it is kept.

        Raises:
            ConfigError: there is one.
        """
        if self.max_compute_time is not None:
            raise ConfigError("acts in single runs at the command line only; leave it out", key=COMPUTING)

    @property
    def max_compute_seconds(self) -> int | None:
        """The same in seconds."""
        allowed = self.max_compute_time  # a number that is typed comes as text, too
        if allowed is not None and allowed.isascii() and allowed.isdecimal():
            return parse_duration(int(allowed), key=COMPUTING)
        return parse_duration(allowed, key=COMPUTING)


@dataclass(kw_only=True)
class RunConfig:
    """Everything a run is declared to be; behind `compose` nothing reads OmegaConf any more."""

    seed: int = 1
    """Seed of the run, 0 ≤ seed < 2**63; every job derives its own from it."""
    name: str | None = None
    """Name of the run; null names it by what differs from the defaults."""
    gradient: str = "auto"
    """auto | none | parameter_shift | adjoint | spsa; auto: the shift rule, else adjoint, where a method uses one."""
    plugins: list[str] = field(default_factory=list)
    """Installed Python modules that register further choices."""
    run: RunOptions = field(default_factory=RunOptions)
    """How this process goes about the run."""
    experiment: Experiment = MISSING
    """The algorithm."""
    backend: BackendConfig = MISSING
    """What executes the circuits."""
    session: SessionConfig = MISSING
    """Mode, plan, limits and clock of the session."""
    hamiltonian: HamiltonianConfig = MISSING
    """The observable whose energy is sought."""
    ansatz: AnsatzConfig = MISSING
    """The parametrized circuit and where its parameters start."""
    optimizer: OptimizerConfig = MISSING
    """The classical minimizer."""
    estimator: EstimatorConfig = MISSING
    """How expectation values are obtained."""
    tracking: TrackingConfig = MISSING
    """Where the run is recorded for review."""

    def __post_init__(self) -> None:
        require_range("seed", self.seed, 0, 2**63 - 1)
        require_choice("gradient", self.gradient, GRADIENTS)
        self._check_gradient()
        self._check_target()
        self._check_sampled()
        self._check_read()
        self._check_final()
        self._check_decoupling()
        if self.name is not None and not re.fullmatch(r"[\w.,=+\- ]{1,120}", self.name):
            raise ConfigError(
                f"{self.name!r} is not usable as a name; use 1 to 120 letters, digits or any of . , = + - _",
                key="name",
            )

    def _repr_html_(self) -> str:
        """What a notebook shows: every choice with its settings, as they are typed."""
        rows = [("seed", str(self.seed), "")]
        for group in GROUPS:
            part = vars(self)[group]
            settings = ", ".join(f"{name}={shorten(value, LONGEST)}" for name, value in settings_of(part))
            rows.append((group, part.name, settings))
        return markup.facts(rows)

    def _check_gradient(self) -> None:
        if self.gradient in ("auto", "none"):
            return
        if not self.optimizer.uses_gradient:
            raise ConfigError(
                f"{self.optimizer.name!r} does not use gradients; choose another optimizer or leave gradient=auto",
                key="gradient",
            )
        if self.gradient == "adjoint" and self.estimator.precision != 0.0:
            raise ConfigError(
                "adjoint is exact and the estimator samples; use estimator=exact, or gradient=parameter_shift",
                key="gradient",
            )

    def _check_target(self) -> None:
        if self.experiment.only_samples and self.estimator.target is not None:
            raise ConfigError(
                f"{self.experiment.name} draws bitstrings and estimates no energy; use estimator.default_shots",
                key="estimator.target_stddev",
            )

    def _check_sampled(self) -> None:
        if self.experiment.only_samples and self.estimator.mitigation:
            raise ConfigError(
                f"{self.experiment.name} draws bitstrings, and what is done to expectation values does not act; take "
                "estimator=level0, and experiment.twirling or experiment.dynamical_decoupling",
                key="estimator",
            )

    def _check_read(self) -> None:
        """Refuse reading terms off every basis where shots are not drawn in bases, one by one."""
        if self.estimator.reading == "own_basis":
            return
        if not self.backend.measures_as_declared:
            raise ConfigError(
                "the real service reads every term off one basis; use estimator=level0",
                key="estimator.term_reading",
            )
        for known, key, why in (
            (self.backend.engine == "pauli", "backend.engine", "pauli follows strings one by one"),
            (self.backend.remembers, "backend.quasi_static", "frequencies are drawn for batches of shots"),
        ):
            if known:
                raise ConfigError(
                    f"every_basis does not go with {key}: {why}; use own_basis", key="estimator.term_reading"
                )

    def _check_final(self) -> None:
        if self.estimator.final_mitigation != self.estimator.mitigation and (
            self.experiment.only_samples or "optimizer" in self.experiment.ignores
        ):
            raise ConfigError(
                f"{self.experiment.name} measures no result of an optimization; leave it out, or take experiment=vqe",
                key="estimator.final",
            )

    def _check_decoupling(self) -> None:
        for key, asked in (
            ("estimator", self.estimator.decouples),
            ("experiment", self.experiment.decouples),
        ):
            if asked and not self.backend.remembers:
                raise ConfigError(
                    f"cannot act: the noise of backend={self.backend.name} has no memory, so that an echo has nothing "
                    "to undo; leave it off, or declare backend.quasi_static on a device",
                    key=f"{key}.dynamical_decoupling.enable",
                )

    def check_typed(self, typed: Overrides) -> None:
        """Refuse what is typed and changes nothing in this run.

        Raises:
            ConfigError: naming it.
        """
        experiment = self.experiment
        for item in typed:
            if not self.backend.measures_as_declared and MEASURED.get(item.key, item.value) != item.value:
                raise ConfigError(
                    f"the real service has {MEASURED[item.key]}; remove it, or choose another backend",
                    key=item.key,
                )
            if item.part in experiment.ignores and item.key != BUDGET:
                raise ConfigError(f"does not act in experiment={experiment.name}; leave it out", key=item.key)
        if experiment.only_samples and self.estimator.precision == 0 and typed.last("estimator") is not None:
            raise ConfigError(
                f"{experiment.name} draws bitstrings, which are never exact; use estimator=shots, or leave it out",
                key="estimator",
            )
        self._check_shots(typed)
        check_acting(vars(self), typed)

    def _check_shots(self, typed: Overrides) -> None:
        if (own := self.experiment.own_shots) is None:
            return
        for item in typed:
            if (
                item.key in ("estimator.default_shots", "estimator.default_precision")
                and item.value is not None
            ):
                raise ConfigError(
                    f"does not act beside experiment.shots={own}, which says how many; leave one of them out",
                    key=item.key,
                )


LONGEST = 60
"""Letters of a value that a notebook shows."""


def settings_of(part: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Name and value of every setting of a part that has one, as it is typed; nested ones by `outer.inner`."""
    for item in fields(part):
        value = getattr(part, item.name)
        if is_dataclass(value):
            yield from settings_of(value, f"{prefix}{item.name}.")
        elif item.name != "name" and value not in (None, "", []):
            yield prefix + item.name, str(value).lower() if isinstance(value, bool) else value


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A configuration together with what is needed to write it down and read it back."""

    config: RunConfig
    overrides: tuple[str, ...]
    """What was typed, as typed."""
    values: Values
    """The resolved configuration as plain containers: the content of config.yaml."""
    schemas: dict[str, str]
    """Group → name of the schema its values belong to."""
    directory: str | None = None
    """`hydra.run.dir` where it was set."""
    multirun: bool = False
    """The chosen experiment is a sweep by itself: it sets `hydra.mode` to MULTIRUN."""
    forked_from: str | None = None
    """The run whose best parameters this one starts from."""
    config_dirs: tuple[str, ...] = ()
    """Folders with further choices, as absolute paths."""
    programmed: bool = False
    """A program declared it, so that `overrides` do not say everything."""

    @property
    def name(self) -> str:
        """The run's name: what was declared, or the overrides that make it differ from the defaults."""
        if self.config.name:
            return self.config.name
        parts = [str(self.config.experiment.name)]
        for override in Overrides.of(self.overrides):
            key, value = override.key, override.written.strip("'\"")
            if key in {"experiment", "name", "plugins"} or override.part in {"hydra", "run", "tracking"}:
                continue
            parts.append(value if key in GROUPS else f"{key.rpartition('.')[2]}={value}")
        text = re.sub(r"[^\w.=+-]+", "-", ",".join(parts).replace(",", "_")).strip("-_.")
        return text if len(text) <= LONGEST_NAME else _whole_words(text, LONGEST_NAME)


LONGEST_NAME = 80
"""Characters of a name that is made from overrides."""


def _whole_words(text: str, width: int) -> str:
    """As many words, which `-` and `_` part, as fit; one that takes more than half of it is cut."""
    head = re.match(r".*(?=[-_])", text[: width + 1])
    return (head[0] if head and 2 * len(head[0]) >= width else text[:width]).strip("-_.")


def flatten(values: object, prefix: str = "") -> Values:
    """Dotted keys of nested containers or dataclasses, in declaration order."""
    if is_dataclass(values) and not isinstance(values, type):
        values = {item.name: getattr(values, item.name) for item in fields(values)}
    if not isinstance(values, dict):
        return {prefix: values}
    flat: Values = {}
    for key, value in values.items():
        flat.update(flatten(value, f"{prefix}.{key}" if prefix else str(key)))
    return flat
