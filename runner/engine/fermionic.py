"""Shots of electrons whose number no gate changes: states of one sector by ffsim, up to 64 orbitals of either spin."""

from __future__ import annotations

import math
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit

from runner.engine.electron_state import final_state
from runner.engine.matrix_product import Losses
from runner.engine.measurement import SimulationOptions, stream
from runner.engine.memory import require
from runner.engine.sampler import SamplerPlan
from runner.errors import ConfigError

GATES = frozenset(
    ("x", "xx_plus_yy", "cp", "cz", "p", "rz", "rzz", "s", "sdg", "t", "tdg", "z", "swap", "iswap", "global_phase",
     "barrier", "measure")
)  # fmt: skip
"""What ffsim takes; x before all others."""
HOPS = frozenset(("xx_plus_yy", "swap", "iswap"))
"""Those of them that move electrons."""
VECTORS = 3
"""States that it holds at a time."""


class FermionicPlan(SamplerPlan):
    """One circuit of number-conserving gates on a determinant; spin-up orbitals are the first half of its qubits.

    Args:
        circuit: without parameters.
        options: of the engine; its noise may only flip what is read.
        depolarized: probability that all bits of a shot are random.

    Raises:
        ConfigError: ffsim is not installed, cannot take the circuit or the noise, or the state needs too much memory.
    """

    truncates = False
    """Nothing is left out of a sector's states."""

    def __init__(self, circuit: QuantumCircuit, options: SimulationOptions, depolarized: float) -> None:
        super().__init__(circuit, options)
        if find_spec("ffsim") is None:
            raise ConfigError(
                "ffsim is not installed; pip install 'session-runner[sqd]'", key="backend.engine"
            )
        self._depolarized = depolarized
        self._flips = _readout(options.noise_model, circuit.num_qubits)
        wrong = sorted(set(circuit.count_ops()) - GATES)
        if wrong or circuit.num_parameters or circuit.num_qubits % 2:
            what = f"gate {wrong[0]!r}" if wrong else "parameters, or an odd number of qubits"
            raise ConfigError(
                f"ffsim takes gates that keep electrons, and this circuit has {what}; take ansatz=lucj where shells "
                "are closed, else backend=ideal or noisy",
                key="backend.engine",
            )
        self._half = circuit.num_qubits // 2
        self._bare, self._occupied = _in_order(circuit, self._half)
        self._electrons = (len(self._occupied[0]), len(self._occupied[1]))
        self._determinants = math.prod(math.comb(self._half, count) for count in self._electrons)
        self.require()

    def require(self) -> None:
        """Refuse a state that does not fit into memory.

        Raises:
            ConfigError: with its size.
        """
        require(16 * VECTORS * self._determinants, f"a state of {self._determinants} determinants")

    def simulation(self, shots: int) -> str:  # noqa: ARG002 - the same for any number
        """What is simulated, and by whom."""
        return f"a state of {self._determinants} determinants by ffsim"

    @cached_property
    def _state(self) -> Any:
        """The state vector in its sector, made once for all jobs."""
        from ffsim import StateVector

        vector = final_state(self._bare, self._half, self._occupied).reshape(-1)
        return StateVector(vector, norb=self._half, nelec=self._electrons)

    def _piecewise_bits(
        self, rows: NDArray, shots: int, seed: int, first: int, losses: Losses | None
    ) -> NDArray:
        """Outcomes of all classical bits, (B, shots, bits): the state's, random ones, and both with bits misread."""
        from ffsim import BitstringType, sample_state_vector

        del losses  # nothing is left out of the state

        bits = np.zeros((len(rows), shots, self._num_clbits), dtype=bool)
        for row in range(len(rows)):
            rng = stream(seed, first + row, 1)
            found = sample_state_vector(
                self._state, shots=shots, bitstring_type=BitstringType.BIT_ARRAY, seed=rng
            )
            qubits = np.asarray(found, dtype=bool)[:, ::-1]  # it has the last qubit first
            lost = rng.random(shots) < self._depolarized
            qubits = np.where(lost[:, None], rng.random(qubits.shape) < 0.5, qubits)
            likely = np.where(qubits, self._flips[:, 1], self._flips[:, 0])
            qubits = qubits ^ (rng.random(qubits.shape) < likely)
            for clbit, qubit in self._anatomy.final.items():
                bits[row, :, clbit] = qubits[:, qubit]
        return bits


def _in_order(circuit: QuantumCircuit, half: int) -> tuple[QuantumCircuit, tuple[list[int], list[int]]]:
    """The gates without X and measurements, and which orbitals of either spin X fills first.

    Raises:
        ConfigError: an X comes after another gate of its qubit, there are none, or electrons change their spin.
    """
    ones: set[int] = set()
    touched: set[int] = set()
    rest = circuit.copy_empty_like()
    for item in circuit.data:
        name = item.operation.name
        places = [circuit.find_bit(qubit).index for qubit in item.qubits]
        if name == "x":
            if touched & {*places}:
                raise ConfigError(
                    "ffsim takes x before all other gates of a qubit only; use engine=auto",
                    key="backend.engine",
                )
            ones ^= {*places}
        elif name not in ("barrier", "measure"):
            if name in HOPS and len({place < half for place in places}) > 1:
                raise ConfigError(
                    f"ffsim keeps the electrons of either spin, and {name} of qubits {places[0]} and {places[1]} "
                    "moves them between the two; use engine=auto",
                    key="backend.engine",
                )
            touched |= {*places}
            rest.append(item)
    if not ones:
        raise ConfigError(
            "ffsim needs a circuit that begins with electrons; use engine=auto", key="backend.engine"
        )
    return rest, (
        sorted(one for one in ones if one < half),
        sorted(one - half for one in ones if one >= half),
    )


def _readout(noise: Any, qubits: int) -> NDArray:
    """Probability that 0 is read as 1, and 1 as 0, of every qubit; shape (qubits, 2).

    Raises:
        ConfigError: gates have errors.
    """
    flips = np.zeros((qubits, 2))
    if noise is None:
        return flips
    if set(noise.noise_instructions) - {"measure"}:
        raise ConfigError(
            "ffsim knows no errors of gates; set backend.depolarizing_1q=0 backend.depolarizing_2q=0 and declare "
            "backend.depolarized, or use engine=auto",
            key="backend.engine",
        )
    told = noise.to_dict()["errors"]
    for error in told:
        if error["type"] == "roerror":
            (zero, one) = error["probabilities"]
            places = [place for group in error.get("gate_qubits", [list(range(qubits))]) for place in group]
            flips[places] = zero[1], one[0]
    return flips
