"""Seeds and ids that depend on names and counts only, never on the order threads ran in."""

from __future__ import annotations

from hashlib import blake2b


def derive_seed(run_seed: int, workload: str, index: int) -> int:
    """Return the seed of the `index`-th job of `workload`: 63 bits, never 0 (Aer ignores a zero seed)."""
    # from a hash, not drawn from one generator: workloads run in threads, and a resumed run asks for some jobs only
    digest = blake2b(f"{run_seed}|{workload}|{index}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) or 1


def derive_id(run_seed: int, kind: str, name: str, index: int, within: str = "") -> str:
    """Return an id in UUID4 form for the `index`-th thing called `name`; `within` tells apart whose thing it is."""
    text = f"{run_seed}|{kind}|{name}|{index}" + (f"|{within}" if within else "")
    digest = blake2b(text.encode(), digest_size=16).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:]}"
