"""`python -m tests.faults.fuzz --inputs 100000 --seed S`: damaged files and requests, one after the other.

Input number N of seed S is the same choices in every process, of payloads in which Qiskit draws identifiers and orders
at random. So the bytes of every input that failed are kept, and `--again FILE …` repeats them. Half of them are files,
read as `inspect` reads them, in a process that is forked for some hundreds; half are requests to one `runner serve`. A
failure is whatever is not the answer or one line of refusal: an exception, a 5xx, a dead or deaf process, more than a
gigabyte, an answer or a log that is not in the agreed shape.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import random
import shlex
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tests.faults.ledger import spent
from tests.faults.payloads import Payload, files, mutated, mutated_object, requests

MEMORY = 2**30
"""Bytes that neither the server nor a reading process may exceed."""
PATIENCE = 60
"""Seconds in which an input is read or answered."""
BATCH = 250
"""Files that are read by one process, and requests between two looks at the server."""
BASE = "/experimental"


@dataclass
class Failure:
    """An input that did something else than it may."""

    number: int
    what: str


@dataclass
class Findings:
    """What came of a campaign."""

    inputs: int = 0
    failures: list[Failure] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    """Largest memory of any process [bytes]."""

    def count(self, outcome: str) -> None:
        """One more input with this outcome."""
        self.inputs += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def add(self, more: Findings) -> None:
        """Take in what another part of the campaign found."""
        self.inputs += more.inputs
        self.failures += more.failures
        self.peak = max(self.peak, more.peak)
        for outcome, count in more.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count

    kept: Path | None = None
    """Where inputs that failed are kept; None: nowhere."""

    def fail(self, number: int, what: str, *inputs: Payload) -> None:
        """One more that failed, told at once, with the inputs that may have done it, which are kept."""
        self.failures.append(Failure(number, what))
        print(f"input {number}: {what}", flush=True)
        if self.kept is None or not inputs:
            return
        self.kept.mkdir(parents=True, exist_ok=True)
        for payload in inputs:
            (self.kept / payload.name).write_bytes(payload.content)
        names = " ".join(shlex.quote(str(self.kept / payload.name)) for payload in inputs)
        print(f"repeat it: python -m tests.faults.fuzz --again {names}", flush=True)


def generator(seed: int, number: int) -> random.Random:
    """Where all choices of an input come from."""
    return random.Random(f"{seed}/{number}")


def peak_of(pid: int | str) -> int:
    """The most memory a process has had [bytes]."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


# -- files ----------------------------------------------------------------------------------------------------


def damaged_file(corpus: list[Payload], chance: random.Random) -> Payload:
    """A file of any format with some changes, at times under the name of another."""
    payload = chance.choice(corpus)
    name = payload.name if chance.random() < 0.9 else chance.choice(corpus).name
    others = [chance.choice(corpus).content]
    if payload.content[:1] in b"{[" and chance.random() < 0.5:
        value = mutated_object(json.loads(payload.content), others, chance)
        return Payload(name, json.dumps(value).encode())
    return Payload(name, mutated(payload.content, others, chance))


def kept_file(number: int, payload: Payload) -> Payload:
    """An input as it is kept: its number, then its name."""
    return Payload(f"{number}-{payload.name}", payload.content)


def read_files(
    numbers: Sequence[int], make: Callable[[int], Payload], findings: Findings, folder: Path
) -> None:
    """Read inputs in a process of their own; where it ends before its time, the next goes on behind the culprit.

    Args:
        numbers: of the inputs.
        make: number → input.
        findings: what came of them.
        folder: where they are written to be read.
    """
    waiting = list(numbers)
    while waiting:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _read_all(waiting, make, folder, writing)
        os.close(writing)
        with os.fdopen(reading) as lines:
            for line in lines:
                number, outcome, peak = json.loads(line)
                waiting.pop(0)
                findings.peak = max(findings.peak, peak)
                findings.count(outcome.split(":")[0])
                if outcome.startswith("failed"):
                    findings.fail(number, outcome, kept_file(number, make(number)))
                elif peak > MEMORY:
                    findings.fail(
                        number, f"the reader had {peak / 2**20:.0f} MiB", kept_file(number, make(number))
                    )
                    break
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if waiting and os.waitstatus_to_exitcode(status) not in (0, -signal.SIGKILL):
            findings.count("died")
            number = waiting.pop(0)
            what = f"the reader ended with {os.waitstatus_to_exitcode(status)}"
            findings.fail(number, what, kept_file(number, make(number)))


def _read_all(numbers: list[int], make: Callable[[int], Payload], folder: Path, writing: int) -> NoReturn:
    """Inside the process: one line for each input, then the end without a clean-up."""
    code = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends what does not come back, in C code too
        os.chdir(folder)
        with os.fdopen(writing, "w") as lines:
            for number in numbers:
                signal.alarm(PATIENCE)
                outcome = read_one(make(number))
                print(json.dumps([number, outcome, peak_of("self")]), file=lines, flush=True)
        code = 0
    finally:
        os._exit(code)


def read_one(payload: Payload) -> str:
    """What reading a file comes to: read, refused, or a failure with its reason."""
    from runner.errors import ConfigError
    from runner.review.inspection import inspect_file

    path = Path(payload.name)
    path.write_bytes(payload.content)
    try:
        inspect_file(path)
    except ConfigError as error:
        return "refused" if str(error).isprintable() else f"failed: {str(error)!r} has control characters"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"failed: {path}: {type(error).__name__}: {str(error)[:200]!r} ({place.filename}:{place.lineno})"
        )
    else:
        return "read"
    finally:
        path.unlink()


# -- requests -------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A `runner serve` in a process of its own."""

    pid: int
    port: int
    log: Path
    known: dict[str, str] = field(default_factory=dict)
    """The last job and session it gave out."""


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Serve an ideal device on a virtual clock, as little patient as a test needs it."""
    from tests.serve.serving import process

    words = (
        "backend=ideal",
        "session.clock=virtual",
        "request_timeout=5",
        "max_memory=256",
        "max_executions=100000",
    )
    with process(folder / "serve", *words) as (popen, variables):
        port = int(variables["IAM_URL"].rpartition(":")[2])
        yield Server(popen.pid, port, folder / "serve.stderr")


def damaged_request(corpus: list[Payload], server: Server, chance: random.Random) -> bytes:
    """The bytes of a request with changes in its JSON, its bytes, its path or its headers."""
    payload = chance.choice(corpus)
    method, path = payload.name.split(" ")
    path = path.replace("@", server.known.get("job" if "/jobs" in path else "session", "unknown"))
    others = [chance.choice(corpus).content or b"x"]
    body, where = payload.content, chance.random()
    if body and where < 0.7:
        body = json.dumps(mutated_object(json.loads(body), others, chance)).encode()
    elif body and where < 0.85:
        body = mutated(body, others, chance)
    head = f"{method} {BASE}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\n".encode()
    if where >= 0.85:
        head = mutated(head, others, chance)
    length = b"" if chance.random() < 0.02 else b"Content-Length: %d\r\n" % len(body)
    return head + b"Connection: close\r\n" + length + b"\r\n" + body


def ask(server: Server, request: bytes) -> tuple[int, bytes]:
    """Status and body of the answer; 0 where the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused while it was being sent; the answer may be there all the same
        response = http.client.HTTPResponse(connection)
        try:
            response.begin()
            return response.status, response.read()
        except (http.client.HTTPException, ConnectionError):
            return 0, b""


def send_one(server: Server, request: bytes) -> str:
    """What a request comes to: its status, or a failure with its reason."""
    try:
        status, body = ask(server, request)
    except OSError as error:
        return f"failed: {type(error).__name__}: {error}"
    if status >= 500 and status != 503:
        said = server.log.read_text(errors="replace").splitlines()[-1:]
        return f"failed: {status} {said}"
    if status >= 400 and not _in_shape(body):
        return f"failed: {status} with {body[:200]!r}"
    if status == 200 and body.startswith(b'{"id":'):
        answer = json.loads(body)
        server.known["job" if "mode" not in answer else "session"] = answer["id"]
    return str(status)


def _in_shape(body: bytes) -> bool:
    try:
        (error,) = json.loads(body)["errors"]
        return {"code", "message", "solution", "more_info"} <= set(error)
    except (ValueError, LookupError, TypeError):
        return False


def send_requests(
    numbers: Sequence[int], make: Callable[[int, Server], bytes], job: bytes, findings: Findings, folder: Path
) -> None:
    """Send inputs to one server and look at it after every batch.

    Args:
        numbers: of the inputs.
        make: number → input, for a server that has given out jobs and sessions.
        job: what a valid one is submitted by.
        findings: what came of them.
        folder: the server's.
    """
    latest: deque[Payload] = deque(maxlen=BATCH)
    with served(folder) as server:
        for count, number in enumerate(numbers, 1):
            request = Payload(f"{number}.request", make(number, server))
            latest.append(request)
            outcome = send_one(server, request.content)
            findings.count(outcome.split(":")[0])
            if outcome.startswith("failed"):
                findings.fail(number, outcome, request)
            if count % BATCH == 0 or count == len(numbers):
                for what in look(server, job, findings, count):
                    findings.fail(number, what, *latest)


def look(server: Server, job: bytes, findings: Findings, sent: int) -> Iterator[str]:
    """What is wrong with a server that runs no job any more, or has too much memory, or more lines than requests."""
    findings.peak = max(findings.peak, peak_of(server.pid))
    if findings.peak > MEMORY:
        yield f"the server had {findings.peak / 2**20:.0f} MiB"
    said = server.log.read_text(errors="replace")
    if "Traceback" in said or said.count("\n") > 2 * sent + 20:
        yield f"the log has {said.count(chr(10))} lines: {said[-500:]!r}"
    state = _run_job(server, job)
    if state != "Completed":
        yield f"a valid job was not run: {state}"


def _run_job(server: Server, body: bytes) -> str:
    head = f"POST {BASE}/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\nConnection: close\r\n"
    status, answer = ask(server, head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    if status != 200:
        return f"{status} {answer[:200]!r}"
    question = (
        f"GET {BASE}/jobs/{json.loads(answer)['id']}?exclude_params=true HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    )
    question += "Authorization: Bearer x\r\nConnection: close\r\n\r\n"
    end = time.monotonic() + PATIENCE
    said = ""
    while time.monotonic() < end:
        said = str(json.loads(ask(server, question.encode())[1])["status"])
        if said in ("Completed", "Failed", "Cancelled"):
            break
    return said


# -- the campaign ---------------------------------------------------------------------------------------------


def campaign(
    inputs: int,
    seed: int,
    *,
    only: int | None = None,
    parts: str = "files requests",
    workers: int = 1,
    kept: Path | None = None,
) -> Findings:
    """Even numbers are files, odd ones requests.

    Args:
        inputs: how many.
        seed: of all choices.
        only: this input alone.
        parts: what is tried of the two.
        workers: processes that try them, each request's with a server of its own.
        kept: where inputs that failed are kept; None: nowhere.
    """
    numbers = list(range(inputs)) if only is None else [only]
    odd = [number for number in numbers if number % 2] if "requests" in parts else []
    even = [number for number in numbers if number % 2 == 0] if "files" in parts else []
    shares = [
        share for piece in range(workers) for every in (odd, even) if (share := every[piece::workers])
    ]  # while one waits for its server, another reads
    corpora = [files(), requests()]
    # not forked: the peak of a fork begins with all that this process has, which no input took
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        corpus = [corpora[share[0] % 2] for share in shares]
        found = list(pool.map(_share, shares, [seed] * len(shares), corpus, [kept] * len(shares)))
    findings = Findings()
    for part in found:
        findings.add(part)
    return findings


def _share(numbers: Sequence[int], seed: int, corpus: list[Payload], kept: Path | None) -> Findings:
    """What comes of these inputs, which are all files or all requests."""
    findings = Findings(kept=kept)

    def file(number: int) -> Payload:
        return damaged_file(corpus, generator(seed, number))

    def request(number: int, server: Server) -> bytes:
        return damaged_request(corpus, server, generator(seed, number))

    with tempfile.TemporaryDirectory(prefix="runner-fuzz-") as name:
        folder = Path(name)
        if numbers[0] % 2:
            send_requests(numbers, request, corpus[0].content, findings, folder)
        else:
            for start in range(0, len(numbers), BATCH):
                read_files(numbers[start : start + BATCH], file, findings, folder)
    return findings


def again(paths: Sequence[Path]) -> Findings:
    """What comes of inputs that were kept, byte for byte: the files first, then the requests in their order."""
    findings = Findings()
    contents = [path.read_bytes() for path in paths]
    sent = [number for number, path in enumerate(paths) if path.suffix == ".request"]

    def file(number: int) -> Payload:
        return Payload(paths[number].name.partition("-")[2], contents[number])

    with tempfile.TemporaryDirectory(prefix="runner-fuzz-") as name:
        read_files([n for n in range(len(paths)) if n not in sent], file, findings, Path(name))
        if sent:
            send_requests(
                sent, lambda number, _: contents[number], requests()[0].content, findings, Path(name)
            )
    return findings


def main() -> int:
    """Run the campaign; exit 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the choices of this input alone, as a failure names it")
    parser.add_argument(
        "--again", type=Path, nargs="+", help="inputs that failed, by their files, byte for byte"
    )
    parser.add_argument("--parts", default="files requests")
    parser.add_argument("--workers", type=int, default=1, help="processes that try them")
    parser.add_argument("--row", action="store_true", help="say it as a row of the campaign's table")
    options = parser.parse_args()
    began = time.monotonic()
    if options.again:
        findings = again(options.again)
    else:
        findings = campaign(
            options.inputs,
            options.seed,
            only=options.only,
            parts=options.parts,
            workers=options.workers,
            kept=Path("outputs", "fuzz", str(options.seed)),
        )
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(findings.outcomes.items()))
    if options.row:
        lost = len(findings.failures) or "nothing"
        print(f"| damaged files and requests | {findings.inputs} | {outcomes} | {lost} |")
    seconds = time.monotonic() - began
    tried = f"{findings.inputs} inputs" + ("" if options.again else f", seed {options.seed}")
    print(
        f"{tried}: {outcomes}; {len(findings.failures)} failures, "
        f"at most {findings.peak / 2**20:.0f} MiB, {seconds:.0f} s, {findings.inputs / seconds:.0f} a second, "
        f"{spent() / max(findings.inputs, 1) * 1000:.1f} ms of a processor each"
    )
    return 1 if findings.failures else 0


if __name__ == "__main__":
    sys.exit(main())
