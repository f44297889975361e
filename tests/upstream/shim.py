"""A plugin for pytest with which tests of the client import our classes where they say the client's.

The names are replaced while tests are collected, in the modules they are imported from, and put back before the first
test runs: what a test imported is ours, what the client uses itself stays the client's.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pydantic
import pytest
import qiskit_ibm_runtime

from runner.errors import ConfigError, RuntimeSessionError
from runner.runtime import Batch, EstimatorV2, LocalRuntimeService, RuntimeJob, SamplerV2, Session, options

OURS: dict[str, dict[str, type]] = {
    "session": {"Session": Session},
    "batch": {"Batch": Batch},
    "estimator": {"EstimatorV2": EstimatorV2, "Estimator": EstimatorV2},
    "sampler": {"SamplerV2": SamplerV2, "Sampler": SamplerV2},
    "executor_estimator": {"EstimatorV2": EstimatorV2, "Estimator": EstimatorV2},
    "executor_sampler": {"SamplerV2": SamplerV2, "Sampler": SamplerV2},
    "options": {"EstimatorOptions": options.EstimatorOptions, "SamplerOptions": options.SamplerOptions},
    "exceptions": {"IBMInputValueError": ConfigError, "IBMRuntimeError": RuntimeSessionError},
    "fake_provider.local_runtime_job": {"LocalRuntimeJob": RuntimeJob},
    "fake_provider.local_service": {"QiskitRuntimeLocalService": LocalRuntimeService},
}
"""What stands in whose place, by module and name of the client."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Replace the names for as long as tests are imported."""
    with pytest.MonkeyPatch.context() as patch:
        for home, names in OURS.items():
            module = importlib.import_module(f"qiskit_ibm_runtime.{home}")
            for name, ours in names.items():
                if hasattr(module, name):
                    patch.setattr(module, name, ours)
                if "." not in home and not home.startswith("executor"):
                    patch.setattr(qiskit_ibm_runtime, name, ours, raising=False)
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Our options refuse with our error where the client's do with Pydantic's."""
    for module in {item.getparent(pytest.Module).obj for item in items}:  # type: ignore[union-attr]
        if getattr(module, "ValidationError", None) is pydantic.ValidationError:
            module.ValidationError = ConfigError
