"""One algorithm per file: its configuration, its run(), what it reports."""

from experiments.adapt_vqe import AdaptVqe
from experiments.dissociation_curve import DissociationCurve
from experiments.dynamics import Dynamics
from experiments.estimation import Estimation
from experiments.kicked_ising import KickedIsing
from experiments.krylov import KrylovOverlaps
from experiments.mitigation_ladder import MitigationLadder
from experiments.qaoa import Qaoa
from experiments.sampling import Sampling
from experiments.skqd import Skqd
from experiments.sqd import Sqd
from experiments.varqite import Varqite
from experiments.vqd import Vqd
from experiments.vqe import Vqe
from experiments.vqe_race import VqeRace

SCHEMAS = {
    "vqe": Vqe,
    "vqe_race": VqeRace,
    "vqd": Vqd,
    "varqite": Varqite,
    "adapt_vqe": AdaptVqe,
    "dissociation_curve": DissociationCurve,
    "qaoa": Qaoa,
    "dynamics": Dynamics,
    "estimation": Estimation,
    "sampling": Sampling,
    "sqd": Sqd,
    "skqd": Skqd,
    "krylov": KrylovOverlaps,
    "mitigation_ladder": MitigationLadder,
    "kicked_ising": KickedIsing,
}
