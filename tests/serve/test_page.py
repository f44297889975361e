"""The seed page, not one character changed: the real client against a server."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from tests.serve.serving import environment, thread, variables

PAGE = Path(__file__).parents[2].parent / "shared" / "seed" / "page_code.py"

pytest.importorskip("qiskit_ibm_runtime")
pytestmark = [
    pytest.mark.skipif(not PAGE.exists(), reason="the seed page is not here"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The page's variables after its last block, and what every block printed."""
    blocks = re.split(r"^# %% (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
    page: dict[str, Any] = {}
    printed: dict[str, str] = {}
    directory = tmp_path_factory.mktemp("page") / "serve"
    logging.getLogger("qiskit_runtime_service").setLevel(logging.ERROR)
    with thread(directory, "session.clock_scale=600") as (_, root), environment(variables(root)):
        for title, code in zip(blocks[::2], blocks[1::2], strict=True):
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(code, title, "exec"), page)
            printed[title] = output.getvalue()
            if title == "closing by hand":
                page["metrics"] = page["job1"].metrics()
        service = page["service"]
        page["jobs"] = service.jobs(limit=None)
        page["tagged"] = {tag: service.jobs(limit=None, job_tags=[tag]) for tag in ("cobyla", "nelder-mead")}
        page["loop details"] = page["session"].details()
    page["printed"] = printed
    return page


def test_every_block_runs_and_finds_an_energy(page: dict[str, Any]) -> None:
    """All nine blocks ran; the energies lie within the spectrum's bounds ±Σ|c| = ±0.9881."""
    assert len(page["printed"]) == 9
    for found in (page["res"], page["cobyla_result"], page["nelder_mead_result"]):
        assert -0.9881 <= found.fun <= 0.9881
        assert found.nfev >= 15


def test_both_results_print_as_on_the_page(page: dict[str, Any]) -> None:
    """Containers, fields, shapes and metadata are the page's, on 133 qubits; only dates differ."""
    first, second = page["printed"]["closing by hand"].strip().split("\n")

    assert first == (
        "Result1: PrimitiveResult([PubResult(data=DataBin(evs=np.ndarray(<shape=(3, 2), dtype=float64>), "
        "stds=np.ndarray(<shape=(3, 2), dtype=float64>), "
        "ensemble_standard_error=np.ndarray(<shape=(3, 2), dtype=float64>), shape=(3, 2)), "
        "metadata={'shots': 4096, 'target_precision': 0.015625, 'circuit_metadata': {}, 'resilience': {}, "
        "'num_randomizations': 32})], metadata={'dynamical_decoupling': {'enable': False, 'sequence_type': 'XX', "
        "'extra_slack_distribution': 'middle', 'scheduling_method': 'alap'}, 'twirling': {'enable_gates': False, "
        "'enable_measure': True, 'num_randomizations': 'auto', 'shots_per_randomization': 'auto', "
        "'interleave_randomizations': True, 'strategy': 'active-accum'}, 'resilience': {'measure_mitigation': True, "
        "'zne_mitigation': False, 'pec_mitigation': False}, 'version': 2})"
    )
    assert re.fullmatch(
        r"Result2: PrimitiveResult\(\[SamplerPubResult\(data=DataBin\(meas=BitArray\(<shape=\(3, 2\), "
        r"num_shots=4096, num_bits=2>\), meas\d+=BitArray\(<shape=\(3, 2\), num_shots=4096, num_bits=133>\), "
        r"shape=\(3, 2\)\), metadata=\{'circuit_metadata': \{\}\}\)\], metadata=\{'execution': "
        r"\{'execution_spans': ExecutionSpans\(\[DoubleSliceSpan\(<start='[-\d: ]+', stop='[-\d: ]+', "
        r"size=24576>\)\]\)\}, 'version': 2\}\)",
        second,
    )


def test_details_print_as_on_the_page(page: dict[str, Any]) -> None:
    """The page's fourteen keys, in its order and with its values for a session without jobs, and `timestamps`."""
    details = eval(page["printed"]["details"])

    assert list(details) == [
        "id", "backend_name", "interactive_timeout", "max_time", "active_timeout", "state", "accepting_jobs",
        "last_job_started", "last_job_completed", "started_at", "closed_at", "activated_at", "mode",
        "usage_time", "timestamps",
    ]  # fmt: skip
    assert details["backend_name"] == "ibm_torino"
    assert (details["interactive_timeout"], details["max_time"], details["active_timeout"]) == (
        60,
        28800,
        28800,
    )
    assert (details["state"], details["accepting_jobs"], details["mode"]) == ("open", True, "dedicated")


def test_the_two_threads_share_one_session_and_keep_their_tags(page: dict[str, Any]) -> None:
    """Jobs are told apart by tag, and all of them belong to the last session."""
    sessions = {job.session_id for jobs in page["tagged"].values() for job in jobs}

    assert len(sessions) == 1
    assert len(page["tagged"]["cobyla"]) == page["cobyla_result"].nfev
    assert len(page["tagged"]["nelder-mead"]) == page["nelder_mead_result"].nfev
    assert sessions.isdisjoint({page["loop details"]["id"]})
    assert page["loop details"]["state"] == "closed"


def test_metrics_have_the_present_form(page: dict[str, Any]) -> None:
    """Three timestamps in order and the QPU time the cost model charges: 2 s and more than 24576 repetitions."""
    timestamps, usage = page["metrics"]["timestamps"], page["metrics"]["usage"]

    assert timestamps["created"] <= timestamps["running"] < timestamps["finished"]
    assert usage["status"] == "complete"
    assert usage["qpu_charge_time_seconds"] > 2 + 24576 * 250e-6
