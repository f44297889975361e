"""One algorithm per file: its configuration, its run(), what it reports."""

from experiments.vqe import Vqe
from experiments.vqe_race import VqeRace

SCHEMAS = {"vqe": Vqe, "vqe_race": VqeRace}
