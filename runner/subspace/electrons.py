"""Electrons among sampled configurations: recovery, diagonalization, spin, variance (Robledo-Moreno et al. 2024).

Everything is summed by one thread, so that the same shots give the same bits on every machine of a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Any

from runner.engine import memory
from runner.errors import ConfigError
from runner.hamiltonian.integrals import Integrals
from runner.record.interruption import pause
from runner.subspace.ground import DENSE, ROOTS, SPACE, Ground, ground

if TYPE_CHECKING:
    import numpy as np

MAX_FCI = 1 << 20
"""Determinants up to which full configuration interaction is computed beforehand, in two minutes or less."""
MAX_VARIANCE = 1 << 22
"""Determinants up to which H|ψ⟩ is written down, of which the variance is the length."""
VECTORS = 2 * SPACE + 5 * ROOTS
"""Vectors of the subspace that a diagonalization holds at a time."""
ITERATIONS = 60
"""Products with the Hamiltonian that a diagonalization usually takes."""
SECONDS = 8e-9
"""Of one product, for each configuration and each other that the Hamiltonian takes it to, by one thread."""


@dataclass(frozen=True)
class Recovery:
    """How configurations become subspaces."""

    samples_per_batch: int
    """Configurations drawn for each subspace."""
    batches: int
    """Subspaces diagonalized in each iteration."""
    iterations: int
    """Most iterations."""
    max_strings: int
    """Most configurations of one spin in a subspace."""
    energy_tolerance: float
    """Change of the energy from which on nothing changes."""
    occupancy_tolerance: float
    """Change of the occupancies from which on nothing changes."""
    carryover: float
    """Amplitude above which a configuration is in the next iteration's subspaces, too."""
    symmetrize: bool
    """Both spins have the same configurations."""


@dataclass(frozen=True)
class Among:
    """The lowest state among all pairs of some configurations of each spin."""

    energy: float
    """⟨H⟩, the constant included."""
    dimension: int
    """Configurations of up times those of down."""
    spin_square: float
    """⟨S²⟩."""
    occupancies: tuple[list[float], list[float]]
    """Of each orbital with spin up and down."""
    variance: float | None
    """⟨H²⟩ − ⟨H⟩²; None where there are too many determinants to write H|ψ⟩ down."""
    converged: bool
    """Whether it is certain to be the lowest; its energy is that of its state in any case."""


def strings(integrals: Integrals, most: int) -> tuple[int, int]:
    """The most configurations that a subspace has of spin up and of spin down."""
    return tuple(min(most, comb(integrals.orbitals, count)) for count in integrals.electrons)  # type: ignore[return-value]


def require(integrals: Integrals, most: int) -> None:
    """Refuse subspaces that this computer cannot hold.

    Raises:
        ConfigError: with the size that is too large, or there are many with electrons of one spin only.
    """
    if 0 in integrals.electrons and integrals.determinants > DENSE:
        raise ConfigError(  # PySCF divides by their numbers
            f"has electrons of one spin only, and more than {DENSE} configurations; choose another",
            key="hamiltonian",
        )
    up, down = strings(integrals, most)
    pairs = integrals.orbitals**2
    # the table of single excitations of each spin lists four numbers of four bytes for each
    links = 16 * sum(
        count * electrons * (integrals.orbitals - electrons + 1)
        for count, electrons in zip((up, down), integrals.electrons, strict=True)
    )
    needed = 8 * (VECTORS * up * down + 4 * pairs**2) + links
    try:
        memory.require(needed, f"a subspace of {up} × {down} configurations")
    except ConfigError as error:
        raise ConfigError(
            f"{str(error).partition(';')[0]}; lower it", key="experiment.max_strings"
        ) from error


def seconds(integrals: Integrals, most: int, diagonalizations: int) -> float:
    """About how long so many diagonalizations take at most on this computer, measured on one like it."""
    up, down = strings(integrals, most)
    singles, doubles = zip(
        *(
            (moves, comb(electrons, 2) * comb(integrals.orbitals - electrons, 2))
            for electrons in integrals.electrons
            for moves in [electrons * (integrals.orbitals - electrons)]
        ),
        strict=True,
    )
    linked = sum(min(count, own + two) for count, own, two in zip((up, down), singles, doubles, strict=True))
    linked += min(up, singles[0]) * min(down, singles[1])
    return diagonalizations * ITERATIONS * SECONDS * up * down * linked


def full(integrals: Integrals) -> float | None:
    """The energy of full configuration interaction; None above 2^20 determinants, or where it does not converge."""
    if integrals.determinants > MAX_FCI:
        return None
    import numpy as np
    from pyscf import fci, lib

    configurations = tuple(
        np.asarray(fci.cistring.make_strings(range(integrals.orbitals), count))
        for count in integrals.electrons
    )
    with lib.with_omp_threads(1):
        found = _ground(integrals, configurations)
    return found.energy + integrals.constant if found.converged else None


def _ground(integrals: Integrals, configurations: tuple[np.ndarray, ...]) -> Ground:
    """The lowest state among all pairs of configurations, which rise, without the constant."""
    from pyscf.fci import direct_spin1, selected_ci

    one, two, size, electrons = (
        integrals.one_body,
        integrals.two_body,
        integrals.orbitals,
        integrals.electrons,
    )
    shape = tuple(len(part) for part in configurations)
    every = shape == tuple(comb(size, count) for count in electrons)
    folded = direct_spin1.absorb_h1e(one, two, size, electrons, 0.5)
    if every:
        links = tuple(direct_spin1._unpack(size, electrons, None))
    else:
        links = selected_ci._all_linkstr_index(configurations, size, electrons)

    def apply(vector: np.ndarray) -> np.ndarray:
        pause()
        amplitudes = vector.reshape(shape)
        if every:
            image = direct_spin1.contract_2e(folded, amplitudes, size, electrons, links)
        else:
            pairs = selected_ci._as_SCIvector(amplitudes, configurations)
            image = selected_ci.contract_2e(folded, pairs, size, electrons, links)
        found: np.ndarray = image.view(type(vector)).ravel()
        return found

    diagonal = selected_ci.make_hdiag(one, two, configurations, size, electrons)
    return ground(apply, lambda places: _matrix(integrals, configurations, places, diagonal), diagonal)


def _matrix(
    integrals: Integrals, configurations: tuple[np.ndarray, ...], places: np.ndarray, diagonal: np.ndarray
) -> np.ndarray:
    """⟨H⟩ among pairs of configurations at these places, without the constant, by PySCF's Slater–Condon rules."""
    from ctypes import c_int, c_void_p

    import numpy as np
    from pyscf import lib
    from pyscf.fci import direct_spin1

    count = len(places)
    up, down = (
        part[at] for part, at in zip(configurations, divmod(places, len(configurations[1])), strict=True)
    )
    found = np.zeros((count, count))
    arrays = [
        found,
        *(np.ascontiguousarray(each) for each in (integrals.one_body, integrals.two_body, up, down)),
    ]
    pointers = [each.ctypes.data_as(c_void_p) for each in arrays]
    direct_spin1.libfci.FCIpspace_h0tril(*pointers, c_int(integrals.orbitals), c_int(count))
    matrix: np.ndarray = lib.hermi_triu(found)
    matrix[np.diag_indices(count)] = diagonal[places]
    return matrix


def _solved(integrals: Integrals, configurations: tuple[np.ndarray, ...]) -> tuple[Any, bool]:
    """qiskit-addon-sqd's SCIResult of the lowest state among pairs of configurations, and whether it is certain."""
    import numpy as np
    from qiskit_addon_sqd.fermion import SCIResult, SCIState

    names = tuple(np.sort(np.asarray(part, dtype=np.int64)) for part in configurations)
    found = _ground(integrals, names)
    amplitudes = found.state.reshape(tuple(len(part) for part in names))
    state = SCIState(amplitudes, *names, norb=integrals.orbitals, nelec=integrals.electrons)
    return SCIResult(found.energy, state, state.orbital_occupancies()), found.converged


def recover(
    integrals: Integrals,
    bits: np.ndarray,
    how: Recovery,
    rng: np.random.Generator,
    report: Callable[[dict[str, Any]], None],
) -> Any:
    """The state of the lowest energy that configuration recovery finds, as qiskit-addon-sqd has it.

    Args:
        integrals: the electrons.
        bits: shots, shape (S, 2n) of booleans, the last orbital with spin down first.
        how: the settings.
        rng: decides which bits are flipped, and what is drawn.
        report: told of every iteration.
    """
    import numpy as np
    from pyscf import lib
    from qiskit_addon_sqd.fermion import diagonalize_fermionic_hamiltonian

    lowest = tuple([(1 << count) - 1] for count in integrals.electrons)

    def tell(results: list[Any]) -> None:
        pause()
        best = min(results, key=lambda result: result.energy)
        up, down = (np.asarray(part, dtype=float).tolist() for part in best.orbital_occupancies)
        report(
            {
                "energy": float(best.energy) + integrals.constant,
                "dimension": int(best.sci_state.amplitudes.size),
                "energies": [float(result.energy) + integrals.constant for result in results],
                "spin_square": float(best.sci_state.spin_square()),
                "up": up,
                "down": down,
            }
        )

    with lib.with_omp_threads(1):
        return diagonalize_fermionic_hamiltonian(
            integrals.one_body,
            integrals.two_body,
            bits,
            samples_per_batch=how.samples_per_batch,
            norb=integrals.orbitals,
            nelec=integrals.electrons,
            num_batches=how.batches,
            energy_tol=how.energy_tolerance,
            occupancies_tol=how.occupancy_tolerance,
            max_iterations=how.iterations,
            sci_solver=lambda subspaces, *_: [_solved(integrals, names)[0] for names in subspaces],
            symmetrize_spin=how.symmetrize,
            max_dim=how.max_strings,
            include_configurations=lowest,
            initial_occupancies=None if valid(integrals, bits).any() else _of_one(integrals),
            carryover_threshold=how.carryover,
            callback=tell,
            seed=rng,
        )


def valid(integrals: Integrals, bits: np.ndarray) -> np.ndarray:
    """Which shots of shape (S, 2n) have the right numbers of electrons, shape (S,)."""
    up, down = integrals.electrons
    half = integrals.orbitals
    found: np.ndarray = (bits[:, half:].sum(axis=1) == up) & (bits[:, :half].sum(axis=1) == down)
    return found


def _of_one(integrals: Integrals) -> tuple[np.ndarray, np.ndarray]:
    """Occupancies of the determinant of the lowest orbitals."""
    import numpy as np

    up, down = (
        np.array([1.0] * count + [0.0] * (integrals.orbitals - count)) for count in integrals.electrons
    )
    return up, down


def ladder(integrals: Integrals, state: Any, sizes: Sequence[float], *, symmetrize: bool) -> list[Among]:
    """The lowest states among ever more of a state's configurations, those of the largest weight first.

    Args:
        integrals: the electrons.
        state: qiskit-addon-sqd's SCIState.
        sizes: shares of its configurations of each spin, rising.
        symmetrize: both spins have the same configurations, and keep having them.
    """
    import numpy as np

    weights = np.abs(state.amplitudes) ** 2
    up, down = weights.sum(axis=1), weights.sum(axis=0)
    if symmetrize:
        up = down = up + down
    ranked = [
        np.asarray(names)[np.argsort(-weight, kind="stable")]
        for names, weight in ((state.ci_strs_a, up), (state.ci_strs_b, down))
    ]
    counts = dict.fromkeys(tuple(max(1, round(share * len(names))) for names in ranked) for share in sizes)
    found = []
    for count in counts:
        pause()
        chosen = tuple(np.sort(names[:most]) for names, most in zip(ranked, count, strict=True))
        found.append(among(integrals, chosen))  # type: ignore[arg-type]
    return found


def among(integrals: Integrals, configurations: tuple[np.ndarray, np.ndarray]) -> Among:
    """The lowest state among all pairs of these configurations of spin up and of spin down."""
    import numpy as np
    from pyscf import lib

    with lib.with_omp_threads(1):
        result, converged = _solved(integrals, configurations)
        up, down = (np.asarray(part, dtype=float).tolist() for part in result.orbital_occupancies)
        return Among(
            energy=float(result.energy) + integrals.constant,
            dimension=int(result.sci_state.amplitudes.size),
            spin_square=float(result.sci_state.spin_square()),
            occupancies=(up, down),
            variance=_variance(integrals, result.sci_state),
            converged=converged,
        )


def _variance(integrals: Integrals, state: Any) -> float | None:
    """⟨H²⟩ − ⟨H⟩², from H|ψ⟩ among all determinants."""
    if integrals.determinants > MAX_VARIANCE:
        return None
    import numpy as np
    from pyscf import fci

    size, electrons = integrals.orbitals, integrals.electrons
    places = [
        fci.cistring.strs2addr(size, count, names)
        for count, names in zip(electrons, (state.ci_strs_a, state.ci_strs_b), strict=True)
    ]
    vector = np.zeros(tuple(comb(size, count) for count in electrons))
    vector[np.ix_(*places)] = state.amplitudes
    folded = fci.direct_spin1.absorb_h1e(integrals.one_body, integrals.two_body, size, electrons, 0.5)
    image = fci.direct_spin1.contract_2e(folded, vector, size, electrons)
    energy = float(np.vdot(vector, image))
    return max(0.0, float(np.vdot(image, image)) - energy**2)
