"""FCIDUMP: integrals over molecular orbitals (Knowles and Handy, Comput. Phys. Commun. 54, 75 (1989)).

Lines `value i j k l` are (ij|kl) in chemists' order, counted from 1; k = l = 0: one-electron integrals; all zero: the
core energy. Spin-resolved files come in three kinds: with IUHF=1 in blocks αα, ββ, αβ, α, β that a line of zeros ends
(Molpro), with UHF=.TRUE. over spin orbitals α β α β … (Psi4, HANDE), and with β orbitals counted on after the α ones
(qiskit-nature), without a flag: that is believed only where every integral that cannot vanish is there.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.declare.checks import shorten
from runner.errors import ConfigError
from runner.hamiltonian.declared import HARTREE
from runner.hamiltonian.formats.number import check_size, real
from runner.hamiltonian.formats.reading import Reading
from runner.hamiltonian.formats.source import Source
from runner.hamiltonian.molecule import active, chemistry, mapped

if TYPE_CHECKING:
    import numpy as np

    from runner.hamiltonian.file import OperatorFile

MAX_ORBITALS = 40
"""Most orbitals that are read: their two-electron integrals fill 20 MB and give a million Pauli words."""
SMALLEST = 1e-3
"""Least that the largest integral may be in Hartree; a file without one is in another unit."""
TOLERANCE = 1e-8
"""Largest difference of two values given for one integral."""
_HEADER = re.compile(r"\s*[&$]FCI\b(.*?)(?:[&$]END\b|/(?:\s*[&$]END\b)?)", re.IGNORECASE | re.DOTALL)
_SETTINGS = (
    "norb", "nelec", "ms2", "isym", "orbsym", "iprtim", "int", "memory", "core", "maxit", "thr", "thrres", "nroot",
    "iuhf", "uhf", "nprop", "occ", "closed", "frozen", "pntgrp", "st", "trel", "treal", "ireft", "ksym", "symlz",
    "syml", "propbitlen", "nfrozen",
)  # fmt: skip
_USED = ("norb", "nelec", "ms2", "iuhf", "uhf")
_UNTOLD = ("orbsym", "isym")

Integral = tuple[int, float, tuple[int, int, int, int]]


@dataclass
class _Integrals:
    """Values by spin: one-electron 'a', 'b'; two-electron 'aa', 'bb', 'ab', and 'core'."""

    source: Source
    values: dict[tuple[str, tuple[int, ...]], float] = field(default_factory=dict)

    def add(self, line: int, spins: str, indices: tuple[int, ...], value: float) -> None:
        """Keep an integral under the one name that all its equals have.

        Raises:
            ConfigError: it has another value already.
        """
        key = (spins, _canonical(spins, indices))
        known = self.values.setdefault(key, value)
        if abs(known - value) > TOLERANCE * max(1.0, abs(known)):
            shown = " ".join(str(index + 1) for index in indices) or "0 0 0 0"
            raise self.source.refuse(
                f"integral {shown} is {value:.10g}, and was {known:.10g} above; keep one", line
            )

    def array(self, spins: str, orbitals: int) -> np.ndarray:
        """All values, shape (n, n) or (n, n, n, n), by the symmetries of real orbitals."""
        import numpy as np

        result = np.zeros((orbitals,) * (2 * len(spins)))
        for (kind, indices), value in self.values.items():
            if kind == spins:
                for same in _equals(spins, indices):
                    result[same] = value
        return result


def _equals(spins: str, indices: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if len(indices) == 2:
        i, j = indices
        yield from ((i, j), (j, i))
        return
    i, j, k, last = indices
    for first, second in ((i, j), (j, i)):
        for third, fourth in ((k, last), (last, k)):
            yield first, second, third, fourth
            if spins != "ab":
                yield third, fourth, first, second


def _canonical(spins: str, indices: tuple[int, ...]) -> tuple[int, ...]:
    return min(_equals(spins, indices)) if indices else ()


def read(source: Source, declared: OperatorFile) -> Reading:
    """The Hamiltonian of the integrals, on twice as many qubits as there are active orbitals.

    Raises:
        ConfigError: a line is not understood, or the declared settings do not fit.
    """
    if declared.qubit_order != "little":
        raise ConfigError(
            "is for letters and indices of qubits, and an FCIDUMP has orbitals; leave it out",
            key="hamiltonian.qubit_order",
        )
    settings, start = _settings(source)
    orbitals, electrons = _sizes(settings, source)
    lines = list(_lines(source, start))
    unrestricted, layout = _layout(settings, orbitals, lines, source)
    if layout == "spin orbitals":
        orbitals //= 2
    integrals = _sorted_in(lines, layout, orbitals, source)
    _check_orbitals(settings, lines, layout, source)
    if ("core", ()) not in integrals.values:
        raise source.refuse(
            "has no core energy, perhaps it is cut off; add a line `0.0 0 0 0 0` if it is zero"
        )
    if max(electrons) > orbitals:
        raise source.refuse(
            f"has {electrons[0]} electrons with spin up and {electrons[1]} down in {orbitals} orbitals; "
            "correct NELEC or MS2"
        )
    for name in sorted(set(settings) - set(_USED) - set(_UNTOLD)):
        source.notes.append(f"{name.upper()} is not used")
    if settings.get("isym", ["1"]) not in (["1"], ["0"]):
        source.notes.append("ISYM is not used: the lowest state of any symmetry")
    return _reading(source, declared, integrals, orbitals, electrons, unrestricted)


def _settings(source: Source) -> tuple[dict[str, list[str]], int]:
    """The namelist's values, and the line after it."""
    match = _HEADER.match(source.text)
    if match is None:
        raise source.refuse("the header does not end; close it with / or &END", 1)
    end = source.text.count("\n", 0, match.end()) + 1
    rest = source.text[match.end() :].split("\n", 1)[0]
    if rest.strip():
        raise source.refuse(f"{shorten(rest, 60)!r} stands behind the header's end; begin a new line", end)
    settings: dict[str, list[str]] = {}
    parts = re.split(r"([A-Za-z]\w*(?:\(\d+\))?)\s*=", match[1])
    if parts[0].strip(" ,\n\t"):
        raise source.refuse(f"{shorten(parts[0], 60)!r} in the header is not understood; write NORB=2, …", 1)
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        plain = name.lower()
        if plain not in _SETTINGS:
            raise source.refuse(f"{name!r} in the header is not known; remove it if it changes nothing", 1)
        if plain in settings:
            raise source.refuse(f"{name!r} stands twice in the header; keep one", 1)
        settings[plain] = [word for word in re.split(r"[,\s]+", text) if word]
    if any(float(real(word) or 0) != 0 for word in settings.get("core", [])):
        raise source.refuse(
            "CORE in the header is not zero; give the core energy as the line `value 0 0 0 0`", 1
        )
    if _flag(settings, "trel", source):
        raise source.refuse("has complex integrals (TREL), which are not read; give real ones", 1)
    return settings, end


def _whole(settings: dict[str, list[str]], name: str, source: Source) -> int | None:
    words = settings.get(name)
    if words is None:
        return None
    if len(words) != 1 or not re.fullmatch(r"[+-]?\d{1,6}", words[0]):
        raise source.refuse(
            f"{name.upper()} in the header is {shorten(' '.join(words), 40)!r}; give a whole number", 1
        )
    return int(words[0])


def _flag(settings: dict[str, list[str]], name: str, source: Source) -> bool:
    words = settings.get(name, [".false."])
    if len(words) != 1 or not re.fullmatch(r"\.?(t|f|true|false)\.?|[01]", words[0], re.IGNORECASE):
        raise source.refuse(
            f"{name.upper()} in the header is {shorten(' '.join(words), 40)!r}; give .TRUE. or 1", 1
        )
    return words[0].strip(".").lower() in ("t", "true", "1")


def _sizes(settings: dict[str, list[str]], source: Source) -> tuple[int, tuple[int, int]]:
    """Number of orbitals, and of electrons with spin up and down."""
    orbitals, electrons = _whole(settings, "norb", source), _whole(settings, "nelec", source)
    if orbitals is None or electrons is None:
        raise source.refuse(f"has no {'NORB' if orbitals is None else 'NELEC'} in the header; add it", 1)
    unpaired = _whole(settings, "ms2", source) or 0
    if not 1 <= orbitals <= 2 * MAX_ORBITALS:
        raise source.refuse(f"NORB is {orbitals}; 1 to {MAX_ORBITALS} are read", 1)
    if electrons < 0 or (electrons + unpaired) % 2 or abs(unpaired) > electrons:
        raise source.refuse(f"NELEC={electrons} and MS2={unpaired} do not fit each other; correct one", 1)
    return orbitals, ((electrons + unpaired) // 2, (electrons - unpaired) // 2)


def _lines(source: Source, start: int) -> Iterator[Integral]:
    """Line, value and four indices of each integral."""
    for line, text in enumerate(source.lines()[start:], start + 1):
        words = text.split()
        if not words:
            continue
        value = real(words[0])
        if value is None or len(words) != 5 or not all(re.fullmatch(r"\d{1,4}", word) for word in words[1:]):
            raise source.refuse(f"{shorten(text, 60)!r} is not understood; write value i j k l", line)
        if not math.isfinite(value):
            raise source.refuse(f"{words[0]!r} is not finite; give a number", line)
        check_size(value, words[0], source, line)
        first, second, third, fourth = map(int, words[1:])
        yield line, value, (first, second, third, fourth)


def _layout(
    settings: dict[str, list[str]], orbitals: int, lines: Sequence[Integral], source: Source
) -> tuple[bool, str]:
    """Whether the spins have integrals of their own, and how the file tells them apart."""
    blocks, spin_orbitals = _flag(settings, "iuhf", source), _flag(settings, "uhf", source)
    highest = max((max(indices) for _, _, indices in lines), default=0)
    if blocks and spin_orbitals:
        raise source.refuse("has both IUHF and UHF in the header; keep the one that holds", 1)
    if spin_orbitals:
        if orbitals % 2 or highest > orbitals:
            raise source.refuse(f"UHF=.TRUE. counts spin orbitals, and NORB is {orbitals}; correct it", 1)
        return True, "spin orbitals"
    if blocks:
        return True, "blocks"
    if orbitals > MAX_ORBITALS:
        raise source.refuse(f"NORB is {orbitals}; 1 to {MAX_ORBITALS} are read", 1)
    if highest <= orbitals:
        return False, "restricted"
    if not _is_counted_on(lines, orbitals):
        line, index = next((line, max(indices)) for line, _, indices in lines if max(indices) > orbitals)
        raise source.refuse(
            f"index {index} is more than NORB={orbitals}; correct it, or NORB, "
            "or add IUHF=1 or UHF=.TRUE. to the header if that holds",
            line,
        )
    source.notes.append(f"no flag in the header: {orbitals} β orbitals are counted on after the α ones")
    return True, "counted on"


def _is_counted_on(lines: Sequence[Integral], orbitals: int) -> bool:
    """Whether the indices beyond NORB can only be β orbitals: every repulsion (ii|jj) and exchange (ij|ij) is there.

    Both are positive for real orbitals (Roothaan, Rev. Mod. Phys. 23, 69 (1951)). In a file that is not spin-resolved
    (ij|ij) with i and j on both sides of NORB are there too, and in a model of sites none is.
    """
    given = {
        _canonical("aa", tuple(i - 1 for i in indices))
        for _, value, indices in lines
        if value and all(indices)
    }
    both = range(2 * orbitals)
    pairs = list(itertools.combinations_with_replacement(both, 2))
    together = [(i, j) for i, j in pairs if i // orbitals == j // orbitals]
    mixed = any(
        place // orbitals != following // orbitals
        for indices in given
        for place, following in (indices[:2], indices[2:])
    )
    return (
        orbitals > 1
        and not mixed
        and {_canonical("aa", (i, i, j, j)) for i, j in pairs} <= given
        and {_canonical("aa", (i, j, i, j)) for i, j in together} <= given
    )


def _check_orbitals(
    settings: dict[str, list[str]], lines: Sequence[Integral], layout: str, source: Source
) -> None:
    """Refuse a NORB that the symmetries in the header or the integrals below do not bear out."""
    orbitals = _whole(settings, "norb", source) or 0
    symmetries = sum(_repeated(word) for word in settings.get("orbsym", []))
    if "orbsym" in settings and symmetries not in (
        (orbitals, orbitals // 2) if layout == "spin orbitals" else (orbitals,)
    ):
        raise source.refuse(f"NORB is {orbitals}, and ORBSYM has {symmetries} entries; correct one", 1)
    used = {index for _, _, indices in lines for index in indices}
    idle = [index for index in range(1, orbitals + 1) if index not in used]
    if idle:
        raise source.refuse(
            f"NORB is {orbitals}, and orbital {idle[0]} is in no integral; correct NORB, "
            f"or add a line `0.0 {idle[0]} {idle[0]} 0 0` if it is meant",
            1,
        )


def _repeated(word: str) -> int:
    """How many entries a word of a namelist is: 4*1 are four."""
    match = re.fullmatch(r"(\d{1,3})\*.+", word)
    return int(match[1]) if match else 1


def _sorted_in(lines: Sequence[Integral], layout: str, orbitals: int, source: Source) -> _Integrals:
    """Every integral under its spins, whatever way the file tells them apart."""
    integrals = _Integrals(source)
    block, energies = 0, 0
    for line, value, indices in lines:
        used = [index for index in indices if index]
        if layout == "blocks" and not used and block < 5:
            if value:
                raise source.refuse(
                    f"{value:.10g} 0 0 0 0 ends block {block + 1} of 5, where 0.0 must stand", line
                )
            block += 1
            continue
        if len(used) == 1 and indices[0]:
            energies += 1
            continue
        if len(used) not in (0, 2, 4) or any(indices[len(used) :]):
            shown = " ".join(map(str, indices))
            raise source.refuse(
                f"{shown!r} are no indices of an integral; write i j k l, i j 0 0 or 0 0 0 0", line
            )
        spins, places = _spins(used, layout, block, orbitals, source, line)
        integrals.add(line, spins, places, value)
    if layout == "blocks" and block < 5:
        raise source.refuse(
            f"has {block} of the 5 lines of zeros that end the blocks of IUHF=1, perhaps it is cut off"
        )
    if energies:
        source.notes.append(f"{energies} orbital energies left out")
    return integrals


def _spins(
    used: Sequence[int], layout: str, block: int, orbitals: int, source: Source, line: int
) -> tuple[str, tuple[int, ...]]:
    """The spins of an integral, and its orbitals counted from 0."""
    if not used:
        return "core", ()
    places = [index - 1 for index in used]
    if layout == "spin orbitals":
        beta, places = [place % 2 for place in places], [place // 2 for place in places]
    elif layout == "counted on":
        beta, places = [place // orbitals for place in places], [place % orbitals for place in places]
    else:
        if max(used) > orbitals:
            raise source.refuse(f"index {max(used)} is more than NORB={orbitals}; correct it", line)
        beta = [0] * len(used)
    if layout == "blocks":
        kinds = ("aa", "bb", "ab", "a", "b")
        if block > 4 or len(kinds[block]) * 2 != len(used):
            raise source.refuse(
                f"block {block + 1} of IUHF=1 has no integrals with {len(used)} indices", line
            )
        return kinds[block], tuple(places)
    if any(beta[index] != beta[index + 1] for index in range(0, len(beta), 2)):
        raise source.refuse("mixes spin up and down in one pair of indices; correct it", line)
    spins = "".join("ab"[beta[index]] for index in range(0, len(beta), 2))
    if spins == "ba":
        return "ab", tuple(places[2:] + places[:2])
    return spins, tuple(places)


def _reading(
    source: Source,
    declared: OperatorFile,
    integrals: _Integrals,
    orbitals: int,
    electrons: tuple[int, int],
    unrestricted: bool,
) -> Reading:
    """Integrals → problem → active space → qubits, by qiskit-nature."""
    chemistry()
    from qiskit_nature.second_q.hamiltonians import ElectronicEnergy
    from qiskit_nature.second_q.problems import ElectronicBasis, ElectronicStructureProblem

    largest = max(
        (abs(value) for (kind, _), value in integrals.values.items() if kind != "core"), default=0.0
    )
    if 0 < largest < SMALLEST:
        raise source.refuse(
            f"has no integral above {largest:g}, and FCIDUMP files are in Hartree, whose largest reach {SMALLEST:g}; "
            "give it in Hartree"
        )
    names = ("a", "aa", "b", "bb", "ab") if unrestricted else ("a", "aa")
    arrays = {name: integrals.array(name, orbitals) for name in names}
    if unrestricted:
        arrays["ba"] = arrays.pop("ab").transpose(2, 3, 0, 1)
    energy = ElectronicEnergy.from_raw_integrals(
        arrays["a"], arrays["aa"], arrays.get("b"), arrays.get("bb"), arrays.get("ba")
    )
    energy.nuclear_repulsion_energy = integrals.values["core", ()]
    problem = ElectronicStructureProblem(energy)
    problem.basis = ElectronicBasis.MO
    problem.num_particles = electrons
    problem.num_spatial_orbitals = orbitals
    hamiltonian = mapped(_active(problem, declared, source), declared.mapper, declared.sector)
    qubits = int(hamiltonian.num_qubits)
    if declared.qubits not in (None, qubits):
        raise source.refuse(
            f"gives {qubits} qubits, and hamiltonian.qubits is {declared.qubits}; make them equal"
        )
    up, down = hamiltonian.physics.electrons or electrons
    words = f"spin-up orbitals are qubits 0 to {qubits // 2 - 1}"
    name = f"FCIDUMP{', spin-resolved' if unrestricted else ''} ({declared.mapper}, {up} up, {down} down)"
    return Reading(hamiltonian, name, words, tuple(source.notes), HARTREE)


def _active(problem: Any, declared: OperatorFile, source: Source) -> Any:
    """The problem with its lowest orbitals frozen and the rest of the inactive ones left out."""
    try:
        return active(problem, declared.frozen_core, declared.active_space, declared.active_orbitals)
    except ConfigError:
        raise
    except Exception as error:  # qiskit-nature raises whatever it likes on impossible spaces
        reason = shorten(str(error), 100)
        raise ConfigError(
            f"{source.path}: qiskit-nature refuses it ({reason}); check it", key="hamiltonian"
        ) from error
