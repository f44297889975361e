"""Several optimizers after the same ground state, at the same time, in one session: which is there first?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from runner.declare.composer import choice, named_choice
from runner.errors import ConfigError
from runner.optimizer import OptimizerConfig
from runner.run.experiment import Experiment
from runner.run.results import Outcome
from runner.run.suitability import check_optimizer, most_evaluations

if TYPE_CHECKING:
    from runner.declare.config import RunConfig
    from runner.run.context import Lab
    from runner.run.problem import Problem
    from runner.services.protocol import Backend

MAX_RACERS = 20


@dataclass(kw_only=True)
class VqeRace(Experiment):
    """One VQE per optimizer; every one has its own stream, job tag and random numbers."""

    name: str = "vqe_race"
    """Name of the experiment."""
    optimizers: list[Any] = field(default_factory=lambda: ["cobyla", "nelder_mead"])
    """Choices of the group optimizer, each a name or, with settings of its own, {name: {setting: value}}.

    Limits (max_evaluations, max_shots, target_energy) are those of `optimizer`; the racer of its name is `optimizer`
    itself.
    Under a name of your own: {name: {schema: spsa, setting: value}}.
    """

    names_choices: ClassVar[Mapping[str, str]] = {"optimizers": "optimizer"}

    def __post_init__(self) -> None:
        key = "experiment.optimizers"
        if not 1 <= len(self.optimizers) <= MAX_RACERS:
            raise ConfigError(f"takes 1 to {MAX_RACERS}, got {len(self.optimizers)}; name some", key=key)
        names = [name for name, _ in self._entries()]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ConfigError(f"{name!r} stands twice; name each once", key=f"{key}[{index}]")

    def _entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Name and settings of every racer."""
        for index, entry in enumerate(self.optimizers):
            yield named_choice(entry, f"experiment.optimizers[{index}]")

    def racers(self, config: RunConfig) -> list[OptimizerConfig]:
        """The optimizers: the declared one as declared, the others as their choices say, with its limits."""
        declared = config.optimizer
        names = ("max_evaluations", "max_shots", "target_energy")
        limits = {name: getattr(declared, name) for name in names}
        racers = []
        for index, (name, changes) in enumerate(self._entries()):
            racer = choice("optimizer", name, changes, key=f"experiment.optimizers[{index}]")
            if name == declared.name:
                racers.append(replace(declared, **{setting: getattr(racer, setting) for setting in changes}))
            else:
                racers.append(replace(racer, **{key: limits[key] for key in limits if key not in changes}))
        return racers

    def optimizers_of(self, config: RunConfig) -> list[OptimizerConfig]:
        """Those of the race."""
        return self.racers(config)

    def most_evaluations(self, config: RunConfig, problem: Problem | None) -> int | None:
        """Those of all racers."""
        circuit = None if problem is None else problem.circuit
        found = [most_evaluations(replace(config, optimizer=racer), circuit) for racer in self.racers(config)]
        counts = [count for count in found if count is not None]
        return sum(counts) if len(counts) == len(found) else None

    def prepare(
        self,
        config: RunConfig,
        backend: Backend,  # noqa: ARG002 - for those that need it
        problem: Problem | None,
    ) -> list[OptimizerConfig]:
        """The optimizers, checked together with the declared limits and the ansatz."""
        assert problem is not None
        racers = self.racers(config)
        for racer in racers:
            check_optimizer(racer, config, problem.circuit)
        return racers

    def run(self, lab: Lab) -> Outcome:
        """Let all start at once; report them side by side and the best of them as the result."""
        racers: list[OptimizerConfig] = lab.prepared
        streams = [lab.stream(racer.name) for racer in racers]
        with lab.together([racer.name for racer in racers]) as submit:
            running = [
                submit(racer.name, lab.minimize, stream, racer)
                for racer, stream in zip(racers, streams, strict=True)
            ]
            found = [future.result() for future in running]
        answers = lab.settle(*streams)
        for stream, ending, answer in zip(streams, found, answers, strict=True):
            lab.row(
                optimizer=stream.name,
                **answer.row(),
                energy_kind=answer.worth,
                exact_energy=answer.exact_energy,
                evaluations=stream.evaluations,
                best_at=stream.best.evaluation + 1,
                iterations=stream.iterations,
                converged=ending.success,
            )
        place, winner = lab.lowest(streams, answers)
        endings = list(zip([*answers, winner], [*found, found[place]], strict=True))
        stops = [answer.stop_reason(ending) for answer, ending in endings if answer.resumable(ending)]
        return Outcome(
            **winner.outcome(),
            reference_energy=lab.problem.reference_energy,
            evaluations=sum(stream.evaluations for stream in streams),
            iterations=sum(stream.iterations for stream in streams),
            stop_reason="; ".join([*stops[:1], f"lowest energy by {racers[place].name}"]),
            resumable=bool(stops),
            table=lab.table,
        )
