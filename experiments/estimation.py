"""Expectation values of any circuit and observables, as one Estimator job: no optimizer, no loop."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runner import engine
from runner.declare.alternatives import either
from runner.declare.checks import require_integer, require_number, require_range
from runner.errors import ConfigError
from runner.run.answer import EXACT, MEASURED, TRUNCATED, worth
from runner.run.experiment import FORMAT, Experiment, FirstJob
from runner.run.mitigation import declared, require_suitable
from runner.run.problem import declared_circuit, fit
from runner.run.results import Outcome

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.declare.plain import Values
    from runner.run.context import Lab
    from runner.run.experiment import KnownPub
    from runner.run.problem import Problem
    from runner.services.protocol import Backend

MAX_VALUES = 100_000
"""Most expectation values of one run."""


@dataclass(frozen=True)
class DeclaredPub:
    """One Estimator PUB and how its observables were declared."""

    circuit: QuantumCircuit
    """ISA circuit."""
    observables: list[Any]
    """Nested as declared, in the circuit's layout."""
    names: np.ndarray
    """The observables in words, in the same shape."""
    values: np.ndarray
    """Parameters, shape (…, P)."""
    simulation: str | None = None
    """How its circuit is simulated, in words; None where there is nothing to tell."""


@either(parameter_values=[], random_shape=[])
@dataclass(kw_only=True)
class Estimation(Experiment):
    """⟨ψ(θ)|O|ψ(θ)⟩ for arrays of observables and of parameter sets, broadcast against each other."""

    name: str = "estimation"
    """Name of the experiment."""
    observables: list[Any] = field(default_factory=list)
    """Labels (XX) or sums ({XX: 0.5, IY: 0.5}), nested like an array; empty: the hamiltonian."""
    parameter_values: list[Any] = field(default_factory=list)
    """Angles in radians, nested like an array whose last axis is the circuit's parameters; empty: see below."""
    random_shape: list[int] = field(default_factory=list)
    """Draw this many parameter sets from [0, 1), e.g. [3, 2]; empty: the ansatz's initial point alone."""

    needs_problem: ClassVar[bool] = False
    ignores: ClassVar[tuple[str, ...]] = ("optimizer", "gradient")

    def __post_init__(self) -> None:
        if self.parameter_values and self.random_shape:
            raise ConfigError(
                "both parameter_values and random_shape are given; choose one", key="experiment.random_shape"
            )
        for index, size in enumerate(self.random_shape):
            require_integer(f"experiment.random_shape[{index}]", size, 1, MAX_VALUES)
        _check_nested("experiment.observables", self.observables, _check_observable)
        _check_nested("experiment.parameter_values", self.parameter_values, require_number)

    def quantity(self, prepared: DeclaredPub, problem: Problem | None) -> str:  # noqa: ARG002
        """An energy where no other observable is declared."""
        return "expectation value" if self.observables else "energy"

    def magnitude(self, prepared: DeclaredPub, problem: Problem | None) -> float:  # noqa: ARG002
        """That of the smallest observable."""
        return float(abs(engine.pauli_terms(prepared.observables).coefficients).sum(axis=1).min())

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> DeclaredPub:  # noqa: ARG002
        """The PUB, its parts checked against each other.

        Raises:
            ConfigError: numbers of qubits or parameters differ, or the arrays do not broadcast.
        """
        import numpy as np

        self._check_start(config)
        circuit, start = declared_circuit(config)
        circuit = engine.without_final_measurements(circuit)
        values = self._values(circuit, start, config.seed)
        fitted = fit(circuit, backend, config)
        names: list[str] = []

        def operator(leaf: Any) -> Any:
            from qiskit.quantum_info import SparsePauliOp

            terms = {leaf: 1.0} if isinstance(leaf, str) else leaf
            built = (
                config.hamiltonian.build() if leaf is None else SparsePauliOp.from_list(list(terms.items()))
            )
            if built.num_qubits != circuit.num_qubits:
                raise ConfigError(
                    f"{leaf or 'the hamiltonian'} has {built.num_qubits} qubits, the circuit {circuit.num_qubits}; "
                    "make them equal",
                    key="experiment.observables",
                )
            names.append(config.hamiltonian.name if leaf is None else _shown(leaf))
            return built.apply_layout(fitted.layout) if fitted.layout else SparsePauliOp(built)

        observables = _mapped(self.observables or [None], operator)
        shape = _shape("experiment.observables", observables) if self.observables else ()
        try:
            total = np.broadcast_shapes(shape, values.shape[:-1])
        except ValueError:
            raise ConfigError(
                f"observables of shape {shape} and parameter sets of shape {values.shape[:-1]} do not broadcast; "
                "add axes, e.g. [[XX], [IY]]",
                key="experiment.observables",
            ) from None
        require_range("experiment", int(np.prod(total)), 1, MAX_VALUES)
        observables = observables if shape else observables[0]
        words = None
        if backend.planner is not None:
            plan = backend.planner.estimator_plan(fitted, observables)
            exact = config.estimator.precision == 0
            plan.require(exact=exact)
            require_suitable(declared(config.estimator.mitigation), backend, fitted, observables)
            words = plan.simulation(None if exact else config.estimator.options["default_shots"])
        return DeclaredPub(fitted, observables, np.array(names).reshape(shape), values, words)

    def simulation(self, prepared: DeclaredPub) -> str | None:
        """As the backend says of its circuit."""
        return prepared.simulation

    def first_job(self, config: RunConfig, prepared: DeclaredPub, backend: Backend) -> FirstJob:  # noqa: ARG002
        """The only one."""
        pub = self.known(config, prepared, None)
        return FirstJob(what="the job", pubs=lambda _: [pub])

    def known(self, config: RunConfig, prepared: DeclaredPub, problem: Problem | None) -> KnownPub:  # noqa: ARG002
        """The one there is."""
        return prepared.circuit, prepared.observables, prepared.values

    def _check_start(self, config: RunConfig) -> None:
        """Refuse a declared start that the parameter sets would replace."""
        given = "parameter_values" if self.parameter_values else "random_shape" if self.random_shape else None
        if given and config.ansatz.initial != type(config.ansatz).initial:
            raise ConfigError(
                f"is {config.ansatz.initial}, and experiment.{given} gives the parameters; leave one of them out",
                key="ansatz.initial",
            )

    def _values(self, circuit: QuantumCircuit, start: np.ndarray, seed: int) -> np.ndarray:
        import numpy as np

        count = circuit.num_parameters
        if self.random_shape:
            return np.random.default_rng([seed, 0xE57]).uniform(size=(*self.random_shape, count))
        if not self.parameter_values:
            return start
        _shape("experiment.parameter_values", self.parameter_values)
        values = np.array(self.parameter_values, dtype=float)
        if count == 1 and values.shape[-1] != 1:
            values = values[..., None]  # the primitives read it so, too
        if values.shape[-1] != count:
            raise ConfigError(
                f"last axis has {values.shape[-1]} numbers, the circuit {count} parameters; make them equal",
                key="experiment.parameter_values",
            )
        return values

    def hamiltonian_of(self, config: RunConfig, result: Values) -> SparsePauliOp:
        """The declared one.

        Raises:
            ConfigError: it was not measured, but observables were.
        """
        if self.observables:
            raise ConfigError(
                "the run measured experiment.observables in place of a hamiltonian; take qpy or qasm3 for the circuit",
                key=FORMAT,
            )
        return super().hamiltonian_of(config, result)

    def circuit_of(self, config: RunConfig, result: Values) -> QuantumCircuit:  # noqa: ARG002
        """The one there is, without measurements that end it."""
        return engine.without_final_measurements(declared_circuit(config)[0])

    def run(self, lab: Lab) -> Outcome:
        """One job; one row per expectation value."""
        import numpy as np

        request: DeclaredPub = lab.prepared
        stream = lab.stream("estimation")
        found = stream.estimate((request.circuit, request.observables, request.values))[0]
        evs, stds = np.asarray(found.data.evs), np.asarray(found.data.stds)
        lost = found.metadata.get("truncation")
        bounds = np.zeros(evs.shape) if lost is None else np.broadcast_to(lost, evs.shape)
        kind = EXACT if lab.config.estimator.precision == 0 else MEASURED
        names = np.broadcast_to(request.names, evs.shape)
        sets = np.broadcast_to(_places(request.values.shape[:-1]), evs.shape)
        told = any(worth(kind, *pair) == TRUNCATED for pair in zip(stds.flat, bounds.flat, strict=True))
        for place in np.ndindex(evs.shape):
            lab.row(
                index=list(place),
                observable=str(names[place]),
                parameter_set=int(sets[place]),
                value=float(evs[place]),
                stddev=float(stds[place]),
                **({"value truncation": float(bounds[place])} if told else {}),
            )
        single = evs.size == 1
        return Outcome(
            energy=float(evs.reshape(-1)[0]) if single else None,
            stddev=float(stds.reshape(-1)[0]) if single else None,
            energy_kind=kind,
            observable=str(names.reshape(-1)[0]) if single and self.observables else None,
            truncation=float(bounds.reshape(-1)[0]) if single and lost is not None else None,
            parameters=request.values.reshape(-1).tolist() if single else [],
            parameter_names=list(engine.names_of(request.circuit)) if single else [],
            stop_reason="one job",
            table=lab.table,
        )


def _places(shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    return np.arange(int(np.prod(shape))).reshape(shape)


def _check_nested(key: str, value: Any, check: Any) -> None:
    for index, item in enumerate(value):
        if isinstance(item, Sequence) and not isinstance(item, str):
            if not item:
                raise ConfigError("is empty; fill it or leave it out", key=f"{key}[{index}]")
            _check_nested(f"{key}[{index}]", item, check)
        else:
            check(f"{key}[{index}]", item)


def _check_observable(key: str, leaf: Any) -> None:
    terms = leaf if isinstance(leaf, dict) else {leaf: 1.0}
    for label, coefficient in terms.items():
        if not isinstance(label, str) or not re.fullmatch(r"[IXYZ]+", label):
            raise ConfigError(f"{label!r} is no word of I, X, Y, Z; write e.g. XX or {{XX: 0.5}}", key=key)
        require_number(key, coefficient)
    if not any(terms.values()):
        raise ConfigError(
            f"{_shown(leaf) or '{}'} is zero in every state; give a coefficient that is not", key=key
        )
    if len({len(label) for label in terms}) != 1:
        raise ConfigError(f"{_shown(leaf)} has labels of different length; use one length", key=key)


def _shown(leaf: Any) -> str:
    if isinstance(leaf, str):
        return leaf
    return " + ".join(f"{coefficient:g} {label}" for label, coefficient in leaf.items())


def _mapped(value: Any, function: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_mapped(item, function) for item in value]
    return function(value)


def _shape(key: str, value: Any) -> tuple[int, ...]:
    """Shape of a nested list.

    Raises:
        ConfigError: its rows have different lengths.
    """
    if not isinstance(value, list):
        return ()
    shapes = {_shape(key, item) for item in value}
    if len(shapes) != 1:
        raise ConfigError("rows have different lengths; make it a rectangular array", key=key)
    return (len(value), *shapes.pop())
