# Numba infers the types, also of the vectors defined for it:
# mypy: disable-error-code="no-untyped-def"
r"""The compiled loops of the noisy kernel: a density matrix as its 4^n real expectation values Tr(Pρ).

A Pauli string is an index of two bits per digit (0 I, 1 X, 2 Y, 3 Z), every digit being one qubit's. A channel is a
real matrix, its Pauli transfer matrix, whose first row is (1, 0, …) since it keeps the trace. Everything that happens
to two qubits until one of them meets a third is one block, a 16×16 matrix that is made per parameter set and applied in
place to sixteen lanes at a time. A qubit joins the vector when its first block comes, so the vector starts small.

Measuring a qubit is a row of four numbers that gives the expectation value of what is read; a basis is contracted with
(1, 0, 0, 0) and that row on every measured qubit, which leaves 2^k expectation values of the products of what is read:
all that its terms, or the probabilities of its outcomes, are made of. Bases share what they have in common from the
highest digit on.

Each of these steps is linear, so derivatives come from running them backwards with the transposed matrices.
"""

from __future__ import annotations

import math
from typing import Any

from numba import int64, njit

from runner.engine.kernel.vector import add, load, mul, splat, store

_OPTIONS: Any = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
_PART_OPTIONS: Any = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_jit = njit(cache=True, **_OPTIONS)  # called from outside
_part = njit(cache=True, **_PART_OPTIONS)
_inlined = njit(forceinline=True, **_PART_OPTIONS)

TURN_Z, TURN_Y, ONE, TURN_ZZ, TWO = 0, 1, 2, 3, 4
"""Kinds of operations: rotations by an angle, and constant channels of one or two qubits."""
LANES = 16
_EXACT = 1e-15
"""Sines and cosines below this are 0: half turns leave matrices sparse."""

# columns of a block and of an operation
LOW, HIGH, DIGITS, FIRST, LAST, TURNS = 0, 1, 2, 3, 4, 5
KIND, STRIDE, ARGUMENT = 0, 1, 2
# places in the working memory of a block
MATRIX, SPARE, INPUT, OUTPUT, OVERLAPS, KETS, BRAS, COPIES = 0, 256, 512, 768, 1024, 2048, 3072, 4096


@_inlined
def exact(value):
    """The number, or 0 if it is only rounding."""
    return 0.0 if abs(value) < _EXACT else value


@_jit
def pauli_bind(values, row, index, scale, offset, trigonometry):
    """Put (cos, sin) of every angle of one parameter set into the table."""
    for slot in range(index.shape[0]):
        angle = offset[slot]
        if scale[slot] != 0.0:
            angle += scale[slot] * values[row, index[slot]]
        trigonometry[2 * slot] = exact(math.cos(angle))
        trigonometry[2 * slot + 1] = exact(math.sin(angle))


@_inlined
def turn_rows(matrix, one, other, width, cosine, sine):
    """Rotate two rows of a matrix into each other."""
    one, other = one * width, other * width
    for column in range(width):
        x, y = matrix[one + column], matrix[other + column]
        matrix[one + column] = cosine * x - sine * y
        matrix[other + column] = sine * x + cosine * y


@_inlined
def mix_four(matrix, row, stride, width, channels, place, across, along):
    """Apply a 4×4 matrix (or, by the steps, its transpose) to four rows."""
    m = place
    for column in range(width):
        at = row * width + column
        step = stride * width
        a, b, c, d = matrix[at], matrix[at + step], matrix[at + 2 * step], matrix[at + 3 * step]
        for i in range(4):
            line = m + i * across
            matrix[at + i * step] = (
                channels[line] * a
                + channels[line + along] * b
                + channels[line + 2 * along] * c
                + channels[line + 3 * along] * d
            )


@_inlined
def mix_sixteen(matrix, width, channels, place, across, along, spare):
    """Apply a 16×16 matrix (or, by the steps, its transpose) to all rows."""
    for at in range(16 * width):
        spare[SPARE + at] = 0.0
    for i in range(16):
        for j in range(16):
            factor = channels[place + i * across + j * along]
            if factor != 0.0:
                for column in range(width):
                    spare[SPARE + i * width + column] += factor * matrix[j * width + column]
    for at in range(16 * width):
        matrix[at] = spare[SPARE + at]


@_part
def operate(operations, number, transposed, matrix, height, width, channels, trigonometry, spare):
    """Multiply a matrix of 4 or 16 rows, in place, by one operation or its transpose."""
    kind, stride = operations[number, KIND], operations[number, STRIDE]
    argument = operations[number, ARGUMENT]
    if kind == ONE:
        across, along = (1, 4) if transposed else (4, 1)
        for other in range(height // 4):
            row = 4 * other if stride == 1 else other
            mix_four(matrix, row, stride, width, channels, argument, across, along)
    elif kind == TWO:
        across, along = (1, 16) if transposed else (16, 1)
        mix_sixteen(matrix, width, channels, argument, across, along, spare)
    else:
        cosine, sine = trigonometry[2 * argument], trigonometry[2 * argument + 1]
        if transposed:
            sine = -sine
        if kind == TURN_ZZ:
            turn_rows(matrix, int64(1), int64(14), width, cosine, sine)
            turn_rows(matrix, int64(13), int64(2), width, cosine, sine)
            turn_rows(matrix, int64(4), int64(11), width, cosine, sine)
            turn_rows(matrix, int64(7), int64(8), width, cosine, sine)
        else:
            one, two = (1, 2) if kind == TURN_Z else (3, 1)
            for other in range(height // 4):
                row = 4 * other if stride == 1 else other
                turn_rows(matrix, row + one * stride, row + two * stride, width, cosine, sine)


@_inlined
def pair_slope(left, right, one, other, width):
    """The derivative by the angle that turns row `one` into row `other`."""
    result = 0.0
    for column in range(width):
        result += left[other * width + column] * right[one * width + column]
        result -= left[one * width + column] * right[other * width + column]
    return result


@_part
def slope_of(operations, number, left, right, height, width):
    """⟨left, dE/dθ right before⟩ of a rotation E, given `right` after it; `left` belongs behind it."""
    kind, stride = operations[number, KIND], operations[number, STRIDE]
    if kind == TURN_ZZ:
        result = pair_slope(left, right, int64(1), int64(14), width)
        result += pair_slope(left, right, int64(13), int64(2), width)
        result += pair_slope(left, right, int64(4), int64(11), width)
        return result + pair_slope(left, right, int64(7), int64(8), width)
    one, two = (1, 2) if kind == TURN_Z else (3, 1)
    result = 0.0
    for other in range(height // 4):
        row = 4 * other if stride == 1 else other
        result += pair_slope(left, right, row + one * stride, row + two * stride, width)
    return result


@_part
def block_matrix(blocks, block, operations, channels, trigonometry, memory):
    """Put the 16×16 matrix of a block at MATRIX."""
    for at in range(256):
        memory[MATRIX + at] = 0.0
    for at in range(0, 256, 17):
        memory[MATRIX + at] = 1.0
    for number in range(blocks[block, FIRST], blocks[block, LAST]):
        operate(operations, number, int64(0), memory, 16, 16, channels, trigonometry, memory)


@_part
def grow(state, digits, wanted):
    """Let qubits in |0⟩ join as the highest digits."""
    for digit in range(digits, wanted):
        size = 1 << (2 * digit)
        for at in range(size):
            state[size + at] = 0.0
            state[2 * size + at] = 0.0
            state[3 * size + at] = state[at]


@_part
def shrink(state, digits, wanted):
    """The transpose of `grow`."""
    for digit in range(digits - 1, wanted - 1, -1):
        size = 1 << (2 * digit)
        for at in range(size):
            state[at] += state[3 * size + at]


@_jit
def pauli_join(state, digits, wanted):
    """`grow`, to be called from outside."""
    grow(state, digits, wanted)


@_jit
def pauli_leave(state, digits, wanted):
    """`shrink`, to be called from outside."""
    shrink(state, digits, wanted)


@_part
def lay_out(low, high, transposed, memory, table):
    """Where a block's rows and lanes are, and the columns of each row that are not 0.

    `table`: 16 row offsets, 16 lane offsets, 16 counts, 16×16 columns. The matrix is transposed if it has to be.
    """
    first = 0
    while first in (low, high):
        first += 1
    second = first + 1
    while second in (low, high):
        second += 1
    for i in range(16):
        table[i] = ((i & 3) << (2 * low)) + ((i >> 2) << (2 * high))
        table[16 + i] = ((i & 3) << (2 * first)) + ((i >> 2) << (2 * second))
    if transposed:
        for i in range(16):
            for j in range(i):
                a, b = MATRIX + 16 * i + j, MATRIX + 16 * j + i
                memory[a], memory[b] = memory[b], memory[a]
    for i in range(16):
        count = 0
        for j in range(16):
            if memory[MATRIX + 16 * i + j] != 0.0:
                table[48 + 16 * i + count] = j
                count += 1
        table[32 + i] = count
    for at in range(512):
        memory[INPUT + at] = 0.0


@_inlined
def spread(group, low, high):
    """The index of a group: zeros inserted at the digits of the block."""
    below = group & ((1 << (2 * low)) - 1)
    middle = (group >> (2 * low)) & ((1 << (2 * (high - low - 1))) - 1)
    above = group >> (2 * (high - 1))
    return below | (middle << (2 * low + 2)) | (above << (2 * high + 2))


@_inlined
def gather_lanes(state, base, together, lanes, table, memory, place):
    """Sixteen lanes of the sixteen rows, copied to the working memory."""
    for i in range(16):
        at = base + table[i]
        to = place + 16 * i
        if together:
            store(memory, to, load(state, at))
            store(memory, to + 4, load(state, at + 4))
            store(memory, to + 8, load(state, at + 8))
            store(memory, to + 12, load(state, at + 12))
        else:
            for lane in range(lanes):
                memory[to + lane] = state[at + table[16 + lane]]


@_inlined
def scatter_lanes(state, base, together, lanes, table, memory, place):
    """The reverse of `gather_lanes`."""
    for i in range(16):
        at = base + table[i]
        to = place + 16 * i
        if together:
            store(state, at, load(memory, to))
            store(state, at + 4, load(memory, to + 4))
            store(state, at + 8, load(memory, to + 8))
            store(state, at + 12, load(memory, to + 12))
        else:
            for lane in range(lanes):
                state[at + table[16 + lane]] = memory[to + lane]


@_inlined
def multiply_lanes(table, memory):
    """OUTPUT = MATRIX × INPUT, skipping zeros."""
    for i in range(16):
        a, b, c, d = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for entry in range(48 + 16 * i, 48 + 16 * i + table[32 + i]):
            j = table[entry]
            factor = splat(memory[MATRIX + 16 * i + j])
            at = INPUT + 16 * j
            a = add(a, mul(factor, load(memory, at)))
            b = add(b, mul(factor, load(memory, at + 4)))
            c = add(c, mul(factor, load(memory, at + 8)))
            d = add(d, mul(factor, load(memory, at + 12)))
        to = OUTPUT + 16 * i
        store(memory, to, a)
        store(memory, to + 4, b)
        store(memory, to + 8, c)
        store(memory, to + 12, d)


@_part
def apply_groups(state, low, high, digits, begin, end, table, memory):
    """Apply a block laid out before to the groups of sixteen lanes [begin, end)."""
    rest = 1 << (2 * digits - 4)
    lanes = min(rest, LANES)
    together = low >= 2
    for group in range(begin, end):
        base = spread(LANES * group, low, high)
        gather_lanes(state, base, together, lanes, table, memory, INPUT)
        multiply_lanes(table, memory)
        scatter_lanes(state, base, together, lanes, table, memory, OUTPUT)


@_inlined
def num_groups(digits):
    """Groups of sixteen lanes that a block has in a vector of so many digits."""
    return max(1, 1 << max(0, 2 * digits - 8))


@_jit
def pauli_begin(state):
    """No qubit has joined yet."""
    state[0] = 1.0


@_jit
def pauli_evolve(
    blocks, operations, channels, trigonometry, state, kept, places, first, last, begin, end, table, memory
):
    """Apply the blocks [first, last): all groups of them if `end` is -1, else the groups [begin, end) of the first.

    Where all groups come, or none (`end` is 0), the block's qubits join before, and the vector is copied to `kept`, at
    the block's place if that is not negative.
    """
    for block in range(first, last):
        low, high, digits = blocks[block, LOW], blocks[block, HIGH], blocks[block, DIGITS]
        before = 0 if block == 0 else blocks[block - 1, DIGITS]
        if end <= 0:
            grow(state, before, digits)
            where = places[block]
            if where >= 0:
                for at in range(1 << (2 * digits)):
                    kept[where + at] = state[at]
        block_matrix(blocks, block, operations, channels, trigonometry, memory)
        lay_out(low, high, int64(0), memory, table)
        stop = num_groups(digits) if end < 0 else end
        apply_groups(state, low, high, digits, begin, stop, table, memory)


@_jit
def pauli_rows(row_starts, row_bare, operations, channels, trigonometry, rows, memory):
    """What is read of a qubit, (1, 4) for every way a qubit is measured, pulled back to before its last gates."""
    for variant in range(row_bare.shape[0]):
        for i in range(4):
            memory[i] = row_bare[variant, i]
        for number in range(row_starts[variant, 1] - 1, row_starts[variant, 0] - 1, -1):
            operate(operations, number, int64(1), memory, 4, 1, channels, trigonometry, memory)
        for i in range(4):
            rows[4 * variant + i] = memory[i]


@_inlined
def contract_digit(source, start, target, to, prefixes, inner, rows, variant):
    """Contract the highest digit of each of `prefixes` vectors with the row of a measured qubit, or drop it."""
    if variant < 0:
        for prefix in range(prefixes):
            origin, place = start + 4 * prefix * inner, to + prefix * inner
            for at in range(inner):
                target[place + at] = source[origin + at]
        return
    a, b = rows[4 * variant], rows[4 * variant + 1]
    c, d = rows[4 * variant + 2], rows[4 * variant + 3]
    for prefix in range(prefixes):
        origin, place = start + 4 * prefix * inner, to + 2 * prefix * inner
        for at in range(inner):
            x, y = source[origin + at], source[origin + inner + at]
            z, w = source[origin + 2 * inner + at], source[origin + 3 * inner + at]
            target[place + at] = x
            target[place + inner + at] = a * x + b * y + c * z + d * w


@_inlined
def common_digits(bases, basis, digits):
    """How many of the highest digits a basis treats as the one before it does."""
    level = 0
    while level < digits and bases[basis, digits - 1 - level] == bases[basis - 1, digits - 1 - level]:
        level += 1
    return level


@_part
def measured_before(bases, basis, digits, level):
    """2 to the number of measured ones among the `level` highest digits."""
    prefixes = 1
    for digit in range(digits - level, digits):
        if bases[basis, digit] >= 0:
            prefixes *= 2
    return prefixes


@_inlined
def level_start(digits, level):
    """Where the vectors of a level, 4^n/2^level numbers at most, lie in the working memory; level 1 comes first."""
    return 0 if level <= 1 else 2 * ((1 << (2 * digits - 1)) - (1 << (2 * digits - level)))


@_jit
def pauli_top(bases, digits, state, rows, levels, basis, begin, end):
    """Contract the highest digit in a basis, as far as the other digits are in [begin, end)."""
    variant = bases[basis, digits - 1]
    inner = 1 << (2 * (digits - 1))
    if variant < 0:
        for at in range(begin, end):
            levels[at] = state[at]
        return
    a, b = rows[4 * variant], rows[4 * variant + 1]
    c, d = rows[4 * variant + 2], rows[4 * variant + 3]
    for at in range(begin, end):
        x, y, z, w = state[at], state[inner + at], state[2 * inner + at], state[3 * inner + at]
        levels[at] = x
        levels[inner + at] = a * x + b * y + c * z + d * w


@_jit
def pauli_contract(bases, starts, digits, state, rows, levels, moments, row, first, last, done_before):
    """Expectation values of all products of what is read in the bases [first, last), written to a row of `moments`.

    The levels are those of the basis before, if the first one is not the first of all; `done_before` of them are
    those of the first basis itself.
    """
    for basis in range(first, last):
        level = 0 if basis == 0 else common_digits(bases, basis, digits)
        if basis == first:
            level = max(level, done_before)
        prefixes = measured_before(bases, basis, digits, level)
        for done in range(level, digits):
            variant = bases[basis, digits - 1 - done]
            inner = 1 << (2 * (digits - 1 - done))
            to = level_start(digits, done + 1)
            if done == 0:
                contract_digit(state, 0, levels, to, prefixes, inner, rows, variant)
            else:
                contract_digit(levels, level_start(digits, done), levels, to, prefixes, inner, rows, variant)
            if variant >= 0:
                prefixes *= 2
        origin = level_start(digits, digits)
        for at in range(starts[basis + 1] - starts[basis]):
            moments[row, starts[basis] + at] = levels[origin + at]


@_jit
def pauli_moments(
    blocks, operations, channels, index, scale, offset, values, row_starts, row_bare, bases, starts, digits,
    trigonometry, state, levels, rows, table, memory, places, moments,
):  # fmt: skip
    """Expectation values of all products of what is read, (sets, starts[-1])."""
    last = blocks.shape[0]
    for row in range(values.shape[0]):
        pauli_bind(values, row, index, scale, offset, trigonometry)
        pauli_begin(state)
        pauli_evolve(
            blocks,
            operations,
            channels,
            trigonometry,
            state,
            state,
            places,
            int64(0),
            last,
            int64(0),
            int64(-1),
            table,
            memory,
        )
        grow(state, blocks[last - 1, DIGITS] if last else 0, digits)
        pauli_rows(row_starts, row_bare, operations, channels, trigonometry, rows, memory)
        pauli_contract(
            bases, starts, digits, state, rows, levels, moments, row, int64(0), bases.shape[0], int64(0)
        )


@_part
def chain_slopes(
    operations, first, last, transposed_left, height, width, channels, trigonometry, memory, slopes, row, index
):  # fmt: skip
    """Add the derivatives of ⟨left, E_last … E_first right⟩ by the angles of rotations among the operations E.

    `right` is at MATRIX, what it is after each rotation goes to COPIES; `left`, at `transposed_left`, is used up.
    """
    place = COPIES
    size = height * width
    for number in range(first, last):
        operate(operations, number, int64(0), memory, height, width, channels, trigonometry, memory)
        if operations[number, KIND] != ONE and operations[number, KIND] != TWO:
            for at in range(size):
                memory[place + at] = memory[MATRIX + at]
            place += size
    for at in range(size):
        memory[MATRIX + at] = memory[transposed_left + at]
    for number in range(last - 1, first - 1, -1):
        if operations[number, KIND] != ONE and operations[number, KIND] != TWO:
            place -= size
            slopes[row, index, operations[number, ARGUMENT]] += slope_of(
                operations, number, memory, memory[place : place + size], height, width
            )
        operate(operations, number, int64(1), memory, height, width, channels, trigonometry, memory)


@_inlined
def push_digit(source, start, above, to, prefixes, inner, rows, variant, ket, origin, slopes):
    """The transpose of `contract_digit`, added to `above`; and the derivatives by the row's four numbers."""
    if variant < 0:
        for prefix in range(prefixes):
            at, place = to + 4 * prefix * inner, start + prefix * inner
            for i in range(inner):
                above[at + i] += source[place + i]
        return
    a, b = rows[4 * variant], rows[4 * variant + 1]
    c, d = rows[4 * variant + 2], rows[4 * variant + 3]
    p, q, r, s = 0.0, 0.0, 0.0, 0.0
    for prefix in range(prefixes):
        at, place, old = to + 4 * prefix * inner, start + 2 * prefix * inner, origin + 4 * prefix * inner
        for i in range(inner):
            read = source[place + inner + i]
            above[at + i] += source[place + i] + a * read
            above[at + inner + i] += b * read
            above[at + 2 * inner + i] += c * read
            above[at + 3 * inner + i] += d * read
            p += read * ket[old + i]
            q += read * ket[old + inner + i]
            r += read * ket[old + 2 * inner + i]
            s += read * ket[old + 3 * inner + i]
    slopes[4 * variant] += p
    slopes[4 * variant + 1] += q
    slopes[4 * variant + 2] += r
    slopes[4 * variant + 3] += s


@_part
def push_levels(bases, basis, digits, lowest, state, levels, bra, bras, rows, row_slopes):
    """Take what the levels of a basis hold back up, until `lowest` of its highest digits are contracted."""
    for done in range(digits - 1, lowest - 1, -1):
        prefixes = measured_before(bases, basis, digits, done)
        inner = 1 << (2 * (digits - 1 - done))
        variant = bases[basis, digits - 1 - done]
        start = level_start(digits, done + 1)
        if done == 0:
            push_digit(
                bras, start, bra, int64(0), prefixes, inner, rows, variant, state, int64(0), row_slopes
            )
        else:
            to = level_start(digits, done)
            push_digit(bras, start, bras, to, prefixes, inner, rows, variant, levels, to, row_slopes)


@_jit
def pauli_observe(
    bases, starts, digits, state, rows, levels, bra, bras, weights, which, index, row_slopes, first, last
):  # fmt: skip
    """The transpose of `pauli_contract` on the weights of one observable: what its value is of every Pauli string.

    Bases [first, last) of those with equal blocks; the levels are those of the basis before, if it is not the first.
    Returns its value, as far as these bases say it.
    """
    result = 0.0
    for basis in range(first, last):
        level = 0 if basis == 0 else common_digits(bases, basis, digits)
        if basis > 0:
            push_levels(bases, basis - 1, digits, level, state, levels, bra, bras, rows, row_slopes)
        prefixes = measured_before(bases, basis, digits, level)
        for done in range(level, digits):
            variant = bases[basis, digits - 1 - done]
            inner = 1 << (2 * (digits - 1 - done))
            to = level_start(digits, done + 1)
            if done == 0:
                contract_digit(state, 0, levels, to, prefixes, inner, rows, variant)
            else:
                contract_digit(levels, level_start(digits, done), levels, to, prefixes, inner, rows, variant)
            if variant >= 0:
                prefixes *= 2
            for at in range(to, to + prefixes * inner):
                bras[at] = 0.0
        origin = level_start(digits, digits)
        for at in range(starts[basis + 1] - starts[basis]):
            weight = weights[which, index, starts[basis] + at]
            bras[origin + at] += weight
            result += weight * levels[origin + at]
    if last == bases.shape[0]:
        push_levels(bases, last - 1, digits, int64(0), state, levels, bra, bras, rows, row_slopes)
    return result


@_inlined
def tile_overlaps(memory, i, j, count):
    """Add the products of four rows of lanes at BRAS with two at KETS; four lanes are kept apart at OVERLAPS."""
    to = OVERLAPS + 64 * i + 4 * j
    a0, a1 = load(memory, to), load(memory, to + 4)
    b0, b1 = load(memory, to + 64), load(memory, to + 68)
    c0, c1 = load(memory, to + 128), load(memory, to + 132)
    d0, d1 = load(memory, to + 192), load(memory, to + 196)
    for group in range(count):
        left, right = BRAS + 256 * group + 16 * i, KETS + 256 * group + 16 * j
        for lane in range(0, LANES, 4):
            x, y = load(memory, right + lane), load(memory, right + 16 + lane)
            a, b = load(memory, left + lane), load(memory, left + 16 + lane)
            c, d = load(memory, left + 32 + lane), load(memory, left + 48 + lane)
            a0, a1 = add(a0, mul(a, x)), add(a1, mul(a, y))
            b0, b1 = add(b0, mul(b, x)), add(b1, mul(b, y))
            c0, c1 = add(c0, mul(c, x)), add(c1, mul(c, y))
            d0, d1 = add(d0, mul(d, x)), add(d1, mul(d, y))
    store(memory, to, a0)
    store(memory, to + 4, a1)
    store(memory, to + 64, b0)
    store(memory, to + 68, b1)
    store(memory, to + 128, c0)
    store(memory, to + 132, c1)
    store(memory, to + 192, d0)
    store(memory, to + 196, d1)


@_part
def overlap_groups(bra, ket, place, low, high, digits, begin, end, table, memory):
    """Add Σ bra[i, …] ket[j, …] over groups of lanes to OVERLAPS, four groups at a time; ket starts at `place`."""
    lanes = min(1 << (2 * digits - 4), LANES)
    together = low >= 2
    if lanes < LANES:
        for at in range(2048):
            memory[KETS + at] = 0.0
    for first in range(begin, end, 4):
        count = min(4, end - first)
        for group in range(count):
            base = spread(LANES * (first + group), low, high)
            gather_lanes(ket, place + base, together, lanes, table, memory, KETS + 256 * group)
            gather_lanes(bra, base, together, lanes, table, memory, BRAS + 256 * group)
        for i in range(0, 16, 4):
            for j in range(0, 16, 2):
                tile_overlaps(memory, i, j, count)


@_part
def block_slopes(blocks, block, operations, channels, trigonometry, memory, slopes, row, index):
    """Add the derivatives by the angles of one block, whose lanes' overlaps have been added up."""
    for at in range(256):
        to = OVERLAPS + 4 * at
        value = (memory[to] + memory[to + 1]) + (memory[to + 2] + memory[to + 3])
        memory[OVERLAPS + at] = value  # at or before what is read next
        memory[MATRIX + at] = 0.0
    for at in range(0, 256, 17):
        memory[MATRIX + at] = 1.0
    chain_slopes(
        operations, blocks[block, FIRST], blocks[block, LAST], OVERLAPS, 16, 16, channels, trigonometry, memory,
        slopes, row, index,
    )  # fmt: skip


@_jit
def pauli_retreat(
    blocks, operations, channels, trigonometry, bra, kept, places, first, last, slopes, row, index, table, memory
):  # fmt: skip
    """Take the bra back through the blocks [first, last), and add the derivatives by their angles."""
    for block in range(last - 1, first - 1, -1):
        low, high, digits = blocks[block, LOW], blocks[block, HIGH], blocks[block, DIGITS]
        groups = num_groups(digits)
        block_matrix(blocks, block, operations, channels, trigonometry, memory)
        lay_out(low, high, int64(1), memory, table)
        if blocks[block, TURNS]:
            for at in range(1024):
                memory[OVERLAPS + at] = 0.0
            overlap_groups(bra, kept, places[block], low, high, digits, int64(0), groups, table, memory)
        apply_groups(bra, low, high, digits, int64(0), groups, table, memory)
        if blocks[block, TURNS]:
            block_slopes(blocks, block, operations, channels, trigonometry, memory, slopes, row, index)
        shrink(bra, digits, 0 if block == 0 else blocks[block - 1, DIGITS])


@_jit
def pauli_row_slopes(
    row_starts, row_bare, operations, channels, trigonometry, row_slopes, memory, slopes, row, index
):  # fmt: skip
    """Add the derivatives by the angles after the last block of each qubit."""
    for variant in range(row_bare.shape[0]):
        for i in range(4):
            memory[MATRIX + i] = row_slopes[4 * variant + i]
            memory[OVERLAPS + i] = row_bare[variant, i]
        chain_slopes(
            operations, row_starts[variant, 0], row_starts[variant, 1], OVERLAPS, 4, 1, channels, trigonometry,
            memory, slopes, row, index,
        )  # fmt: skip


@_jit
def pauli_gradients(
    blocks, operations, channels, index, scale, offset, values, row_starts, row_bare, bases, starts, digits,
    trigonometry, state, levels, rows, table, memory, kept, places, bra, bras, row_slopes, weights, result, slopes,
):  # fmt: skip
    """Values of observables, and their derivatives by every angle; weights are (sets or 1, observables, starts[-1])."""
    last = blocks.shape[0]
    grown = blocks[last - 1, DIGITS] if last else 0
    for row in range(values.shape[0]):
        which = row if weights.shape[0] > 1 else 0
        pauli_bind(values, row, index, scale, offset, trigonometry)
        pauli_begin(state)
        pauli_evolve(
            blocks,
            operations,
            channels,
            trigonometry,
            state,
            kept,
            places,
            int64(0),
            last,
            int64(0),
            int64(-1),
            table,
            memory,
        )
        grow(state, grown, digits)
        pauli_rows(row_starts, row_bare, operations, channels, trigonometry, rows, memory)
        for number in range(weights.shape[1]):
            for at in range(1 << (2 * digits)):
                bra[at] = 0.0
            for at in range(row_slopes.shape[0]):
                row_slopes[at] = 0.0
            result[row, number] += pauli_observe(
                bases, starts, digits, state, rows, levels, bra, bras, weights, which, number, row_slopes,
                int64(0), bases.shape[0],
            )  # fmt: skip
            pauli_row_slopes(
                row_starts,
                row_bare,
                operations,
                channels,
                trigonometry,
                row_slopes,
                memory,
                slopes,
                row,
                number,
            )
            shrink(bra, digits, grown)
            pauli_retreat(
                blocks, operations, channels, trigonometry, bra, kept, places, int64(0), last, slopes, row, number,
                table, memory,
            )  # fmt: skip
