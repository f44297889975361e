"""The transpiler's passes, put together without the plug-ins of packages that are not asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, distribution
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qiskit.providers import BackendV2
    from qiskit.transpiler import StagedPassManager

STAGES = ("init", "layout", "routing", "translation", "optimization", "scheduling")
"""The groups of plug-ins that qiskit looks for as qiskit.transpiler.<stage>."""

_lock = Lock()


def pass_manager(backend: BackendV2, optimization_level: int, seed: int) -> StagedPassManager:
    """Qiskit's preset passes that make an ISA circuit for a backend.

    Args:
        backend: its target decides; it may name a plug-in for translation or scheduling.
        optimization_level: 0 to 3.
        seed: of the passes that draw at random.
    """
    from qiskit.transpiler import generate_preset_pass_manager

    with own_stages(backend):
        return generate_preset_pass_manager(
            optimization_level=optimization_level, backend=backend, seed_transpiler=seed
        )


@contextmanager
def own_stages(backend: BackendV2 | None = None) -> Iterator[None]:
    """Hide other packages' stages from qiskit, unless the backend names one.

    Qiskit imports every stage that any installed package offers before it picks one by name. The Runtime client
    offers some, and importing it takes longer than a small run.
    """
    from qiskit.transpiler.preset_passmanagers import plugin

    if any(hasattr(backend, f"get_{stage}_stage_plugin") for stage in ("translation", "scheduling")):
        yield
        return
    known = plugin.stevedore.ExtensionManager.ENTRY_POINT_CACHE
    with _lock:
        before = dict(known)
        known.update(_own())
        try:
            yield
        finally:
            known.clear()
            known.update(before)


@cache
def _own() -> dict[str, list[EntryPoint]]:
    """Qiskit's stages by group, looked up once: a process may carry out many runs that are quicker than that."""
    offered = distribution("qiskit").entry_points
    groups = (f"qiskit.transpiler.{stage}" for stage in STAGES)
    return {group: list(offered.select(group=group)) for group in groups}
