"""Hamiltonians given as a list of Pauli terms, and molecules shipped as such lists."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.declare.alternatives import either, stands_for
from runner.declare.checks import require_choice, require_integer, require_number
from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian.declared import HARTREE, HamiltonianConfig
from runner.hamiltonian.fermion import MAPPERS, hartree_fock_state
from runner.hamiltonian.physics import Physics
from runner.hamiltonian.scale import require_coefficient
from runner.hamiltonian.sector import SECTORS, Sector

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

    from runner.hamiltonian.operator import Hamiltonian

COMPUTED: dict[str, Any] = {"reference_energy": None, "hartree_fock_energy": None, "geometry": ""}
"""Settings that are about the terms of a molecule, with the values with which they say nothing."""
MAX_QUBITS = 1000
"""Largest number of qubits a Hamiltonian may be declared on."""


@stands_for("terms", "table", "reference_energy")
@either(terms=[], table="", parts={"terms": {"reference_energy": None}, "table": {"reference_energy": None}})
@dataclass(kw_only=True)
class PauliTerms(HamiltonianConfig):
    """H = Σ coefficient · Pauli string, in whatever unit of energy the coefficients have."""

    terms: list[Any] = field(default_factory=list)
    """[label, coefficient], last letter on qubit 0; or [letters, coefficient, [qubits]], letter by letter."""
    table: str = ""
    """The same as text, one `label coefficient` a line: composes ten times faster where there are hundreds."""
    qubits: int | None = None
    """Number of qubits; null: as many as the terms speak of."""
    reference_energy: float | None = None
    """Energy to compare results with; null: the lowest eigenvalue, computed up to 14 qubits."""

    def __post_init__(self) -> None:
        if self.qubits is not None:
            require_integer("hamiltonian.qubits", self.qubits, 1, MAX_QUBITS)
        if self.reference_energy is not None:
            require_number("hamiltonian.reference_energy", self.reference_energy)
        if self.table and self.terms:
            raise ConfigError("and terms are both given; empty one of them", key="hamiltonian.table")
        check_terms(self.rows(), self.qubits, self._key)

    @property
    def _key(self) -> str:
        return "hamiltonian.table" if self.table else "hamiltonian.terms"

    def rows(self) -> list[Any]:
        """All terms, wherever they stand.

        Raises:
            ConfigError: a line of the table is not a label and a number.
        """
        rows: list[Any] = []
        for number, line in enumerate(self.table.splitlines()):
            try:
                label, coefficient = line.split()
                rows.append([label, float(coefficient)])
            except ValueError:
                raise ConfigError(
                    f"must be `label coefficient`, got {line!r}; correct it", key=f"{self._key}[{number}]"
                ) from None
        return rows or self.terms

    def build(self) -> Hamiltonian:
        """The operator; equal terms are added."""
        return hamiltonian_of(self.rows(), self.qubits, self._key)


@stands_for("geometry", "electrons", "mapper")
@either(terms=[], table="", parts={"terms": COMPUTED, "table": COMPUTED})
@dataclass(kw_only=True)
class MoleculeTerms(PauliTerms):
    """A molecule's Hamiltonian in Hartree, nuclear repulsion and frozen core in the identity term."""

    energy_unit = HARTREE

    reference_energy: float | None = None
    """Full configuration interaction of these electrons, checked where it can be; null, or sector=all: computed."""
    electrons: list[int] = field(default_factory=lambda: [1, 1])
    """Electrons with spin up and with spin down in the active orbitals."""
    mapper: str = "jordan_wigner"
    """Mapping the terms were made with: jordan_wigner | parity | bravyi_kitaev; spin-up qubits come first."""
    hartree_fock_energy: float | None = None
    """Energy of the Hartree–Fock state in Hartree, for comparison."""
    geometry: str = ""
    """What the numbers were computed for, in words."""
    sector: str = "electrons"
    """What references and levels are of: electrons (states with these numbers of electrons) | all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("hamiltonian.mapper", self.mapper, MAPPERS)
        require_choice("hamiltonian.sector", self.sector, SECTORS)
        if len(self.electrons) != 2:
            raise ConfigError(
                f"must be [up, down], got {len(self.electrons)} numbers; give two",
                key="hamiltonian.electrons",
            )
        size, key = label_qubits(self.rows(), self.qubits), "hamiltonian.electrons"
        for index, count in enumerate(self.electrons):
            require_integer(f"{key}[{index}]", count, 0, size // 2)

    def build(self) -> Hamiltonian:
        """The operator, with the Hartree–Fock state as its reference.

        Raises:
            ConfigError: its terms do not keep the numbers of electrons in the mapping declared.
        """
        from runner.hamiltonian.operator import Hamiltonian

        operator = super().build()
        up, down = self.electrons
        physics = Physics(
            reference_state=hartree_fock_state(operator.num_qubits, (up, down), self.mapper),
            electrons=(up, down),
            every_sector=self.sector == "all",
            mapper=self.mapper,
        )
        self._check_mapping(operator)
        return Hamiltonian(operator, physics=physics)

    def _check_mapping(self, operator: SparsePauliOp) -> None:
        """Terms of another mapping, or of qubits that were tapered off, mix what would be called electrons."""
        up, down = self.electrons
        sector = Sector(up=up, down=down, qubits=operator.num_qubits, mapper=self.mapper)
        if operator.num_qubits % 2 or not sector.keeps(operator):
            raise ConfigError(
                f"the terms do not keep the numbers of electrons in {self.mapper}; "
                "name the mapping they were made with, or declare them as hamiltonian=pauli",
                key="hamiltonian.mapper",
            )


def check_terms(terms: Sequence[Any], qubits: int | None = None, key: str = "hamiltonian.terms") -> None:
    """Refuse a list of terms that is not a real observable on one set of qubits.

    Raises:
        ConfigError: naming the first term at fault.
    """
    if not terms:
        raise ConfigError("is empty; give at least one term, e.g. [[ZZ, 1.0]]", key=key)
    size = label_qubits(terms, qubits)
    for index, term in enumerate(terms):
        _check_term(f"{key}[{index}]", term, size)
    if size > MAX_QUBITS:
        raise ConfigError(f"speaks of {size} qubits, more than {MAX_QUBITS}; shorten the labels", key=key)


def label_qubits(terms: Sequence[Any], qubits: int | None) -> int:
    """Number of qubits: as declared, else the first dense label's, else what sparse terms reach."""
    if qubits is not None:
        return qubits
    size = 0
    for term in terms:
        if isinstance(term, Sequence) and len(term) == 2 and isinstance(term[0], str) and term[0]:
            return len(term[0])
        if isinstance(term, Sequence) and len(term) == 3 and isinstance(term[2], Sequence):
            size = max([size, *(place + 1 for place in term[2] if isinstance(place, int))])
    return size


def _check_term(key: str, term: Any, size: int) -> None:
    if isinstance(term, str) or not isinstance(term, Sequence) or len(term) not in (2, 3):
        raise ConfigError(f"must be [label, coefficient], got {term!r}; write e.g. [ZZ, 0.5]", key=key)
    label, coefficient = term[:2]
    _check_label(key, label)
    if coefficient is None:
        raise ConfigError(f"{label!r} has no coefficient; write e.g. [{label}, 0.5]", key=key)
    require_coefficient(f"{key}[1]", coefficient)
    if len(term) == 3:
        _check_places(key, label, term[2], size)
    elif len(label) != size:
        raise ConfigError(
            f"{label!r} has {len(label)} qubit{'s' * (len(label) > 1)}, others {size}; use one length",
            key=key,
        )


def _check_label(key: str, label: Any) -> None:
    if not isinstance(label, str) or not label:
        raise ConfigError(f"label must be a word of I, X, Y, Z, got {label!r}; write e.g. ZZ", key=key)
    if re.fullmatch(r"[+-]?i?[IXYZ]+", label) and not re.fullmatch(r"[IXYZ]+", label):
        raise ConfigError(f"label {label!r} has a sign or phase; put the sign into the coefficient", key=key)
    wrong = re.search(r"[^IXYZ]", label)
    if wrong:
        raise ConfigError(
            f"{wrong[0]!r} at position {wrong.start()} of {label!r} is no Pauli; use I, X, Y, Z in capitals",
            key=key,
        )


def _check_places(key: str, label: str, places: Any, size: int) -> None:
    if isinstance(places, str) or not isinstance(places, Sequence) or len(places) != len(label):
        raise ConfigError(
            f"{label!r} needs {len(label)} qubit numbers, got {places!r}; give one per letter", key=key
        )
    for place in places:
        require_integer(f"{key}[2]", place, 0, size - 1)
    if len(set(places)) != len(places):
        raise ConfigError(f"{label!r} names a qubit twice in {list(places)}; name each once", key=key)


def dense_label(term: Sequence[Any], size: int) -> str:
    """The full-length label of a checked term, qubit 0 rightmost."""
    if len(term) == 2:
        return str(term[0])
    letters = ["I"] * size
    for letter, place in zip(term[0], term[2], strict=True):
        letters[size - 1 - place] = letter
    return "".join(letters)


def hamiltonian_of(
    terms: Sequence[Any], qubits: int | None = None, key: str = "hamiltonian.terms"
) -> Hamiltonian:
    """The operator of checked terms; warns where a term stands twice and where no state differs in energy."""
    from runner.hamiltonian.operator import Hamiltonian

    size = label_qubits(terms, qubits)
    sums: dict[str, float] = {}
    for term in terms:
        label = dense_label(term, size)
        if label in sums:
            warnings.warn(
                f"{key}: {label} stands twice; its coefficients are added", ConfigWarning, stacklevel=3
            )
        sums[label] = sums.get(label, 0.0) + float(term[1])
    if not any(sums.values()):
        raise ConfigError("all coefficients are zero or cancel; give one that is not", key=key)
    if not any(value for label, value in sums.items() if set(label) != {"I"}):
        warnings.warn(
            f"{key}: every state has the same energy; nothing to minimize", ConfigWarning, stacklevel=3
        )
    return Hamiltonian(list(sums), list(sums.values()))
