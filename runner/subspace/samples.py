"""The shots of an earlier run, out of its journal."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError
from runner.record.directory import JOURNAL, OUTPUTS
from runner.record.events import JobCompleted
from runner.record.journal import read_telling
from runner.record.log import of
from runner.record.packed import is_there
from runner.runtime.results import from_plain

if TYPE_CHECKING:
    from qiskit.primitives import BitArray

KEY = "experiment.samples"


@dataclass(frozen=True)
class EarlierSamples:
    """What another run has sampled and paid for."""

    run: str
    """Name of its directory."""
    jobs: list[BitArray]
    """The shots of each of its Sampler jobs."""
    digest: str
    """Of all their bits."""

    def describe(self) -> dict[str, Any]:
        """What the journal keeps of it."""
        return {
            "run": self.run,
            "jobs": len(self.jobs),
            "shots": sum(job.num_shots for job in self.jobs),
            "digest": self.digest,
        }


def samples_of_run(declared: str, bits: int) -> EarlierSamples:
    """The shots of all Sampler jobs of a run that came to their end; the run itself need not have.

    Args:
        declared: run:<name of its folder in outputs/runs, or path>.
        bits: how many a shot has to have.

    Raises:
        ConfigError: there is no such run, or it holds no shots of so many bits.
    """
    name = declared.removeprefix("run:")
    known = OUTPUTS / "runs" / name
    directory = known if known.is_dir() else Path(name)
    if not is_there(directory / JOURNAL):
        raise ConfigError(
            f"no run {name!r} with a journal; name a folder in {OUTPUTS / 'runs'}, or a path", key=KEY
        )
    from qiskit.primitives import BitArray

    jobs: list[BitArray] = []
    for event in of(read_telling(directory / JOURNAL), JobCompleted):
        if event.status != "DONE" or not event.result or "evs" in event.result[0]:
            continue
        numbers = from_plain(dict(event.result[0])).values()
        registers = [one for one in numbers if isinstance(one, BitArray)]
        if len(registers) == 1 and registers[0].num_bits == bits:
            jobs.append(registers[0])
    if not jobs:
        raise ConfigError(f"run {name!r} has sampled no {bits} qubits; name one that has", key=KEY)
    digest = blake2b(digest_size=16)
    for job in jobs:
        digest.update(job.array.tobytes())
    return EarlierSamples(directory.name, jobs, digest.hexdigest())
