"""Gradients of the hardware's kind, against finite differences and closed forms."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from runner import compose, run
from runner.errors import ConfigError
from runner.run.gradient import ParameterShift, spsa_gradient, spsa_points
from runner.run.objective import Objective, Term
from tests.test_run import events


def energies(circuit: QuantumCircuit, observable: SparsePauliOp, values: np.ndarray) -> np.ndarray:
    """Exact expectation values by Qiskit's reference estimator."""
    return np.asarray(StatevectorEstimator().run([(circuit, observable, values)]).result()[0].data.evs)


def numerical(circuit: QuantumCircuit, observable: SparsePauliOp, point: np.ndarray) -> np.ndarray:
    """Central finite differences."""
    step = 1e-5 * np.eye(len(point))
    return (energies(circuit, observable, point + step) - energies(circuit, observable, point - step)) / 2e-5


def test_parameter_shift_of_one_rotation_is_the_derivative_of_a_cosine() -> None:
    """⟨Z⟩ after ry(θ) is cos θ, its derivative -sin θ."""
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("θ"), 0)
    shift = ParameterShift.of(circuit)

    evs = energies(shift.circuit, SparsePauliOp("Z"), shift.angles(np.array([0.3])))

    assert evs[0] == pytest.approx(np.cos(0.3))
    assert shift.gradient(evs) == pytest.approx([-np.sin(0.3)])


def test_parameter_shift_of_an_ansatz_agrees_with_finite_differences() -> None:
    """Every parameter of efficient_su2 on three qubits."""
    circuit = efficient_su2(3, reps=1)
    observable = SparsePauliOp(["XXI", "ZIZ", "IYY"], [0.5, -1.0, 0.25])
    point = np.random.default_rng(3).uniform(-np.pi, np.pi, circuit.num_parameters)
    shift = ParameterShift.of(circuit)

    gradient = shift.gradient(energies(shift.circuit, observable, shift.angles(point)))

    assert gradient == pytest.approx(numerical(circuit, observable, point), abs=1e-8)


def test_parameter_shift_follows_repeated_parameters_and_expressions() -> None:
    """One parameter in several gates, with factors and offsets: the chain rule puts it together."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2, global_phase=a)
    circuit.h(0)
    circuit.rzz(2 * a + 0.1, 0, 1)
    circuit.rx(a - b, 0)
    circuit.ry(b / 3, 1)
    circuit.p(a, 1)
    observable = SparsePauliOp(["XY", "ZZ", "YI"], [1.0, 0.7, -0.4])
    point = np.array([0.4, -1.1])
    shift = ParameterShift.of(circuit)

    gradient = shift.gradient(energies(shift.circuit, observable, shift.angles(point)))

    assert gradient == pytest.approx(numerical(circuit, observable, point), abs=1e-8)


def test_gates_without_a_two_term_rule_are_refused() -> None:
    """A controlled rotation has three eigenvalues."""
    circuit = QuantumCircuit(2)
    circuit.crx(Parameter("a"), 0, 1)

    with pytest.raises(ConfigError, match="gradient: parameter_shift has no rule for the gate 'crx'"):
        ParameterShift.of(circuit)


def test_angles_that_are_not_linear_are_refused() -> None:
    """sin(a) has no constant slope."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("a").sin(), 0)

    with pytest.raises(ConfigError, match="gradient: parameter_shift needs angles that are linear"):
        ParameterShift.of(circuit)


def test_spsa_is_the_gradient_on_average() -> None:
    """Of a linear function every direction gives an unbiased estimate."""
    slope = np.array([1.0, -2.0, 0.5])
    rng = np.random.default_rng(5)

    estimates = []
    for _ in range(4000):
        points, direction = spsa_points(np.zeros(3), rng)
        estimates.append(spsa_gradient(points @ slope, direction))

    assert np.mean(estimates, axis=0) == pytest.approx(slope, abs=0.15)


@pytest.mark.parametrize(
    ("hamiltonian", "sets"), [("h2", 25), pytest.param("lih", 289, marks=pytest.mark.nightly)]
)
def test_an_adjoint_gradient_is_charged_as_the_shift_job_of_the_same_circuit(
    hamiltonian: str, sets: int, workdir: Path
) -> None:
    """The jobs' executions are equal; UCCSD of H2 has 12 rotations, of LiH 144: 2K + 1 parameter sets."""
    work = {}
    for gradient in ("adjoint", "parameter_shift"):
        result = run(
            compose(
                f"hamiltonian={hamiltonian}", "ansatz=uccsd", "optimizer=l_bfgs_b", "estimator=exact",
                f"gradient={gradient}", "optimizer.max_evaluations=1", "tracking=off", "run.figures=false",
            )
        )  # fmt: skip
        work[gradient] = events(result, "job.submitted")[0].work

    executions = {gradient: parts[0][0] for gradient, parts in work.items()}
    assert executions["adjoint"] == executions["parameter_shift"]
    assert executions["adjoint"] % (4096 * sets) == 0


CRY = "ansatz.gates=[[ry,a,0],[cry,b,0,1],[ry,c,1]]"
VQE = ("tracking=off", "run.figures=false", "hamiltonian=pauli", "ansatz=gates", CRY, "optimizer=l_bfgs_b")
TERMS = "hamiltonian.terms=[[ZZ,1.0],[XI,0.5],[IX,0.3]]"


def test_auto_takes_the_adjoint_gradient_where_the_shift_rule_has_none(workdir: Path) -> None:
    """A controlled rotation has three frequencies; SciPy on the dense landscape finds the same minimum."""
    from qiskit.quantum_info import Statevector
    from scipy.optimize import minimize

    operator = SparsePauliOp(["ZZ", "XI", "IX"], [1.0, 0.5, 0.3])
    circuit = QuantumCircuit(2)
    a, b, c = (Parameter(name) for name in "abc")
    circuit.ry(a, 0)
    circuit.cry(b, 0, 1)
    circuit.ry(c, 1)
    start = [0.37, -0.52, 0.81]
    wanted = minimize(
        lambda point: Statevector(circuit.assign_parameters(point)).expectation_value(operator).real, start
    ).fun

    values = ("ansatz.initial=values", f"ansatz.initial_values={start}", TERMS)
    result = run(compose(*VQE, *values, "estimator=exact"))

    assert result.energy == pytest.approx(wanted, abs=1e-5)
    assert all(event.gradient_norm is not None for event in events(result, "evaluation"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["estimator=shots"],
            "gradient: parameter_shift has no rule for the gate 'cry'; take estimator=exact",
        ),
        (
            ["estimator=exact", "gradient=parameter_shift"],
            "no rule for the gate 'cry'; take .*gradient=adjoint",
        ),
        (["estimator=exact", "backend.engine=aer"], "no rule for the gate 'cry'; take gradient=spsa"),
    ],
)
def test_where_there_is_no_gradient_nothing_is_created(
    workdir: Path, changes: list[str], message: str
) -> None:
    """One line that says what to type, before a session or a directory exists."""
    with pytest.raises(ConfigError, match=message):
        run(compose(*VQE, TERMS, *changes))

    assert list(workdir.iterdir()) == []


def test_a_shifted_angle_before_a_reset_is_the_derivative() -> None:
    """⟨ZZ⟩ after ry(θ) on qubit 0, cx and a reset of qubit 0 is cos θ; its slope −sin θ comes from two shifts."""
    from runner.engine.engine import Engine

    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("θ"), 0)
    circuit.cx(0, 1)
    circuit.reset(0)
    shift = ParameterShift.of(circuit)
    plan = Engine().estimator_plan(shift.circuit, SparsePauliOp("ZZ"))

    evs = plan.run(shift.angles(np.array([0.3])), shots=None, seed=1).evs

    assert evs[0] == pytest.approx(np.cos(0.3))
    assert shift.gradient(evs) == pytest.approx([-np.sin(0.3)])


def test_exact_gradients_share_the_zeros_that_are_their_errors() -> None:
    """A long minimization keeps those of every gradient; of one that is no number nobody knows the error."""
    gradients = [np.array([0.3, 0.4]), np.array([0.0, -0.1]), np.array([0.3, np.nan])]
    answers = iter([[{"evs": np.array(-1.0), "gradients": one}] for one in gradients])
    stream = SimpleNamespace(gradients=lambda _: next(answers), observe=lambda *_, **__: None)
    objective = Objective(stream, Term(QuantumCircuit(1), "Z"), gradient="adjoint")  # type: ignore[arg-type]
    assert objective.value_and_gradient is not None

    first, second, unknown = (objective.value_and_gradient(np.zeros(2))[2] for _ in gradients)

    assert first.tolist() == [0.0, 0.0]
    assert second is first
    assert np.isnan(unknown[1])
