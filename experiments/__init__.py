"""One algorithm per file: its configuration, its run(), what it reports."""

from experiments.estimation import Estimation
from experiments.sampling import Sampling
from experiments.vqe import Vqe
from experiments.vqe_race import VqeRace

SCHEMAS = {
    "estimation": Estimation,
    "sampling": Sampling,
    "vqe": Vqe,
    "vqe_race": VqeRace,
}
