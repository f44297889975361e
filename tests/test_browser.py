"""What a person sees: the report and MLflow's pages in a real browser; skipped where none is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import compose, run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
OPTIMIZERS = ("cobyla", "spsa", "nelder_mead", "powell", "l_bfgs_b")

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with its driver"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium that reaches this machine only."""
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1500,1200",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(DRIVER)
    found = webdriver.Chrome(options=options, service=service)
    yield found
    found.quit()


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which five optimizers ran."""
    folder = tmp_path_factory.mktemp("browser")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for optimizer in OPTIMIZERS:
            run(compose(f"optimizer={optimizer}", "optimizer.max_evaluations=60", f"name={optimizer}"))
        yield folder


@pytest.fixture(scope="module")
def address(page: str) -> str:
    """Where MLflow's pages on that folder's store are."""
    return page.split("/#/")[0]


@pytest.fixture(scope="module")
def page(outputs: Path) -> Iterator[str]:
    """The address that `ui` prints first."""
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "ui"], cwd=outputs, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().split()[0]
    process.terminate()
    process.wait(timeout=30)


def visit(browser: Any, url: str, *words: str, seconds: float = 60.0) -> str:
    """Open a page and wait until it shows all of `words`; returns its text."""
    browser.get("about:blank")
    browser.get(url)
    deadline = time.monotonic() + seconds
    text = ""
    while time.monotonic() < deadline:
        text = browser.execute_script("return document.body.innerText")
        if all(word in text for word in words):
            return text
        time.sleep(0.5)
    raise AssertionError(f"{[word for word in words if word not in text]} not on the page:\n{text[:2000]}")


def experiment(outputs: Path) -> tuple[str, dict[str, str]]:
    """The MLflow experiment's id, and the run of every optimizer."""
    import sqlite3

    with sqlite3.connect(outputs / "outputs" / "mlflow.db") as store:
        found = store.execute("select run_uuid, name, experiment_id from runs").fetchall()
    return str(found[0][2]), {name: run_id for run_id, name, _ in found}


def test_the_report_shows_its_figures(browser: Any, outputs: Path) -> None:
    """Every picture is there at a readable size, and nothing was refused or missing."""
    report = next((outputs / "outputs" / "runs").glob("*cobyla/report.html"))

    visit(browser, report.as_uri(), "finished", "Figures", "Session")

    widths = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(widths) >= 4
    assert min(widths) > 400
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [1280, 400])
def test_no_table_runs_off_the_page(browser: Any, outputs: Path, width: int) -> None:
    """With everything unfolded, on a desk and on a telephone, neither the page nor a table has to be moved sideways."""
    report = next((outputs / "outputs" / "runs").glob("*cobyla/report.html"))
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    visit(browser, report.as_uri(), "finished", "Figures", "Session")
    wide = browser.execute_script(
        "for (const one of document.querySelectorAll('details')) one.open = true;"
        "return [document.documentElement, ...document.querySelectorAll('.wide')]"
        ".filter(one => one.scrollWidth > one.clientWidth).length"
    )

    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide == 0


def test_an_interactive_report_answers_to_the_mouse(browser: Any, outputs: Path) -> None:
    """Drawn without a network and without a refused script; hovering a point tells its numbers."""
    pytest.importorskip("plotly")
    from selenium.webdriver.common.action_chains import ActionChains

    from runner.record.directory import RunDirectory
    from runner.review.report import illustrate

    directory = next((outputs / "outputs" / "runs").glob("*cobyla"))
    browser.get(illustrate(RunDirectory(directory), interactive=True).as_uri())
    deadline = time.monotonic() + 60
    while not (points := browser.find_elements("css selector", ".points path.point")):
        assert time.monotonic() < deadline, browser.get_log("browser")
        time.sleep(0.2)

    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", points[30])
    ActionChains(browser).move_to_element(points[30]).perform()
    time.sleep(1)

    told = browser.find_element("css selector", ".hoverlayer").text
    assert "evaluation 31" in told
    assert "QPU time so far" in told
    assert len(browser.find_elements("css selector", ".plot .main-svg")) >= 4
    assert browser.get_log("browser") == []


def test_the_printed_address_lists_energies(browser: Any, page: str) -> None:
    """A fresh profile shows every run with energy, error, usage, price and what was declared."""
    visit(
        browser, page, *OPTIMIZERS, "result/energy", "result/error", "result/error_sigmas", "result/usage_seconds",
        "result/cost", "optimizer",
    )  # fmt: skip


def test_the_views_charts_are_of_energies(browser: Any, page: str) -> None:
    """One click further: energies, distances and how they came about."""
    visit(browser, f"{page}&compareRunsMode=CHART", "Energies", "energy/best", *OPTIMIZERS)


def test_a_runs_page_has_description_metrics_and_tags(browser: Any, outputs: Path, address: str) -> None:
    """What a reviewer asks first is on the first page."""
    number, runs = experiment(outputs)

    visit(
        browser, f"{address}/#/experiments/{number}/runs/{runs['cobyla']}",
        "energy/best", "energy/value", "session/usage_seconds", "runner.state", "hamiltonian two_qubit", "Finished",
    )  # fmt: skip


def test_tables_and_pictures_can_be_looked_at(browser: Any, outputs: Path, address: str) -> None:
    """The artifact viewer shows the evaluations as a table and the figures as pictures."""
    number, runs = experiment(outputs)
    base = f"{address}/#/experiments/{number}/runs/{runs['spsa']}/artifacts"

    visit(browser, f"{base}/evaluations.json", "report.html", "figures", "workload", "stddev", "spsa")
    visit(browser, f"{base}/figures/timeline.png", "timeline.png", "convergence.png")


def test_five_optimizers_can_be_compared(browser: Any, outputs: Path, address: str) -> None:
    """Side by side with what was declared and what came out."""
    import json
    import urllib.parse

    number, runs = experiment(outputs)
    chosen = urllib.parse.quote(json.dumps(list(runs.values())))
    experiments = urllib.parse.quote(json.dumps([number]))

    visit(
        browser, f"{address}/#/compare-runs?runs={chosen}&experiments={experiments}",
        "Comparing 5 Runs", "energy/value", "result/energy", *OPTIMIZERS,
    )  # fmt: skip
