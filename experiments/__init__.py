"""One algorithm per file: its configuration, its run(), what it reports."""

from experiments.vqe import Vqe

SCHEMAS = {"vqe": Vqe}
