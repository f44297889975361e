"""An own experiment: the energy along one random line through the starting point, as a single job."""

from dataclasses import dataclass

from runner import Outcome
from runner.run.experiment import Experiment


@dataclass(kw_only=True)
class Landscape(Experiment):
    """Where the energy goes when all parameters move together."""

    points: int = 11
    """Number of points, from −π to π."""

    def run(self, lab):
        """One row per point; jobs, limits, journal and resume are the lab's business."""
        import numpy as np

        stream, problem = lab.stream("landscape"), lab.problem
        direction = stream.rng.normal(size=len(problem.initial_point))
        distances = np.linspace(-np.pi, np.pi, self.points)
        line = problem.initial_point + np.outer(distances, direction / np.linalg.norm(direction))
        energies = lab.objective(stream)(line)
        for distance, energy in zip(distances, energies, strict=True):
            lab.row(distance=float(distance), energy=float(energy))
        return Outcome(energy=float(energies.min()), evaluations=self.points, table=lab.table)
