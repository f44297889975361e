"""Every method of scipy.optimize.minimize, each with its own typed options."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from runner.optimizer.method import Ending, OptimizerConfig, Watch, optional_count, optional_positive
from runner.require import require_integer, require_positive, require_range

if TYPE_CHECKING:
    import numpy as np


@dataclass(kw_only=True)
class ScipyMethod(OptimizerConfig):
    """What SciPy's methods share; an option that is null keeps SciPy's default."""

    tolerance: float | None = None
    """All thresholds of the method at once (SciPy's `tol`); null: each its own."""

    scipy_name: ClassVar[str] = ""
    positive: ClassVar[tuple[str, ...]] = ()
    counts: ClassVar[tuple[str, ...]] = ()
    limit_option: ClassVar[str] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_positive(self, "tolerance", *self.positive)
        optional_count(self, *self.counts)

    def options(self, watch: Watch, x0: np.ndarray) -> dict[str, Any]:
        """SciPy's options: those declared, and the limit where the method has one."""
        names = (*self.positive, *self.counts)
        options = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.limit_option and watch.max_evaluations is not None:
            options[self.limit_option] = max(watch.max_evaluations, len(x0) + 2)  # COBYLA takes no less
        return options

    def functions(self, watch: Watch) -> dict[str, Any]:
        """The functions SciPy calls, by their names in `scipy.optimize.minimize`."""
        return {"fun": watch}

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:  # noqa: ARG002 - SciPy's methods are deterministic
        """Run the method."""
        from scipy.optimize import minimize

        found = minimize(
            x0=x0,
            method=self.scipy_name,
            tol=self.tolerance,
            bounds=None if self.bounds is None else [tuple(self.bounds)] * len(x0),
            options=self.options(watch, x0),
            callback=lambda *_: watch.step(),
            **self.functions(watch),
        )
        return Ending(
            parameters=found.x,
            energy=float(found.fun),
            success=bool(found.success),
            message=str(found.message),
        )


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

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:
        """Descend, and begin again where the energy was lowest: shot noise ends a descent early."""
        ending = super().descend(watch, x0, rng)
        for _ in range(self.restarts):
            before = ending.energy
            ending = super().descend(watch, watch.best_parameters, rng)
            if abs(before - ending.energy) <= (self.tolerance or 0.0):
                break
        return ending


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
    simplex_size: float = 0.5
    """Edge of the first simplex in radians."""

    label = scipy_name = "Nelder-Mead"
    uses_bounds = True
    positive = ("xatol", "fatol")
    counts = ("maxiter",)
    limit_option = "maxfev"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("optimizer.simplex_size", self.simplex_size)

    def options(self, watch: Watch, x0: np.ndarray) -> dict[str, Any]:
        """SciPy's options, and a simplex with one corner at `x0`."""
        import numpy as np

        simplex = np.concatenate([x0[None], x0 + self.simplex_size * np.eye(len(x0))])
        if self.bounds is not None:
            simplex = np.clip(simplex, self.bounds[0], self.bounds[1])
        return {**super().options(watch, x0), "adaptive": self.adaptive, "initial_simplex": simplex}


@dataclass(kw_only=True)
class Powell(ScipyMethod):
    """Line searches along conjugate directions, no gradient (Powell 1964)."""

    maxiter: int | None = None
    """Most sweeps over all directions."""
    xtol: float | None = None
    """Relative change of the parameters at which a line search ends."""
    ftol: float | None = None
    """Relative change of the energy at which it has converged."""

    label = scipy_name = "Powell"
    uses_bounds = True
    positive = ("xtol", "ftol")
    counts = ("maxiter",)
    limit_option = "maxfev"


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
    limit_option = "maxfev"

    def options(self, watch: Watch, x0: np.ndarray) -> dict[str, Any]:
        """SciPy's options."""
        return {**super().options(watch, x0), "scale": self.scale}


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
    positive = ("ftol", "gtol")
    counts = ("maxiter", "maxcor", "maxls")
    limit_option = "maxfun"


@dataclass(kw_only=True)
class BFGS(GradientMethod):
    """Quasi-Newton with the full inverse Hessian (Broyden, Fletcher, Goldfarb, Shanno 1970)."""

    maxiter: int | None = None
    """Most steps."""
    gtol: float | None = None
    """Norm of the gradient at which it has converged."""
    xrtol: float | None = None
    """Relative change of the parameters at which it has converged."""
    c1: float | None = None
    """Armijo condition of the line search."""
    c2: float | None = None
    """Curvature condition of the line search."""

    label = scipy_name = "BFGS"
    positive = ("gtol", "xrtol", "c1", "c2")
    counts = ("maxiter",)


@dataclass(kw_only=True)
class CG(GradientMethod):
    """Nonlinear conjugate gradients (Polak & Ribière 1969)."""

    maxiter: int | None = None
    """Most steps."""
    gtol: float | None = None
    """Norm of the gradient at which it has converged."""
    c1: float | None = None
    """Armijo condition of the line search."""
    c2: float | None = None
    """Curvature condition of the line search."""

    label = scipy_name = "CG"
    positive = ("gtol", "c1", "c2")
    counts = ("maxiter",)


@dataclass(kw_only=True)
class TNC(GradientMethod):
    """Truncated Newton with bounds (Nash 1984)."""

    maxCGit: int | None = None
    """Most Hessian products per step."""
    eta: float | None = None
    """Severity of the line search, below 1."""
    stepmx: float | None = None
    """Largest step of a line search in radians."""
    ftol: float | None = None
    """Change of the energy at which it has converged."""
    xtol: float | None = None
    """Change of the parameters in radians at which it has converged."""
    gtol: float | None = None
    """Gradient at which it has converged."""

    label = scipy_name = "TNC"
    uses_bounds = True
    positive = ("eta", "stepmx", "ftol", "xtol", "gtol")
    counts = ("maxCGit",)
    limit_option = "maxfun"


@dataclass(kw_only=True)
class SLSQP(GradientMethod):
    """Sequential least squares (Kraft 1988)."""

    maxiter: int | None = 1000
    """Most steps."""
    ftol: float | None = None
    """Change of the energy at which it has converged."""

    label = scipy_name = "SLSQP"
    uses_bounds = True
    positive = ("ftol",)
    counts = ("maxiter",)


@dataclass(kw_only=True)
class NewtonCG(HessianMethod):
    """Newton steps solved by conjugate gradients."""

    maxiter: int | None = None
    """Most steps."""
    xtol: float | None = None
    """Mean change of the parameters in radians at which it has converged."""
    c1: float | None = None
    """Armijo condition of the line search."""
    c2: float | None = None
    """Curvature condition of the line search."""

    label = scipy_name = "Newton-CG"
    positive = ("xtol", "c1", "c2")
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

    positive = ("gtol", "initial_trust_radius", "max_trust_radius", "eta")
    counts = ("maxiter",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("optimizer.eta", self.eta, 0, 0.2499)
        require_range(
            "optimizer.initial_trust_radius", self.initial_trust_radius, 0, self.max_trust_radius * 0.999
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

    label = scipy_name = "trust-krylov"


@dataclass(kw_only=True)
class TrustExact(TrustRegion):
    """Trust region solved nearly exactly."""

    label = scipy_name = "trust-exact"


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

    label = scipy_name = "trust-constr"
    uses_bounds = True
    positive = ("gtol", "xtol", "initial_tr_radius")
    counts = ("maxiter",)


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
