"""What a bad tracking server costs a run: `python -m benchmarks.outage [--seconds 4] [--rounds 5]`.

The same run with tracking off and with a server that is well, absent, silent, slow or broken, in turn, round after
round in one process, so that a busy machine is busy for all. Servers and proxy are processes of their own.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # read when the libraries are loaded, so set before

import contextlib  # noqa: E402
import multiprocessing  # noqa: E402
import signal  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

from benchmarks.arguments import read  # noqa: E402
from runner import compose, run  # noqa: E402
from runner.tracking.report import UploadState  # noqa: E402
from tests.faults.proxy import FaultyProxy  # noqa: E402
from tests.faults.server import mlflow_server  # noqa: E402

SERVERS = {
    "well": "pass",
    "absent": "down",
    "silent": "hole",
    "2 s a request": "slow",
    "answers 500": "error",
}
RUN = (
    "optimizer=spsa",
    "optimizer.iterations=1000000",
    "optimizer.calibration=1",
    "session=job",
    "run.figures=false",
)


def serve(port: int, told) -> None:
    """The proxies' process: one for each way of being bad; tells their addresses and waits to be ended."""
    with contextlib.ExitStack() as stack:
        proxies = {name: stack.enter_context(FaultyProxy(port, mode)) for name, mode in SERVERS.items()}
        told.send({name: proxy.uri for name, proxy in proxies.items()})
        with contextlib.suppress(EOFError):
            told.recv()


@contextlib.contextmanager
def servers(home: Path) -> Iterator[dict[str, str]]:
    """Addresses of a real server behind one proxy for each way of being bad."""
    with mlflow_server(home) as port:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(port, theirs))
        process.start()
        theirs.close()
        yield ours.recv()
        ours.close()
        process.join()


def measure(home: Path, evaluations: int, uri: str | None) -> tuple[float, float, str]:
    """Seconds and processor seconds of one run in this process, and what became of its records."""
    directory = home / f"run-{time.monotonic_ns()}"
    tracking = ("tracking=off",) if uri is None else (f"tracking.uri={uri}",)
    config = compose(*RUN, f"optimizer.max_evaluations={evaluations}", *tracking)
    began, worked = time.perf_counter(), time.process_time()
    result = run(config, directory=str(directory))
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    assert result.evaluations == evaluations, result.stop_reason
    progress = UploadState.load(directory)
    if progress.uploader:  # it would go on trying during the next run
        with contextlib.suppress(ProcessLookupError):
            os.kill(progress.uploader, signal.SIGKILL)
    return seconds, worked, progress.phase if uri else "off"


def main() -> None:
    options = read(
        __name__,
        __doc__,
        ("--seconds", {"type": float, "default": 4.0, "help": "about how long a run takes"}),
        ("--rounds", {"type": int, "default": 5}),
    )
    with tempfile.TemporaryDirectory() as name, servers(Path(name)) as addresses:
        home = Path(name)
        measure(home, 50, None)
        pace = (measure(home, 5050, None)[0] - measure(home, 50, None)[0]) / 5000
        evaluations = max(20, int(options.seconds / pace))
        contestants = {"off": None, **addresses, "off again": None}  # the last tells how much is noise
        found: dict[str, list[tuple[float, float, str]]] = {server: [] for server in contestants}
        for _ in range(options.rounds):
            for server, uri in contestants.items():
                found[server].append(measure(home, evaluations, uri))
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{evaluations} evaluations, median of {options.rounds} rounds, load {load}\n")
    print("| tracking server | seconds | against none | processor seconds | against none | at the end |")
    print("|---|---|---|---|---|---|")
    ratios = {}
    for server, rows in found.items():
        seconds, worked = (statistics.median(column) for column in list(zip(*rows, strict=True))[:2])
        each = [row[0] / none[0] for row, none in zip(rows, found["off"], strict=True)]
        effort = [row[1] / none[1] for row, none in zip(rows, found["off"], strict=True)]
        ratios[server] = statistics.median(each)
        print(
            f"| {server} | {seconds:.2f} | {ratios[server]:.3f}× | {worked:.2f} "
            f"| {statistics.median(effort):.3f}× | {rows[-1][2]} |"
        )


if __name__ == "__main__":
    main()
