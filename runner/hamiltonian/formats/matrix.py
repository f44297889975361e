"""A matrix that numpy stored, as a sum of Pauli words."""

from __future__ import annotations

import io
import math
from pathlib import Path

from runner.declare.foreign import load_npy
from runner.hamiltonian.formats.number import check_size
from runner.hamiltonian.formats.reading import Reading
from runner.hamiltonian.formats.source import Source

MAX_DIMENSION = 1024
"""Largest matrix that is taken apart: 10 qubits, a million words."""
HERMITIAN = 1e-10
"""Largest |A − A†| relative to the largest |A|."""
SMALLEST = 1e-14
"""Coefficients below this, relative to the largest element, are rounding."""


def read(path: Path, key: str, content: bytes, *, qubits: int | None, order: str) -> Reading:
    """The operator of an .npy file, whose last bit of a row's number is qubit 0.

    Raises:
        ConfigError: it is no hermitian matrix of 2ⁿ rows, or damaged.
    """
    import numpy as np
    from qiskit.quantum_info import Operator, SparsePauliOp

    from runner.hamiltonian.operator import Hamiltonian

    source = Source(path, key, "")
    shape, kind, size, start = _header(source, content)
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 2 or shape[0] & (shape[0] - 1):
        raise source.refuse(f"holds an array of shape {shape}; give a matrix of 2ⁿ rows and columns")
    if shape[0] > MAX_DIMENSION:
        raise source.refuse(f"has {shape[0]} rows, more than {MAX_DIMENSION}; give its Pauli terms instead")
    if kind not in "iufc" or math.prod(shape) * size != len(content) - start:
        raise source.refuse("holds no numbers, or is cut off; write it with numpy.save")
    matrix = load_npy(content, str(path), key).astype(complex)
    scale = float(np.abs(matrix).max())
    if not math.isfinite(scale):
        raise source.refuse("holds a number that is not finite; correct it")
    check_size(scale, f"{scale:g}", source, None)
    row, column = np.unravel_index(np.abs(matrix - matrix.conj().T).argmax(), shape)
    if abs(matrix[row, column] - matrix[column, row].conj()) > HERMITIAN * scale:
        raise source.refuse(
            f"is not hermitian: element [{row}, {column}] is {matrix[row, column]:.6g}, "
            f"[{column}, {row}] is {matrix[column, row]:.6g}; correct it"
        )
    if scale == 0:
        raise source.refuse("is zero everywhere; give a matrix that is not")
    operator = SparsePauliOp.from_operator(Operator(matrix), atol=SMALLEST * scale, rtol=0)
    count = int(operator.num_qubits)
    if qubits not in (None, count):
        raise source.refuse(f"has {count} qubits, and hamiltonian.qubits is {qubits}; make them equal")
    if order == "big":
        operator = operator.apply_layout(list(reversed(range(count))))
    words = f"last bit of a row's number is qubit {0 if order == 'little' else count - 1}"
    return Reading(Hamiltonian(operator.paulis, operator.coeffs.real), "a NumPy matrix", words)


def _header(source: Source, content: bytes) -> tuple[tuple[int, ...], str, int, int]:
    """Shape, kind of number, bytes of each, and where they start; nothing is allocated by what a header claims."""
    from numpy.lib import format as npy

    stream = io.BytesIO(content)
    try:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = read_header(stream)
    except Exception as error:  # a damaged header fails in many ways, all of them inside numpy
        raise source.refuse("is a damaged NumPy file; write it with numpy.save") from error
    return shape, kind.kind, kind.itemsize, stream.tell()
