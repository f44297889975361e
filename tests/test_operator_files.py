"""Operators in other programs' words: the same in every format, never another one, and refused with the line."""

from __future__ import annotations

import contextlib
import gc
import os
import re
from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp

from runner import compose, run
from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian.file import OperatorFile
from tests.choices import choice
from tests.operator_writers import WRITERS, some_terms
from tests.test_run import events


def read(path: Path, content: str | bytes, **changes):
    """The declaration of a file with this content, and its operator."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    declared = choice("hamiltonian", "file", path=str(path), **changes)
    return declared, declared.build()


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_operator_that_was_written(tmp_path: Path, name: str) -> None:
    """A random operator, written by this test from the format's description: exactly it is read."""
    for seed in range(3):
        terms = some_terms(seed)
        if "I" not in "".join(label[0] for label, _ in terms) and not any(
            label[0] != "I" for label, _ in terms
        ):
            continue
        _, operator = read(tmp_path / name, WRITERS[name](terms))

        assert dict(operator.to_list()) == dict(terms)
        if name not in ("matrix.npy",):
            assert operator.to_list() == SparsePauliOp.from_list(terms).to_list()


@pytest.mark.parametrize(
    "name", ["plain.txt", "openfermion.txt", "matrix.npy", "sparse.json", "evolution.qpy"]
)
def test_the_other_bit_order_mirrors_the_qubits(tmp_path: Path, name: str) -> None:
    """hamiltonian.qubit_order=big: every label turned around."""
    terms = some_terms(1)
    _, operator = read(tmp_path / name, WRITERS[name](terms), qubit_order="big")

    assert dict(operator.to_list()) == {label[::-1]: number for label, number in terms}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ZZ one\nXI 0.5\n", r":1: 'one' is no number; write e.g. -0.5"),
        ("ZZ 0.5\nXI O.5\n", r":2: 'O.5' is no number"),
        ("ZZ 0.5\nXQ 0.5\n", r":2: 'XQ' is no Pauli word \('Q' is no Pauli\)"),
        ("pauli coeff\npauli coeff\nZZ 1\n", r":2: 'pauli' is no Pauli word"),
        ("ZZ 0.5+0.1j\n", r":1: '0.5\+0.1j' has an imaginary part"),
        ("pauli,real,imag\nZZ,0.5,0.1\n", r":2: '0.5 \+ 0.1i' has an imaginary part"),
        ("ZZ 1e999\n", r":1: '1e999' is not finite"),
        ("ZZ nan\n", r":1: 'nan' is no number"),
        ("ZZ 1/0\n", r":1: '1/0' is no number"),
        ("ZZ\nXX\n", r":1: 'ZZ' has no coefficient"),
        ("ZZ 50 %\nXX 1\n", r":2: 'XX 1' has 2 columns, the first row 3"),
        ("ZZ;0,5\nXX;0.5\n", r":1: '0,5' has a decimal comma, '0.5' a point"),
        ("ZZ;1,000\nXX;2,500\n", r":1: '1,000' may have a decimal comma or mean thousands"),
        ("ZZ - 0.5\nXX + 0.3\n", r":2: 'XX' is not expected there"),
        ("-0.5 + 0.3 Z0 + 0.2", r":1: '0.2' stands without a Pauli word"),
        ("0 ZZ 1\n1 XX 2\n", r":1: 'ZZ' .*|:1: '0 ZZ 1' has 2 columns of numbers with several readings"),
        ("ZZ 0.1 0.2\nXX 0.3 0.4\n", r":1: 'ZZ 0.1 0.2' has 2 columns of numbers with no sure reading"),
        ("index,pauli,coeff\n0,ZZ,1\n2,XX,2\n", r":2: the index column does not count"),
        ("pauli,coeff,coefficient\nZZ,1,2\n", r":1: .* names coefficient twice"),
        ("pauli,coeff,group\nZZ,1,2\n", r":1: 'group' is neither"),
        ("3 3\nZZ 1\nXX 2\n", r":1: '3 3' is not the size of what follows, 2 qubits and 2 terms"),
        ('"ZZ,1\nXX,2\n', r":1: '\"ZZ,1' has a quote too few"),
        ("ZZ,,1\nXX,,2\n", r":1: 'ZZ,,1' has an empty column"),
        ("\ufeffZZ 1\x00\n", r":1: .* holds a control character"),
        ('[["ZZ", 1], ["XX", true]]', r":1: 'true' is no number"),
        ('[["ZZ", 1],\n ["XX", NaN]]', r":2: 'NaN' is no number"),
        (
            '{"terms": {"ZZ": 1}, "cutoff": 0.7}',
            r":1: 'cutoff' is no known key .* a constant into an identity",
        ),
        ('{"terms": {"ZZ": 1}, "num_qubits": 3}', r"labels have 2 letters, and .* 3"),
        ('{"paulis": ["ZZ", "XX"], "coeffs": [1]}', r"the lists do not fit: 2 of label, 1 of coefficient"),
        ('{"a": [1, 2], "b": ["ZZ", "XX"]}', r"holds no operator that is known by its key \(a, b\)"),
        ('{"terms": [["ZZ", 1]], "terms": [["XX", 1]]}', r"'terms' stands twice"),
        ('[["ZZ", [1, 0], [2, 0]]]', r":1: .* can be read in two ways"),
        (
            "SparsePauliOp(['ZZ', 'XX'], coeffs=[1, ..., 2])",
            r":1: the print is abbreviated: .* print\(op.to_list",
        ),
        ("SparsePauliOp(['ZZ' 'XX'], coeffs=[1.0])", r":1: 'ZZXX' is put together"),
        ("__import__('os').system('x')", r":1: .*__import__"),
        ("0.5 [X0 Y1] +\n", r":1: ends with '\+': a term is missing"),
        ("0.5 [X0 Y1]\n0.5 [X1] +\n", r":2: '0.5' is not expected there"),
        ("0.5 [X0 Y0]\n", r":1: 'X0 Y0' names a qubit twice"),
        ("(0.5+0j [X0]\n", r":1: "),
        ("0.5 * X(0) @ Y(1) + 0.5", r":1: '0.5' stands without a Pauli word"),
        ("0.5 * X(0) Y(1) @", r":1: "),
        ("0.5*ZZ - - 0.3*XI", r":1: '-' is not expected there"),
        ("0.5*ZZ 0.3*XI", r":1: '0.3' is not expected there"),
        ("terms:\n  - [ZZ, 1\n", r":2: is not YAML|:3: is not YAML"),
        ("ZZ: 0.5\nXX: on\n", r":2: 'on' is no number"),
        ("ZZ: 010\nXX: 1:30\n", r":2: '1:30' is no number"),
        ("X0 1\nZZ 2\n", r":2: 'ZZ' has no numbers of qubits"),
        ("0.5 [X1000]", r":1: 'X1000' names qubit 1000"),
        # Qiskit's labels: i in front is a phase (Pauli('iZZ').phase is 3), so small letters are no matter of taste
        ("iZZ 0.5\n", r":1: 'iZZ' begins with i, which is a phase"),
        ('{"XXX": 1,\n "iZZ": 0.5}', r":2: 'iZZ' begins with i, which is a phase"),
        ("[('iZZ', 0.5)]", r":1: 'iZZ' begins with i"),
        ("ZZ 1\nzX 0.5\n", r":2: 'zX' has small and capital letters"),
        ("ZZ 1\nizz 0.5\n", r":2: 'izz' has small letters, 'ZZ' capitals"),
        ("1 X0 Z1\n0.5 x0 Z1\n", r":2: 'x0 Z1' has small and capital letters"),
        ("[[Pauli('iZZ'), 1]]", r":1: 'iZZ' begins with i"),
        # numbers that belong to the operator and stand among what is not read
        (
            '{"terms": [["ZZ", 1]], "metadata": {"constant": 1.5}}',
            r":1: 'constant' is 1.5, and among remarks",
        ),
        ('{"terms": [["ZZ", 1]], "info": {"a": [{"offset": -2}]}}', r":1: 'offset' is -2, and among remarks"),
        (
            '{"terms": [["II", 1], ["ZZ", 1]], "nuclear_repulsion": 0.7}',
            r"beside terms that have an identity",
        ),
        (
            '{"terms": [["ZZ", 1]], "constant": 1, "offset": 1}',
            r":1: 'offset' is 1, and 'constant' is one too",
        ),
        ('{"terms": [["ZZ", 1]], "metadata": {"scale": 2}}', r":1: 'scale' is '2'; carry it out"),
        ('{"terms": [["ZZ", 1]], "source": [["XX", 1]]}', r":1: .* is an operator too; keep one"),
        ("terms: &a\n  - [ZZ, 1]\nmetadata: *a\n", r":1: .* is an operator too"),
        (
            '{"terms": [["XZ", 1]], "qubit_order": "big"}',
            r"'qubit_order: big', .* is little; give .*qubit_order=big",
        ),
        (
            '{"terms": [["XZ", 1]],\n "info": "big-endian"}',
            r":2: says 'big-endian', and .*qubit_order is little",
        ),
        ('{"terms": [["XZ", 1]], "meta": {"bit_order": "x"}}', r"'bit_order' is 'x', neither little nor big"),
        ("# labels are big endian\nXZ 1\n", r":1: says 'big endian', .* give hamiltonian.qubit_order=big"),
        ('{"terms": [["XZ", 1]], "meta": {"num_qubits": 3}}', r"labels have 2 letters, and .* 3"),
        # a decimal comma cut in two is no index
        ("0,5,ZZ\n1,3,XX\n", r":1: '0,5' may be two columns or one number with a decimal comma"),
        ("ZZ,0,5\nXX,1,3\n", r":1: '0,5' may be two columns or one number"),
        ("5,0,ZZ\n3,1,XX\n", r":1: '5,0' may be two columns or one number"),
        ("0,5,ZZ\n", r":1: '0,5' may be two columns"),
        ("ZZ,1,000\nXX,2,000\n", r":1: '1,000' may be two columns"),
        ("coeff,pauli\n0,5,ZZ\n1,3,XX\n", r":2: '0 5 ZZ' has 3 columns, the header 2"),
        ("0 5 ZZ\n1 3 XX\n", r":1: '0 5 ZZ' has 2 columns of numbers with no sure reading"),
        ("1 ZZ 2\n", r":1: '1 ZZ 2' has 2 columns of numbers with no sure reading"),
        # what is left out of a print
        ("ZZ 0.5\n...\nXX 0.3\n", r":2: '...' says that the print is abbreviated"),
        ("   pauli  coeff\n0     ZZ    0.5\n..   ...    ...\n9     XX    0.3\n", r":3: .* abbreviated"),
        ("FermionOperator:\n0.5 [0^ 1]\n", r":1: is a FermionOperator, .* map it to qubits"),
        ('["ZZ", 0.5]\n["XX", 0.3\n', r":2: "),
        ('["ZZ", 0.5]\n["XX", true]\n', r":2: 'true' is no number"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_line(tmp_path: Path, content: str, message: str) -> None:
    """No row is dropped or guessed."""
    with pytest.raises(ConfigError, match=message):
        read(tmp_path / "h", content)


@pytest.mark.parametrize(
    "content",
    [
        "izz 0.5\nxii 0.3\n",
        '["IZZ", 0.5]\n\n["XII", 0.3]\n',
        '{"pauli": "IZZ", "coeff": 0.5}\n{"pauli": "XII", "coeff": 0.3}\n',
        "[(Pauli('IZZ'), 0.5), (Pauli('XII'), np.float64(0.3))]",
        "{Pauli('IZZ'): np.complex128(0.5+0j), Pauli('XII'): 0.3}",
        "SparsePauliOp(PauliList(['IZZ', 'XII']), coeffs=array([0.5+0.j, 0.3+0.j]))",
        "QubitOperator:\n0.5 [Z0 Z1] +\n0.3 [X2]\n",
        "0,0.5,IZZ\n1,0.3,XII\n2,0,YYY\n",
        "1 IZZ 0.5\n2 XII 0.3\n",
        "# little-endian\nIZZ 0.5\nXII 0.3\n",
        '{"terms": {"IZZ": 0.5, "XII": 0.3}, "metadata": {"order": "little", "x": 1, "geometry": [["H", [0, 0, 0]]]}}',
    ],
)
def test_what_is_understood_one_way_only_is_read(tmp_path: Path, content: str) -> None:
    """0.5 IZZ + 0.3 XII, written by hand in each layout."""
    _, operator = read(tmp_path / "h", content)

    terms = {label: value for label, value in operator.to_list() if value}
    assert terms == {"IZZ": 0.5, "XII": 0.3}


def test_qiskits_own_prints_are_read(tmp_path: Path) -> None:
    """print(op.to_sparse_list()) and print(op.to_list()) under the NumPy that is installed: the operator itself."""
    operator = SparsePauliOp(["IZZ", "XII"], [0.5, -0.3])
    for printed in (operator.to_sparse_list(), operator.to_list(), operator):
        _, found = read(tmp_path / "h", str(printed))
        assert found.to_list() == operator.to_list()


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ('"constant": 1.5', "constant 1.5 was read as an identity term"),
        ('"Nuclear Repulsion Energy": "1.5"', "nuclear_repulsion_energy 1.5 was read"),
        ('"offset": [1.5, 0.0], "name": "x"', "offset 1.5 was read as an identity term"),
    ],
)
def test_a_constant_beside_the_terms_is_kept(tmp_path: Path, beside: str, said: str) -> None:
    """0.5 ZZ + 1.5: its matrix is diag(2, 1, 1, 2)."""
    for terms in ('"terms": [["ZZ", 0.5]]', '"paulis": ["ZZ"], "coeffs": [0.5]'):
        declared, operator = read(tmp_path / "h", f"{{{terms}, {beside}}}")

        assert operator.to_matrix().diagonal().real.tolist() == [2.0, 1.0, 1.0, 2.0]
        assert said in declared.reading.describe()["words"]


def test_units_and_what_is_left_out_are_said(tmp_path: Path) -> None:
    """Numbers stay in the file's unit; a bit order that the file gives is taken if the switch says the same."""
    content = '{"hamiltonian": {"XZ": 0.5}, "units": "kcal/mol", "mapping": "parity", "info": "big-endian"}'
    declared, operator = read(tmp_path / "h", content, qubit_order="big")

    assert operator.to_list() == [("ZX", 0.5)]
    words = declared.reading.describe()["words"]
    assert "kcal/mol is the file's unit, its numbers stay as they are; left out: mapping, info" in words
    assert "the file says 'big-endian' too" in words


def test_the_garbage_collector_is_on_again(tmp_path: Path) -> None:
    """Reading does without it; afterwards it runs as before, after a refusal too."""
    for content in ("ZZ 0.5", "ZZ"):
        with contextlib.suppress(ConfigError):
            read(tmp_path / "h", content)
        assert gc.isenabled()


SEPARATORS = ",;\t :*@+[](){}\"'="
LETTER = re.compile(r"(?<=[IXYZixyz])(?=[IXYZixyz])")


def damaged(text: str, rng: np.random.Generator) -> str:
    """The text after one accident to its structure that no grammar makes another operator of.

    Digits, decimal signs and comments stay whole, no line is lost at its end, and no word in front of the first number
    is cut: what is left could be a legal file.
    """
    safe = [i for i, char in enumerate(text) if char in SEPARATORS and not _in_number_or_comment(text, i)]
    behind = re.search(r"\d[^\d.]+[\d.]+[^\d.]", text)
    cuts = [match.start() for match in LETTER.finditer(text) if behind and match.start() > behind.end()]
    minuses = [i for i, char in enumerate(text) if char == "-"]
    kind = rng.choice(["delete", "double", "truncate", "minus", "dash", "twice", "cut"])
    if kind in ("minus", "dash", "twice") and minuses:
        at = int(rng.choice(minuses))
        return (
            text[:at]
            + {"minus": "\N{MINUS SIGN}", "dash": "\N{EN DASH}", "twice": "--"}[kind]
            + text[at + 1 :]
        )
    if kind == "cut" and cuts:
        return text[: int(rng.choice(cuts))]
    if kind == "truncate" and cuts:
        at = int(rng.choice(cuts))
        return text[:at] + text[at + 1 :]
    at = int(rng.choice(safe))
    return text[:at] + ("" if kind == "delete" else 2 * text[at]) + text[at + 1 :]


def _in_number_or_comment(text: str, at: int) -> bool:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return bool(re.search(r"[#%/]", line)) or (
        text[at] in ",+"
        and re.search(r"\d$", text[:at]) is not None
        and re.match(r"\d", text[at + 1 :]) is not None
    )


def check_damaged(folder: Path, first: int, count: int) -> tuple[int, int]:
    """Read damaged files; how many were refused and how many still gave what was written."""
    left = ("matrix.npy", "evolution.qpy", "decimal_commas.csv", "decimal_commas.tsv")
    names = [name for name in WRITERS if name not in left]
    refused = 0
    for number in range(first, first + count):
        rng = np.random.default_rng([7, number])
        name, terms = names[number % len(names)], some_terms(number)
        text = damaged(str(WRITERS[name](terms)), rng)
        try:
            _, operator = read(folder / name, text)
        except ConfigError:
            refused += 1
        else:
            assert dict(operator.to_list()) == dict(terms), f"file {number}, {name}:\n{text}"
    return refused, count - refused


def test_a_damaged_file_is_refused_or_read_right(tmp_path: Path) -> None:
    """250 files with one separator, bracket, sign or letter too few or too many: never another operator."""
    refused, right = check_damaged(tmp_path, 0, 250)

    assert refused > 100
    assert right > 25


@pytest.mark.nightly
def test_twenty_thousand_damaged_files(tmp_path: Path) -> None:
    """The same at length."""
    print("refused and right:", check_damaged(tmp_path, 1000, 20_000))


def test_binary_files_are_refused_where_they_are_cut_off(tmp_path: Path) -> None:
    """A matrix or a circuit of which any part is missing, or to which something was added."""
    for name in ("matrix.npy", "evolution.qpy"):
        whole = bytes(WRITERS[name](some_terms(3)))
        for size in [*range(1, len(whole), 97), len(whole) - 1]:
            with pytest.raises(ConfigError):
                read(tmp_path / name, whole[:size])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 3)), r"array of shape \(3, 3\); give a matrix of 2ⁿ rows"),
        (np.zeros(4), r"array of shape \(4,\)"),
        (np.array([[0, 1], [2, 0]]), r"is not hermitian: element \[0, 1\] is 1\+0j, \[1, 0\] is 2\+0j"),
        (np.array([[np.nan, 0], [0, 1]]), "holds a number that is not finite"),
        (np.zeros((2, 2)), "is zero everywhere"),
        (np.array([["a", "b"], ["c", "d"]]), "holds no numbers"),
        (np.array([[{}, 1], [1, 2]], dtype=object), "holds no numbers"),
    ],
)
def test_what_is_no_observable_matrix_is_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    """K5: nothing is unpickled, and nothing is taken for a matrix that is none."""
    np.save(tmp_path / "m.npy", array, allow_pickle=True)
    with pytest.raises(ConfigError, match=message):
        choice("hamiltonian", "file", path=str(tmp_path / "m.npy")).build()


def test_a_matrix_header_allocates_nothing(tmp_path: Path) -> None:
    """A header of 2³⁰ × 2³⁰ numbers over no data is refused at once."""
    header = f"{{'descr': '<c16', 'fortran_order': False, 'shape': ({2**30}, {2**30}), }}".ljust(117) + "\n"
    with pytest.raises(ConfigError, match="more than 1024"):
        read(tmp_path / "m.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())


def test_what_never_ends_is_not_opened(tmp_path: Path) -> None:
    """A pipe, a device, a folder and a file that is too large."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(60_000_000)
    for path, message in (
        (tmp_path / "pipe", "is no ordinary file"),
        (Path("/dev/zero"), "is no ordinary file"),
        (tmp_path, "is a folder"),
        (tmp_path / "large", "is larger than 50000000 bytes"),
    ):
        with pytest.raises(ConfigError, match=message):
            choice("hamiltonian", "file", path=str(path)).build()


def test_what_was_read_is_said(tmp_path: Path) -> None:
    """Format, size, first and last term, identity, order, and what was added up: by hand."""
    with pytest.warns(ConfigWarning, match="ZI stands twice"):
        declared, operator = read(
            tmp_path / "h", "# made by hand\n0.5 [Z1] +\n-1 [] +\n0.25 [X0 Y1] +\n0.5 [Z1]\n"
        )

    assert dict(operator.to_list()) == {"ZI": 1.0, "II": -1.0, "YX": 0.25}
    assert declared.reading.describe()["words"] == (
        "OpenFermion text: 2 qubits, 3 terms, 1 ZI … 0.25 YX; identity -1; index 0 is qubit 0; "
        "1 comment left out; 2 qubits, because the highest index is 1; 4 terms were read, equal ones were added up"
    )


def test_the_number_of_qubits_can_be_declared(tmp_path: Path) -> None:
    """hamiltonian.qubits reaches beyond the highest index, and must agree with labels."""
    _, operator = read(tmp_path / "h", "0.5 [Z1]", qubits=4)
    assert operator.to_list() == [("IIZI", 0.5)]

    _, operator = read(tmp_path / "h", "0.5 [Z1]", qubits=4, qubit_order="big")
    assert operator.to_list() == [("IZII", 0.5)]

    with pytest.raises(ConfigError, match=r"labels have 2 letters, and hamiltonian.qubits is 4"):
        read(tmp_path / "h", "ZZ 0.5", qubits=4)
    with pytest.raises(ConfigError, match="names no qubit; say how many"):
        read(tmp_path / "h", "0.5 []")


def test_what_was_read_is_in_journal_and_terminal(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run says how it understood the file, also without a problem to minimize."""
    Path("h.txt").write_text("0.5 [Z0 Z1] +\n0.25 [X0]")
    changes = (
        "hamiltonian=file",
        "hamiltonian.path=h.txt",
        "tracking=off",
        "run.figures=false",
        "estimator=exact",
    )
    words = "OpenFermion text: 2 qubits, 2 terms, 0.5 ZZ … 0.25 IX; identity 0; index 0 is qubit 0"
    for experiment in ("vqe", "estimation"):
        result = run(
            compose(*changes, f"experiment={experiment}", "optimizer.max_evaluations=2"), quiet=False
        )

        (event,) = events(result, "hamiltonian")
        assert event.words.startswith(words)
        assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# qubit order: big\nZI 1\nIX 0.5\n", "speaks of the bit order"),
        ("# qubit 0 on the left\nZI 1\nIX 0.5\n", "speaks of the bit order"),
        ("# not little-endian\nZI 1\nIX 0.5\n", "says what the bit order is not"),
        ("# constant: 0.7199\nZI 1\nIX 0.5\n", "holds a number that no term has"),
        ("# offset = 0.7\nZI 1\nIX 0.5\n", "holds a number that no term has"),
    ],
)
def test_comments_that_mean_something_are_not_left_out(text, message, tmp_path):
    """A bit order or a constant in a comment is no decoration."""
    path = tmp_path / "h.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        OperatorFile(name="file", path=str(path)).build()


def test_gates_beside_an_evolution_are_refused(tmp_path):
    """H before and after it would make another operator of it."""
    from qiskit import QuantumCircuit, qpy
    from qiskit.circuit.library import PauliEvolutionGate
    from qiskit.quantum_info import SparsePauliOp

    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.append(PauliEvolutionGate(SparsePauliOp(["ZZ", "ZI"], [0.5, 0.2]), 1.0), [0, 1])
    with (tmp_path / "h.qpy").open("wb") as file:
        qpy.dump(circuit, file)
    with pytest.raises(ConfigError, match="holds 'h' beside the PauliEvolutionGate"):
        OperatorFile(name="file", path=str(tmp_path / "h.qpy")).build()
