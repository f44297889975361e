"""Gradients the way hardware takes them: parameter shift, and SPSA's two-point estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter, ParameterExpression

SHIFTABLE = frozenset(("rx", "ry", "rz", "p", "u1", "rxx", "ryy", "rzz", "rzx"))
"""Gates exp(-iθG/2) (up to a phase) with G² = 1, whose gradient is the two-term shift rule."""


def chosen(
    declared: str, circuits: Iterable[QuantumCircuit], *, exact: bool, adjoint: Callable[[], bool]
) -> str:
    """The gradient that is taken of these ISA circuits: as declared, or the first that `auto` finds possible.

    Args:
        declared: auto | none | parameter_shift | adjoint | spsa.
        circuits: whose expectation values are summed.
        exact: the estimator gives exact values.
        adjoint: whether the backend computes exact gradients of all of them.

    Raises:
        ConfigError: parameter_shift is declared and has no rule, or nothing is possible; it says what to type.
    """
    if declared not in ("auto", "parameter_shift"):
        return declared
    obstacle = next(filter(None, map(shift_obstacle, circuits)), None)
    if obstacle is None:
        return "parameter_shift"
    possible = adjoint()
    if declared == "auto" and exact and possible:
        return "adjoint"
    ways = ["gradient=adjoint" if exact else "estimator=exact gradient=adjoint"] * possible + [
        "gradient=spsa"
    ]
    raise ConfigError(f"parameter_shift {obstacle}; take {', or '.join(ways)}", key="gradient")


def shift_obstacle(circuit: QuantumCircuit) -> str | None:
    """Why the two-term shift rule does not hold for a circuit, in words; None where it does."""
    for item in circuit.data:
        angles = [a for a in item.operation.params if getattr(a, "parameters", None)]
        if angles and item.operation.name not in SHIFTABLE:
            return f"has no rule for the gate {item.operation.name!r}"
        for angle in angles:
            if any(getattr(angle.gradient(p), "parameters", None) for p in angle.parameters):
                return f"needs angles that are linear in the parameters, got {angle}"
    return None


@dataclass(frozen=True)
class ParameterShift:
    """The exact gradient as one PUB of 2K parameter sets, K being the number of parametrized gates.

    For a gate exp(-iθG/2) with G² = 1:  ∂E/∂θ = ½ [E(θ + π/2) - E(θ - π/2)]
    (Mitarai et al., Phys. Rev. A 98, 032309 (2018)). Every parametrized gate gets an angle of its own, so that a
    parameter may occur in several gates and linearly in an angle; the chain rule puts the terms together.
    """

    circuit: QuantumCircuit
    """The circuit with one free angle per parametrized gate, in the order of `angles`."""
    slopes: np.ndarray
    """Shape (K, P): ∂angle_k / ∂parameter_p."""
    offsets: np.ndarray
    """Shape (K,): the angles at parameters zero."""

    @classmethod
    def of(cls, circuit: QuantumCircuit) -> ParameterShift:
        """Prepare the gradient of a circuit's expectation values.

        Raises:
            ConfigError: a parametrized gate has no two-term shift rule, or an angle is not linear in the parameters.
        """
        import numpy as np
        from qiskit.circuit import ParameterVector

        names = list(circuit.parameters)
        if obstacle := shift_obstacle(circuit):
            raise ConfigError(f"parameter_shift {obstacle}; use adjoint or spsa", key="gradient")
        angles: list[ParameterExpression] = []
        shifted = circuit.copy_empty_like()
        places = [
            (index, position)
            for index, instruction in enumerate(circuit.data)
            for position, angle in enumerate(instruction.operation.params)
            if getattr(angle, "parameters", None)
        ]
        vector = ParameterVector("angle", len(places))
        if getattr(circuit.global_phase, "parameters", None):
            shifted.global_phase = 0  # a phase of the whole state changes no expectation value
        free = {place: vector[number] for number, place in enumerate(places)}
        for index, instruction in enumerate(circuit.data):
            operation = instruction.operation
            if any((index, position) in free for position in range(len(operation.params))):
                angles.append(operation.params[0])
                operation = operation.to_mutable()
                operation.params = [free[index, 0]]
            shifted.append(operation, instruction.qubits, instruction.clbits)
        slopes = np.array([[_slope(angle, name) for name in names] for angle in angles], dtype=float)
        slopes = slopes.reshape(len(angles), len(names))
        zeros = dict.fromkeys(names, 0.0)
        offsets = np.array([float(a.bind({p: zeros[p] for p in a.parameters})) for a in angles])
        return cls(circuit=shifted, slopes=slopes, offsets=offsets)

    def angles(self, values: np.ndarray) -> np.ndarray:
        """Angles of shape (2K + 1, K): the point itself, then every angle shifted up, then down by π/2."""
        import numpy as np

        centre = self.slopes @ values + self.offsets
        shift = np.eye(len(centre)) * (np.pi / 2)
        return np.concatenate([centre[None, :], centre + shift, centre - shift])

    def gradient(self, energies: np.ndarray) -> np.ndarray:
        """∂E/∂parameters, shape (P,), from the energies at `angles(values)`."""
        count = len(self.offsets)
        up, down = energies[1 : count + 1], energies[count + 1 :]
        gradient: np.ndarray = self.slopes.T @ ((up - down) / 2)
        return gradient

    def variance(self, stddevs: np.ndarray) -> np.ndarray:
        """Squared standard error of each component, shape (P,), from those of the energies, which are independent."""
        count = len(self.offsets)
        up, down = stddevs[1 : count + 1], stddevs[count + 1 :]
        variance: np.ndarray = (self.slopes**2).T @ ((up**2 + down**2) / 4)
        return variance


def _slope(angle: ParameterExpression, parameter: Parameter) -> float:
    if parameter not in angle.parameters:
        return 0.0
    return float(angle.gradient(parameter))


SPSA_STEP = 0.1
"""Distance in radians, per parameter, of the two points of an SPSA gradient from their centre."""


def spsa_points(values: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The centre and the two points around it, shape (3, P), and the random ±1 direction between them.

    The estimate (E₊ - E₋) / (2·step)·direction is unbiased to second order in the step (Spall, IEEE Trans. Autom.
    Control 37, 332 (1992)).
    """
    import numpy as np

    direction = rng.choice([-1.0, 1.0], size=len(values))
    return values + SPSA_STEP * np.array([[0.0], [1.0], [-1.0]]) * direction, direction


def spsa_gradient(energies: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The estimate, shape (P,), from the energies at the three points of `spsa_points`."""
    slope: float = (energies[1] - energies[2]) / (2 * SPSA_STEP)
    return slope * direction
