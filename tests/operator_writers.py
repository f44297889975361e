"""One operator in the words of many programs: written from the formats' published descriptions, not by our code."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.circuit.library import PauliEvolutionGate
from qiskit.quantum_info import SparsePauliOp

Terms = list[tuple[str, float]]


def some_terms(seed: int, qubits: int = 3, count: int = 7) -> Terms:
    """Different labels, one of them the identity, with multiples of 1/64 so that sums of them are exact."""
    rng = np.random.default_rng(seed)
    labels = {"I" * qubits}
    while len(labels) < count:
        labels.add("".join(rng.choice(list("IXYZ"), qubits)))
    numbers = rng.permutation(np.setdiff1d(np.arange(-40, 41), [0]))[:count] / 64
    return [
        (str(label), float(value))
        for label, value in zip(rng.permutation(sorted(labels)), numbers, strict=True)
    ]


def fortran(value: float) -> str:
    """As Fortran's D format writes it: -1.70000000D-01."""
    return f"{value:.10e}".replace("e", "D")


def letters(label: str) -> list[tuple[str, int]]:
    """Letters that are no I, and their qubits; the last letter is qubit 0."""
    return [(letter, qubit) for qubit, letter in enumerate(reversed(label)) if letter != "I"]


def lines(
    between: str, value: Callable[[float], str] = repr, head: str = "", end: str = "\n"
) -> Callable[[Terms], str]:
    """One term a line."""
    return lambda terms: head + end.join(f"{label}{between}{value(number)}" for label, number in terms) + end


def indexed(label: str) -> str:
    """Letters with their qubits: X0 Y1; nothing for the identity."""
    return " ".join(f"{letter}{qubit}" for letter, qubit in letters(label))


def openfermion(value: Callable[[float], str]) -> Callable[[Terms], str]:
    """str(QubitOperator): `coefficient [X0 Y1] +`, a line each."""
    return lambda terms: " +\n".join(
        f"{value(number)} [{' '.join(f'{letter}{qubit}' for letter, qubit in letters(label))}]"
        for label, number in terms
    )


def pennylane(terms: Terms, around: str = "{}", last: int = 2) -> str:
    """str(qml.Hamiltonian): `0.5 * (X(0) @ Y(1)) + -0.3 * Z(2)`, every wire of the identity's too."""
    return " + ".join(
        f"{number} * "
        + (
            around.format(
                " @ ".join(f"{letter}({qubit})" for letter, qubit in letters(label) or [("I", last)])
            )
        )
        for label, number in terms
    )


def pennylane_before(terms: Terms) -> str:
    """The same up to PennyLane 0.35: `+ (0.5) [X0 Y1]`."""
    return "\n".join(
        f"{' ' if index == 0 else '+'} ({number}) [{indexed(label) or 'I0'}]"
        for index, (label, number) in enumerate(terms)
    )


def plain_sum(terms: Terms) -> str:
    """0.5*ZZ - 0.3 XI."""
    text = f"{terms[0][1]}*{terms[0][0]}"
    return text + "".join(
        f" {'-' if number < 0 else '+'} {abs(number)} {label}" for label, number in terms[1:]
    )


def aqua(terms: Terms) -> dict:
    """WeightedPauliOperator.to_dict of Qiskit Aqua."""
    return {"paulis": [{"label": label, "coeff": {"real": number, "imag": 0.0}} for label, number in terms]}


def sparse(terms: Terms) -> list:
    """SparsePauliOp.to_sparse_list: letters, qubits, coefficient."""
    return [
        ["".join(letter for letter, _ in letters(label)), [qubit for _, qubit in letters(label)], number]
        for label, number in terms
    ]


def matrix(terms: Terms) -> bytes:
    """numpy.save of the dense matrix, by Kronecker products."""
    pauli = {
        "I": np.eye(2), "X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1]),
    }  # fmt: skip
    total = np.zeros((2 ** len(terms[0][0]),) * 2, dtype=complex)
    for label, number in terms:
        product = np.eye(1)
        for letter in label:
            product = np.kron(product, pauli[letter])
        total += number * product
    stream = io.BytesIO()
    np.save(stream, total)
    return stream.getvalue()


def evolution(terms: Terms) -> bytes:
    """qpy.dump of a circuit with one PauliEvolutionGate."""
    circuit = QuantumCircuit(len(terms[0][0]))
    circuit.append(PauliEvolutionGate(SparsePauliOp.from_list(terms), time=0.3), circuit.qubits)
    stream = io.BytesIO()
    qpy.dump(circuit, stream)
    return stream.getvalue()


def yaml_rows(terms: Terms) -> str:
    """A YAML list of flow lists."""
    return "terms:\n" + "".join(f"  - [{label}, {number}]\n" for label, number in terms)


def _json(shape: Callable[[Terms], object]) -> Callable[[Terms], str]:
    return lambda terms: json.dumps(shape(terms))


WRITERS: dict[str, Callable[[Terms], str | bytes]] = {
    "plain.txt": lines(" "),
    "none": lines("   "),
    "tabs.dat": lines("\t"),
    "commas.csv": lines(","),
    "spaced.csv": lines(" , "),
    "header.csv": lines(",", head="Pauli String,Coefficient (Ha)\n"),
    "crlf.csv": lines(",", end="\r\n"),
    "mac.txt": lines(" ", end="\r"),
    "bom.csv": lambda terms: "\ufeff" + lines(",")(terms),
    "semicolons.csv": lines(";", head="pauli;coeff\n"),
    "decimal_commas.csv": lines(";", lambda number: repr(number).replace(".", ",")),
    "decimal_commas.tsv": lines("\t", lambda number: repr(number).replace(".", ",")),
    "complex_spaced.csv": lines(", ", lambda number: f"{number} + 0j"),
    "fortran.txt": lines(" ", fortran),
    "minus.txt": lines(" ", lambda number: repr(number).replace("-", "\N{MINUS SIGN}")),
    "fractions.txt": lines(" ", lambda number: f"{round(number * 64)}/64"),
    "complex.txt": lines(" ", lambda number: str(complex(number))),
    "pair.txt": lines(" ", lambda number: f"({number},0.0)"),
    "comments.txt": lambda terms: "# a\n% b\n// c\n\n" + lines(" ", lambda number: f"{number}  # d")(terms),
    "quoted.csv": lambda terms: "".join(f'"{label}","{number}"\n' for label, number in terms),
    "lower.txt": lambda terms: lines(" ")([(label.lower(), number) for label, number in terms]),
    "coefficient_first.txt": lambda terms: "".join(f"{number} {label}\n" for label, number in terms),
    "index.csv": lambda terms: "".join(f"{i},{label},{number}\n" for i, (label, number) in enumerate(terms)),
    "pandas.csv": lambda terms: (
        ",pauli,coeff\n" + "".join(f"{i},{label},{number}\n" for i, (label, number) in enumerate(terms))
    ),
    "pandas.txt": lambda terms: (
        "  pauli     coeff\n"
        + "".join(f"{i}   {label}  {number}\n" for i, (label, number) in enumerate(terms))
    ),
    "parts.csv": lambda terms: (
        "pauli,real,imag\n" + "".join(f"{label},{number},0.0\n" for label, number in terms)
    ),
    "parts.txt": lambda terms: "".join(f"{label} {number} 0.0\n" for label, number in terms),
    "sizes.txt": lambda terms: f"{len(terms[0][0])} {len(terms)}\n" + lines(" ")(terms),
    "words.txt": lambda terms: "".join(
        f"{number} {' '.join(f'{letter}{qubit}' for letter, qubit in letters(label)) or 'I'}\n"
        for label, number in terms
    ),
    "list.json": _json(list),
    "turned.json": _json(lambda terms: [[number, label] for label, number in terms]),
    "dictionary.json": _json(dict),
    "wrapped.json": _json(lambda terms: {"name": "x", "num_qubits": len(terms[0][0]), "terms": dict(terms)}),
    "records.json": _json(lambda terms: [{"label": label, "coefficient": number} for label, number in terms]),
    "single.json": _json(lambda terms: [{label: number} for label, number in terms]),
    "two.json": _json(
        lambda terms: {"coeffs": [number for _, number in terms], "paulis": [label for label, _ in terms]}
    ),
    "complex_pair.json": _json(lambda terms: [[label, [number, 0.0]] for label, number in terms]),
    "complex_text.json": _json(lambda terms: [[label, str(complex(number))] for label, number in terms]),
    "sparse.json": _json(sparse),
    "aqua.json": _json(aqua),
    "aqua.txt": lambda terms: str(aqua(terms)),
    "python.txt": lambda terms: str([(label, complex(number)) for label, number in terms]),
    "sparse_python.txt": lambda terms: str([(*row[:2], complex(row[2])) for row in sparse(terms)]),
    "qubit_operator_terms.txt": lambda terms: str(
        {tuple((qubit, letter) for letter, qubit in letters(label)): number for label, number in terms}
    ),
    "printed.txt": lambda terms: repr(SparsePauliOp.from_list(terms)),
    "rows.yaml": yaml_rows,
    "rows_without_a_name": yaml_rows,
    "dictionary.yml": lambda terms: "".join(f"{label}: {number}\n" for label, number in terms),
    "records.yaml": lambda terms: "".join(
        f"- pauli: {label}\n  coeff: {number}\n" for label, number in terms
    ),
    "openfermion.txt": openfermion(repr),
    "openfermion_complex.txt": openfermion(lambda number: f"({number}+0j)"),
    "pennylane_before.txt": pennylane_before,
    "pennylane.txt": pennylane,
    "pennylane_brackets.txt": lambda terms: pennylane(terms, "({})"),
    "sum.txt": plain_sum,
    "one_product_a_line.txt": lambda terms: "".join(f"{number} * {label}\n" for label, number in terms),
    "pandas.json": _json(
        lambda terms: {
            name: {str(i): term[place] for i, term in enumerate(terms)}
            for place, name in enumerate(("pauli", "coeff"))
        }
    ),
    "pyquil.txt": lambda terms: " + ".join(
        f"({complex(number)})".replace("((", "(").replace("))", ")")
        + "*"
        + ("*".join(f"{letter}{qubit}" for letter, qubit in letters(label)) or "I")
        for label, number in terms
    ),
    "matrix.npy": matrix,
    "evolution.qpy": evolution,
}
"""Name of a file → its writer."""
