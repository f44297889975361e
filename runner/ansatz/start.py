"""Where the parameters of an ansatz start: given, random, from physics, or from an earlier run."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError
from runner.hamiltonian.file import read_text
from runner.require import require_choice, require_integer, require_number

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

STARTS = ("reference", "zeros", "random", "small_random", "hartree_fock", "values", "file:PATH", "run:ID")
SPREADS = {"reference": 0.5, "random": math.pi, "small_random": 0.1}
"""Half-width in radians of the random displacement, where none is declared; 0 for the rest."""
MAX_QUBITS = 1000
"""Largest circuit that may be declared."""


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
    initial_values: list[float] = field(default_factory=list)
    """The starting point in radians, for initial=values."""
    initial_spread: float | None = None
    """Random displacement, ± rad; null: 0.5 around a reference state, π for random, 0.1 for small_random, else 0."""

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
                f"has {len(self.initial_values)} numbers with initial={self.initial}; give both or none",
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
        """Where the parameters start, shape (P,), in the order of `circuit.parameters`.

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
                centre = _checked(self.initial_values, count, "ansatz.initial_values")
            case "file":
                centre = _checked(read_numbers(Path(rest)), count, "ansatz.initial")
            case "run":
                centre = _checked(parameters_of_run(rest, Path(runs)), count, "ansatz.initial")
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
    from runner.hamiltonian.operator import physics_of

    bits = physics_of(hamiltonian).reference_state if hamiltonian is not None else None
    if bits is None:
        raise ConfigError(
            "this hamiltonian has no reference state such as Hartree–Fock; use a molecule, or another choice",
            key=key,
        )
    return bits


def read_numbers(path: Path) -> list[Any]:
    """Numbers from a JSON list, or a text file with one number per line or comma.

    Raises:
        ConfigError: there is no such file, or it holds no numbers.
    """
    text = read_text(path, "ansatz.initial")
    try:
        if text.lstrip().startswith(("[", "{")):
            values = json.loads(text)
            values = values.get("parameters") if isinstance(values, dict) else values
        else:
            values = [float(word) for word in text.replace(",", " ").split()]
    except ValueError as error:
        raise ConfigError(
            f"{path} is no list of numbers ({error}); write JSON or one per line", key="ansatz.initial"
        ) from error
    if not isinstance(values, list):
        raise ConfigError(
            f"{path} holds no list of numbers; write JSON or one per line", key="ansatz.initial"
        )
    return values


def parameters_of_run(run: str, runs: Path) -> list[Any]:
    """The parameters an earlier run ended with; `run` is the name of its folder or a path to it.

    Raises:
        ConfigError: there is no such run, or it has no result.
    """
    directory = runs / run if (runs / run).is_dir() else Path(run)
    if not (directory / "result.json").is_file():
        raise ConfigError(
            f"no run {run!r} with a result in {runs}; name a folder there", key="ansatz.initial"
        )
    values = json.loads((directory / "result.json").read_text(encoding="utf-8")).get("parameters")
    if not values:
        raise ConfigError(f"run {run!r} has no parameters; name a finished run", key="ansatz.initial")
    return list(values)


def _checked(values: list[Any], count: int, key: str) -> np.ndarray:
    import numpy as np

    _check_numbers(key, values)
    if len(values) != count:
        raise ConfigError(
            f"has {len(values)} numbers, the ansatz {count} parameters; make them equal", key=key
        )
    return np.array(values, dtype=float)


def _check_numbers(key: str, values: list[Any]) -> None:
    for index, value in enumerate(values):
        require_number(f"{key}[{index}]", value)
