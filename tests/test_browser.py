"""What a person sees: the report, the server's page and MLflow's in a real browser; skipped where none is installed."""

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
    return shown(browser, *words, seconds=seconds)


def shown(browser: Any, *words: str, seconds: float = 60.0) -> str:
    """Wait until the page shows all of `words`; returns its text."""
    deadline = time.monotonic() + seconds
    text = ""
    while time.monotonic() < deadline:
        text = browser.execute_script("return document.body.innerText")
        if all(word in text for word in words):
            return text
        time.sleep(0.1)
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
    assert "QPU time of all jobs so far" in told
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


# -- the server's page of workloads ---------------------------------------------------------------------------

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on which nothing has run."""
    pytest.importorskip("qiskit_ibm_runtime")
    from tests.serve.serving import thread

    words = ("backend=ideal", "session.clock_scale=10", "session.lanes=1", "session.interactive_timeout=3600")
    with thread(tmp_path_factory.mktemp("page") / "serve", *words) as (_, root):
        yield root


@pytest.fixture(scope="module")
def ids(browser: Any, served: str) -> dict[str, str]:
    """A session of two jobs, which appear on a page that was opened before, and is never loaded again."""
    from tests.serve.test_wire import Wire, sampling, wait

    wire = Wire(served)
    visit(browser, f"{served}/", "Nothing has run yet", "python -m runner serve --env")
    browser.execute_script("window.loaded = 'once'")
    session = wire.api("POST", "/sessions", {"mode": "dedicated", "backend": "local_ideal"})[1]["id"]
    shown(browser, "open, not started")
    job = wire.api("POST", "/jobs", sampling(session_id=session, tags=[EVIL[:86]]))[1]["id"]
    wait(wire, job)
    long = sampling(session_id=session)
    long["params"]["pubs"][0][2] = 4_000_000  # 1402 s on the session's clock, by the rule of 0.35 ms each
    running = wire.api("POST", "/jobs", long)[1]["id"]
    shown(browser, "active", "2: 1 done, 1 running", "USD")
    assert browser.execute_script("return window.loaded") == "once"
    return {"session": session, "job": job, "running": running}


def test_the_servers_page_lives(browser: Any, served: str, ids: dict[str, str]) -> None:
    """From the list to a session, to one of its jobs, and what they were asked and answered; nothing refused."""
    visit(browser, f"{served}/#/", "1 workload", "session")
    browser.find_element("css selector", "tbody tr td:nth-child(3)").click()
    text = shown(
        browser,
        ids["session"],
        "Timeline",
        "left of 8 h",
        "if it stays active to its maximum time",
        "from_id(",
    )
    bars = browser.execute_script("return document.querySelectorAll('svg a rect').length")
    browser.find_element("css selector", f"a[href='#/jobs/{ids['job']}']").click()
    job = shown(browser, ids["job"], "register", "shots", "Two-qubit gates", "in its session")

    assert bars == 2
    assert "Bearer" not in text + job
    assert EVIL[:40] in job
    assert browser.title.startswith("job")
    assert browser.execute_script("return view.querySelectorAll('script, img').length") == 0
    assert browser.get_log("browser") == []


def test_the_servers_page_is_used_without_a_mouse(browser: Any, served: str, ids: dict[str, str]) -> None:
    """Tab and Enter open what has the focus, which stays where it is while the page changes; Escape goes back."""
    from selenium.webdriver.common.keys import Keys

    visit(browser, f"{served}/#/", "1 workload")
    focused = "return document.activeElement.getAttribute('href') || document.activeElement.name"
    for _ in range(8):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.execute_script(focused) == f"#/sessions/{ids['session']}":
            break
    time.sleep(3)
    assert browser.execute_script(focused) == f"#/sessions/{ids['session']}"
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    shown(browser, "In a program")
    browser.find_element("css selector", "body").send_keys(Keys.ESCAPE)

    shown(browser, "1 workload, newest first")


def test_the_servers_page_filters(browser: Any, served: str, ids: dict[str, str]) -> None:
    """What is typed stays while answers arrive, and is kept in the address."""
    visit(browser, f"{served}/#/", "1 workload")
    field = browser.find_element("css selector", "[name=search]")
    field.send_keys("nothing like it")
    shown(browser, "0 workloads")
    for _ in range(20):
        field.send_keys("\b")
    shown(browser, "1 workload,")

    browser.find_element("css selector", "[name=mode] option[value=batch]").click()
    shown(browser, "0 workloads")
    assert "mode=batch" in browser.current_url


@pytest.mark.parametrize("where", ["", "sessions/{session}", "jobs/{job}"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_servers_page_fits_the_screen(
    browser: Any, served: str, ids: dict[str, str], where: str, width: int
) -> None:
    """On a desk and on a telephone nothing has to be moved sideways."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    visit(browser, f"{served}/#/{where.format(**ids)}", "Workloads", "local_ideal")
    wide = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    assert wide <= 0


def test_a_job_is_cancelled_from_the_page(browser: Any, served: str, ids: dict[str, str]) -> None:
    """The first press asks, the second acts; afterwards it says so."""
    visit(browser, f"{served}/#/jobs/{ids['running']}", "Cancel this job")
    browser.find_element("css selector", "[data-do=cancel-job]").click()
    shown(browser, "Sure?")
    assert "cancelled" not in shown(browser, "running")
    browser.find_element("css selector", "[data-do=cancel-job]").click()

    shown(browser, "cancelled", "it was cancelled")
