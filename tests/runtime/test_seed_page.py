"""The seed page, block by block, with only its import lines changed."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2].parent / "shared" / "seed" / "page_code.py"
NAMES = "LocalRuntimeService as QiskitRuntimeService"

pytestmark = [
    pytest.mark.skipif(not PAGE.exists(), reason="the seed page is not here"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def changed_imports(code: str) -> str:
    """Point the import lines at the local runtime."""
    code = code.replace("from qiskit_ibm_runtime import", "from runner.runtime import")
    return re.sub(r"(?<=    )QiskitRuntimeService(?=,)", NAMES, code)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The variables after all blocks ran in order, what was printed, and the variables after each block."""
    pytest.importorskip("qiskit_ibm_runtime")
    text = changed_imports(PAGE.read_text())
    blocks = re.split(r"^# %% (.*)$", text, flags=re.M)[1:]
    variables: dict[str, Any] = {}
    printed: dict[str, str] = {}
    for title, code in zip(blocks[::2], blocks[1::2], strict=True):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(code, title, "exec"), variables)
        printed[title] = output.getvalue()
        if title == "closing by leaving the context":
            variables["left"] = (variables["result"], variables["result2"], variables["session"])
    variables["printed"] = printed
    return variables


def test_every_block_runs(page: dict[str, Any]) -> None:
    """All nine blocks ran; the two threads found an energy each."""
    assert len(page["printed"]) == 9
    assert page["cobyla_result"].nfev > 10
    assert page["nelder_mead_result"].nfev > 10
    ground = -0.8577  # lowest eigenvalue of the page's Hamiltonian is above −Σ|c| = −0.9881

    assert -0.9881 <= page["res"].fun < 0.4
    assert page["cobyla_result"].fun > ground - 0.2


def test_P1_results_have_the_fields_of_the_page(page: dict[str, Any]) -> None:
    """Both results print like the page's, up to dates and what noise suppression the device had on."""
    first, second = page["printed"]["closing by hand"].strip().split("\n")

    data = (
        "PrimitiveResult([PubResult(data=DataBin(evs=np.ndarray(<shape=(3, 2), dtype=float64>), "
        "stds=np.ndarray(<shape=(3, 2), dtype=float64>), "
        "ensemble_standard_error=np.ndarray(<shape=(3, 2), dtype=float64>), shape=(3, 2)), "
        "metadata={'shots': 4096, 'target_precision': 0.015625, 'circuit_metadata': {}, 'resilience': {}, "
    )
    assert first.startswith(f"Result1: {data}")
    for name in ("dynamical_decoupling", "twirling", "resilience", "'version': 2"):
        assert name in first
    expected = (
        r"Result2: PrimitiveResult\(\[SamplerPubResult\(data=DataBin\(meas=BitArray\(<shape=\(3, 2\), "
        r"num_shots=4096, num_bits=2>\), meas0=BitArray\(<shape=\(3, 2\), num_shots=4096, num_bits=133>\), "
        r"shape=\(3, 2\)\), metadata=\{'circuit_metadata': \{\}\}\)\], metadata=\{'execution': "
        r"\{'execution_spans': ExecutionSpans\(\[DoubleSliceSpan\(<start='[-\d: ]+', stop='[-\d: ]+', "
        r"size=24576>\)\]\)\}, 'version': 2\}\)"
    )
    assert re.fullmatch(expected, second)


def test_S20_details_have_the_keys_of_the_page(page: dict[str, Any]) -> None:
    """A fresh session shows the page's fourteen keys and values, and `timestamps`."""
    details = eval(page["printed"]["details"])

    shown = {
        "interactive_timeout": 60,
        "max_time": 28800,
        "active_timeout": 28800,
        "state": "open",
        "accepting_jobs": True,
        "last_job_started": None,
        "last_job_completed": None,
        "started_at": None,
        "closed_at": None,
        "activated_at": None,
        "mode": "dedicated",
        "usage_time": None,
    }
    assert shown.items() <= details.items()
    assert set(details) - set(shown) == {"id", "backend_name", "timestamps"}


def test_S15_jobs_of_a_left_block_complete(page: dict[str, Any]) -> None:
    """Results asked for after the `with` block are there, and the session is closed."""
    first, second, session = page["left"]

    assert first[0].data.evs.shape == (3, 2)
    assert second[0].data.meas0.num_bits == 133
    assert session.status() == "Closed"


def test_S12_jobs_of_both_threads_are_found_by_tag(page: dict[str, Any]) -> None:
    """Each thread's jobs bear its tag, in one session."""
    service = page["backend"].service
    cobyla = service.jobs(limit=None, job_tags=["cobyla"])
    nelder_mead = service.jobs(limit=None, job_tags=["nelder-mead"])

    assert len(cobyla) == page["cobyla_result"].nfev
    assert len(nelder_mead) == page["nelder_mead_result"].nfev
    assert len({job.session_id for job in [*cobyla, *nelder_mead]}) == 1
