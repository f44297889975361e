"""What error mitigation buys and costs: one circuit at given parameters, a rung for each way, in one session."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runner import engine
from runner.declare.checks import require_choice
from runner.declare.config import flatten
from runner.errors import ConfigError
from runner.hamiltonian.scale import constants, largest, size
from runner.optimizer import StopOptimization
from runner.run.answer import EXACT, MEASURED, TRUNCATED, worth
from runner.run.experiment import Experiment
from runner.run.mitigation import checked, declared
from runner.run.results import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.declare.plain import Values
    from runner.optimizer import OptimizerConfig
    from runner.run.budget import Spent
    from runner.run.context import Lab
    from runner.run.objective import JobStream
    from runner.run.problem import Problem
    from runner.services.protocol import Backend, Pub

RAW, READOUT, ZNE, BOTH, PEC, PEA = "raw", "readout", "zne", "both", "pec", "pea"
LEARNED = "learning"
"""Row of what learning the noise took, before the rung that needed it first in a session; later ones find it known."""
RUNGS = (RAW, READOUT, ZNE, BOTH, PEC, PEA)
LEARNING = ("layer_noise_learning", "layer_noise_model")
IMPLIED = ("resilience_level", "measure_mitigation", "zne_mitigation", "pec_mitigation")
"""What the rungs themselves say."""
PLACES = ("optimum", "initial")
STARTS = 8
"""Random points, beside the declared one, from which the noiseless optimum is looked for."""


@dataclass(frozen=True)
class Prepared:
    """What is measured, and what it should be."""

    parameters: np.ndarray
    """Shape (P,)."""
    ideal: float
    """Energy there without noise."""
    rungs: Mapping[str, Values]
    """Rung → options of the Estimator in the client's names."""


@dataclass(kw_only=True)
class MitigationLadder(Experiment):
    """The same energy by several ways to deal with errors, each with its true error and its price."""

    name: str = "mitigation_ladder"
    """Name of the experiment."""
    rungs: list[str] = field(default_factory=lambda: list(RUNGS))
    """In this order: raw | readout (TREX) | zne (extrapolated to no noise, gates twirled) | both | pec (TREX, learned
    noise cancelled) | pea (TREX, learned noise amplified and extrapolated)."""
    at: str = "optimum"
    """Parameters: optimum (found here without noise, at no price) | initial (as `ansatz.initial` says, run:… too)."""

    ignores: ClassVar[tuple[str, ...]] = ("optimizer", "gradient")

    def __post_init__(self) -> None:
        require_choice("experiment.at", self.at, PLACES)
        for index, rung in enumerate(self.rungs):
            require_choice(f"experiment.rungs[{index}]", rung, RUNGS)
        if not self.rungs or len(set(self.rungs)) < len(self.rungs):
            raise ConfigError(f"name each rung once, some of {', '.join(RUNGS)}", key="experiment.rungs")

    def checked_mitigation(self, declared: Values) -> Values:
        """Without what acts in some rungs only, which are checked one by one."""
        resilience = dict(declared.get("resilience", {}))
        acting = {name: value for name, value in resilience.items() if name not in (PEC, *LEARNING)}
        others = {name: value for name, value in declared.items() if name != "resilience"}
        return {**others, "resilience": acting} if acting else others

    def mitigates(self, prepared: Prepared) -> str:
        """Every rung by itself: none of them does all that is declared."""
        return "; ".join(in_words(rung, prepared.rungs[rung]) for rung in self.rungs)

    def optimizers_of(self, config: RunConfig) -> Sequence[OptimizerConfig]:  # noqa: ARG002
        """None: nothing is minimized by jobs."""
        return []

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> Prepared:
        """Look for the parameters and the true energy, and check every rung.

        Raises:
            ConfigError: a rung cannot act, or the true energy cannot be computed.
        """
        assert problem is not None
        options = self._options(config)
        for place, rung in enumerate(self.rungs):
            if rung != RAW:
                try:
                    checked(options[rung], backend, problem)
                except ConfigError as error:
                    # the reason is of an option that follows from the rung
                    raise ConfigError(
                        f"{rung} cannot act: {error}; leave it out", key=f"experiment.rungs[{place}]"
                    ) from error
        parameters = self._parameters(config, problem)
        noiseless = engine.Engine().estimator_plan(problem.ansatz, problem.hamiltonian)
        noiseless.require(exact=True)
        return Prepared(parameters, float(noiseless.run(parameters, shots=None, seed=0).evs), options)

    def _options(self, config: RunConfig) -> dict[str, Values]:
        """What every rung asks of the Estimator: a part of what is declared."""
        declared = config.estimator.mitigation
        if declared.get("resilience_level") != 2:
            raise ConfigError(
                "the rungs are parts of resilience level 2; use estimator=level2", key="estimator"
            )
        resilience, twirling = declared.get("resilience", {}), declared.get("twirling", {})
        others = {name: value for name, value in declared.items() if name not in ("resilience", "twirling")}
        takers = {"measure_mitigation": {READOUT, BOTH, PEC, PEA}, "zne_mitigation": {ZNE, BOTH, PEA}}
        for switch, rungs in takers.items():
            if resilience.get(switch) is False and (wanted := rungs & set(self.rungs)):
                raise ConfigError(
                    f"is off, and experiment.rungs has {' and '.join(sorted(wanted))}; leave one of them out",
                    key=f"estimator.{switch}",
                )
        readout = _only(resilience, "measure_noise_learning")
        without_gates = {name: value for name, value in twirling.items() if name != "enable_gates"}
        options: dict[str, Values] = {
            RAW: {},
            READOUT: {**others, "resilience_level": 1, "resilience": readout, "twirling": without_gates},
            ZNE: {
                **others,
                "resilience": {**_only(resilience, "zne"), "measure_mitigation": False},
                "twirling": twirling,
            },
            BOTH: {
                **others,
                "resilience": {**readout, **_only(resilience, "zne")},
                "twirling": twirling,
            },
            PEC: {
                **others,
                "resilience_level": 1,
                "resilience": {
                    **readout,
                    **_only(resilience, "pec", *LEARNING),
                    "pec_mitigation": True,
                },
                "twirling": twirling,
            },
            PEA: {
                **others,
                "resilience": {
                    **readout,
                    **_only(resilience, *LEARNING),
                    "zne": {**resilience.get("zne", {}), "amplifier": "pea"},
                },
                "twirling": twirling,
            },
        }
        self._require_taken(declared, options)
        return options

    def _require_taken(self, declared: Values, options: Mapping[str, Values]) -> None:
        """Refuse what only rungs take that are not climbed.

        Raises:
            ConfigError: naming the rungs that would take it.
        """
        taken = {rung: flatten(values) for rung, values in options.items()}
        for key, value in flatten(declared).items():
            takers = [rung for rung in RUNGS if taken[rung].get(key) == value]
            if key.rpartition(".")[2] not in IMPLIED and not set(takers) & set(self.rungs):
                raise ConfigError(
                    f"acts in {' and '.join(takers) or 'no rung'}, and experiment.rungs is "
                    f"[{','.join(self.rungs)}]; leave it out{', or add one of them' if takers else ''}",
                    key=f"estimator.{key.removeprefix('resilience.')}",
                )

    def _parameters(self, config: RunConfig, problem: Problem) -> np.ndarray:
        if self.at == "initial":
            return problem.initial_point
        initial = config.ansatz.initial
        if initial == "values" or initial.startswith("run:"):
            raise ConfigError(
                f"{initial} gives parameters, and experiment.at=optimum looks for others; add experiment.at=initial",
                key="ansatz.initial",
            )
        return optimum(problem, config.seed)

    def run(self, lab: Lab) -> Outcome:
        """One job a rung and a row each; a job that learns noise has a row of its own."""
        prepared: Prepared = lab.prepared
        problem = lab.problem
        energy = stddev = 0.0
        bound: float | None = None
        kind = EXACT if lab.config.estimator.precision == 0 else MEASURED
        for rung in self.rungs:
            stream = lab.stream(rung, mitigation=prepared.rungs[rung])
            pub = (problem.circuit, problem.observable, prepared.parameters)
            (part,), spent = self.climbed(lab, stream, pub)
            energy, stddev = float(part.data.evs), float(part.data.stds)
            lost = part.metadata.get("truncation")
            bound = None if lost is None else float(lost)
            told = worth(kind, stddev, bound) == TRUNCATED
            # without the raw value that mitigated jobs have beside theirs: it is of twirled circuits, no rung raw
            lab.mitigated = {
                "setting": in_words(rung, prepared.rungs[rung])
                + ("; added by all rungs together" if len(self.rungs) > 1 else ""),
                "raw": None,
                "mitigated": energy,
                "stddev": stddev,
            }
            lab.row(
                rung=rung,
                energy=energy,
                stddev=stddev,
                **({"energy truncation": bound} if told else {}),
                error=energy - prepared.ideal,
                **asdict(spent),
            )
        return Outcome(
            energy=energy,
            stddev=stddev,
            energy_kind=kind,
            truncation=bound,
            parameters=prepared.parameters.tolist(),
            reference_energy=prepared.ideal,
            reference_note="at these parameters, without noise",
            stop_reason="optimum found without noise, at no price"
            if self.at == "optimum"
            else "parameters as declared",
            table=lab.table,
        )

    @staticmethod
    def climbed(lab: Lab, stream: JobStream, pub: Pub) -> tuple[Any, Spent]:
        """The result of a rung's job, and what that took; noise that was learned for it has a row already.

        Raises:
            StopOptimization: it has none; what was paid for it has rows all the same.
        """
        before = lab.learned

        def paid(*, answered: bool) -> Spent:
            learning, own = lab.learning(stream, before, answered=answered)
            rows = [(LEARNED, learning), *([] if answered else [(stream.name, own)])]
            for rung, spent in rows:
                if spent.qpu_seconds:
                    lab.row(rung=rung, energy=None, stddev=None, error=None, **asdict(spent))
            return own

        try:
            found = stream.estimate(pub)
        except StopOptimization:
            paid(answered=False)
            raise
        return found, paid(answered=True)


def in_words(rung: str, options: Values) -> str:
    """What the energy that is reported was measured with."""
    setting = declared(options)
    return f"rung {rung}: {'nothing' if setting is None else setting.words()}"


def optimum(problem: Problem, seed: int) -> np.ndarray:
    """Parameters (P,) of the lowest energy without noise that L-BFGS-B finds from the start and some random points.

    Raises:
        ConfigError: there are no exact gradients of this circuit.
    """
    import numpy as np
    from scipy.optimize import minimize

    plan = engine.Engine().estimator_plan(problem.ansatz, problem.hamiltonian)
    if not plan.exact_gradient:
        raise ConfigError("no exact gradients of this circuit; use initial", key="experiment.at")

    constant, unit = usual(problem.hamiltonian)

    def slope(values: np.ndarray) -> tuple[float, np.ndarray]:
        energy, gradient = plan.gradient(values)
        return (float(energy) - constant) / unit, np.asarray(gradient).reshape(-1) / unit

    rng = np.random.default_rng([seed, 0x1ADD])
    starts = [problem.initial_point, *rng.uniform(-np.pi, np.pi, (STARTS, len(problem.initial_point)))]
    found = [minimize(slope, start, jac=True, method="L-BFGS-B") for start in starts]
    lowest = min(found, key=lambda one: round(float(one.fun), 9))  # of equal ones the first
    return np.asarray(lowest.x)


def usual(hamiltonian: SparsePauliOp) -> tuple[float, float]:
    """A constant and a unit in which energies are about 1, for thresholds of a minimization; 0 and 1 where they are."""
    coefficient = largest(hamiltonian)
    if not coefficient:
        return 0.0, 1.0
    constant = float(hamiltonian.coeffs[constants(hamiltonian)].real.sum())
    unit = 1.0 if 1e-3 <= coefficient <= 1e3 else 2.0 ** math.floor(math.log2(coefficient))
    return constant if abs(constant) > 1e3 * size(hamiltonian) else 0.0, unit


def _only(values: Values, *names: str) -> Values:
    return {name: values[name] for name in names if name in values}
