"""Runs the client's own tests against us and prints a table: `UPSTREAM=… python -m tests.upstream.table`.

UPSTREAM is a checkout of Qiskit/qiskit-ibm-runtime with its `test` folder; its tests also need `ddt` and `responses`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from tests.serve.serving import process

ROOT = Path(__file__).parents[2]
LEFTOVERS: dict[str, dict[str, list[str]]] = yaml.safe_load(
    (Path(__file__).parent / "leftovers.yaml").read_text()
)
"""Tests that fail in process and against `serve`, by the reason why that is so; `*` stands for anything."""

IN_PROCESS = {
    "sessions, batches, local mode": (
        "unit/test_session.py",
        "unit/test_batch.py",
        "unit/test_local_mode.py",
        "unit/fake_provider/test_local_service.py",
    ),
    "primitives and options": (
        "unit/test_estimator.py",
        "unit/test_sampler.py",
        "unit/test_ibm_primitives_v2.py",
        "unit/test_estimator_options.py",
        "unit/test_sampler_options.py",
        "unit/test_options.py",
        "unit/test_options_utils.py",
    ),
}
"""Tests that import our classes in the place of the client's (`tests.upstream.shim`)."""

SERVED = tuple(
    f"integration/test_{name}.py"
    for name in (
        "session", "job", "ibm_job", "ibm_job_attributes", "retrieve_job", "results", "backend",
        "estimator_v2", "sampler_v2", "executor", "executor_estimator", "executor_sampler", "noise_learner",
        "noise_learner_v3", "account", "auth_client", "proxies",
    )
)  # fmt: skip
"""Tests of the unmodified client against `python -m runner serve`."""


INSTANCE = "crn:v1:bluemix:public:quantum-computing:us-east:a/local:runner::"
"""The instance that a server has."""


@dataclass
class Found:
    """What became of the tests of one group."""

    outcomes: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> int:
        """How many passed."""
        return sum(said == "passed" for said in self.outcomes.values())

    @property
    def run(self) -> int:
        """How many were not skipped."""
        return sum(said != "skipped" for said in self.outcomes.values())

    @property
    def failed(self) -> dict[str, str]:
        """Those that failed, and what they said."""
        return {name: said for name, said in self.outcomes.items() if said not in ("passed", "skipped")}

    @property
    def unexplained(self) -> dict[str, str]:
        """Those that failed for no reason we know."""
        return {name: said for name, said in self.failed.items() if reason(name) is None}


def reason(name: str) -> str | None:
    """Why a test is expected to fail; None if it is not."""
    for part in LEFTOVERS.values():
        for why, patterns in part.items():
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                return why
    return None


def stale(found: Mapping[str, str]) -> list[str]:
    """What is listed as failing in process of which nothing fails any more, or that is not there."""
    return [
        pattern
        for patterns in LEFTOVERS["in_process"].values()
        for pattern in patterns
        if not any(fnmatchcase(name, pattern) and said != "passed" for name, said in found.items())
    ]


def run(
    checkout: Path, files: tuple[str, ...], *, shim: bool, more: Mapping[str, str] | None = None
) -> Found:
    """Run test files of a checkout, each in a process of its own.

    Args:
        checkout: Of the client's repository.
        files: Below its `test` folder.
        shim: Whether its imports find our classes.
        more: Variables of the environment.
    """
    found = Found()
    plugins = ["tests.upstream.outcomes", *(["tests.upstream.shim"] if shim else [])]
    for name in files:
        with tempfile.NamedTemporaryFile() as written:
            environment = {
                **os.environ, "PYTHONPATH": str(ROOT), "UPSTREAM_OUTCOMES": written.name, **(more or {}),
            }  # fmt: skip
            environment.pop("PYTEST_ADDOPTS", None)
            # with -P, the installed client is tested and not that of the checkout
            words = "-P -m pytest -q -p no:cacheprovider -p no:xdist -p no:warnings --continue-on-collection-errors"
            command = [sys.executable, *words.split(), "-c", os.devnull, "--rootdir", str(checkout)]
            command += [word for plugin in plugins for word in ("-p", plugin)]
            subprocess.run(
                [*command, str(checkout / "test" / name)], env=environment, cwd=checkout, capture_output=True
            )
            text = Path(written.name).read_text()
        if not text:
            found.outcomes[name] = "its tests did not end"
        else:
            stem = Path(name).stem
            found.outcomes.update({f"{stem}::{test}": said for test, said in json.loads(text).items()})
    return found


def against_serve(checkout: Path, directory: Path, files: tuple[str, ...] = SERVED) -> Found:
    """Run the integration tests of the unmodified client against a server of our own, 60 seconds in one."""
    with ExitStack() as stack:
        _, variables = stack.enter_context(process(directory / "serve", "session.clock_scale=60"))
        more = {**variables, "USAGE_DATA_OPT_OUT": "True", "QISKIT_IBM_INSTANCE": INSTANCE}
        return run(checkout, files, shim=False, more={**more, "QISKIT_IBM_QPU": "ibm_torino"})


def main() -> int:
    """Print the table, and every failure with its reason."""
    checkout = Path(os.environ["UPSTREAM"])
    groups = {
        name: (run(checkout, files, shim=False), run(checkout, files, shim=True))
        for name, files in IN_PROCESS.items()
    }
    with tempfile.TemporaryDirectory() as directory:
        served = against_serve(checkout, Path(directory))
    print("| tests | the client itself | here | explained |\n|---|---|---|---|")
    for name, (theirs, ours) in groups.items():
        explained = len(ours.failed) - len(ours.unexplained)
        print(f"| {name} | {theirs.passed} of {theirs.run} | {ours.passed} of {ours.run} | {explained} |")
    explained = len(served.failed) - len(served.unexplained)
    print(f"| integration, against `serve` | | {served.passed} of {served.run} | {explained} |\n")
    failed = {
        name: said
        for found in (*(ours for _, ours in groups.values()), served)
        for name, said in found.failed.items()
    }
    for name, said in sorted(failed.items(), key=lambda item: (reason(item[0]) or "", item[0])):
        print(f"{reason(name) or 'UNEXPLAINED'}: {name}: {said.splitlines()[0][:120]}")
    return bool([name for name in failed if reason(name) is None])


if __name__ == "__main__":
    sys.exit(main())
