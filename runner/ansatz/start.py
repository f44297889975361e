"""Where the parameters of an ansatz start: given, random, from physics, or from an earlier run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runner import engine
from runner.declare.alternatives import either
from runner.declare.checks import require_choice, require_integer, require_number, shorten, twice
from runner.declare.files import read_text
from runner.errors import ConfigError
from runner.hamiltonian.physics import physics_of
from runner.record.best import best_parameters
from runner.record.directory import JOURNAL
from runner.record.packed import is_there

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2
    from qiskit.quantum_info import SparsePauliOp
    from qiskit.transpiler import StagedPassManager

    from runner.hamiltonian.integrals import Integrals

STARTS = ("reference", "zeros", "random", "small_random", "hartree_fock", "values", "file:PATH", "run:ID")
SPREADS = {"reference": 0.5, "random": math.pi, "small_random": 0.1}
"""Half-width in radians of the random displacement, where none is declared; 0 for the rest."""
MOST_TOLD = 8
"""Names of parameters that a message lists."""
MAX_QUBITS = 1000
"""Largest circuit that may be declared."""


@either(selector="initial", initial_values=[], named={"initial_values": "values"})
@dataclass(kw_only=True)
class AnsatzConfig:
    """What every ansatz has: a size and a starting point."""

    name: str
    """Name of the choice."""
    qubits: int | None = None
    """Number of qubits; null: the Hamiltonian's."""
    initial: str = "reference"
    """Start: reference | zeros | random | small_random | hartree_fock | values | file:PATH | run:ID.

    reference: the Hamiltonian's product state (Hartree–Fock, Néel) if this ansatz can prepare it, else random;
    displaced at random, because exactly there the gradients of hardware-efficient circuits vanish.
    """
    initial_values: Any = field(default_factory=list)
    """The starting point in radians, for initial=values: a list in the parameters' order, or {name: value, …}."""
    initial_spread: float | None = None
    """Random displacement, ± rad; null: 0.5 around a reference state, π for random, 0.1 for small_random, else 0."""

    def as_written(self) -> QuantumCircuit | None:
        """The circuit with the measurements that it was written with; None where it is not from a file."""
        return None

    written_down: ClassVar[bool] = False
    """It is a circuit as it is written down, whatever the Hamiltonian."""

    @property
    def for_parameters(self) -> str:
        """What to do where its circuit has none."""
        return "choose another, or measure it as it stands with experiment=estimation"

    def __post_init__(self) -> None:
        if self.qubits is not None:
            require_integer("ansatz.qubits", self.qubits, 1, MAX_QUBITS)
        kind, colon, rest = self.initial.partition(":")
        if colon and kind in ("file", "run"):
            if not rest:
                raise ConfigError(
                    f"{self.initial!r} names nothing; write {kind}:<{kind}>", key="ansatz.initial"
                )
        else:
            require_choice("ansatz.initial", self.initial, STARTS)
        if (self.initial == "values") != bool(self.initial_values):
            raise ConfigError(
                f"has {len(self.initial_values or ())} numbers with initial={self.initial}; give both or none",
                key="ansatz.initial_values",
            )
        if not isinstance(self.initial_values, list | dict | None):
            raise ConfigError(
                f"must be a list or names with values, got {self.initial_values!r}; write [0.1, …] or {{a: 0.1, …}}",
                key="ansatz.initial_values",
            )
        _check_numbers("ansatz.initial_values", self.initial_values)
        if self.initial_spread is not None:
            require_number("ansatz.initial_spread", self.initial_spread)
            if not 0 <= self.initial_spread <= 2 * math.pi:
                raise ConfigError(
                    f"must be in [0, 2π], got {self.initial_spread}; give radians",
                    key="ansatz.initial_spread",
                )

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit, logical and without measurements."""
        raise NotImplementedError

    @property
    def read_from(self) -> Sequence[Path]:
        """What the circuit is read from."""
        return ()

    def of_electrons(self, integrals: Integrals) -> QuantumCircuit | None:  # noqa: ARG002 - for those that can
        """The circuit where integrals are all that it takes; None: `build` needs the operator on qubits."""
        return None

    def passes(
        self,
        circuit: QuantumCircuit,  # noqa: ARG002
        backend: BackendV2,  # noqa: ARG002
        optimization_level: int,  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> StagedPassManager | None:
        """Passes of its own that fit the circuit to a device; None: Qiskit's preset ones.

        Args:
            circuit: what `build` gave, measured or not.
            backend: the device.
            optimization_level: 0 to 3.
            seed: of the passes that draw at random.
        """
        return None

    def size(self, hamiltonian: SparsePauliOp | None) -> int:
        """Number of qubits: as declared, else the Hamiltonian's.

        Raises:
            ConfigError: neither is known.
        """
        if self.qubits is not None:
            return self.qubits
        if hamiltonian is None:
            raise ConfigError(
                "is null and there is no hamiltonian to take it from; give it", key="ansatz.qubits"
            )
        return int(hamiltonian.num_qubits)

    def initial_point(
        self,
        circuit: QuantumCircuit,
        hamiltonian: SparsePauliOp | None,
        rng: np.random.Generator,
        runs: str | Path = "outputs/runs",
    ) -> np.ndarray:
        """Where the parameters start, shape (P,), in the order of `circuit.parameters`, which is the declared one.

        Args:
            circuit: what `build` gave.
            hamiltonian: what it was built for.
            rng: source of the random starts.
            runs: folder that `run:ID` is looked up in.

        Raises:
            ConfigError: the point is missing, has the wrong length, or is not finite.
        """
        import numpy as np

        count = circuit.num_parameters
        initial = self.initial
        if initial == "reference" and not self.prepares_reference(hamiltonian):
            initial = "random"
        spread = SPREADS.get(initial, 0.0) if self.initial_spread is None else self.initial_spread
        kind, _, rest = self.initial.partition(":")
        match kind:
            case "hartree_fock":
                centre = self.reference_point(circuit, hamiltonian)
            case "reference" if initial == "reference":
                centre = self.reference_point(circuit, hamiltonian)
            case "values":
                centre = _checked(self.initial_values, circuit, "ansatz.initial_values")
            case "file":
                centre = _checked(read_numbers(Path(rest)), circuit, "ansatz.initial")
            case "run":
                found = parameters_of_run(rest, Path(runs))
                if isinstance(found, list):
                    require_old_order(circuit, f"run {rest!r}", "ansatz.initial")
                centre = _checked(found, circuit, "ansatz.initial")
            case _:
                centre = np.zeros(count)
        if spread and kind != "zeros":
            centre = centre + rng.uniform(-spread, spread, count)
        return centre

    def prepares_reference(self, hamiltonian: SparsePauliOp | None) -> bool:
        """Whether `reference_point` can be asked for."""
        del hamiltonian
        return False

    def reference_point(
        self,
        circuit: QuantumCircuit,  # noqa: ARG002 - for those that have one
        hamiltonian: SparsePauliOp | None,  # noqa: ARG002
    ) -> np.ndarray:
        """Parameters that prepare the Hamiltonian's reference state.

        Raises:
            ConfigError: this ansatz has none, or the Hamiltonian knows no reference state.
        """
        raise ConfigError(
            f"hartree_fock is not defined for {self.name!r}; use zeros or random", key="ansatz.initial"
        )


def reference_bits(hamiltonian: SparsePauliOp | None, key: str = "ansatz.initial") -> tuple[int, ...]:
    """The Hamiltonian's reference state, one bit per qubit.

    Raises:
        ConfigError: it knows none.
    """
    bits = physics_of(hamiltonian).reference_state if hamiltonian is not None else None
    if bits is None:
        raise ConfigError(
            "this hamiltonian has no reference state such as Hartree–Fock; use a molecule, or another choice",
            key=key,
        )
    return bits


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object that gives no name twice.

    Raises:
        ValueError: it does.
    """
    if (name := twice([name for name, _ in pairs])) is not None:
        raise ValueError(f"{shorten(name, 40)} stands twice")
    return dict(pairs)


def read_numbers(path: Path) -> Any:
    """Numbers from a JSON list, or a text file with one number per line or comma; a JSON object has them by name.

    Raises:
        ConfigError: there is no such file, or it holds no numbers.
    """
    text = read_text(path, "ansatz.initial")
    try:
        if text.lstrip().startswith(("[", "{")):
            values = json.loads(text, object_pairs_hook=_once)
            if isinstance(values, dict) and "parameters" in values:
                values = _named(values)
        else:
            values = [float(word) for word in text.replace(",", " ").split()]
    except ValueError as error:
        raise ConfigError(
            f"{path} is no list of numbers ({error}); write JSON or one per line", key="ansatz.initial"
        ) from error
    if not isinstance(values, list | dict):
        raise ConfigError(
            f"{path} holds no list of numbers; write JSON or one per line", key="ansatz.initial"
        )
    return values


def parameters_of_run(run: str, runs: Path) -> dict[str, float] | list[float]:
    """The best parameters of an earlier run, by name where it kept the names.

    Args:
        run: the name of its folder, or a path to it.
        runs: where the folder is looked up.

    Raises:
        ConfigError: there is no such run, or it has found an energy at no parameters.
    """
    directory = runs / run if (runs / run).is_dir() else Path(run)
    if not ((directory / "result.json").is_file() or is_there(directory / JOURNAL)):
        raise ConfigError(f"no run {run!r} in {runs}; name a folder there", key="ansatz.initial")
    best = best_parameters(directory)
    if best is None:
        raise ConfigError(
            f"run {run!r} has found an energy at no parameters; name another", key="ansatz.initial"
        )
    return best.named


def require_old_order(circuit: QuantumCircuit, what: str, key: str) -> None:
    """Refuse values without names, recorded when parameters were sorted by name, where that is another order now.

    Raises:
        ConfigError: it is; the values can be given by name.
    """
    if engine.NAMES in (circuit.metadata or {}):
        raise ConfigError(
            f"{what} has its parameters sorted by name, and they are in declared order now: "
            f"{', '.join(engine.names_of(circuit)[:MOST_TOLD])}; give ansatz.initial_values by name",
            key=key,
        )


def _named(result: dict[str, Any]) -> Any:
    """The parameters of a result: {name: value}, or a list where there are no names to them."""
    values: Any = result.get("parameters")
    names: Any = result.get("parameter_names")
    if _are(names, str) and isinstance(values, list) and len(names) == len(values):
        return dict(zip(names, values, strict=True))
    return values


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(one, kind) for one in values)


def _checked(values: Any, circuit: QuantumCircuit, key: str) -> np.ndarray:
    """One number for every parameter, in the circuit's order.

    Raises:
        ConfigError: too many or too few, or a name that the circuit does not have; the circuit's names are told.
    """
    import numpy as np

    _check_numbers(key, values)
    names = engine.names_of(circuit)
    told = ", ".join(names[:MOST_TOLD]) + (", …" if len(names) > MOST_TOLD else "")
    if isinstance(values, dict) and set(values) != set(names):
        wrong = [f"no {name!r}" for name in names if name not in values]
        wrong += [
            f"{name!r}, which is none of the ansatz's parameters" for name in values if name not in names
        ]
        raise ConfigError(f"has {wrong[0]}; give {told}", key=key)
    if len(values) != len(names):
        raise ConfigError(
            f"has {len(values)} numbers, the ansatz {len(names)} parameters; make them equal"
            + (f" ({told})" if names else ""),
            key=key,
        )
    ordered = [values[name] for name in names] if isinstance(values, dict) else values
    return np.array(ordered, dtype=float)


def _check_numbers(key: str, values: Any) -> None:
    pairs = values.items() if isinstance(values, dict) else enumerate(values or ())
    for place, value in pairs:
        require_number(f"{key}.{place}" if isinstance(values, dict) else f"{key}[{place}]", value)
