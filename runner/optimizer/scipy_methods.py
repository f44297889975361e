"""Every method of scipy.optimize.minimize, each with its own typed options."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from runner.declare.checks import require_integer, require_number, require_positive, require_range
from runner.errors import ConfigError
from runner.optimizer.method import (
    Ending,
    OptimizerConfig,
    Watch,
    doubted,
    optional_count,
    optional_positive,
)

if TYPE_CHECKING:
    import numpy as np


@dataclass(kw_only=True)
class ScipyMethod(OptimizerConfig):
    """What SciPy's methods share; an option that is null keeps SciPy's default."""

    tolerance: float | None = None
    """All thresholds of the method at once (SciPy's `tol`); null: each its own."""

    scipy_name: ClassVar[str] = ""
    positive: ClassVar[tuple[str, ...]] = ()
    """Options above zero."""
    thresholds: ClassVar[tuple[str, ...]] = ()
    """Options of zero and more; a threshold of zero never holds, which leaves the end to the others."""
    counts: ClassVar[tuple[str, ...]] = ()
    """Options that are integers of one and more."""
    others: ClassVar[tuple[str, ...]] = ()
    """Options that are checked otherwise."""
    limit_option: ClassVar[str] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_positive(self, *self.positive)
        optional_count(self, *self.counts)
        for name in ("tolerance", *self.thresholds):
            if (value := getattr(self, name)) is not None:
                require_number(f"optimizer.{name}", value)
                require_range(f"optimizer.{name}", value, 0)

    def options(self, watch: Watch, x0: np.ndarray) -> dict[str, Any]:
        """SciPy's options: those declared, and the limit where the method has one."""
        import numpy as np

        names = (*self.positive, *self.thresholds, *self.counts, *self.others, *self.shapes)
        options = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        options |= {name: np.array(options[name], dtype=float) for name in self.shapes if name in options}
        if self.limit_option and watch.max_evaluations is not None:
            options[self.limit_option] = max(watch.max_evaluations, len(x0) + 2)  # COBYLA takes no less
        return options

    def functions(self, watch: Watch) -> dict[str, Any]:
        """The functions SciPy calls, by their names in `scipy.optimize.minimize`."""
        return {"fun": watch}

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:  # noqa: ARG002 - SciPy's methods are deterministic
        """Run the method."""
        from scipy.optimize import minimize

        box = self.box(len(x0))

        def step(x: np.ndarray, *_: Any) -> None:
            reached = x.copy()
            watch.standing = lambda: {"answer": reached}
            watch.step()

        found = minimize(
            x0=x0,
            method=self.scipy_name,
            tol=self.tolerance,
            bounds=None if box is None else self.limits(*box),
            options=self.options(watch, x0),
            callback=step,
            **self.functions(watch),
        )
        doubt = self.doubt(found) if found.success else None
        return Ending(
            parameters=found.x,
            energy=float(found.fun),
            success=bool(found.success) and doubt is None,
            message=doubted(found.message, doubt),
        )

    def limits(self, low: np.ndarray, high: np.ndarray) -> Any:
        """The bounds as SciPy takes them, from the lowest and highest values, shape (P,) each."""
        return list(zip(low, high, strict=True))

    def doubt(self, found: Any) -> str | None:  # noqa: ARG002 - for those that have some
        """Why an end that SciPy calls a success is none; None where it is one."""
        return None


@dataclass(kw_only=True)
class GradientMethod(ScipyMethod):
    """A method that follows the gradient."""

    difference_step: float = 1e-3
    """Width in radians of the central differences used where no gradient is declared."""

    uses_gradient = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("optimizer.difference_step", self.difference_step)

    def functions(self, watch: Watch) -> dict[str, Any]:
        """Energy and gradient, which SciPy asks for one after the other at the same point, out of one job.

        What SciPy has for this (`jac=True`) compares and copies arrays for as long as a small job takes.
        """
        import numpy as np

        @lru_cache(maxsize=1)
        def evaluate(point: bytes) -> tuple[float, np.ndarray]:
            return watch.value_and_gradient(np.frombuffer(point), self.difference_step)

        return {"fun": lambda x: evaluate(x.tobytes())[0], "jac": lambda x: evaluate(x.tobytes())[1]}


@dataclass(kw_only=True)
class HessianMethod(GradientMethod):
    """A method that also follows the curvature, taken as central differences of the gradient."""

    uses_hessian = True

    def functions(self, watch: Watch) -> dict[str, Any]:
        """Energy, gradient and Hessian; the Hessian costs 2P gradients."""
        import numpy as np

        def hessian(x: np.ndarray) -> np.ndarray:
            rows = []
            for shift in self.difference_step * np.eye(len(x)):
                up = watch.value_and_gradient(x + shift, self.difference_step)[1]
                down = watch.value_and_gradient(x - shift, self.difference_step)[1]
                rows.append((up - down) / (2 * self.difference_step))
            matrix = np.array(rows)
            return (matrix + matrix.T) / 2

        return {**super().functions(watch), "hess": hessian}


@dataclass(kw_only=True)
class WolfeMethod(OptimizerConfig):
    """The two conditions of a line search."""

    c1: float | None = None
    """Armijo condition of the line search."""
    c2: float | None = None
    """Curvature condition of the line search; 0 < c1 < c2 < 1."""

    default_c2: ClassVar[float] = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_positive(self, "c1", "c2")
        c1 = 1e-4 if self.c1 is None else self.c1
        c2 = self.default_c2 if self.c2 is None else self.c2
        if not 0 < c1 < c2 < 1:
            key = "c2" if self.c1 is None else "c1"
            raise ConfigError(
                f"must be 0 < c1 < c2 < 1, got {c1:g} and {c2:g}; change one", key=f"optimizer.{key}"
            )


INFINITE = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf}
"""YAML's words for infinity, which are strings on a command line."""


def _order(norm: Any) -> float | None:
    """The order of a norm, as a number.

    Raises:
        ConfigError: it is none.
    """
    word = norm.lower() if isinstance(norm, str) else ""
    try:
        order = None if norm is None else INFINITE[word] if word in INFINITE else float(norm)
    except (TypeError, ValueError):
        order = math.nan
    if isinstance(norm, bool) or (order is not None and (math.isnan(order) or order == 0)):
        raise ConfigError(f"must be a number but 0, or inf, got {norm}; use 2 or inf", key="optimizer.norm")
    return order


@dataclass(kw_only=True)
class COBYLA(ScipyMethod):
    """Linear models in a shrinking trust region, no gradient (Powell 1994)."""

    rhobeg: float = 1.0
    """First radius of the trust region in radians."""
    restarts: int = 3
    """Fresh starts from the best point, with the first radius again, until two in turn end at the same energy."""

    label = scipy_name = "COBYLA"
    uses_bounds = True
    positive = ("rhobeg",)
    limit_option = "maxiter"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("optimizer.restarts", self.restarts, 0, 1000)
        _check_last_radius(self, "tolerance", "rhobeg")

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:
        """Descend, and begin again where the energy was lowest: shot noise ends a descent early."""
        ending = super().descend(watch, x0, rng)
        for _ in range(self.restarts):
            before = ending.energy
            ending = super().descend(watch, watch.best_parameters, rng)
            if abs(before - ending.energy) <= (self.tolerance or 0.0):
                break
        return ending


FLAT = 1e-4
"""Thinnest to widest extent below which a simplex counts as flat; those that converge well stay above 0.01."""


@dataclass(kw_only=True)
class NelderMead(ScipyMethod):
    """The downhill simplex (Nelder & Mead 1965)."""

    maxiter: int | None = None
    """Most steps of the simplex."""
    xatol: float | None = None
    """Converged when the simplex is smaller than this, in radians (and fatol holds)."""
    fatol: float | None = None
    """Converged when energies on the simplex differ by less than this."""
    adaptive: bool = True
    """Let the steps depend on the number of parameters; better from about ten on."""
    simplex_size: float | None = 0.5
    """Edge of the first simplex in radians, beginning at the start; null: SciPy's, 5 % of each parameter."""
    initial_simplex: list[Any] | None = None
    """The P + 1 corners of the first simplex, P numbers each, in place of one made by its size."""

    label = scipy_name = "Nelder-Mead"
    uses_bounds = True
    thresholds = ("xatol", "fatol")
    counts = ("maxiter",)
    others = ("adaptive",)
    shapes: ClassVar[dict[str, tuple[int, ...]]] = {"initial_simplex": (1, 0)}
    limit_option = "maxfev"

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_positive(self, "simplex_size")
        if self.initial_simplex is not None and self.simplex_size is not None:
            raise ConfigError(
                "is made by simplex_size already; set that to null", key="optimizer.initial_simplex"
            )

    def options(self, watch: Watch, x0: np.ndarray) -> dict[str, Any]:
        """SciPy's options, and a simplex with one corner at `x0`."""
        import numpy as np

        options = super().options(watch, x0)
        if self.simplex_size is not None:
            edges = np.full(len(x0), self.simplex_size)
            if (box := self.box(len(x0))) is not None:
                edges = _unfolded(edges, x0, *box)
            options["initial_simplex"] = np.concatenate([x0[None], x0 + np.diag(edges)])
        return options

    def doubt(self, found: Any) -> str | None:
        """A simplex that has lost a dimension, as on a bound, no longer sees where the energy falls."""
        import numpy as np

        edges = found.final_simplex[0][1:] - found.final_simplex[0][0]
        sizes = np.linalg.svd(edges, compute_uv=False)
        return "the simplex has become flat" if sizes[-1] <= FLAT * sizes[0] else None


def _unfolded(edges: np.ndarray, x0: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Edges that stay edges in a box: SciPy mirrors a corner above it into it, where it may fall upon the start."""
    import numpy as np

    mirrored = np.where(x0 + edges > high, 2 * high - x0 - edges, x0 + edges)
    kept = np.abs(np.clip(mirrored, low, high) - x0) > edges / 10
    inward = np.where(high - x0 > x0 - low, 1, -1) * np.minimum(edges, (high - low) / 2)
    return np.where(kept, edges, inward)


@dataclass(kw_only=True)
class Powell(ScipyMethod):
    """Line searches along conjugate directions, no gradient (Powell 1964)."""

    maxiter: int | None = None
    """Most sweeps over all directions."""
    xtol: float | None = None
    """Relative change of the parameters at which a line search ends."""
    ftol: float | None = None
    """Relative change of the energy at which it has converged."""
    direc: list[Any] | None = None
    """The P directions it begins with, P numbers each and independent; null: one along each parameter."""

    label = scipy_name = "Powell"
    uses_bounds = True
    thresholds = ("xtol", "ftol")
    counts = ("maxiter",)
    shapes: ClassVar[dict[str, tuple[int, ...]]] = {"direc": (0, 0)}
    limit_option = "maxfev"

    def check(self, parameters: int) -> None:
        """Refuse settings that do not fit this number of parameters.

        Raises:
            ConfigError: naming the setting and the shape it should have.
        """
        import numpy as np

        super().check(parameters)
        if self.direc is not None and np.linalg.matrix_rank(np.array(self.direc, dtype=float)) < parameters:
            raise ConfigError(
                "does not reach every point; give independent directions", key="optimizer.direc"
            )

    def options(self, watch: Watch, x0: np.ndarray) -> dict[str, Any]:
        """SciPy's options, and the sweeps that are left."""
        options = super().options(watch, x0)
        if self.maxiter is not None:
            options["maxiter"] = self.maxiter - watch.iterations
        return options

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:
        """Descend, and begin again until two in turn find no more: directions that grew alike end a descent early."""
        ending, idle = super().descend(watch, x0, rng), 0
        while ending.success and idle < 2:
            if self.maxiter is not None and watch.iterations >= self.maxiter:
                doubt = "no sweep was left to begin again from there"
                return replace(ending, success=False, message=doubted(ending.message, doubt))
            again = super().descend(watch, ending.parameters, rng)
            fall, size = ending.energy - again.energy, abs(ending.energy) + abs(again.energy)
            idle = idle + 1 if 2 * fall <= self._threshold * size else 0
            ending = again
        return ending

    @property
    def _threshold(self) -> float:
        """The relative change that SciPy goes by."""
        return next((value for value in (self.ftol, self.tolerance) if value is not None), 1e-4)

    def doubt(self, found: Any) -> str | None:  # noqa: ARG002 - wherever it ends
        """With bounds its line searches span the whole box, and may end elsewhere than where the energy falls."""
        return None if self.bounds is None else "searches across a box may pass a minimum by"


@dataclass(kw_only=True)
class COBYQA(ScipyMethod):
    """Quadratic models in a trust region, no gradient (Ragonneau & Zhang 2023)."""

    maxiter: int | None = None
    """Most steps."""
    initial_tr_radius: float = 0.5
    """First radius of the trust region in radians."""
    final_tr_radius: float | None = None
    """Radius in radians at which it has converged."""
    scale: bool = False
    """Scale the parameters to their bounds."""

    label = scipy_name = "COBYQA"
    uses_bounds = True
    positive = ("initial_tr_radius", "final_tr_radius")
    counts = ("maxiter",)
    others = ("scale",)
    limit_option = "maxfev"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale and self.bounds is None:
            raise ConfigError("needs bounds to scale to; give optimizer.bounds", key="optimizer.scale")
        _check_last_radius(self, "final_tr_radius", "initial_tr_radius")
        _check_last_radius(self, "tolerance", "initial_tr_radius")


def _check_last_radius(config: OptimizerConfig, last: str, first: str) -> None:
    """Refuse a radius to end with that is above the one to begin with, or zero."""
    if (radius := getattr(config, last)) is None:
        return
    require_positive(f"optimizer.{last}", radius)
    if radius > getattr(config, first):
        raise ConfigError(
            f"must be at most {first}, {getattr(config, first):g}, got {radius:g}; lower it",
            key=f"optimizer.{last}",
        )


@dataclass(kw_only=True)
class LBFGSB(GradientMethod):
    """Quasi-Newton with limited memory and bounds (Byrd, Lu, Nocedal & Zhu 1995)."""

    maxiter: int | None = None
    """Most steps."""
    maxcor: int | None = None
    """Past steps the curvature is estimated from."""
    ftol: float | None = None
    """Relative change of the energy at which it has converged."""
    gtol: float | None = None
    """Largest component of the gradient at which it has converged."""
    maxls: int | None = None
    """Most energies per line search."""

    label = scipy_name = "L-BFGS-B"
    uses_bounds = True
    thresholds = ("ftol", "gtol")
    counts = ("maxiter", "maxcor", "maxls")
    limit_option = "maxfun"


@dataclass(kw_only=True)
class BFGS(WolfeMethod, GradientMethod):
    """Quasi-Newton with the full inverse Hessian (Broyden, Fletcher, Goldfarb, Shanno 1970)."""

    maxiter: int | None = None
    """Most steps."""
    gtol: float | None = None
    """Norm of the gradient at which it has converged."""
    xrtol: float | None = None
    """Relative change of the parameters at which it has converged."""
    norm: Any = None
    """Order of the gradient's norm, a number, inf or -inf; null: inf, its largest component."""
    hess_inv0: list[Any] | None = None
    """The inverse Hessian it begins with, P lists of P numbers, positive definite; null: the identity."""

    label = scipy_name = "BFGS"
    positive = ("c1", "c2")
    thresholds = ("gtol", "xrtol")
    counts = ("maxiter",)
    others = ("norm",)
    shapes: ClassVar[dict[str, tuple[int, ...]]] = {"hess_inv0": (0, 0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.norm = _order(self.norm)

    def check(self, parameters: int) -> None:
        """Refuse settings that do not fit this number of parameters.

        Raises:
            ConfigError: naming the setting and the shape it should have.
        """
        import numpy as np

        super().check(parameters)
        if self.hess_inv0 is not None:
            matrix = np.array(self.hess_inv0, dtype=float)
            if not np.array_equal(matrix, matrix.T) or np.linalg.eigvalsh(matrix)[0] <= 0:
                raise ConfigError(
                    "must be symmetric and positive definite; correct it", key="optimizer.hess_inv0"
                )


@dataclass(kw_only=True)
class CG(WolfeMethod, GradientMethod):
    """Nonlinear conjugate gradients (Polak & Ribière 1969)."""

    maxiter: int | None = None
    """Most steps."""
    gtol: float | None = None
    """Norm of the gradient at which it has converged."""
    norm: Any = None
    """Order of the gradient's norm, a number, inf or -inf; null: inf, its largest component."""

    label = scipy_name = "CG"
    default_c2 = 0.4
    positive = ("c1", "c2")
    thresholds = ("gtol",)
    counts = ("maxiter",)
    others = ("norm",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.norm = _order(self.norm)


@dataclass(kw_only=True)
class TNC(GradientMethod):
    """Truncated Newton with bounds (Nash 1984)."""

    maxCGit: int | None = None
    """Most Hessian products per step; 0: follow the gradient, below 0: max(1, min(50, P/2))."""
    eta: float | None = None
    """Severity of the line search, in [0, 1]; below 0: 0.25."""
    stepmx: float | None = None
    """Largest step of a line search in radians; 0: 10."""
    ftol: float | None = None
    """Change of the energy at which it has converged; below 0: 0."""
    xtol: float | None = None
    """Change of the scaled parameters at which it has converged; below 0: 1.5e-8."""
    gtol: float | None = None
    """Scaled gradient at which it has converged; below 0: 0.01·√accuracy."""
    scale: list[Any] | None = None
    """Scale of each parameter, P numbers above 0; null: the width of its bounds, else 1 + |start|."""
    offset: list[Any] | None = None
    """What is subtracted from each parameter, P numbers; null: the middle of its bounds, else the start."""
    accuracy: float | None = None
    """Relative precision of the gradient's differences inside the method; 0: 1.5e-8."""
    minfev: float | None = None
    """An estimate of the lowest energy; null: 0."""
    rescale: float | None = None
    """log10 of the change of the gradient at which the energy is scaled anew; 0: each step, below 0: 1.3."""

    label = scipy_name = "TNC"
    uses_bounds = True
    thresholds = ("stepmx", "accuracy")
    others = ("maxCGit", "eta", "ftol", "xtol", "gtol", "minfev", "rescale")
    shapes: ClassVar[dict[str, tuple[int, ...]]] = {"scale": (0,), "offset": (0,)}
    limit_option = "maxfun"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.others:
            if (value := getattr(self, name)) is not None:
                require_number(f"optimizer.{name}", value)
        if self.eta is not None:
            require_range("optimizer.eta", self.eta, high=1)

    def options(self, watch: Watch, x0: np.ndarray) -> dict[str, Any]:
        """SciPy's options, and the documented offset beside a scale, where SciPy would read one it never set.

        Mended in SciPy by https://github.com/scipy/scipy/pull/24209.
        """
        options = super().options(watch, x0)
        if "scale" in options and "offset" not in options:
            box = self.box(len(x0))
            options["offset"] = x0 if box is None else (box[0] + box[1]) / 2
        return options

    def check(self, parameters: int) -> None:
        """Refuse settings that do not fit this number of parameters.

        Raises:
            ConfigError: naming the setting and the shape it should have.
        """
        super().check(parameters)
        for index, value in enumerate(self.scale or []):
            require_positive(f"optimizer.scale[{index}]", value)


@dataclass(kw_only=True)
class SLSQP(GradientMethod):
    """Sequential least squares (Kraft 1988)."""

    maxiter: int | None = 1000
    """Most steps."""
    ftol: float | None = None
    """Change of the energy at which it has converged."""

    label = scipy_name = "SLSQP"
    uses_bounds = True
    thresholds = ("ftol",)
    counts = ("maxiter",)


@dataclass(kw_only=True)
class NewtonCG(WolfeMethod, HessianMethod):
    """Newton steps solved by conjugate gradients."""

    maxiter: int | None = None
    """Most steps."""
    xtol: float | None = None
    """Mean change of the parameters in radians at which it has converged."""

    label = scipy_name = "Newton-CG"
    positive = ("c1", "c2")
    thresholds = ("xtol",)
    counts = ("maxiter",)


@dataclass(kw_only=True)
class TrustRegion(HessianMethod):
    """Newton steps kept inside a radius that is trusted."""

    maxiter: int | None = None
    """Most steps."""
    gtol: float | None = None
    """Norm of the gradient at which it has converged."""
    initial_trust_radius: float = 0.5
    """First radius in radians."""
    max_trust_radius: float = 3.0
    """Largest radius in radians."""
    eta: float = 0.15
    """Share of the promised decrease that a step must bring to be taken, in [0, 0.25)."""

    positive = ("initial_trust_radius", "max_trust_radius")
    thresholds = ("gtol", "eta")
    counts: ClassVar[tuple[str, ...]] = ("maxiter",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eta >= 0.25:
            raise ConfigError(f"must be in [0, 0.25), got {self.eta}; lower it", key="optimizer.eta")
        if self.initial_trust_radius >= self.max_trust_radius:
            raise ConfigError(
                f"must be below max_trust_radius, {self.max_trust_radius:g}; lower it",
                key="optimizer.initial_trust_radius",
            )


@dataclass(kw_only=True)
class Dogleg(TrustRegion):
    """Trust region by the dog-leg; only near a minimum, where the Hessian is positive."""

    label = scipy_name = "dogleg"


@dataclass(kw_only=True)
class TrustNCG(TrustRegion):
    """Trust region by conjugate gradients."""

    label = scipy_name = "trust-ncg"


@dataclass(kw_only=True)
class TrustKrylov(TrustRegion):
    """Trust region by a Lanczos method."""

    inexact: bool = True
    """Solve the inner problem less exactly: fewer steps, more Hessian products."""

    label = scipy_name = "trust-krylov"
    others = ("inexact",)


@dataclass(kw_only=True)
class TrustExact(TrustRegion):
    """Trust region solved nearly exactly."""

    subproblem_maxiter: int | None = None
    """Most steps of the inner problem; needs SciPy 1.17 or later."""

    label = scipy_name = "trust-exact"
    counts = (*TrustRegion.counts, "subproblem_maxiter")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subproblem_maxiter is not None and _scipy_version() < (1, 17):
            raise ConfigError("needs SciPy 1.17 or later; set it to null", key="optimizer.subproblem_maxiter")


def _scipy_version() -> tuple[int, int]:
    from importlib.metadata import version

    major, minor = version("scipy").split(".")[:2]
    return int(major), int(minor)


@dataclass(kw_only=True)
class TrustConstr(GradientMethod):
    """Trust region with bounds; the curvature is learned from the gradients (BFGS)."""

    maxiter: int | None = 1000
    """Most steps."""
    gtol: float | None = None
    """Norm of the gradient at which it has converged."""
    xtol: float | None = None
    """Radius in radians at which it has converged."""
    initial_tr_radius: float = 0.5
    """First radius in radians."""
    barrier_tol: float | None = None
    """Barrier parameter below which it may end, where there are bounds."""
    initial_barrier_parameter: float | None = None
    """First barrier parameter, where there are bounds."""
    initial_barrier_tolerance: float | None = None
    """First tolerance of the barrier's inner problem, where there are bounds."""
    initial_constr_penalty: float | None = None
    """First weight of what exceeds the bounds."""
    factorization_method: str | None = None
    """NormalEquation (needs scikit-sparse) | AugmentedSystem | QRFactorization | SVDFactorization; of the bounds."""

    label = scipy_name = "trust-constr"
    uses_bounds = True
    positive = (
        "initial_tr_radius",
        "initial_barrier_parameter",
        "initial_barrier_tolerance",
        "initial_constr_penalty",
    )
    thresholds = ("gtol", "xtol", "barrier_tol")
    counts = ("maxiter",)
    others = ("factorization_method",)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("barrier_tol", *self.positive[1:], *self.others):
            if getattr(self, name) is not None and self.bounds is None:
                raise ConfigError(
                    "has an effect with bounds only; give optimizer.bounds", key=f"optimizer.{name}"
                )
        if self.factorization_method is not None:
            _check_factorization(self.factorization_method)

    def options(self, watch: Watch, x0: np.ndarray) -> dict[str, Any]:
        """SciPy's options; two of the factorizations take dense matrices."""
        options = super().options(watch, x0)
        if self.factorization_method is not None:
            options["sparse_jacobian"] = FACTORIZATIONS[self.factorization_method]
        return options

    def limits(self, low: np.ndarray, high: np.ndarray) -> Any:
        """The bounds, within which it is to stay on its way too."""
        from scipy.optimize import Bounds

        return Bounds(low, high, keep_feasible=True)

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:
        """Run the method from a point between the bounds: its barrier is infinite on them."""
        import numpy as np

        if (box := self.box(len(x0))) is not None:
            margin = MARGIN * (box[1] - box[0])
            x0 = np.clip(x0, box[0] + margin, box[1] - margin)
        return super().descend(watch, x0, rng)


MARGIN = 0.01
"""Share of the bounds' distance that an interior method keeps from them where it starts."""
FACTORIZATIONS = {
    "NormalEquation": True, "AugmentedSystem": True, "QRFactorization": False, "SVDFactorization": False
}  # fmt: skip
"""What SciPy can do with the Jacobian of bounds → whether that is sparse."""


def _check_factorization(method: str) -> None:
    """Refuse what SciPy does not know, and what it would replace by another with a warning.

    Raises:
        ConfigError: naming what can be typed.
    """
    from importlib.util import find_spec

    key = "optimizer.factorization_method"
    if method not in FACTORIZATIONS:
        raise ConfigError(f"must be one of {', '.join(FACTORIZATIONS)}, got {method!r}; choose one", key=key)
    if method == "NormalEquation" and find_spec("sksparse") is None:
        raise ConfigError("NormalEquation needs scikit-sparse; install it, or take AugmentedSystem", key=key)


METHODS: dict[str, type[OptimizerConfig]] = {
    "cobyla": COBYLA,
    "cobyqa": COBYQA,
    "nelder_mead": NelderMead,
    "powell": Powell,
    "l_bfgs_b": LBFGSB,
    "bfgs": BFGS,
    "cg": CG,
    "tnc": TNC,
    "slsqp": SLSQP,
    "newton_cg": NewtonCG,
    "dogleg": Dogleg,
    "trust_ncg": TrustNCG,
    "trust_krylov": TrustKrylov,
    "trust_exact": TrustExact,
    "trust_constr": TrustConstr,
}
"""Schema name → method."""
