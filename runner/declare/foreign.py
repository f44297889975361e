"""Data of others are read in a process that may die before they are read in this one; QPY is loaded here only."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import math
import os
import re
import resource
import signal
import struct
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from runner.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit

SECONDS, BYTES_PER_SECOND = 5.0, 1_000_000
"""What reading may take: this long, and a second more for so many bytes."""
MEMORY, MEMORY_PER_BYTE = 512 * 2**20, 50
"""What reading may take beyond what the process has: so many bytes, and so many for each byte read."""
MAX_QUBITS, MAX_CLBITS = 10_000, 1_000_000
OLDEST_QPY = 13
"""Loading older QPY files can run code that they contain (GHSA-6m2c-76ff-6vrf)."""
NUMBERS = "biufc"
"""Kinds of NumPy arrays that hold numbers and nothing else: no objects, which would be unpickled, texts or records."""
TABLE_QPY, SYMENGINE = 16, b"e"
_OUT_OF_MEMORY, _BROKEN, _REFUSED = 3, 4, 5


def require_readable(
    attempt: Callable[[], object], size: int, what: str, key: str, *, memory: int | None = None
) -> None:
    """Try a reader in a fork with limits on memory and time, so that nothing it reads can hang or end this process.

    Where this returns, reading again takes the same memory and time. A refusal of the reader is raised here: it may
    come from the limits, which a second try would not have.

    Args:
        attempt: the reader, which raises ConfigError for what it refuses; what it returns is thrown away.
        size: bytes that it reads.
        what: the data, for the message.
        key: whose value they are.
        memory: bytes that it may take, where that is not a matter of `size`.

    Raises:
        ConfigError: it takes more than the limits, ends the process, or refuses.
    """
    seconds = SECONDS + size / BYTES_PER_SECOND
    if memory is None:
        memory = MEMORY + MEMORY_PER_BYTE * size
    code, refusal = _ended(attempt, seconds, memory)
    if code == _REFUSED:
        reason, place = json.loads(refusal)
        raise ConfigError(reason, key=place)
    if code is None or code == -signal.SIGXCPU:
        told = f"takes more than {seconds:.0f} s to read"
    elif code in (_OUT_OF_MEMORY, -signal.SIGABRT):  # Rust aborts when it gets no memory
        told = f"needs more than {memory // 2**20} MiB to be read"
    else:
        told = "ends the reader"
    if code != 0:
        raise ConfigError(f"{what} {told}: it is damaged or too large; write it again", key=key)


def _ended(attempt: Callable[[], object], seconds: float, memory: int) -> tuple[int | None, bytes]:
    """The exit code of the fork, negative for a signal, None if it had to be ended; and what it said."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the fork uses none of theirs
        child = os.fork()
    if child == 0:
        _try(attempt, seconds, memory, writing)
    os.close(writing)
    end, pause = time.monotonic() + seconds, 0.0005
    try:
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                child = 0
                code = os.waitstatus_to_exitcode(status)
                return code, os.read(reading, 65536) if code == _REFUSED else b""
            time.sleep(pause)
            pause = min(2 * pause, 0.02)
        return None, b""
    finally:
        os.close(reading)
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _try(attempt: Callable[[], object], seconds: float, memory: int, writing: int) -> NoReturn:
    """Inside the fork: limits first, no word to the terminal, and an end without this process's clean-up."""
    code = _BROKEN
    try:
        faulthandler.disable()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + memory
        for limit, value in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_CPU, int(seconds) + 1),
            (resource.RLIMIT_AS, most),
        ):
            hard = resource.getrlimit(limit)[1]
            least = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(limit, (least, hard))
        attempt()
        code = 0
    except Exception as error:
        if any(isinstance(one, MemoryError) for one in causes(error)):
            code = _OUT_OF_MEMORY
        elif isinstance(error, ConfigError):
            os.write(writing, json.dumps([str(error).removeprefix(f"{error.key}: "), error.key]).encode())
            code = _REFUSED
    finally:  # also past what is no Exception: Qiskit's Rust code panics
        os._exit(code)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, what it came from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def load_qpy(
    content: bytes,
    what: str,
    key: str,
    *,
    memory: int | None = None,
    rehearse: Callable[[QuantumCircuit], object] | None = None,
) -> list[QuantumCircuit]:
    """The circuits of QPY data, whose headers are checked and which a fork could load.

    Args:
        content: the data.
        what: the data, for messages.
        key: whose value they are.
        memory: bytes that loading may take, where that is not a matter of their size.
        rehearse: what will be done with each circuit, to be tried in the fork too.

    Raises:
        ConfigError: they are damaged, claim to be huge, or are more than the limits.
    """
    require_sane_qpy(content, what, key)

    def attempt() -> None:
        for circuit in _loaded(content, what, key):
            if rehearse is not None:
                rehearse(circuit)

    require_readable(attempt, len(content), what, key, memory=memory)
    return _loaded(content, what, key)


def _loaded(content: bytes, what: str, key: str) -> list[QuantumCircuit]:
    from qiskit import QuantumCircuit, qpy
    from qiskit.exceptions import QiskitError

    try:
        circuits: list[QuantumCircuit] = list(qpy.load(io.BytesIO(content)))
        for circuit in circuits:
            if isinstance(circuit, QuantumCircuit) and (told := _misfit(circuit)):
                raise QiskitError(told)
    except Exception as error:  # damaged data fail in many ways, all of them inside qiskit
        name = type(error).__name__
        if isinstance(error, QiskitError):  # its binary parser draws boxes and colours
            name = re.sub(r"\x1b\[[\d;]*m", "", error.message).strip("'\" \n").split("\n")[0].rstrip(": ")
        raise ConfigError(f"{what} is damaged ({name[:120]}); dump it again", key=key) from error
    return circuits


def _misfit(circuit: QuantumCircuit) -> str | None:
    """What is wrong with a gate, however deep: another width or other angles than it has, a label that is no text."""
    from qiskit.circuit import ParameterExpression
    from qiskit.circuit.library import get_standard_gate_name_mapping

    gates = get_standard_gate_name_mapping()
    seen: dict[int, QuantumCircuit] = {}
    waiting = [circuit]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:  # a file may say a definition once, and use it everywhere
            continue
        seen[id(part)] = part
        for instruction in part.data:
            if not isinstance(instruction.label, str | None):
                return f"the label of {instruction.name!r} is no text"
            if instruction.is_standard_gate():
                if not all(
                    isinstance(angle, (int, float, ParameterExpression)) for angle in instruction.params
                ):
                    return f"an angle of {instruction.name!r} is no number"
                gate = gates.get(instruction.name)
                if gate is not None and (gate.num_qubits, len(gate.params)) != (
                    len(instruction.qubits),
                    len(instruction.params),
                ):
                    return f"{instruction.name!r} has other qubits or angles than the gate"
                continue
            operation = instruction.operation
            if (operation.num_qubits, operation.num_clbits) != (
                len(instruction.qubits),
                len(instruction.clbits),
            ):
                return f"{operation.name!r} acts on other bits than it has"
            definition = getattr(operation, "_definition", None)
            if definition is not None:
                if definition.num_qubits != operation.num_qubits:
                    return f"the definition of {operation.name!r} has other qubits than the gate"
                waiting.append(definition)
            blocks = getattr(operation, "blocks", ())
            if any(block.num_qubits != operation.num_qubits for block in blocks):
                return f"a block of {operation.name!r} has other qubits than it"
            waiting.extend(blocks)
    return None


def require_sane_qpy(content: bytes, what: str, key: str) -> None:
    """Refuse QPY whose headers promise more than a circuit can have, unread.

    Raises:
        ConfigError: they do, or need a reader that is not safe with foreign data.
    """
    from qiskit.qpy import formats

    with _cut_off(what, key):
        header = formats.FILE_HEADER_V10(*struct.unpack_from(formats.FILE_HEADER_V10_PACK, content))
        if header.qpy_version < OLDEST_QPY and header.symbolic_encoding == SYMENGINE:
            told = f"{what} has symengine's expressions, which can run code; dump it with a newer Qiskit"
            raise ConfigError(told, key=key)
        place = formats.FILE_HEADER_V10_SIZE + 1  # the type key
        places = [place]
        if header.num_programs > len(content):
            raise ConfigError(
                f"{what} claims {header.num_programs} circuits in {len(content)} bytes; dump it again",
                key=key,
            )
        if header.qpy_version >= TABLE_QPY:
            places = list(struct.unpack_from(f"!{header.num_programs}Q", content, place))
        for place in places:
            fields = struct.unpack_from(formats.CIRCUIT_HEADER_V12_PACK, content, place)
            circuit = formats.CIRCUIT_HEADER_V12(*fields)
            many = max(circuit.num_registers, circuit.num_instructions, circuit.metadata_size)
            if circuit.num_qubits > MAX_QUBITS or circuit.num_clbits > MAX_CLBITS or many > len(content):
                raise ConfigError(
                    f"{what} claims {circuit.num_qubits} qubits, {circuit.num_clbits} bits and "
                    f"{circuit.num_instructions} instructions in {len(content)} bytes; dump it again",
                    key=key,
                )


def load_npy(content: bytes, what: str, key: str) -> NDArray[Any]:
    """The numbers in NPY data, whose header has to claim exactly the bytes that follow it.

    Raises:
        ConfigError: it is no NPY, holds anything but numbers, or claims more or less than there is.
    """
    import numpy as np
    from numpy.lib import format as npy

    file = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
            shape, by_columns, dtype = readers[npy.read_magic(file)](file)
    except Exception as error:  # damaged headers are Python literals that fail in many ways
        raise ConfigError(f"{what} is no NPY of numbers; write it with numpy.save", key=key) from error
    if dtype.kind not in NUMBERS:
        raise ConfigError(f"{what} holds {dtype}, which is no number; save an array of numbers", key=key)
    rest = memoryview(content)[file.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(rest):
        told = " x ".join(map(str, shape))[:60]
        raise ConfigError(f"{what} claims {told} numbers in {len(rest)} bytes; save it again", key=key)
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if by_columns else "C").copy()


@contextlib.contextmanager
def _cut_off(what: str, key: str) -> Iterator[None]:
    try:
        yield
    except (struct.error, OverflowError) as error:
        raise ConfigError(f"{what} is damaged (cut off); dump it again", key=key) from error
