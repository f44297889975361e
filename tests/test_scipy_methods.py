"""SciPy's methods as they are declared: every documented option, the same points as SciPy, and what is refused."""

import re
import shutil

import numpy as np
import pytest
from scipy.optimize import minimize, show_options

from runner import resume, run
from runner.declare.composer import compose, declare
from runner.errors import ConfigError
from runner.optimizer.scipy_methods import METHODS
from tests.choices import choice
from tests.journals import plain

LEFT_OUT = {
    "disp": "prints; the journal has every step",
    "iprint": "prints; the journal has every step",
    "verbose": "prints; the journal has every step",
    "return_all": "collects points; the journal has every evaluation",
    "maxfev": "is max_evaluations",
    "maxfun": "is max_evaluations",
    "f_target": "is target_energy",
    "tol": "is tolerance",
    "eps": "differences are taken by difference_step, all in one job",
    "finite_diff_rel_step": "differences are taken by difference_step, all in one job",
    "workers": "differences are taken by difference_step, all in one job",
    "catol": "there are no constraints but bounds",
    "feasibility_tol": "there are no constraints but bounds",
    "sparse_jacobian": "follows from factorization_method",
}
"""Documented options that cannot be declared, and why."""
ARGUMENTS = {"fun", "x0", "args", "method", "bounds", "options", "callback"}
START = np.array([0.9, -0.4, 0.3])


def ignore(step):
    """A callback that does nothing with a step."""


def energy(x):
    """A wave with several minima in three angles."""
    return float(-np.cos(x - 0.3).sum() + 0.7 * np.cos(x[0] + 2 * x[1]) * np.sin(x[2]))


def slope(x):
    """Its energy and gradient by pencil and paper."""
    a, b = np.sin(x[0] + 2 * x[1]), np.cos(x[0] + 2 * x[1])
    own = np.sin(x - 0.3)
    return energy(x), own + 0.7 * np.array([-a * np.sin(x[2]), -2 * a * np.sin(x[2]), b * np.cos(x[2])])


def descent(name, start=START, gradient=slope, **changes):
    """The result of a declared method, and every point it asked for."""
    asked = []

    def seen(points):
        rows = np.atleast_2d(points)
        asked.extend(rows.copy())
        values = np.array([energy(row) for row in rows])
        return float(values[0]) if points.ndim == 1 else values

    found = (
        choice("optimizer", name, **changes)
        .build()
        .minimize(seen, start, gradient=gradient, rng=np.random.default_rng(1), callback=ignore)
    )
    return found, asked


def documented(method):
    """The options in SciPy's own documentation of a method."""
    text = show_options("minimize", method, disp=False).split("Returns\n")[0]
    names = re.findall(r"^ *([\w`]+(?:, [\w`]+)*) ?: ", text, re.MULTILINE)
    return {name.strip("` ") for group in names for name in group.split(",")} - ARGUMENTS


@pytest.mark.parametrize("name", METHODS)
def test_every_documented_option_can_be_declared(name):
    """scipy.optimize.show_options against the fields, but for those that make no sense here."""
    fields = set(METHODS[name].__dataclass_fields__)
    options = documented(METHODS[name].scipy_name)

    assert options
    left_out = set(LEFT_OUT) | ({"maxiter"} if name == "cobyla" else set())  # it counts evaluations there
    assert options - fields - left_out == set()


OPTIONS = [
    ("bfgs", {"norm": 2.0}), ("bfgs", {"norm": float("inf")}), ("bfgs", {"hess_inv0": np.diag([1.0, 2, 3]).tolist()}),
    ("bfgs", {"gtol": 0.0, "maxiter": 5}), ("bfgs", {"c1": 0.01, "c2": 0.5}), ("cg", {"norm": 1.0}),
    ("powell", {"direc": [[1.0, 1, 0], [0, 1, 0], [0, 0, 1]]}), ("powell", {"ftol": 0.0, "maxiter": 3}),
    ("tnc", {"scale": [1.0, 2, 3]}), ("tnc", {"offset": [0.1, 0.2, 0.3]}), ("tnc", {"accuracy": 1e-6}),
    ("tnc", {"minfev": -4.0}), ("tnc", {"rescale": 0.0}), ("tnc", {"maxCGit": 0}), ("tnc", {"eta": -1.0}),
    ("trust_ncg", {"eta": 0.0}), ("trust_krylov", {"eta": 0.0, "inexact": False}), ("trust_exact", {"eta": 0.0}),
    ("nelder_mead", {"initial_simplex": (START + np.tri(4, 3, -1)).tolist(), "simplex_size": None}),
    ("l_bfgs_b", {"ftol": 0.0}), ("slsqp", {"ftol": 0.0}), ("bfgs", {"norm": float("-inf")}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes"), OPTIONS)
def test_options_reach_scipy(name, changes):
    """The end is where SciPy itself ends with the same options and the gradient by pencil and paper."""
    found, _ = descent(name, **changes)
    method = METHODS[name]
    kept = {key: value for key, value in changes.items() if value is not None}
    more = {"max_trust_radius": 3.0, "initial_trust_radius": 0.5} if "trust" in name else {}
    if name == "nelder_mead":
        more = {"adaptive": True}
    if name == "tnc":
        more = {"maxfun": 1000}
        kept |= {key: np.array(value) for key, value in kept.items() if key in ("scale", "offset")}
        if "scale" in kept:
            kept["offset"] = START  # its documented default, which SciPy leaves unset beside a scale
    functions = {}
    if method.uses_gradient:
        functions["jac"] = lambda x: slope(x)[1]
    if "trust" in name:
        functions["hess"] = lambda x: (lambda h: (h + h.T) / 2)(
            np.array([(slope(x + d)[1] - slope(x - d)[1]) / 2e-3 for d in 1e-3 * np.eye(3)])
        )
    expected = minimize(energy, START, method=method.scipy_name, options={**more, **kept}, **functions)
    for _ in range(
        2 if name == "powell" and expected.success else 0
    ):  # it begins again until two find no more
        expected = minimize(energy, expected.x, method=method.scipy_name, options={**more, **kept})

    assert found.parameters == pytest.approx(expected.x, abs=1e-7)
    assert found.success == expected.success


def test_a_scale_comes_with_an_offset():
    """SciPy leaves the offset unset beside a scale: what was freed as NaN before would be read as one."""

    def seen(x):
        freed = [np.full(3, np.nan) for _ in range(200)]
        del freed
        return slope(x)

    found, _ = descent("tnc", gradient=seen, scale=[1.0, 2, 3])
    expected = minimize(energy, START, method="BFGS")

    assert found.energy == pytest.approx(expected.fun, abs=1e-6)


@pytest.mark.parametrize("pairs", [[0.1, 1.0], [[0.1, 1.0], [-0.7, 0.4], [0.0, 0.35]]])
@pytest.mark.parametrize("start", [[0.9, 0.3, 0.2], [2.0, 2.0, -1.0], [1.0, 0.35, 0.35]])
@pytest.mark.parametrize("size", [None, 0.5])
def test_bounded_nelder_mead_asks_for_scipys_points(pairs, start, size):
    """Point by point what scipy.optimize.minimize asks for, with the same first simplex, not clipped by us."""
    box = np.broadcast_to(pairs, (3, 2))
    corner = np.clip(start, *box.T)
    simplex = {} if size is None else {"initial_simplex": [corner, *(corner + size * np.eye(3))]}
    points = []
    with np.errstate(all="ignore"):
        minimize(
            lambda x: points.append(x.copy()) or energy(x), corner, method="Nelder-Mead",
            bounds=box, options={"adaptive": True, "maxfev": 4000, **simplex},
        )  # fmt: skip
    _, asked = descent("nelder_mead", np.array(start), bounds=pairs, simplex_size=size)

    assert np.array(asked).tolist() == np.array(points).tolist()


def test_a_simplex_is_not_folded_onto_its_start():
    """A corner that SciPy would mirror onto the start, 0.25 below a bound, is put on the other side."""
    found, asked = descent("nelder_mead", np.array([0.75, 0.75, 0.75]), bounds=[0.4, 1.0])
    expected = minimize(energy, [0.75] * 3, method="L-BFGS-B", bounds=[(0.4, 1.0)] * 3)

    assert np.linalg.matrix_rank(np.array(asked[1:4]) - asked[0]) == 3
    assert found.energy == pytest.approx(expected.fun, abs=1e-4)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].uses_bounds] + ["adam", "spsa"])
def test_each_parameter_has_bounds_of_its_own(name):
    """No question leaves its own interval, and the lowest point there is the one of L-BFGS-B."""
    pairs = [[0.4, 1.0], [-0.2, 0.1], [0.0, 0.6]]
    found, asked = descent(
        name, bounds=pairs, max_evaluations=600, gradient=None if name == "spsa" else slope
    )
    expected = minimize(energy, np.clip(START, *np.transpose(pairs)), method="L-BFGS-B", bounds=pairs)

    assert found.energy == pytest.approx(expected.fun, abs=5e-3)
    margin = 1e-9
    assert all((row >= np.transpose(pairs)[0] - margin).all() for row in asked)
    assert all((row <= np.transpose(pairs)[1] + margin).all() for row in asked)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("bfgs", {"norm": 0.0}, "optimizer.norm: must be a number but 0, or inf"),
        ("bfgs", {"norm": ".nan"}, "optimizer.norm: must be a number but 0, or inf"),
        ("cg", {"norm": "max"}, "optimizer.norm: must be a number but 0, or inf, got max; use 2 or inf"),
        ("cg", {"norm": True}, "optimizer.norm: must be a number but 0, or inf, got True"),
        ("trust_constr", {"factorization_method": "SVDFactorization"}, "has an effect with bounds only"),
        (
            "trust_constr",
            {"factorization_method": "QR", "bounds": [0.0, 1.0]},
            "factorization_method: must be one of NormalEquation, AugmentedSystem, QRFactorization",
        ),
        ("bfgs", {"c1": 0.95}, "optimizer.c1: must be 0 < c1 < c2 < 1, got 0.95 and 0.9"),
        ("cg", {"c2": 1.5}, "optimizer.c2: must be 0 < c1 < c2 < 1"),
        ("trust_ncg", {"eta": 0.25}, r"optimizer.eta: must be in \[0, 0.25\), got 0.25"),
        ("trust_ncg", {"eta": -0.1}, "optimizer.eta: must be at least 0"),
        (
            "trust_exact",
            {"initial_trust_radius": 3.0},
            "initial_trust_radius: must be below max_trust_radius, 3",
        ),
        ("tnc", {"eta": 1.5}, "optimizer.eta: must be at most 1"),
        ("cobyla", {"tolerance": 2.0}, "optimizer.tolerance: must be at most rhobeg, 1, got 2"),
        ("cobyla", {"tolerance": 0.0}, "optimizer.tolerance: must be above 0"),
        (
            "cobyqa",
            {"tolerance": 0.7},
            "optimizer.tolerance: must be at most initial_tr_radius, 0.5, got 0.7",
        ),
        ("cobyqa", {"scale": True}, "optimizer.scale: needs bounds to scale to"),
        (
            "cobyqa",
            {"final_tr_radius": 1.0},
            "optimizer.final_tr_radius: must be at most initial_tr_radius, 0.5, got 1",
        ),
        ("trust_constr", {"barrier_tol": 1e-3}, "optimizer.barrier_tol: has an effect with bounds only"),
        (
            "nelder_mead",
            {"initial_simplex": [[1.0]]},
            "optimizer.initial_simplex: is made by simplex_size already",
        ),
        ("l_bfgs_b", {"bounds": [[0.0, 1.0], [2.0, 1.0]]}, r"optimizer.bounds\[1\]: low must be below high"),
        ("l_bfgs_b", {"bounds": [[0.0, 1.0], [2.0]]}, r"optimizer.bounds\[1\]: must be \[low, high\], got 1"),
        ("l_bfgs_b", {"bounds": [[0.0, 1.0], "ab"]}, r"optimizer.bounds\[0\]: must be a real number"),
    ],
)
def test_bad_options_are_refused(name, changes, message):
    """Each mistake is told in one line that names the key."""
    with pytest.raises(ConfigError, match=message):
        choice("optimizer", name, **changes)


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("l_bfgs_b", "bounds=[[0,1],[0,1]]", "optimizer.bounds: has 2 pairs, the circuit 24 parameters"),
        ("bfgs", "hess_inv0=[[1,0],[0,1]]", "optimizer.hess_inv0: must be 24 × 24 numbers for this circuit"),
        ("powell", "direc=[1,2]", "optimizer.direc: must be 24 × 24 numbers"),
        ("tnc", "scale=[1,2]", "optimizer.scale: must be 24 numbers"),
    ],
)
def test_wrong_counts_are_refused_before_a_session(name, setting, message, workdir):
    """One line, and nothing is made."""
    with pytest.raises(ConfigError, match=message):
        run(
            compose(
                f"optimizer={name}",
                f"optimizer.{setting}",
                "hamiltonian=h2",
                "estimator=exact",
                "tracking=off",
            )
        )

    assert not (workdir / "outputs").exists()


def test_matrices_are_checked():
    """A matrix that is no inverse Hessian, and directions that lie in a plane."""
    with pytest.raises(ConfigError, match=r"optimizer.hess_inv0: must be symmetric and positive definite"):
        descent("bfgs", hess_inv0=np.diag([1.0, -1, 1]).tolist())
    with pytest.raises(ConfigError, match=r"optimizer.direc: does not reach every point"):
        descent("powell", direc=np.ones((3, 3)).tolist())


def test_a_growing_ansatz_takes_no_numbers_for_each_parameter(workdir):
    """ADAPT-VQE has one parameter, then two, then three."""
    declared = compose(
        "experiment=adapt_vqe", "hamiltonian=h2", "optimizer=l_bfgs_b", "optimizer.bounds=[[-1,1],[-1,1],[-1,1]]",
        "estimator=exact", "tracking=off",
    )  # fmt: skip
    with pytest.raises(
        ConfigError, match=r"optimizer.bounds: holds numbers for each parameter, and this ansatz grows"
    ):
        run(declared)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("optimizer=l_bfgs_b", "gradient=none"),
            r"gradient: none takes differences .* make 707 σ .*=parameter_shift",
        ),
        (
            ("optimizer=adam", "gradient=none", "estimator.default_shots=100000"),
            "gradient: none takes differences",
        ),
        (
            (
                "optimizer=slsqp",
                "gradient=none",
                "estimator.default_shots=null",
                "estimator.default_precision=0.01",
            ),
            "gradient: none takes differences",
        ),
        (
            ("optimizer=newton_cg",),
            "optimizer: newton_cg takes differences of gradients, and the estimator samples",
        ),
        (
            ("optimizer=trust_exact", "gradient=parameter_shift"),
            "optimizer: trust_exact takes differences of gradients",
        ),
        (
            ("optimizer=trust_ncg", "gradient=spsa", "estimator=exact"),
            "optimizer: trust_ncg takes differences of gradients, and gradient=spsa draws them at random",
        ),
        (
            ("experiment=vqe_race", "gradient=none", "experiment.optimizers=[cobyla,bfgs]"),
            "gradient: none takes",
        ),
        (("experiment=vqd", "optimizer=cg", "gradient=none"), "gradient: none takes differences"),
        (
            ("experiment=qaoa", "optimizer=l_bfgs_b"),
            "optimizer: l_bfgs_b follows gradients, and sampled bitstrings",
        ),
    ],
)
def test_noise_is_not_differentiated(overrides, message, workdir):
    """σ = 0.01 over a width of 0.001 is a slope uncertain by 7: refused in one line before anything is made."""
    with pytest.raises(ConfigError, match=message):
        run(
            compose(
                *overrides, *([] if "estimator=exact" in overrides else ["estimator=shots"]), "tracking=off"
            )
        )

    assert not (workdir / "outputs").exists()


def test_exact_energies_may_be_differentiated(workdir):
    """FCI of H2 (PySCF, −1.137306) by L-BFGS-B on central differences of exact energies."""
    result = run(
        compose(
            "optimizer=l_bfgs_b", "gradient=none", "estimator=exact", "hamiltonian=h2", "ansatz=uccsd",
            "tracking=off", "run.figures=false",
        )
    )  # fmt: skip

    assert result.converged
    assert result.energy == pytest.approx(-1.137306, abs=2e-6)


def test_random_gradients_are_not_called_converged(workdir):
    """The SPSA estimate vanishes where a direction happens to be level, which is no criterion."""
    result = run(
        compose(
            "optimizer=adam", "gradient=spsa", "optimizer.gtol=10.0", "estimator=exact", "tracking=off",
            "run.figures=false",
        )
    )  # fmt: skip

    assert result.evaluations == 1
    assert result.converged is False


@pytest.mark.parametrize("method", ["AugmentedSystem", "QRFactorization", "SVDFactorization"])
def test_every_factorization_ends_at_the_same_minimum(method):
    """SciPy's L-BFGS-B within the same bounds; AugmentedSystem takes sparse matrices, the others dense ones."""
    found, _ = descent("trust_constr", bounds=[-0.5, 0.6], factorization_method=method)
    expected = minimize(energy, START, method="L-BFGS-B", bounds=[(-0.5, 0.6)] * 3)

    assert found.success
    assert found.energy == pytest.approx(expected.fun, abs=1e-4)


def test_scikit_sparse_is_asked_for_where_scipy_would_take_another():
    """NormalEquation without scikit-sparse: SciPy warns and goes on with AugmentedSystem, which was not declared."""
    from importlib.util import find_spec

    if find_spec("sksparse"):
        pytest.skip("scikit-sparse is installed")
    with pytest.raises(ConfigError, match="NormalEquation needs scikit-sparse; install it, or take"):
        choice("optimizer", "trust_constr", bounds=[0.0, 1.0], factorization_method="NormalEquation")


@pytest.mark.parametrize(("word", "order"), [(".inf", np.inf), ("-.inf", -np.inf), ("inf", np.inf), ("1", 1)])
@pytest.mark.parametrize("name", ["bfgs", "cg"])
def test_the_order_of_a_norm_may_be_yamls_infinity(name, word, order):
    """YAML 1.1 writes infinity as .inf (https://yaml.org/type/float.html); Python and Hydra as inf."""
    assert compose(f"optimizer={name}", f"optimizer.norm={word}").optimizer.norm == order


@pytest.mark.parametrize("word", ["inf", ".inf"])
def test_an_infinite_order_survives_a_break(word, workdir):
    """`norm=inf` is written into the journal as a word, and read back as what config.yaml says."""
    words = [
        "optimizer=bfgs",
        f"optimizer.norm={word}",
        "optimizer.max_evaluations=3",
        "estimator=exact",
        "tracking=off",
    ]
    whole = run(declare([*words, "hamiltonian=h2", "run.figures=false"]), directory=str(workdir / "whole"))
    broken = workdir / "broken"
    shutil.copytree(whole.directory, broken)
    lines = plain(broken).read_bytes().splitlines(keepends=True)
    (broken / "journal.jsonl").write_bytes(b"".join(lines[:-3]))
    for name in ("result.json", "session.json"):
        (broken / name).unlink()

    assert resume(broken).energy == whole.energy
