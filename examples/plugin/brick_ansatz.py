"""An own ansatz: bricks of RXX on even and odd bonds, RZ between them."""

from dataclasses import dataclass

from runner.ansatz import AnsatzConfig


@dataclass(kw_only=True)
class Brick(AnsatzConfig):
    """A brick wall; size, starting point and their checks come with AnsatzConfig."""

    reps: int = 2
    """Number of layers."""

    def build(self, hamiltonian=None):
        """The circuit, logical and without measurements."""
        from qiskit import QuantumCircuit
        from qiskit.circuit import ParameterVector

        qubits = self.size(hamiltonian)
        angles = iter(ParameterVector("t", self.reps * (2 * qubits - 1)))
        circuit = QuantumCircuit(qubits)
        for _ in range(self.reps):
            for qubit in [*range(0, qubits - 1, 2), *range(1, qubits - 1, 2)]:
                circuit.rxx(next(angles), qubit, qubit + 1)
            for qubit in range(qubits):
                circuit.rz(next(angles), qubit)
        return circuit
