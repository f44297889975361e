"""A circuit written down gate by gate in the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runner import engine
from runner.ansatz.angle import angle, names_in
from runner.ansatz.start import MAX_QUBITS, AnsatzConfig
from runner.declare.alternatives import stands_for
from runner.declare.checks import require_choice, require_integer, require_number, require_range
from runner.errors import ConfigError

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

GATES = {
    **dict.fromkeys(("id", "h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg"), (0, 1)),
    **dict.fromkeys(("rx", "ry", "rz", "p"), (1, 1)),
    "u": (3, 1),
    **dict.fromkeys(("cx", "cy", "cz", "ch", "swap", "iswap", "ecr", "dcx"), (0, 2)),
    **dict.fromkeys(("rxx", "ryy", "rzz", "rzx", "crx", "cry", "crz", "cp"), (1, 2)),
    **dict.fromkeys(("ccx", "ccz", "cswap"), (0, 3)),
    "delay": (1, 1),
}
"""Gate → number of angles and number of qubits, by qiskit's names; of a delay the microseconds."""


@stands_for("gates")
@dataclass(kw_only=True)
class GateList(AnsatzConfig):
    """Any small circuit: a list of gates, in order."""

    initial: str = "zeros"
    """Start: zeros | random | small_random | values | file:PATH | run:ID."""
    gates: list[Any] = field(default_factory=list)
    """[name, angles…, qubits…], e.g. [h, 0], [ry, a, 0], [cx, 0, 1]; an angle is a number, a parameter's name,
    or an expression of them: pi/2, -a, 2*a+b. [delay, 20, 0] lets qubit 0 wait for 20 microseconds."""

    written_down: ClassVar[bool] = True

    @property
    def for_parameters(self) -> str:
        """What to do where its circuit has none."""
        return "name an angle, e.g. [ry, a, 0], or measure it as it stands with experiment=estimation"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gates:
            raise ConfigError("is empty; give at least one gate, e.g. [[h, 0]]", key="ansatz.gates")
        for index, gate in enumerate(self.gates):
            self._check(f"ansatz.gates[{index}]", gate)

    def _check(self, key: str, gate: Any) -> None:
        if isinstance(gate, str) or not isinstance(gate, Sequence) or not gate:
            raise ConfigError(f"must be [name, angles…, qubits…], got {gate!r}; write e.g. [h, 0]", key=key)
        require_choice(key, str(gate[0]), list(GATES))
        angles, qubits = GATES[gate[0]]
        if len(gate) != 1 + angles + qubits:
            raise ConfigError(
                f"{gate[0]!r} takes {angles} angles and {qubits} qubits, got {list(gate[1:])}; give them in that order",
                key=key,
            )
        for given in gate[1 : 1 + angles]:
            if gate[0] == "delay":
                require_number(key, given)
                require_range(key, given, 0, 1e6)
            elif isinstance(given, str):
                names_in(given, key)
            else:
                require_number(key, given)
        places = gate[1 + angles :]
        for place in places:
            require_integer(key, place, 0, (self.qubits or MAX_QUBITS) - 1)
        if len(set(places)) != len(places):
            raise ConfigError(f"names a qubit twice in {list(places)}; name each once", key=key)

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit on the qubits it names, or as many as `qubits` says; the Hamiltonian does not matter.

        Its parameters are in the order in which they first appear.
        """
        from qiskit import QuantumCircuit
        from qiskit.circuit import Delay, Parameter
        from qiskit.circuit.library import get_standard_gate_name_mapping

        del hamiltonian
        known = get_standard_gate_name_mapping()
        parameters: dict[str, Parameter] = {}

        def parameter(name: str) -> Parameter:
            return parameters.setdefault(name, Parameter(name))

        parsed = []
        for index, (name, *rest) in enumerate(self.gates):
            count = GATES[name][0]
            angles = [
                angle(given, parameter, f"ansatz.gates[{index}]") if isinstance(given, str) else float(given)
                for given in rest[:count]
            ]
            made = Delay(angles[0], "us") if name == "delay" else known[name].base_class(*angles)
            parsed.append((made, rest[count:]))
        circuit = QuantumCircuit(self.qubits or 1 + max(place for _, places in parsed for place in places))
        for gate, places in parsed:
            circuit.append(gate, places)
        used = circuit.parameters  # 0*a has none
        return engine.in_order(circuit, [one for one in parameters.values() if one in used])
