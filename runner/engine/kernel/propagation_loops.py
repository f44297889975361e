# Numba infers the types:
# mypy: disable-error-code="no-untyped-def"
r"""The compiled loops of sums of Pauli strings that go backwards through a circuit.

A string is a row of 2·w words: the bits that it flips, then those that it signs; it stands for the Hermitian
i^{|x∧z|} X^x Z^z. Strings are found by a table of hashed places (open addressing). An operation is a row, too: of the
kind `ROTATION` a string P, under which a string Q that anticommutes with it becomes cos θ Q + sin θ iPQ; of the kind
`CHANNEL` four strings, with which a string of the sum anticommutes or not, and a factor for each of the sixteen cases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_OPTIONS: Any = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
_PART_OPTIONS: Any = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_jit = njit(cache=True, **_OPTIONS)  # called from outside
_part = njit(cache=True, **_PART_OPTIONS)
ROTATION, CHANNEL = 0, 1


@_part
def ones(word):
    """How many bits of a word are set."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@_part
def anticommute(rows, row, string, start, width):
    """Does a row of the sum anticommute with a string? 1 if so."""
    mixed = np.uint64(0)
    for k in range(width):
        mixed ^= rows[row, k] & string[start + width + k]
        mixed ^= rows[row, width + k] & string[start + k]
    return ones(mixed) & 1


@_part
def hashed(string, mask):
    """Where to look for a string first."""
    value = np.uint64(0x9E3779B97F4A7C15)
    for k in range(string.shape[0]):
        value ^= string[k]
        value *= np.uint64(0xBF58476D1CE4E5B9)
        value ^= value >> np.uint64(29)
    return np.int64(value & np.uint64(mask))


@_part
def find(rows, table, string):
    """The place of a string in the sum, or −1 − the place in the table that it would have."""
    mask = table.shape[0] - 1
    place = hashed(string, mask)
    while table[place] >= 0:
        row = table[place]
        same = True
        for k in range(string.shape[0]):
            if rows[row, k] != string[k]:
                same = False
                break
        if same:
            return row
        place = (place + 1) & mask
    return -1 - place


@_part
def room_for(rows):
    """Places of a table for all rows that there is room for, at most half of them taken: a power of two."""
    entries = 16
    while entries < 2 * rows.shape[0]:
        entries *= 2
    return entries


@_part
def indexed(rows, size, entries):
    """A table of all rows."""
    table = np.full(entries, -1, dtype=np.int64)
    for row in range(size):
        table[-1 - find(rows, table, rows[row])] = row
    return table


@_part
def shrunk(rows, coefficients, size, threshold, most):
    """Leave out what is below the threshold, and the smallest of more than `most`; the sum of what goes."""
    lost = 0.0
    if size > most:
        sizes = np.sort(np.abs(coefficients[:size]))
        threshold = max(threshold, sizes[size - most])
    kept = 0
    for row in range(size):
        if abs(coefficients[row]) < threshold or kept == most:
            lost += abs(coefficients[row])
            continue
        if kept != row:
            coefficients[kept] = coefficients[row]
            rows[kept] = rows[row]
        kept += 1
    return kept, lost


@_jit
def propagate(rows, coefficients, size, kinds, strings, numbers, begin, end, threshold, most):
    """Take a sum backwards through the operations `begin` … `end` − 1, which are in that order.

    Args:
        rows: strings, room for more behind the first `size`.
        coefficients: likewise.
        size: how many there are.
        kinds: of each operation.
        strings: of each operation, (operations, 8·w) words: one string, or four.
        numbers: of each operation, (operations, 16): cosine and sine, or factors.
        begin: the first operation.
        end: that after the last one.
        threshold: coefficients below it are left out.
        most: strings that are kept after an operation.

    Returns:
        Strings, coefficients, how many there are, and the sum of the absolute coefficients that were left out.
    """
    width = rows.shape[1] // 2
    table = indexed(rows, size, room_for(rows))
    other = np.empty(2 * width, dtype=np.uint64)
    lost = 0.0
    settled = max(size, 64)
    for number in range(begin, end):
        string = strings[number]
        if kinds[number] == CHANNEL:
            for row in range(size):
                case = 0
                for which in range(4):
                    case |= anticommute(rows, row, string, 2 * width * which, width) << which
                coefficients[row] *= numbers[number, case]
            continue
        cosine, sine = numbers[number, 0], numbers[number, 1]
        own = 0
        for k in range(width):
            own += ones(string[k] & string[width + k])
        before = size
        for row in range(before):
            if not anticommute(rows, row, string, 0, width):
                continue
            phase = own + 1
            for k in range(width):
                other[k] = rows[row, k] ^ string[k]
                other[width + k] = rows[row, width + k] ^ string[width + k]
                phase += ones(rows[row, k] & rows[row, width + k])
                phase += 2 * ones(string[width + k] & rows[row, k])
                phase -= ones(other[k] & other[width + k])
            sign = 1.0 if phase & 3 == 0 else -1.0
            found = find(rows, table, other)
            value = coefficients[row]
            if found >= 0:
                if row < found:
                    partner = coefficients[found]
                    coefficients[row] = cosine * value - sign * sine * partner
                    coefficients[found] = cosine * partner + sign * sine * value
                continue
            coefficients[row] = cosine * value
            new = sign * sine * value
            if abs(new) < threshold:
                lost += abs(new)
                continue
            if size == rows.shape[0]:
                grown = np.empty((2 * size, 2 * width), dtype=np.uint64)
                grown[:size] = rows
                rows = grown
                longer = np.empty(2 * size)
                longer[:size] = coefficients
                coefficients = longer
                table = indexed(rows, size, room_for(rows))
                found = find(rows, table, other)
            rows[size] = other
            coefficients[size] = new
            table[-1 - found] = size
            size += 1
        if size > most or size > 2 * settled:
            kept, gone = shrunk(rows, coefficients, size, threshold, most)
            lost += gone
            if kept < size:
                table = indexed(rows, kept, table.shape[0])
            size = kept
            settled = max(size, 64)
    return rows, coefficients, size, lost


@_jit
def read_off(rows, coefficients, size, vectors):
    """The sum's value in a product state of qubits with these Bloch vectors, (qubits, 3)."""
    width = rows.shape[1] // 2
    total = 0.0
    for row in range(size):
        value = coefficients[row]
        for qubit in range(vectors.shape[0]):
            word, bit = qubit >> 6, np.uint64(qubit & 63)
            flips = (rows[row, word] >> bit) & np.uint64(1)
            signs = (rows[row, width + word] >> bit) & np.uint64(1)
            if flips and signs:
                value *= vectors[qubit, 1]
            elif flips:
                value *= vectors[qubit, 0]
            elif signs:
                value *= vectors[qubit, 2]
            if value == 0.0:
                break
        total += value
    return total
