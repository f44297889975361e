"""Misread bitstrings against the inverse of the exact confusion matrix, and standard errors against repetition."""

import numpy as np
import pytest

pytest.importorskip("mthree", reason="mthree comes with the extra 'readout'")

from qiskit.primitives import BitArray

from runner.errors import NumericalError
from runner.mitigation import Misread, calibration_circuits
from runner.mitigation import readout as module


def _confusion(rates: list[tuple[float, float]]) -> np.ndarray:
    """P(read | true) of all bitstrings, the first qubit being the last bit: a product of matrices."""
    result = np.ones((1, 1))
    for up, down in rates:
        result = np.kron(np.array([[1 - up, down], [up, 1 - down]]), result)
    return result


def _words(bits: int) -> list[str]:
    return [format(number, f"0{bits}b") for number in range(1 << bits)]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_quasi_probabilities_are_the_inverse_of_the_confusion(bits: int) -> None:
    """Where every bitstring was read: numpy's solution of the whole system, to the library's single precision."""
    rng = np.random.default_rng(bits)
    rates = [tuple(row) for row in rng.uniform(0.01, 0.15, (bits, 2)).tolist()]
    qubits = rng.permutation(10)[:bits].tolist()
    counts = dict(zip(_words(bits), rng.integers(50, 5000, 1 << bits).tolist(), strict=True))
    shots = sum(counts.values())
    expected = np.linalg.solve(_confusion(rates), np.array(list(counts.values())) / shots)
    found = Misread(dict(zip(qubits, rates, strict=True)), 1000).corrected(counts, qubits)

    assert found.words == list(counts)
    assert found.values == pytest.approx(expected, abs=3e-6)
    assert found.mean(dict.fromkeys(counts, 1.0))[0] == pytest.approx(1.0, abs=1e-6)


def test_standard_errors_are_how_far_values_spread() -> None:
    """Shots of circuit and calibration drawn 400 times; the values are unbiased, too."""
    rng = np.random.default_rng(3)
    rates = [(0.03, 0.12), (0.05, 0.09)]
    truth = np.array([0.4, 0.05, 0.25, 0.3])
    costs = dict(zip(_words(2), [1.0, -2.0, 0.5, 3.0], strict=True))
    values, told = [], []
    for _ in range(400):
        counts = rng.multinomial(1000, _confusion(rates) @ truth)
        learned = {
            q: (rng.binomial(500, up) / 500, rng.binomial(500, down) / 500)
            for q, (up, down) in enumerate(rates)
        }
        found = Misread(learned, 500).corrected(dict(zip(_words(2), counts.tolist(), strict=True)), [0, 1])
        value, stddev = found.mean(costs)
        values.append(value)
        told.append(stddev)
    exact = truth @ np.array(list(costs.values()))

    assert np.std(values, ddof=1) == pytest.approx(np.sqrt(np.mean(np.square(told))), rel=0.12)
    assert np.mean(values) == pytest.approx(exact, abs=4 * np.std(values) / 20)


def test_calibration_circuits_tell_how_each_qubit_is_misread() -> None:
    """0 read as 1 in the first circuit, 1 read as 0 in the second, by counting."""
    zeros, ones = calibration_circuits([4, 1], 5)
    read = BitArray.from_bool_array(np.array([[0, 0], [1, 0], [0, 0], [0, 0]], dtype=bool), order="little")
    flipped = BitArray.from_bool_array(np.array([[1, 1], [1, 0], [1, 0], [1, 1]], dtype=bool), order="little")

    assert [item.operation.name for item in zeros.data] == ["measure", "measure"]
    assert [zeros.find_bit(item.qubits[0]).index for item in zeros.data] == [4, 1]
    assert ones.count_ops() == {"x": 2, "measure": 2}
    assert Misread.of([4, 1], read, flipped).rates == {4: (0.25, 0.0), 1: (0.0, 0.5)}
    with pytest.raises(NumericalError, match="qubit 4 reads 25% of its zeros as 1 and 100% of its ones as 0"):
        Misread.of([4, 1], read, zeros_of(4))


def zeros_of(shots: int) -> BitArray:
    """Two bits that are never 1."""
    return BitArray.from_bool_array(np.zeros((shots, 2), dtype=bool), order="little")


def test_many_bitstrings_have_no_standard_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is told instead of a number that would take a large inverse."""
    monkeypatch.setattr(module, "MOST_WITH_ERRORS", 2)
    found = Misread({0: (0.1, 0.1), 1: (0.1, 0.1)}, 100).corrected({"00": 5, "01": 3, "10": 2}, [0, 1])

    assert found.of("00")[1] is None
    assert found.values.sum() == pytest.approx(1.0, abs=1e-6)
