"""Seeds and ids that depend on names and counts only, never on the order threads ran in."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def derive_seed(run_seed: int, workload: str, index: int) -> int:
    """Return the seed of the `index`-th job of `workload`: 63 bits, never 0 (Aer ignores a zero seed)."""
    return derive_seeds(run_seed, workload, (index,))[0]


def derive_seeds(run_seed: int, workload: str, indices: Iterable[int]) -> list[int]:
    """Return the seeds of several jobs of `workload`."""
    # from a hash, not drawn from one generator: workloads run in threads, and a resumed run asks for some jobs only
    begun, found = blake2b(f"{run_seed}|{workload}|".encode(), digest_size=8), []
    for index in indices:
        one = begun.copy()
        one.update(f"{index}".encode())
        found.append((int.from_bytes(one.digest(), "big") >> 1) or 1)
    return found


def derive_id(run_seed: int, kind: str, name: str, index: int, within: str = "") -> str:
    """Return an id in UUID4 form for the `index`-th thing called `name`; `within` tells apart whose thing it is."""
    return derive_ids(run_seed, kind, name, (index,), within)[0]


def derive_ids(run_seed: int, kind: str, name: str, indices: Iterable[int], within: str = "") -> list[str]:
    """Return the ids of several things called `name`."""
    begun, found = blake2b(f"{run_seed}|{kind}|{name}|".encode(), digest_size=16), []
    end = f"|{within}" if within else ""
    for index in indices:
        one = begun.copy()
        one.update(f"{index}{end}".encode())
        text = one.hexdigest()
        found.append(f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:]}")
    return found


_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit of an id that tells its form (RFC 4122), from that of a digest."""
