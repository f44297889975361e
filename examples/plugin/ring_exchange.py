"""Everything this plug-in adds: group → name → dataclass. Every name becomes a choice of its group."""

from brick_ansatz import Brick
from landscape import Landscape
from random_search import RandomSearch
from ring_hamiltonian import Ring

SCHEMAS = {
    "hamiltonian": {"ring": Ring},
    "ansatz": {"brick": Brick},
    "optimizer": {"random_search": RandomSearch},
    "experiment": {"landscape": Landscape},
}
