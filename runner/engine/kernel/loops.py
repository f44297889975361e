# Numba infers the types, also of the vectors defined for it:
# mypy: disable-error-code="no-untyped-def"
"""The compiled loops of the kernel: states as `[real | imaginary]`, 2·2^n doubles, and nothing but loops over them.

All functions release the GIL and are cached on disk. A "span" is an index range of the flat array; rotations do not
care that its upper half is the imaginary part, nor that a second state may follow: they are real.

The program and the observables come as two flat arrays each (integers, reals). `integers[k]` is where segment k
of the integers starts, `integers[integers[0] + k]` where segment k of the reals does; `state_vector.py` packs them.
Slicing would read better, but costs seconds of compilation. So do numbers that Numba takes for types of their own:
hence `int64(0)`. `wide` is None where no stage is a layer and all weights are tabulated, and `pairs` where no stage
rotates pairs, turns corners or exchanges amplitudes: Numba then leaves out what such circuits do without.

One file although it is long: Numba compiles a cached function again when its own file changes, not when a function of
another file that it calls does.
"""

from __future__ import annotations

import math
from typing import Any

from numba import boolean, int64, njit, uint64

from runner.engine.kernel.vector import (
    add,
    alternating,
    choose,
    flip,
    gather,
    high_product,
    load,
    mul,
    parity,
    splat,
    store,
    sub,
    total,
)

_OPTIONS: Any = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
_PART_OPTIONS: Any = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_jit = njit(cache=True, **_OPTIONS)  # called from outside
_part = njit(cache=True, **_PART_OPTIONS)
_inlined = njit(forceinline=True, **_PART_OPTIONS)
_BLOCK_BITS = 11
"""Rotations of lower bits are done in blocks of 2^11 doubles (16 KiB), inside the first-level cache."""
_MIDDLE_BITS = 15
"""… and those of the next bits in blocks of 2^15 doubles (256 KiB), inside the second-level cache."""
_SUM_BITS = 10
"""Sums over two states at once use blocks of this many bits."""

_TURN_BITS = 14
"""… and those that also rotate both states, blocks of this many on the way to the second-level cache."""

_LEAN_BLOCK_BITS, _LEAN_MIDDLE_BITS = 10, 13
"""Blocks of rotations of three bits at a time: as many bits as three or six such passes take."""

_PHILOX = uint64(0xD2E7470EE14C6C93), uint64(0xCA5A826395121157)
_WEYL = uint64(0x9E3779B97F4A7C15), uint64(0xBB67AE8584CAA73B)
"""Multipliers and steps of the keys of Philox-4×64 (Salmon et al., SC 2011)."""

_TO_UNIT = 1.0 / (1 << 53)
"""NumPy's double is the upper 53 of 64 bits, of 1."""

_LEAST_COSINE = 1e-6
"""Rotations nearer to a half turn than this are not divided by their cosine: its power could overflow."""

_PASS_SPAN = 1 << 12
"""Amplitudes an observable's passes go over one after the other before the next so many (128 KiB for two states)."""

# segments of the program: integers …
# META: qubits, stages, low bits, angles, what `_places` says, stages before the first phase
META, INDEX = 1, 2
ROTATION_START, ROTATION_QUBIT, ROTATION_SLOT = 3, 4, 5
SINGLE_START, SINGLE_QUBIT, SINGLE_SLOT = 6, 7, 8
PARITY_START, PARITY_MASK, PARITY_SLOT = 9, 10, 11
PERMUTES, FORWARD_HIGH, FORWARD_LOW, BACKWARD_HIGH, BACKWARD_LOW = 12, 13, 14, 15, 16
LAYERS = (
    17  # per stage: is it a layer, where its parities of high bits, both, many begin, the low bits of both
)
PAIR_START, PAIR_LOW, PAIR_HIGH, PAIR_SLOT = 18, 19, 20, 21
CORNER_START, CORNER_MASK, CORNER_VALUE, CORNER_SLOT = 22, 23, 24, 25
EXCHANGE_START, EXCHANGE_MASK, EXCHANGE_VALUE, EXCHANGE_FLIPS = 26, 27, 28, 29
# … and reals
SCALE, OFFSET, SINGLE_SIGN, PARITY_SIGN, PATTERNS = 0, 1, 2, 3, 4
# segments of the observables: integers …
STARTS, PASSES, TERMS = 1, 2, 3  # STARTS has one more entry than there are observables
# … and reals
CONSTANTS, TABLES, COEFFICIENTS = 0, 1, 2
TABLES_OF = 63  # place among the flags: one more than the stage whose tables of phases are in the working memory, or 0
# places in the working memory
COSINE, SINE, BIT_ANGLES, SUMS, PHASES = 0, 64, 128, 192, 256


@_part
def rotate_low(state, start, stop, scratch):
    """Rotate bits 0 to 3 of the span by the (cos, sin) of each."""
    c0, c1, c2, c3 = splat(scratch[0]), splat(scratch[1]), splat(scratch[2]), splat(scratch[3])
    s0, s1 = alternating(scratch[SINE], 1), alternating(scratch[SINE + 1], 2)
    s2, s3 = splat(scratch[SINE + 2]), splat(scratch[SINE + 3])
    for i in range(start, stop, 16):
        x0 = load(state, i)
        x1 = load(state, i + 4)
        x2 = load(state, i + 8)
        x3 = load(state, i + 12)
        x0 = add(mul(c0, x0), mul(s0, flip(x0, 1)))
        x1 = add(mul(c0, x1), mul(s0, flip(x1, 1)))
        x2 = add(mul(c0, x2), mul(s0, flip(x2, 1)))
        x3 = add(mul(c0, x3), mul(s0, flip(x3, 1)))
        x0 = add(mul(c1, x0), mul(s1, flip(x0, 2)))
        x1 = add(mul(c1, x1), mul(s1, flip(x1, 2)))
        x2 = add(mul(c1, x2), mul(s1, flip(x2, 2)))
        x3 = add(mul(c1, x3), mul(s1, flip(x3, 2)))
        y0 = sub(mul(c2, x0), mul(s2, x1))
        y1 = add(mul(s2, x0), mul(c2, x1))
        y2 = sub(mul(c2, x2), mul(s2, x3))
        y3 = add(mul(s2, x2), mul(c2, x3))
        store(state, i, sub(mul(c3, y0), mul(s3, y2)))
        store(state, i + 8, add(mul(s3, y0), mul(c3, y2)))
        store(state, i + 4, sub(mul(c3, y1), mul(s3, y3)))
        store(state, i + 12, add(mul(s3, y1), mul(c3, y3)))


@_inlined
def turn_four(state, i, step_p, step_q, x0, x1, x2, x3, c0, s0, c1, s1):
    """Rotate two bits of sixteen amplitudes that are loaded already, and store them."""
    y0 = sub(mul(c0, x0), mul(s0, x1))
    y1 = add(mul(s0, x0), mul(c0, x1))
    y2 = sub(mul(c0, x2), mul(s0, x3))
    y3 = add(mul(s0, x2), mul(c0, x3))
    store(state, i, sub(mul(c1, y0), mul(s1, y2)))
    store(state, i + step_p, sub(mul(c1, y1), mul(s1, y3)))
    store(state, i + step_q, add(mul(s1, y0), mul(c1, y2)))
    store(state, i + step_q + step_p, add(mul(s1, y1), mul(c1, y3)))


@_part
def rotate_one(state, start, stop, bit, cosine, sine):
    """Rotate one bit (2 or higher) of the span."""
    half = 1 << bit
    c, s = splat(cosine), splat(sine)
    for base in range(start, stop, 2 * half):
        for i in range(base, base + half, 4):
            x0 = load(state, i)
            x1 = load(state, i + half)
            store(state, i, sub(mul(c, x0), mul(s, x1)))
            store(state, i + half, add(mul(s, x0), mul(c, x1)))


@_part
def rotate_two(state, start, stop, p, q, cp, sp, cq, sq):
    """Rotate bits p < q (2 or higher) of the span in one pass."""
    step_p, step_q = 1 << p, 1 << q
    c0, s0, c1, s1 = splat(cp), splat(sp), splat(cq), splat(sq)
    for outer in range(start, stop, 2 * step_q):
        for inner in range(outer, outer + step_q, 2 * step_p):
            for i in range(inner, inner + step_p, 4):
                x0 = load(state, i)
                x1 = load(state, i + step_p)
                x2 = load(state, i + step_q)
                x3 = load(state, i + step_q + step_p)
                turn_four(state, i, step_p, step_q, x0, x1, x2, x3, c0, s0, c1, s1)


@_part
def rotate_bits(state, start, stop, first, last, flags, scratch):
    """Rotate the flagged bits of [first, last) of the span, two at a time; `first` is 4 or higher."""
    held = int64(-1)
    for bit in range(first, last):
        if flags[bit]:
            if held < 0:
                held = bit
            else:
                c, s = scratch[held], scratch[SINE + held]
                rotate_two(state, start, stop, held, bit, c, s, scratch[bit], scratch[SINE + bit])
                held = int64(-1)
    if held >= 0:
        rotate_one(state, start, stop, held, scratch[held], scratch[SINE + held])


@_part
def rotate_blocks(state, begin, end, step, small, block, middle, flags, scratch):
    """Rotate the flagged bits below `middle` of a span, in blocks of `step` and in those of `small`."""
    low = flags[0] + flags[1] + flags[2] + flags[3]
    start = begin
    while start < end:
        rotate_bits(state, start, start + step, block, middle, flags, scratch)
        inner = start
        start += step
        while inner < start:
            if low:
                rotate_low(state, inner, inner + small, scratch)
            rotate_bits(state, inner, inner + small, int64(4), block, flags, scratch)
            inner += small


@_part
def rotate(state, length, num_qubits, flags, scratch):
    """Rotate the flagged bits by their (cos, sin): the bits outside a block first, then block by block."""
    block = min(_BLOCK_BITS, num_qubits)
    middle = min(_MIDDLE_BITS, num_qubits)
    rotate_bits(state, int64(0), length, middle, num_qubits, flags, scratch)
    step = 1 << middle
    if num_qubits <= _MIDDLE_BITS and length <= (2 << _MIDDLE_BITS):
        step = length
    small = 1 << block
    if num_qubits <= _BLOCK_BITS and step <= (2 << _BLOCK_BITS):
        small = step
    rotate_blocks(state, int64(0), length, step, small, block, middle, flags, scratch)


@_inlined
def lean(x, y, t):
    """Rotate by the angle whose tangent is given, and divide by its cosine: half the arithmetic."""
    return sub(x, mul(t, y)), add(y, mul(t, x))


@_part
def lean_low(state, start, stop, scratch):
    """`lean` of bits 0 to 3 of the span, by the tangents at SINE."""
    t0, t1 = alternating(scratch[SINE], 1), alternating(scratch[SINE + 1], 2)
    t2, t3 = splat(scratch[SINE + 2]), splat(scratch[SINE + 3])
    for i in range(start, stop, 16):
        x0, x1, x2, x3 = load(state, i), load(state, i + 4), load(state, i + 8), load(state, i + 12)
        x0, x1 = add(x0, mul(t0, flip(x0, 1))), add(x1, mul(t0, flip(x1, 1)))
        x2, x3 = add(x2, mul(t0, flip(x2, 1))), add(x3, mul(t0, flip(x3, 1)))
        x0, x1 = add(x0, mul(t1, flip(x0, 2))), add(x1, mul(t1, flip(x1, 2)))
        x2, x3 = add(x2, mul(t1, flip(x2, 2))), add(x3, mul(t1, flip(x3, 2)))
        x0, x1 = lean(x0, x1, t2)
        x2, x3 = lean(x2, x3, t2)
        x0, x2 = lean(x0, x2, t3)
        x1, x3 = lean(x1, x3, t3)
        store(state, i, x0)
        store(state, i + 4, x1)
        store(state, i + 8, x2)
        store(state, i + 12, x3)


@_part
def lean_one(state, start, stop, p, tangent):
    """`lean` of one bit of the span, 2 or higher."""
    step, t = 1 << p, splat(tangent)
    for base in range(start, stop, 2 * step):
        for i in range(base, base + step, 4):
            x, y = lean(load(state, i), load(state, i + step), t)
            store(state, i, x)
            store(state, i + step, y)


@_part
def lean_three(state, start, stop, p, q, r, scratch):
    """`lean` of three bits of the span, p < q < r, 2 or higher, in one pass."""
    a, b, c = 1 << p, 1 << q, 1 << r
    t0, t1, t2 = splat(scratch[SINE + p]), splat(scratch[SINE + q]), splat(scratch[SINE + r])
    for outer in range(start, stop, 2 * c):
        for middle in range(outer, outer + c, 2 * b):
            for inner in range(middle, middle + b, 2 * a):
                for i in range(inner, inner + a, 4):
                    x0, x1 = lean(load(state, i), load(state, i + a), t0)
                    x2, x3 = lean(load(state, i + b), load(state, i + b + a), t0)
                    x4, x5 = lean(load(state, i + c), load(state, i + c + a), t0)
                    x6, x7 = lean(load(state, i + c + b), load(state, i + c + b + a), t0)
                    x0, x2 = lean(x0, x2, t1)
                    x1, x3 = lean(x1, x3, t1)
                    x4, x6 = lean(x4, x6, t1)
                    x5, x7 = lean(x5, x7, t1)
                    x0, x4 = lean(x0, x4, t2)
                    x1, x5 = lean(x1, x5, t2)
                    x2, x6 = lean(x2, x6, t2)
                    x3, x7 = lean(x3, x7, t2)
                    store(state, i, x0)
                    store(state, i + a, x1)
                    store(state, i + b, x2)
                    store(state, i + b + a, x3)
                    store(state, i + c, x4)
                    store(state, i + c + a, x5)
                    store(state, i + c + b, x6)
                    store(state, i + c + b + a, x7)


@_part
def lean_bits(state, start, stop, first, last, flags, scratch):
    """`lean` of the flagged bits of [first, last) of the span, three at a time; `first` is 4 or higher."""
    one, two = int64(-1), int64(-1)
    for bit in range(first, last):
        if flags[bit]:
            if one < 0:
                one = bit
            elif two < 0:
                two = bit
            else:
                lean_three(state, start, stop, one, two, bit, scratch)
                one, two = int64(-1), int64(-1)
    if one >= 0:
        lean_one(state, start, stop, one, scratch[SINE + one])
    if two >= 0:
        lean_one(state, start, stop, two, scratch[SINE + two])


@_part
def lean_tangents(num_qubits, scratch):
    """Make tangents of the sines and return the product of the cosines; 0 if nothing was done, near a half turn."""
    factor = 1.0
    for bit in range(num_qubits):
        if abs(scratch[bit]) < _LEAST_COSINE:
            return 0.0
        factor *= scratch[bit]
    for bit in range(num_qubits):
        scratch[SINE + bit] /= scratch[bit]
    return factor


@_part
def lean_blocks(state, begin, end, num_qubits, flags, scratch):
    """`lean` of the flagged bits within blocks, of a span."""
    block, middle = min(_LEAN_BLOCK_BITS, num_qubits), min(_LEAN_MIDDLE_BITS, num_qubits)
    low = flags[0] + flags[1] + flags[2] + flags[3]
    start = begin
    while start < end:
        inner = start
        start += 1 << middle
        lean_bits(state, inner, start, block, middle, flags, scratch)
        while inner < start:
            if low:
                lean_low(state, inner, inner + (1 << block), scratch)
            lean_bits(state, inner, inner + (1 << block), int64(4), block, flags, scratch)
            inner += 1 << block


@_part
def rotate_lean(state, length, num_qubits, flags, scratch):
    """`rotate`, but for a factor that is returned; 0 if nothing was done, see `lean_tangents`."""
    factor = lean_tangents(num_qubits, scratch)
    if factor == 0.0:
        return 0.0
    middle = min(_LEAN_MIDDLE_BITS, num_qubits)
    lean_bits(state, int64(0), length, middle, num_qubits, flags, scratch)
    lean_blocks(state, int64(0), length, num_qubits, flags, scratch)
    return factor


@_inlined
def lanes_of(value, mask):
    """Lane k takes lane k XOR mask."""
    if mask & 1:
        value = flip(value, 1)
    if mask & 2:
        value = flip(value, 2)
    return value


@_part
def pair_lanes(start, p, q, scratch):
    """Four numbers of a pair's two, at `start`: of 00 and 11 where bit p of a lane is 0, of 01 and 10 where it is 1.

    Where bit q is a lane's as well, they are in the order 00, 10, 01, 11.
    """
    a, b = start + p, start + q
    if q < 2:
        return gather(scratch, a, b, b, a)
    if p == 0:
        return gather(scratch, a, b, a, b)
    return gather(scratch, a, a, b, b)


@_part
def pair_low(state, start, stop, p, q, reals, patterns, scratch):
    """`rotate_pair` for a lower bit that is 0 or 1."""
    step = 1 << q
    lower = load(reals, patterns + (16 << p))
    c, s = pair_lanes(int64(COSINE), p, q, scratch), mul(lower, pair_lanes(int64(SINE), p, q, scratch))
    if q < 2:
        for i in range(start, stop, 4):
            x = load(state, i)
            store(state, i, sub(mul(c, x), mul(s, flip(x, 3))))
        return
    other = 1 << p
    d, t = lanes_of(c, other), mul(lower, lanes_of(mul(lower, s), other))
    for base in range(start, stop, 2 * step):
        for i in range(base, base + step, 4):
            x, y = load(state, i), load(state, i + step)
            store(state, i, sub(mul(c, x), mul(s, lanes_of(y, other))))
            store(state, i + step, sub(mul(d, y), mul(t, lanes_of(x, other))))


@_part
def rotate_pair(state, start, stop, p, q, reals, patterns, scratch):
    """Rotate (00, 11) and (01, 10) of bits p < q of the span by their (cos, sin), which are at p and at q."""
    if p < 2:
        pair_low(state, start, stop, p, q, reals, patterns, scratch)
        return
    low, high = 1 << p, 1 << q
    ca, sa, cb, sb = splat(scratch[p]), splat(scratch[SINE + p]), splat(scratch[q]), splat(scratch[SINE + q])
    for outer in range(start, stop, 2 * high):
        for inner in range(outer, outer + high, 2 * low):
            for i in range(inner, inner + low, 4):
                x0, x1 = load(state, i), load(state, i + low)
                x2, x3 = load(state, i + high), load(state, i + high + low)
                store(state, i, sub(mul(ca, x0), mul(sa, x3)))
                store(state, i + high + low, add(mul(sa, x0), mul(ca, x3)))
                store(state, i + high, sub(mul(cb, x2), mul(sb, x1)))
                store(state, i + low, add(mul(sb, x2), mul(cb, x1)))


@_part
def pair_angles(integers, stage, direction, scratch):
    """Put (cos, sin) of a stage's pairs in place: those of (00, 11) at the lower bit, of (01, 10) at the higher."""
    angles = integers[integers[META] + 4]
    start, slots = integers[PAIR_START], integers[PAIR_SLOT]
    low, high = integers[PAIR_LOW], integers[PAIR_HIGH]
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        slot = angles + integers[slots + entry]
        p, q = integers[low + entry], integers[high + entry]
        same, other = 0.5 * (scratch[slot] - scratch[slot + 1]), 0.5 * (scratch[slot] + scratch[slot + 1])
        scratch[p], scratch[SINE + p] = math.cos(same), direction * math.sin(same)
        scratch[q], scratch[SINE + q] = math.cos(other), direction * math.sin(other)


@_part
def pair_span(integers, reals, stage, state, start, stop, first, last, scratch):
    """Rotate the pairs of a stage whose higher bit is in [first, last), in a span."""
    begin, low, high = integers[PAIR_START] + stage, integers[PAIR_LOW], integers[PAIR_HIGH]
    patterns = integers[integers[0] + PATTERNS]
    for entry in range(integers[begin], integers[begin + 1]):
        q = integers[high + entry]
        if first <= q < last:
            rotate_pair(state, start, stop, integers[low + entry], q, reals, patterns, scratch)


@_part
def pair_blocks(integers, reals, stage, state, start, stop, scratch):
    """Rotate the pairs of a stage within blocks, in a span of whole blocks."""
    num_qubits = integers[integers[META]]
    middle, block = min(_MIDDLE_BITS, num_qubits), min(_BLOCK_BITS, num_qubits)
    for outer in range(start, stop, 1 << middle):
        end = outer + (1 << middle)
        pair_span(integers, reals, stage, state, outer, end, block, middle, scratch)
        for inner in range(outer, end, 1 << block):
            pair_span(integers, reals, stage, state, inner, inner + (1 << block), int64(0), block, scratch)


@_part
def stage_pairs(integers, reals, stage, state, length, direction, scratch):
    """Rotate all pairs of a stage in one or two states."""
    num_qubits = integers[integers[META]]
    start = integers[PAIR_START] + stage
    if integers[start] == integers[start + 1]:
        return
    pair_angles(integers, stage, direction, scratch)
    middle = min(_MIDDLE_BITS, num_qubits)
    pair_span(integers, reals, stage, state, int64(0), length, middle, num_qubits, scratch)
    pair_blocks(integers, reals, stage, state, int64(0), length, scratch)


@_part
def pair_sums(state, length, p, q):
    """The derivatives by a pair's two angles: Σ Re(conj(λ) G ψ) of YX, and of -XY."""
    low, high = 1 << p, 1 << q
    same, other = splat(0.0), splat(0.0)
    for outer in range(0, length, 2 * high):
        for inner in range(outer, outer + high, 2 * low):
            for i in range(inner, inner + low, 4):
                j = i + length
                same = add(same, mul(load(state, j + high + low), load(state, i)))
                same = sub(same, mul(load(state, j), load(state, i + high + low)))
                other = add(other, mul(load(state, j + low), load(state, i + high)))
                other = sub(other, mul(load(state, j + high), load(state, i + low)))
    return total(other) + total(same), total(other) - total(same)


@_part
def pair_sums_low(state, length, p, q, reals, patterns):
    """`pair_sums` for a lower bit that is 0 or 1."""
    step, found = 1 << q, splat(0.0)
    if q < 2:
        for i in range(0, length, 4):
            found = add(found, mul(flip(load(state, i + length), 3), load(state, i)))
        return -total(mul(alternating(1.0, 1), found)), total(mul(alternating(1.0, 2), found))
    lower, other = load(reals, patterns + (16 << p)), 1 << p
    for base in range(0, length, 2 * step):
        for i in range(base, base + step, 4):
            j = i + length
            found = add(found, mul(lanes_of(load(state, j + step), other), load(state, i)))
            found = sub(found, mul(load(state, j), lanes_of(load(state, i + step), other)))
    return total(mul(lower, found)), -total(found)


@_part
def undo_pairs(integers, reals, stage, state, scratch, slopes, row, index):
    """Derivatives by the angles of a stage's pairs, and both states before them (but not before the first stage)."""
    num_qubits = integers[integers[META]]
    length = 2 << num_qubits
    start, slots = integers[PAIR_START], integers[PAIR_SLOT]
    low, high = integers[PAIR_LOW], integers[PAIR_HIGH]
    scale, patterns = integers[integers[0] + SCALE], integers[integers[0] + PATTERNS]
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        p, q, slot = integers[low + entry], integers[high + entry], integers[slots + entry]
        if reals[scale + slot] == 0.0 and reals[scale + slot + 1] == 0.0:
            continue
        if p < 2:
            of_x, of_y = pair_sums_low(state, length, p, q, reals, patterns)
        else:
            of_x, of_y = pair_sums(state, length, p, q)
        slopes[row, index, slot] = of_x
        slopes[row, index, slot + 1] = of_y
    if stage:
        stage_pairs(integers, reals, stage, state, 2 * length, -1.0, scratch)


@_inlined
def lanes_with(mask, value):
    """Which of four lanes have a value in those of their two bits that are in the mask, as bits."""
    found = 0
    for lane in range(4):
        found |= (1 if (lane ^ value) & mask & 3 == 0 else 0) << lane
    return found


@_part
def exchange(state, length, mask, value, flips):
    """Let the amplitudes of i and i ^ flips change places where i & mask == value; the mask has the flips' bits."""
    upper = flips & ~3
    if mask & 3 == 0:
        run = mask & -mask
        free = (length - 1) & ~mask & ~(run - 1)
        start = int64(0)
        while True:
            i = start | value
            for here in range(i, i + run, 4):
                x, y = load(state, here), load(state, here ^ upper)
                store(state, here, y)
                store(state, here ^ upper, x)
            start = (start - free) & free
            if start == 0:
                return
    lanes, first, second = flips & 3, lanes_with(mask, value), lanes_with(mask, value ^ flips)
    free = (length - 1) & ~mask & ~3
    start = int64(0)
    while True:
        i = start | (value & ~3)
        x = load(state, i)
        if upper:
            y = load(state, i ^ upper)
            store(state, i, choose(first, lanes_of(y, lanes), x))
            store(state, i ^ upper, choose(second, lanes_of(x, lanes), y))
        else:
            store(state, i, choose(first | second, lanes_of(x, lanes), x))
        start = (start - free) & free
        if start == 0:
            return


@_part
def stage_exchanges(integers, stage, state, length, direction):
    """Do all exchanges of a stage in one or two states, or, with direction -1, the last one first."""
    start, masks = integers[EXCHANGE_START], integers[EXCHANGE_MASK]
    values, flips = integers[EXCHANGE_VALUE], integers[EXCHANGE_FLIPS]
    first, last = integers[start + stage], integers[start + stage + 1]
    for place in range(last - first):
        entry = first + place if direction > 0 else last - 1 - place
        exchange(state, length, integers[masks + entry], integers[values + entry], integers[flips + entry])


@_part
def multiply_corner(state, offset, size, mask, value, cosine, sine):
    """Multiply the amplitudes of one state by a phase where i & mask == value."""
    c, s = splat(cosine), splat(sine)
    aligned = mask & 3 == 0
    run = mask & -mask if aligned else int64(4)
    free = (size - 1) & ~mask & ~(run - 1)
    chosen = lanes_with(mask, value)
    start = int64(0)
    while True:
        i = offset + (start | (value & ~3))
        for here in range(i, i + run, 4):
            re, im = load(state, here), load(state, here + size)
            store(state, here, choose(chosen, sub(mul(c, re), mul(s, im)), re))
            store(state, here + size, choose(chosen, add(mul(c, im), mul(s, re)), im))
        start = (start - free) & free
        if start == 0:
            return


@_part
def stage_corners(integers, stage, state, states, sign, scratch):
    """Turn (or, with sign -1, turn back) the phases of a stage's corners on one or two states."""
    meta = integers[META]
    size, angles = 1 << integers[meta], integers[meta + 4]
    start, masks = integers[CORNER_START], integers[CORNER_MASK]
    values, slots = integers[CORNER_VALUE], integers[CORNER_SLOT]
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        angle = scratch[angles + integers[slots + entry]]
        c, s = math.cos(angle), sign * math.sin(angle)
        for which in range(states):
            offset = which * 2 * size
            multiply_corner(state, offset, size, integers[masks + entry], integers[values + entry], c, s)


@_part
def corner_sum(parts, size, mask, value):
    """Σ parts[x] where x & mask == value."""
    aligned = mask & 3 == 0
    run = mask & -mask if aligned else int64(4)
    free = (size - 1) & ~mask & ~(run - 1)
    chosen = lanes_with(mask, value)
    acc, nothing = splat(0.0), splat(0.0)
    start = int64(0)
    while True:
        i = start | (value & ~3)
        for here in range(i, i + run, 4):
            acc = add(acc, choose(chosen, load(parts, here), nothing))
        start = (start - free) & free
        if start == 0:
            return total(acc)


@_part
def corner_slopes(integers, reals, stage, state, parts, slopes, row, index):
    """Derivatives by the angles of a stage's corners: -2 Im ⟨λ|P|ψ⟩, P being the projector onto one."""
    num_qubits = integers[integers[META]]
    scale = integers[integers[0] + SCALE]
    start, masks = integers[CORNER_START], integers[CORNER_MASK]
    values, slots = integers[CORNER_VALUE], integers[CORNER_SLOT]
    ready = False
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        slot = integers[slots + entry]
        if reals[scale + slot] == 0.0:
            continue
        if not ready:
            overlap_parts(state, num_qubits, parts)
            ready = True
        found = corner_sum(parts, 1 << num_qubits, integers[masks + entry], integers[values + entry])
        slopes[row, index, slot] = -2.0 * found


@_part
def product_span(state, bit, begin, end, scratch):
    """Let a qubit join a product state, of which a span is looked at."""
    half = 1 << bit
    cosine, sine = scratch[bit], scratch[SINE + bit]
    for i in range(begin, end):
        value = state[i]
        state[i] = cosine * value
        state[i + half] = sine * value


@_part
def product_state(state, num_qubits, scratch):
    """The state whose qubit q is (cos, sin) of its rotation, but for its imaginary parts."""
    state[0] = 1.0
    for bit in range(num_qubits):
        product_span(state, bit, int64(0), 1 << bit, scratch)


@_part
def no_imaginary_parts(state, size):
    """Let a state be real."""
    for i in range(size, 2 * size, 4):
        store(state, i, splat(0.0))


@_part
def phase_table(scratch, first, count, table):
    """Put exp(i Σ angles of the bits that are set) of `count` bits at `table`, real parts first."""
    size = 1 << count
    scratch[table] = 1.0
    scratch[table + size] = 0.0
    for bit in range(count):
        half = 1 << bit
        angle = scratch[BIT_ANGLES + first + bit]
        c, s = math.cos(angle), math.sin(angle)
        for i in range(table, table + half):
            re, im = scratch[i], scratch[size + i]
            scratch[i + half] = c * re - s * im
            scratch[size + i + half] = s * re + c * im


@_part
def phase_tables(scratch, num_qubits, low_bits):
    """The phases of the low bits, and behind them those of the high ones."""
    phase_table(scratch, int64(0), low_bits, int64(PHASES))
    phase_table(scratch, low_bits, num_qubits - low_bits, PHASES + (2 << low_bits))


@_inlined
def multiply_four(state, where, size, pr, pi):
    """Multiply four amplitudes by phases."""
    re, im = load(state, where), load(state, where + size)
    store(state, where, sub(mul(re, pr), mul(im, pi)))
    store(state, where + size, add(mul(re, pi), mul(im, pr)))


@_part
def multiply_phases(state, states, num_qubits, low_bits, table, scratch, sign, first, last):
    """Multiply rows of one or two states by the phases of their bits (or, with sign -1, by the conjugates).

    Those of low bits are at `table`, which is PHASES unless rows differ in them.
    """
    size = 1 << num_qubits
    width = 1 << low_bits
    rows = 1 << (num_qubits - low_bits)
    high = PHASES + 2 * width
    flipped = splat(sign)
    for row in range(first, last):
        hr, hi = splat(scratch[high + row]), splat(sign * scratch[high + rows + row])
        for i in range(0, width, 4):
            lr = load(scratch, table + i)
            li = mul(flipped, load(scratch, table + width + i))
            pr = sub(mul(hr, lr), mul(hi, li))
            pi = add(mul(hr, li), mul(hi, lr))
            multiply_four(state, row * width + i, size, pr, pi)
            if states == 2:
                multiply_four(state, 2 * size + row * width + i, size, pr, pi)


@_part
def multiply_parity(state, offset, num_qubits, mask, cosine, sine, reals, patterns, begin, end):
    """Multiply a span of one state by exp(-iθ/2 (-1)^parity), cos and sin of θ/2 given."""
    size = 1 << num_qubits
    c = splat(cosine)
    row = patterns + 16 * (mask & 15)
    for base in range(begin, end, 16):
        signed = splat(sine - 2.0 * sine * parity(mask & base & ~15))
        for i in range(0, 16, 4):
            s = mul(signed, load(reals, row + i))
            where = offset + base + i
            re, im = load(state, where), load(state, where + size)
            store(state, where, add(mul(c, re), mul(s, im)))
            store(state, where + size, sub(mul(c, im), mul(s, re)))


@_part
def table_parity(scratch, table, count, mask, cosine, sine):
    """Multiply a table of phases of `count` bits by exp(-iθ/2 (-1)^parity), cos and sin of θ/2 given."""
    size = 1 << count
    for i in range(size):
        s = sine - 2.0 * sine * parity(mask & i)
        re, im = scratch[table + i], scratch[table + size + i]
        scratch[table + i] = cosine * re + s * im
        scratch[table + size + i] = cosine * im - s * re


@_part
def layer_tables(integers, reals, stage, scratch):
    """The phases that depend on low bits alone or on high bits alone, and (cos, sin) of all other half angles."""
    meta = integers[META]
    num_qubits, low_bits, angles = integers[meta], integers[meta + 2], integers[meta + 4]
    factors = integers[meta + 6]
    start, masks, slots = integers[PARITY_START], integers[PARITY_MASK], integers[PARITY_SLOT]
    signs = integers[integers[0] + PARITY_SIGN]
    layer = integers[LAYERS] + 5 * stage
    phase_tables(scratch, num_qubits, low_bits)
    first = integers[start + stage]
    for entry in range(first, integers[start + stage + 1]):
        half = 0.5 * reals[signs + entry] * scratch[angles + integers[slots + entry]]
        c, s = math.cos(half), math.sin(half)
        if entry < integers[layer + 1]:
            table_parity(scratch, int64(PHASES), low_bits, integers[masks + entry], c, s)
        elif entry < integers[layer + 2]:
            mask = integers[masks + entry] >> low_bits
            table_parity(scratch, PHASES + (2 << low_bits), num_qubits - low_bits, mask, c, s)
        else:
            scratch[factors + 2 * (entry - first)] = c
            scratch[factors + 2 * (entry - first) + 1] = s


@_part
def row_factors(integers, stage, row, scratch):
    """Per low bit the phase of its value 1 in this row at (BIT_ANGLES, SUMS); returns what all of the row share."""
    meta = integers[META]
    num_qubits, low_bits, factors = integers[meta], integers[meta + 2], integers[meta + 6]
    masks = integers[PARITY_MASK]
    layer = integers[LAYERS] + 5 * stage
    first, bits = integers[integers[PARITY_START] + stage], integers[layer + 4]
    for bit in range(low_bits):
        scratch[BIT_ANGLES + bit] = 1.0
        scratch[SUMS + bit] = 0.0
    for entry in range(integers[layer + 2], integers[layer + 3]):
        mask = integers[masks + entry]
        bit = 0
        while not mask >> bit & 1:
            bit += 1
        c, s = scratch[factors + 2 * (entry - first)], scratch[factors + 2 * (entry - first) + 1]
        s -= 2.0 * s * parity(mask & (row << low_bits))
        re, im = scratch[BIT_ANGLES + bit], scratch[SUMS + bit]
        scratch[BIT_ANGLES + bit] = c * re + s * im
        scratch[SUMS + bit] = c * im - s * re
    high = PHASES + (2 << low_bits)
    re, im = scratch[high + row], scratch[high + (1 << (num_qubits - low_bits)) + row]
    for bit in range(low_bits):
        if bits >> bit & 1:
            a, b = scratch[BIT_ANGLES + bit], scratch[SUMS + bit]
            re, im = a * re - b * im, a * im + b * re
            scratch[BIT_ANGLES + bit] = a * a - b * b
            scratch[SUMS + bit] = -2.0 * a * b
    return re, im


@_part
def row_phases(integers, reals, stage, row, scratch):
    """The phases of one row of amplitudes, but for those of low bits alone, into the place for it."""
    meta = integers[META]
    low_bits, table, factors = integers[meta + 2], integers[meta + 5], integers[meta + 6]
    masks, patterns = integers[PARITY_MASK], integers[integers[0] + PATTERNS]
    layer = integers[LAYERS] + 5 * stage
    width = 1 << low_bits
    scratch[table], scratch[table + width] = row_factors(integers, stage, row, scratch)
    for bit in range(2):
        half = 1 << bit
        c, s = scratch[BIT_ANGLES + bit], scratch[SUMS + bit]
        for i in range(table, table + half):
            re, im = scratch[i], scratch[width + i]
            scratch[i + half] = c * re - s * im
            scratch[width + i + half] = s * re + c * im
    for bit in range(2, low_bits):
        half = 1 << bit
        cosine, sine = splat(scratch[BIT_ANGLES + bit]), splat(scratch[SUMS + bit])
        for i in range(table, table + half, 4):
            x, y = load(scratch, i), load(scratch, width + i)
            store(scratch, i + half, sub(mul(cosine, x), mul(sine, y)))
            store(scratch, width + i + half, add(mul(sine, x), mul(cosine, y)))
    first, last = integers[integers[PARITY_START] + stage], integers[integers[PARITY_START] + stage + 1]
    for entry in range(integers[layer + 3], last):
        mask = integers[masks + entry]
        place = factors + 2 * (entry - first)
        c, s = scratch[place], scratch[place + 1]
        s -= 2.0 * s * parity(mask & (row << low_bits))
        pattern = patterns + 16 * (mask & 15)
        cosine = splat(c)
        for i in range(0, width, 4):
            signed = mul(splat(s - 2.0 * s * parity(mask & i & ~15)), load(reals, pattern + (i & 15)))
            x, y = load(scratch, table + i), load(scratch, table + width + i)
            store(scratch, table + i, add(mul(cosine, x), mul(signed, y)))
            store(scratch, table + width + i, sub(mul(cosine, y), mul(signed, x)))


@_part
def same_layer(integers, reals, stage, other, scratch):
    """Do two layers multiply by the same phases, one entry like the other?"""
    for start, wheres, slots, signs in (
        (PARITY_START, PARITY_MASK, PARITY_SLOT, PARITY_SIGN),
        (SINGLE_START, SINGLE_QUBIT, SINGLE_SLOT, SINGLE_SIGN),
    ):
        if not same_entries(
            integers, reals, integers[start], integers[wheres], integers[slots], integers[integers[0] + signs],
            stage, other, scratch,
        ):  # fmt: skip
            return False
    return True


@_part
def same_entries(integers, reals, start, wheres, slots, signs, stage, other, scratch):
    """Do two layers have the same angles in the same places, in one of the tables?"""
    angles = integers[integers[META] + 4]
    shift = integers[start + other] - integers[start + stage]
    if shift + integers[start + stage + 1] != integers[start + other + 1]:
        return False
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        angle = reals[signs + entry] * scratch[angles + integers[slots + entry]]
        found = reals[signs + entry + shift] * scratch[angles + integers[slots + entry + shift]]
        if angle != found or integers[wheres + entry] != integers[wheres + entry + shift]:
            return False
    return True


@_part
def layer_phases(integers, reals, stage, factor, flags, scratch):
    """`layer_tables`, with a factor; they are kept where the layer before had the same."""
    meta = integers[META]
    num_qubits, low_bits = integers[meta], integers[meta + 2]
    before, held = flags[TABLES_OF] - 1, integers[meta + 8]
    if before < 0 or scratch[held] != factor or not same_layer(integers, reals, stage, before, scratch):
        bit_angles(integers, reals, stage, scratch)
        layer_tables(integers, reals, stage, scratch)
        high = PHASES + (2 << low_bits)
        for place in range(high, high + (2 << (num_qubits - low_bits))):
            scratch[place] *= factor
        row_variants(integers, stage, scratch)
    scratch[held] = factor
    flags[TABLES_OF] = stage + 1


@_part
def few_variants(integers, stage):
    """Do all parities of low and high bits meet the low ones in one or two places, each alone in its own?"""
    layer = integers[LAYERS] + 5 * stage
    found = integers[layer + 3] - integers[layer + 2]
    if integers[layer + 3] != integers[integers[PARITY_START] + stage + 1] or found > 2:
        return False
    bits = integers[layer + 4]
    return parity(bits) == found % 2 and (found < 2 or bits & (bits - 1) != 0)


@_part
def row_variants(integers, stage, scratch):
    """The phases of low bits with those of parities that high bits decide on, for either value of each of these."""
    if not few_variants(integers, stage):
        return
    meta = integers[META]
    low_bits, factors, place = integers[meta + 2], integers[meta + 6], integers[meta + 7]
    masks, layer = integers[PARITY_MASK], integers[LAYERS] + 5 * stage
    first, begin, end = integers[integers[PARITY_START] + stage], integers[layer + 2], integers[layer + 3]
    width = 1 << low_bits
    for variant in range(1 << (end - begin)):
        target = place + variant * 2 * width
        for i in range(0, 2 * width, 4):
            store(scratch, target + i, load(scratch, PHASES + i))
        for entry in range(begin, end):
            c, s = scratch[factors + 2 * (entry - first)], scratch[factors + 2 * (entry - first) + 1]
            s -= 2.0 * s * (variant >> (entry - begin) & 1)
            table_parity(scratch, target, low_bits, integers[masks + entry] & (width - 1), c, s)


@_part
def variant_rows(integers, stage, state, states, sign, scratch, first, last):
    """`layer_rows` where there are only a few kinds of rows."""
    meta = integers[META]
    num_qubits, low_bits, place = integers[meta], integers[meta + 2], integers[meta + 7]
    masks, layer = integers[PARITY_MASK], integers[LAYERS] + 5 * stage
    begin, end = integers[layer + 2], integers[layer + 3]
    width = 1 << low_bits
    for row in range(first, last):
        variant = 0
        for entry in range(begin, end):
            variant |= parity(integers[masks + entry] & (row << low_bits)) << (entry - begin)
        table = place + variant * 2 * width
        multiply_phases(state, states, num_qubits, low_bits, table, scratch, sign, row, row + 1)


@_part
def layer_rows(integers, reals, stage, state, states, sign, scratch, first, last):
    """Multiply rows [first, last) of one or two states by all phases of a stage, 2^(low bits) amplitudes each."""
    meta = integers[META]
    num_qubits, low_bits, table = integers[meta], integers[meta + 2], integers[meta + 5]
    layer = integers[LAYERS] + 5 * stage
    if integers[layer + 2] == integers[integers[PARITY_START] + stage + 1]:
        multiply_phases(state, states, num_qubits, low_bits, int64(PHASES), scratch, sign, first, last)
        return
    if few_variants(integers, stage):
        variant_rows(integers, stage, state, states, sign, scratch, first, last)
        return
    size, width = 1 << num_qubits, 1 << low_bits
    flipped = splat(sign)
    for row in range(first, last):
        row_phases(integers, reals, stage, row, scratch)
        for i in range(0, width, 4):
            hr, hi = load(scratch, table + i), load(scratch, table + width + i)
            lr, li = load(scratch, PHASES + i), load(scratch, PHASES + width + i)
            pr = sub(mul(hr, lr), mul(hi, li))
            pi = mul(flipped, add(mul(hr, li), mul(hi, lr)))
            multiply_four(state, row * width + i, size, pr, pi)
            if states == 2:
                multiply_four(state, 2 * size + row * width + i, size, pr, pi)


@_part
def permute(target, source, offset, num_qubits, low_bits, tables, low, high, first, last, real):
    """target[y] = source[L[y low] ^ H[y high]] for rows of one state; the tables L and H are linear in their index.

    Of a real state the imaginary parts are left alone.
    """
    size = 1 << num_qubits
    width = 1 << low_bits
    one, two = tables[low] ^ tables[low + 1], tables[low] ^ tables[low + 2]
    three = one ^ two
    for row in range(first, last):
        base = tables[high + row]
        out = offset + row * width
        for i in range(0, width, 4):
            a = base ^ tables[low + i]
            b, c, d = offset + (a ^ one), offset + (a ^ two), offset + (a ^ three)
            a += offset
            store(target, out + i, gather(source, a, b, c, d))
            if not real:
                store(target, out + size + i, gather(source, a + size, b + size, c + size, d + size))


@_inlined
def term_weights(first, last, passes, terms, weights, coefficients, reals, patterns, base):
    """Weights of sixteen indices, summed over the terms of a pass."""
    w0, w1, w2, w3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for term in range(first, last):
        mask = passes[terms + term]
        coefficient = weights[coefficients + term]
        signed = splat(coefficient - 2.0 * coefficient * parity(mask & base & ~15))
        row = patterns + 16 * (mask & 15)
        w0 = add(w0, mul(signed, load(reals, row)))
        w1 = add(w1, mul(signed, load(reals, row + 4)))
        w2 = add(w2, mul(signed, load(reals, row + 8)))
        w3 = add(w3, mul(signed, load(reals, row + 12)))
    return w0, w1, w2, w3


@_inlined
def pair_product(state, i, u, v, sign, j, size, lanes):
    """Real part of conj(ψ[j]) ψ[i], or the imaginary one, as u, v and sign say; j with its lanes flipped."""
    other_re = lanes_of(load(state, j), lanes)
    other_im = lanes_of(load(state, j + size), lanes)
    return add(mul(other_re, load(state, i + u)), mul(mul(sign, other_im), load(state, i + v)))


@_inlined
def top_bit(mask):
    """The highest bit set, at least 4: what pairs of blocks are told apart by."""
    bit = 4
    while mask >> (bit + 1):
        bit += 1
    return bit


@_part
def energy_table(state, size, start, stop, mask, imaginary, weights, table):
    """One pass over a span with tabulated weights."""
    table += start // 2 if mask >= 16 else start
    lanes, upper = mask & 3, mask & ~3
    u, v = (size, 0) if imaginary else (0, size)
    sign = splat(-1.0 if imaginary else 1.0)
    acc, more = splat(0.0), splat(0.0)
    half = 1 << top_bit(mask) if mask >= 16 else stop - start
    for outer in range(start, stop, 2 * half):
        for i in range(outer, outer + half, 8):
            product = pair_product(state, i, u, v, sign, i ^ upper, size, lanes)
            acc = add(acc, mul(load(weights, table), product))
            product = pair_product(state, i + 4, u, v, sign, (i + 4) ^ upper, size, lanes)
            more = add(more, mul(load(weights, table + 4), product))
            table += 8
    result = total(add(acc, more))
    return 2.0 * result if mask >= 16 else result


@_part
def energy_terms(
    state,
    size,
    start,
    stop,
    mask,
    imaginary,
    first,
    last,
    passes,
    terms,
    weights,
    coefficients,
    reals,
    patterns,
):
    """One pass with weights summed over terms on the fly."""
    lanes, upper = mask & 3, mask & ~3
    u, v = (size, 0) if imaginary else (0, size)
    sign = splat(-1.0 if imaginary else 1.0)
    acc, more = splat(0.0), splat(0.0)
    half = 1 << top_bit(mask) if mask >= 16 else stop - start
    for outer in range(start, stop, 2 * half):
        for i in range(outer, outer + half, 16):
            w0, w1, w2, w3 = term_weights(
                first, last, passes, terms, weights, coefficients, reals, patterns, i
            )
            acc = add(acc, mul(w0, pair_product(state, i, u, v, sign, i ^ upper, size, lanes)))
            more = add(more, mul(w1, pair_product(state, i + 4, u, v, sign, (i + 4) ^ upper, size, lanes)))
            acc = add(acc, mul(w2, pair_product(state, i + 8, u, v, sign, (i + 8) ^ upper, size, lanes)))
            more = add(more, mul(w3, pair_product(state, i + 12, u, v, sign, (i + 12) ^ upper, size, lanes)))
    result = total(add(acc, more))
    return 2.0 * result if mask >= 16 else result


@_part
def pass_sum(state, size, begin, end, number, passes, weights, reals, patterns, wide):
    """What one pass over a span adds to ⟨ψ|O|ψ⟩."""
    row = passes[PASSES] + 5 * number
    mask, imaginary, table = passes[row], passes[row + 1], passes[row + 2]
    result = 0.0
    if table >= 0:
        tables = passes[passes[0] + TABLES]
        result = energy_table(state, size, begin, end, mask, imaginary, weights, tables + table)
    elif wide is not None:
        first, last, coefficients = passes[row + 3], passes[row + 4], passes[passes[0] + COEFFICIENTS]
        result = energy_terms(
            state, size, begin, end, mask, imaginary, first, last, passes, passes[TERMS], weights, coefficients,
            reals, patterns,
        )  # fmt: skip
    return result


@_part
def energy(state, num_qubits, index, passes, weights, reals, patterns, wide):
    """⟨ψ|O|ψ⟩ of one observable; one pass per set of flipped bits."""
    size = 1 << num_qubits
    result = weights[passes[passes[0] + CONSTANTS] + index]
    from_pass, to_pass = passes[passes[STARTS] + index], passes[passes[STARTS] + index + 1]
    block = min(size, _PASS_SPAN)
    for start in range(0, size + block, block):  # the last turn is for passes that reach beyond a block
        whole = start == size
        begin, end = (0, size) if whole else (start, start + block)
        for number in range(from_pass, to_pass):
            if whole == (passes[passes[PASSES] + 5 * number] >= block):
                result += pass_sum(state, size, begin, end, number, passes, weights, reals, patterns, wide)
    return result


@_inlined
def apply_four(state, bra, size, i, j, lanes, to_re, to_im, sign, weight, both):
    """Add weight × ψ[j] to the bra at four indices i, and the mirror image at the partners j if `both`."""
    other_re = mul(weight, lanes_of(load(state, j), lanes))
    other_im = mul(weight, lanes_of(load(state, j + size), lanes))
    signed = mul(sign, other_im)
    store(state, bra + i + to_re, add(load(state, bra + i + to_re), other_re))
    store(state, bra + i + to_im, add(load(state, bra + i + to_im), signed))
    if both:
        re = lanes_of(mul(weight, load(state, i)), lanes)
        im = lanes_of(mul(weight, load(state, i + size)), lanes)
        store(state, bra + j + to_re, add(load(state, bra + j + to_re), mul(sign, re)))
        store(state, bra + j + to_im, add(load(state, bra + j + to_im), im))


@_part
def apply_table(state, bra, size, start, stop, mask, imaginary, weights, table):
    """Add one pass over a span with tabulated weights to the bra."""
    table += start // 2 if mask >= 16 else start
    lanes, upper = mask & 3, mask & ~3
    to_re, to_im = (size, 0) if imaginary else (0, size)
    sign = splat(-1.0 if imaginary else 1.0)
    both = mask >= 16
    half = 1 << top_bit(mask) if both else stop - start
    for outer in range(start, stop, 2 * half):
        for i in range(outer, outer + half, 4):
            weight = load(weights, table)
            apply_four(state, bra, size, i, i ^ upper, lanes, to_re, to_im, sign, weight, both)
            table += 4


@_part
def apply_terms(
    state,
    bra,
    size,
    start,
    stop,
    mask,
    imaginary,
    first,
    last,
    passes,
    terms,
    weights,
    coefficients,
    reals,
    patterns,
):
    """Add one pass with weights summed on the fly to the bra."""
    lanes, upper = mask & 3, mask & ~3
    to_re, to_im = (size, 0) if imaginary else (0, size)
    sign = splat(-1.0 if imaginary else 1.0)
    both = mask >= 16
    half = 1 << top_bit(mask) if both else stop - start
    for outer in range(start, stop, 2 * half):
        for i in range(outer, outer + half, 16):
            w0, w1, w2, w3 = term_weights(
                first, last, passes, terms, weights, coefficients, reals, patterns, i
            )
            j = i ^ upper
            apply_four(state, bra, size, i, j, lanes, to_re, to_im, sign, w0, both)
            apply_four(state, bra, size, i + 4, j ^ 4, lanes, to_re, to_im, sign, w1, both)
            apply_four(state, bra, size, i + 8, j ^ 8, lanes, to_re, to_im, sign, w2, both)
            apply_four(state, bra, size, i + 12, j ^ 12, lanes, to_re, to_im, sign, w3, both)


@_part
def apply_observable(state, num_qubits, index, passes, weights, reals, patterns, wide):
    """Write O|ψ⟩ (without the constant term) behind the state and return ⟨ψ|O|ψ⟩."""
    size = 1 << num_qubits
    bra = 2 * size
    terms, coefficients = passes[TERMS], passes[passes[0] + COEFFICIENTS]
    tables = passes[passes[0] + TABLES]
    for i in range(bra, 2 * bra, 4):
        store(state, i, splat(0.0))
    from_pass, to_pass = passes[passes[STARTS] + index], passes[passes[STARTS] + index + 1]
    block = min(size, _PASS_SPAN)
    for start in range(0, size + block, block):  # the last turn is for passes that reach beyond a block
        whole = start == size
        for number in range(from_pass, to_pass):
            row = passes[PASSES] + 5 * number
            mask, imaginary, table = passes[row], passes[row + 1], passes[row + 2]
            if whole == (mask < block):
                continue
            begin, end = (0, size) if whole else (start, start + block)
            if table >= 0:
                apply_table(state, bra, size, begin, end, mask, imaginary, weights, tables + table)
            elif wide is not None:
                first, last = passes[row + 3], passes[row + 4]
                apply_terms(
                    state,
                    bra,
                    size,
                    begin,
                    end,
                    mask,
                    imaginary,
                    first,
                    last,
                    passes,
                    terms,
                    weights,
                    coefficients,
                    reals,
                    patterns,
                )
    acc = splat(0.0)
    for i in range(0, bra, 4):
        acc = add(acc, mul(load(state, i), load(state, bra + i)))
    return total(acc) + weights[passes[passes[0] + CONSTANTS] + index]


@_part
def overlap_parts(state, num_qubits, target):
    """target[x] = imaginary part of conj(λ[x]) ψ[x]."""
    size = 1 << num_qubits
    for i in range(0, size, 4):
        re, im = load(state, i), load(state, i + size)
        bra_re, bra_im = load(state, i + 2 * size), load(state, i + 3 * size)
        store(target, i, sub(mul(bra_re, im), mul(bra_im, re)))


@_part
def parity_sum(parts, num_qubits, mask, reals, patterns):
    """Σ (-1)^parity(mask & x) parts[x]."""
    acc = splat(0.0)
    row = patterns + 16 * (mask & 15)
    for base in range(0, 1 << num_qubits, 16):
        signed = splat(1.0 - 2.0 * parity(mask & base & ~15))
        inner = mul(load(parts, base), load(reals, row))
        inner = add(inner, mul(load(parts, base + 4), load(reals, row + 4)))
        inner = add(inner, mul(load(parts, base + 8), load(reals, row + 8)))
        inner = add(inner, mul(load(parts, base + 12), load(reals, row + 12)))
        acc = add(acc, mul(signed, inner))
    return total(acc)


@_part
def table_sum(scratch, table, count, mask, reals, patterns):
    """Σ (-1)^parity(mask & x) of a table in the working memory, of 2^count entries, at least 16."""
    acc = splat(0.0)
    row = patterns + 16 * (mask & 15)
    for base in range(0, 1 << count, 16):
        signed = splat(1.0 - 2.0 * parity(mask & base & ~15))
        for i in range(0, 16, 4):
            acc = add(acc, mul(mul(signed, load(scratch, table + base + i)), load(reals, row + i)))
    return total(acc)


@_part
def layer_sums(integers, reals, stage, parts, scratch, slopes, row, index):
    """`parity_sum` of all parities of a stage: of two bits in one pass over the parts, which stay as they are."""
    meta = integers[META]
    num_qubits, low_bits, table = integers[meta], integers[meta + 2], integers[meta + 5]
    masks, slots = integers[PARITY_MASK], integers[PARITY_SLOT]
    signs, patterns = integers[integers[0] + PARITY_SIGN], integers[integers[0] + PATTERNS]
    layer = integers[LAYERS] + 5 * stage
    first, last = integers[integers[PARITY_START] + stage], integers[integers[PARITY_START] + stage + 1]
    width = 1 << low_bits
    high, both, many = integers[layer + 1], integers[layer + 2], integers[layer + 3]
    if low_bits < 4:
        high, many = first, first
        both = first
    for entry in range(first, last):
        slopes[row, index, integers[slots + entry]] = 0.0
    for i in range(table + width, table + 2 * width, 4):
        store(scratch, i, splat(0.0))
    for line in range(1 << (num_qubits - low_bits) if many > first else 0):
        base = line * width
        for i in range(0, width, 4):
            value = load(parts, base + i)
            store(scratch, table + i, value)
            store(scratch, table + width + i, add(load(scratch, table + width + i), value))
        for bit in range(low_bits - 1, 1, -1):
            half = 1 << bit
            acc = splat(0.0)
            for i in range(table, table + half, 4):
                x, y = load(scratch, i), load(scratch, i + half)
                acc = add(acc, sub(x, y))
                store(scratch, i, add(x, y))
            scratch[SUMS + bit] = total(acc)
        a, b, c, d = scratch[table], scratch[table + 1], scratch[table + 2], scratch[table + 3]
        scratch[SUMS] = (a - b) + (c - d)
        scratch[SUMS + 1] = (a + b) - (c + d)
        everything = (a + b) + (c + d)
        for entry in range(high, both):
            signed = everything - 2.0 * everything * parity(integers[masks + entry] & base)
            slopes[row, index, integers[slots + entry]] += signed
        for entry in range(both, many):
            mask = integers[masks + entry]
            bit = 0
            while not mask >> bit & 1:
                bit += 1
            found = scratch[SUMS + bit]
            slopes[row, index, integers[slots + entry]] += found - 2.0 * found * parity(mask & base)
    for entry in range(first, last):
        slot, mask = integers[slots + entry], integers[masks + entry]
        if entry < high:
            slopes[row, index, slot] = table_sum(scratch, table + width, low_bits, mask, reals, patterns)
        elif entry >= many:
            slopes[row, index, slot] = parity_sum(parts, num_qubits, mask, reals, patterns)
        slopes[row, index, slot] *= reals[signs + entry]


@_part
def bit_sums(parts, num_qubits, scratch):
    """Put Σ (-1)^(bit q of x) parts[x] of every bit at SUMS; `parts` is folded up on the way."""
    for bit in range(num_qubits - 1, 1, -1):
        half = 1 << bit
        acc = splat(0.0)
        for i in range(0, half, 4):
            low, high = load(parts, i), load(parts, i + half)
            acc = add(acc, sub(low, high))
            store(parts, i, add(low, high))
        scratch[SUMS + bit] = total(acc)
    a, b, c, d = parts[0], parts[1], parts[2], parts[3]
    scratch[SUMS] = (a - b) + (c - d)
    scratch[SUMS + 1] = (a + b) - (c + d)


@_part
def low_rotation_sums(state, start, stop, length, scratch):
    """Add to SUMS of bits 0 to 3 what `rotation_sums` says, for one span of the first state."""
    a0, a1, a2, a3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for i in range(start, stop, 16):
        j = i + length
        k0, k1, k2, k3 = load(state, i), load(state, i + 4), load(state, i + 8), load(state, i + 12)
        b0, b1, b2, b3 = load(state, j), load(state, j + 4), load(state, j + 8), load(state, j + 12)
        a0 = add(add(a0, mul(b0, flip(k0, 1))), mul(b1, flip(k1, 1)))
        a0 = add(add(a0, mul(b2, flip(k2, 1))), mul(b3, flip(k3, 1)))
        a1 = add(add(a1, mul(b0, flip(k0, 2))), mul(b1, flip(k1, 2)))
        a1 = add(add(a1, mul(b2, flip(k2, 2))), mul(b3, flip(k3, 2)))
        a2 = sub(add(a2, mul(b1, k0)), mul(b0, k1))
        a2 = sub(add(a2, mul(b3, k2)), mul(b2, k3))
        a3 = sub(add(a3, mul(b2, k0)), mul(b0, k2))
        a3 = sub(add(a3, mul(b3, k1)), mul(b1, k3))
    scratch[SUMS] += total(mul(a0, alternating(1.0, 1)))
    scratch[SUMS + 1] += total(mul(a1, alternating(1.0, 2)))
    scratch[SUMS + 2] += total(a2)
    scratch[SUMS + 3] += total(a3)


@_part
def pair_rotation_sums(state, start, stop, length, p, q, scratch):
    """The same for bits p < q, 4 or higher; p = q is one bit alone."""
    step_p, step_q = 1 << p, 1 << q
    ap, aq = splat(0.0), splat(0.0)
    outer = start
    while outer < stop:
        inner = outer
        outer += 2 * step_q
        end = inner + step_q
        while inner < end:
            for i in range(inner, inner + step_p, 4):
                j = i + length
                k0, k2 = load(state, i), load(state, i + step_q)
                b0, b2 = load(state, j), load(state, j + step_q)
                aq = sub(add(aq, mul(b2, k0)), mul(b0, k2))
                if p != q:
                    k1, k3 = load(state, i + step_p), load(state, i + step_p + step_q)
                    b1, b3 = load(state, j + step_p), load(state, j + step_p + step_q)
                    aq = sub(add(aq, mul(b3, k1)), mul(b1, k3))
                    ap = sub(add(ap, mul(b1, k0)), mul(b0, k1))
                    ap = sub(add(ap, mul(b3, k2)), mul(b2, k3))
            inner += step_p if p == q else 2 * step_p
    scratch[SUMS + q] += total(aq)
    if p != q:
        scratch[SUMS + p] += total(ap)


@_part
def span_rotation_sums(state, start, stop, length, first, last, flags, scratch):
    """The same for the flagged bits of [first, last), two at a time."""
    held = int64(-1)
    for bit in range(first, last):
        if flags[bit]:
            if held < 0:
                held = bit
            else:
                pair_rotation_sums(state, start, stop, length, held, bit, scratch)
                held = int64(-1)
    if held >= 0:
        pair_rotation_sums(state, start, stop, length, held, held, scratch)


@_part
def rotation_sums(state, num_qubits, flags, scratch):
    """Put Σ Re(conj(λ1) ψ0 - conj(λ0) ψ1) over pairs at SUMS: the derivatives by the y rotations' angles."""
    length = 2 << num_qubits
    for bit in range(num_qubits):
        scratch[SUMS + bit] = 0.0
    block = min(_SUM_BITS, num_qubits)
    span_rotation_sums(state, int64(0), length, length, block, num_qubits, flags, scratch)
    low = flags[0] + flags[1] + flags[2] + flags[3]
    start = int64(0)
    while start < length:
        stop = start + (1 << block)
        if low:
            low_rotation_sums(state, start, stop, length, scratch)
        span_rotation_sums(state, start, stop, length, int64(4), block, flags, scratch)
        start = stop


@_part
def turn_pair(state, start, stop, length, p, q, scratch):
    """`pair_rotation_sums` of a span, and both states' span rotated, in one pass over memory."""
    step_p, step_q = 1 << p, 1 << q
    c0, s0 = splat(scratch[p]), splat(scratch[SINE + p])
    c1, s1 = splat(scratch[q]), splat(scratch[SINE + q])
    ap, aq = splat(0.0), splat(0.0)
    outer = start
    while outer < stop:
        inner = outer
        outer += 2 * step_q
        end = inner + step_q
        while inner < end:
            for i in range(inner, inner + step_p, 4):
                j = i + length
                k0, k1 = load(state, i), load(state, i + step_p)
                k2, k3 = load(state, i + step_q), load(state, i + step_p + step_q)
                b0, b1 = load(state, j), load(state, j + step_p)
                b2, b3 = load(state, j + step_q), load(state, j + step_p + step_q)
                aq = sub(add(aq, mul(b2, k0)), mul(b0, k2))
                aq = sub(add(aq, mul(b3, k1)), mul(b1, k3))
                ap = sub(add(ap, mul(b1, k0)), mul(b0, k1))
                ap = sub(add(ap, mul(b3, k2)), mul(b2, k3))
                turn_four(state, i, step_p, step_q, k0, k1, k2, k3, c0, s0, c1, s1)
                turn_four(state, j, step_p, step_q, b0, b1, b2, b3, c0, s0, c1, s1)
            inner += 2 * step_p
    scratch[SUMS + p] += total(ap)
    scratch[SUMS + q] += total(aq)


@_part
def turn_span(state, start, stop, length, first, last, flags, scratch):
    """The same for the flagged bits of [first, last), two at a time."""
    held = int64(-1)
    for bit in range(first, last):
        if flags[bit]:
            if held < 0:
                held = bit
            else:
                turn_pair(state, start, stop, length, held, bit, scratch)
                held = int64(-1)
    if held >= 0:
        pair_rotation_sums(state, start, stop, length, held, held, scratch)
        rotate_one(state, start, stop, held, scratch[held], scratch[SINE + held])
        rotate_one(state, length + start, length + stop, held, scratch[held], scratch[SINE + held])


@_part
def turn_back(state, num_qubits, flags, scratch):
    """`rotation_sums` of the flagged bits, and both states rotated: no rotation of one bit changes another's sum."""
    length = 2 << num_qubits
    for bit in range(num_qubits):
        scratch[SUMS + bit] = 0.0
    block = min(_SUM_BITS, num_qubits)
    middle = min(_TURN_BITS, num_qubits)
    low = flags[0] + flags[1] + flags[2] + flags[3]
    turn_span(state, int64(0), length, length, middle, num_qubits, flags, scratch)
    start = int64(0)
    while start < length:
        inner = start
        start += 1 << middle
        turn_span(state, inner, start, length, block, middle, flags, scratch)
        while inner < start:
            stop = inner + (1 << block)
            if low:
                low_rotation_sums(state, inner, stop, length, scratch)
                rotate_low(state, inner, stop, scratch)
                rotate_low(state, length + inner, length + stop, scratch)
            turn_span(state, inner, stop, length, int64(4), block, flags, scratch)
            inner = stop


@_part
def bind(integers, reals, values, row, flags, scratch):
    """Put every angle of one parameter set behind the tables, of which none is up to date then."""
    flags[TABLES_OF] = 0
    index, scale, offset = integers[INDEX], integers[integers[0] + SCALE], integers[integers[0] + OFFSET]
    angles = integers[integers[META] + 4]
    for slot in range(integers[integers[META] + 3]):
        factor = reals[scale + slot]
        angle = reals[offset + slot]
        if factor != 0.0:
            angle += factor * values[row, integers[index + slot]]
        scratch[angles + slot] = angle


@_part
def stage_rotations(integers, stage, direction, flags, scratch):
    """Flag the bits one stage rotates and put the (cos, sin) of their half angles in place, 1 and 0 for the others."""
    angles = integers[integers[META] + 4]
    for bit in range(integers[integers[META]]):
        flags[bit] = 0
        scratch[bit] = 1.0
        scratch[SINE + bit] = 0.0
    start, qubits, slots = integers[ROTATION_START], integers[ROTATION_QUBIT], integers[ROTATION_SLOT]
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        qubit = integers[qubits + entry]
        half = 0.5 * scratch[angles + integers[slots + entry]]
        flags[qubit] = 1
        scratch[qubit] = math.cos(half)
        scratch[SINE + qubit] = direction * math.sin(half)


@_part
def bit_angles(integers, reals, stage, scratch):
    """Put the angle by which each bit of a stage turns its phase at BIT_ANGLES."""
    meta = integers[META]
    num_qubits, angles = integers[meta], integers[meta + 4]
    start, qubits, slots = integers[SINGLE_START], integers[SINGLE_QUBIT], integers[SINGLE_SLOT]
    signs = integers[integers[0] + SINGLE_SIGN]
    for bit in range(num_qubits):
        scratch[BIT_ANGLES + bit] = 0.0
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        angle = scratch[angles + integers[slots + entry]]
        scratch[BIT_ANGLES + integers[qubits + entry]] += reals[signs + entry] * angle


@_part
def stage_phases(integers, reals, stage, state, states, sign, factor, flags, scratch, wide):
    """Apply (or, with sign -1, undo) the phases of one stage on one or two states, and a factor if it is a layer."""
    meta = integers[META]
    num_qubits, low_bits, angles = integers[meta], integers[meta + 2], integers[meta + 4]
    start = integers[SINGLE_START]
    first, last = integers[start + stage], integers[start + stage + 1]
    layered = integers[integers[LAYERS] + 5 * stage]
    rows = 1 << (num_qubits - low_bits)
    if wide is not None and layered:
        layer_phases(integers, reals, stage, factor, flags, scratch)
        layer_rows(integers, reals, stage, state, states, sign, scratch, int64(0), rows)
        return
    if last > first:
        flags[TABLES_OF] = 0
        bit_angles(integers, reals, stage, scratch)
        phase_tables(scratch, num_qubits, low_bits)
        multiply_phases(state, states, num_qubits, low_bits, int64(PHASES), scratch, sign, int64(0), rows)
    start, masks, slots = integers[PARITY_START], integers[PARITY_MASK], integers[PARITY_SLOT]
    signs, patterns = integers[integers[0] + PARITY_SIGN], integers[integers[0] + PATTERNS]
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        half = 0.5 * reals[signs + entry] * scratch[angles + integers[slots + entry]]
        c, s = math.cos(half), sign * math.sin(half)
        for which in range(states):
            offset = which * (2 << num_qubits)
            multiply_parity(
                state,
                offset,
                num_qubits,
                integers[masks + entry],
                c,
                s,
                reals,
                patterns,
                int64(0),
                1 << num_qubits,
            )


@_part
def stage_permutation(integers, stage, target, source, states, low, high, real):
    """Permute one or two states by the tables of one stage at `low` and `high`; real ones are so in one half."""
    meta = integers[META]
    num_qubits, low_bits = integers[meta], integers[meta + 2]
    low += stage << low_bits
    high += stage << (num_qubits - low_bits)
    rows = 1 << (num_qubits - low_bits)
    for which in range(states):
        offset = which * (2 << num_qubits)
        permute(target, source, offset, num_qubits, low_bits, integers, low, high, int64(0), rows, real)


@_part
def stage_turns(integers, reals, stage, state, flags, scratch, wide):
    """Apply the rotations of one stage to one state, but for the factor that is returned: 1 unless it is a layer.

    0 says that the phases were applied as well.
    """
    num_qubits = integers[integers[META]]
    if wide is not None and integers[integers[LAYERS] + 5 * stage]:
        start = integers[PAIR_START] + stage
        if integers[start] != integers[start + 1]:
            factor = rotate_lean(state, 2 << num_qubits, num_qubits, flags, scratch)
            if factor != 0.0:
                return factor
        else:
            factor = lean_tangents(num_qubits, scratch)
            if factor != 0.0:
                layer_blocks(integers, reals, stage, state, factor, flags, scratch)
                return 0.0
    rotate(state, 2 << num_qubits, num_qubits, flags, scratch)
    return 1.0


@_part
def layer_blocks(integers, reals, stage, state, factor, flags, scratch):
    """Lean rotations and the phases of a layer, block by block: what the caches hold takes both."""
    meta = integers[META]
    num_qubits, low_bits = integers[meta], integers[meta + 2]
    middle = min(_LEAN_MIDDLE_BITS, num_qubits)
    size, block = 1 << num_qubits, 1 << middle
    layer_phases(integers, reals, stage, factor, flags, scratch)
    lean_bits(state, int64(0), 2 * size, middle, num_qubits, flags, scratch)
    for start in range(0, size, block):
        stop = start + block
        lean_blocks(state, start, stop, num_qubits, flags, scratch)
        lean_blocks(state, size + start, size + stop, num_qubits, flags, scratch)
        layer_rows(integers, reals, stage, state, int64(1), 1.0, scratch, start >> low_bits, stop >> low_bits)


@_part
def prepare(integers, reals, first, second, flags, scratch, wide, pairs):
    """Run the program on |0…0⟩; says whether the permutations left the state in `first` or in `second`.

    Until the first phase the amplitudes are real, and half of the work is left out.
    """
    meta = integers[META]
    num_qubits, real = integers[meta], integers[meta + 9]
    size = 1 << num_qubits
    in_first = True
    for stage in range(integers[meta + 1]):
        state, other = (first, second) if in_first else (second, first)
        stage_rotations(integers, stage, 1.0, flags, scratch)
        factor = 1.0
        if stage == 0:
            product_state(state, num_qubits, scratch)
        if stage == real:
            no_imaginary_parts(state, size)
        if 0 < stage < real:
            rotate(state, size, num_qubits, flags, scratch)
        elif stage:
            factor = stage_turns(integers, reals, stage, state, flags, scratch, wide)
        if pairs is not None:
            stage_pairs(integers, reals, stage, state, size if stage < real else 2 * size, 1.0, scratch)
        if stage >= real and factor != 0.0:
            stage_phases(integers, reals, stage, state, int64(1), 1.0, factor, flags, scratch, wide)
        if pairs is not None:
            stage_corners(integers, stage, state, int64(1), 1.0, scratch)
        if integers[integers[PERMUTES] + stage]:
            low, high = integers[BACKWARD_LOW], integers[BACKWARD_HIGH]
            stage_permutation(integers, stage, other, state, int64(1), low, high, stage < real)
            in_first = not in_first
        if pairs is not None:
            length = size if stage < real else 2 * size
            stage_exchanges(integers, stage, first if in_first else second, length, 1)
    if real == integers[meta + 1]:
        no_imaginary_parts(first if in_first else second, size)
    return in_first


@_jit
def energies(integers, reals, passes, weights, values, first, second, flags, scratch, wide, pairs, result):
    """Expectation values of every observable for every parameter set."""
    num_qubits, patterns = integers[integers[META]], integers[integers[0] + PATTERNS]
    for row in range(values.shape[0]):
        bind(integers, reals, values, row, flags, scratch)
        in_first = prepare(integers, reals, first, second, flags, scratch, wide, pairs)
        state = first if in_first else second
        for index in range(result.shape[1]):
            result[row, index] = energy(state, num_qubits, index, passes, weights, reals, patterns, wide)


@_part
def phase_slopes(integers, reals, stage, state, parts, scratch, slopes, row, index, wide):
    """Derivatives by the angles of one stage's phases: Im ⟨λ|(-1)^parity|ψ⟩."""
    num_qubits = integers[integers[META]]
    scale, patterns = integers[integers[0] + SCALE], integers[integers[0] + PATTERNS]
    start, qubits, slots = integers[SINGLE_START], integers[SINGLE_QUBIT], integers[SINGLE_SLOT]
    signs = integers[integers[0] + SINGLE_SIGN]
    parity_start, masks, parity_slots = integers[PARITY_START], integers[PARITY_MASK], integers[PARITY_SLOT]
    parity_signs = integers[integers[0] + PARITY_SIGN]
    needed = 0
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        needed |= 1 if reals[scale + integers[slots + entry]] != 0.0 else 0
    for entry in range(integers[parity_start + stage], integers[parity_start + stage + 1]):
        needed |= 2 if reals[scale + integers[parity_slots + entry]] != 0.0 else 0
    if needed:
        overlap_parts(state, num_qubits, parts)
    if wide is not None and needed & 2 and integers[integers[LAYERS] + 5 * stage]:
        layer_sums(integers, reals, stage, parts, scratch, slopes, row, index)
        needed &= 1
    if needed & 2:
        for entry in range(integers[parity_start + stage], integers[parity_start + stage + 1]):
            slot = integers[parity_slots + entry]
            if reals[scale + slot] != 0.0:
                found = parity_sum(parts, num_qubits, integers[masks + entry], reals, patterns)
                slopes[row, index, slot] = reals[parity_signs + entry] * found
    if needed & 1:
        bit_sums(parts, num_qubits, scratch)
        for entry in range(integers[start + stage], integers[start + stage + 1]):
            found = scratch[SUMS + integers[qubits + entry]]
            slopes[row, index, integers[slots + entry]] = reals[signs + entry] * found


@_part
def undo_rotations(integers, reals, stage, state, flags, scratch, slopes, row, index):
    """Derivatives by the angles of one stage's rotations, and both states before them (but not before the first)."""
    scale = integers[integers[0] + SCALE]
    start, qubits, slots = integers[ROTATION_START], integers[ROTATION_QUBIT], integers[ROTATION_SLOT]
    num_qubits = integers[integers[META]]
    needed = False
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        needed = needed or reals[scale + integers[slots + entry]] != 0.0
    stage_rotations(integers, stage, -1.0, flags, scratch)
    if not needed:
        if stage:
            rotate(state, 4 << num_qubits, num_qubits, flags, scratch)
    else:
        if stage:
            turn_back(state, num_qubits, flags, scratch)
        else:
            rotation_sums(state, num_qubits, flags, scratch)
        for entry in range(integers[start + stage], integers[start + stage + 1]):
            slopes[row, index, integers[slots + entry]] = scratch[SUMS + integers[qubits + entry]]


@_jit
def gradients(
    integers, reals, passes, weights, values, first, second, flags, scratch, parts, wide, pairs, result, slopes,
):  # fmt: skip
    """Expectation values, and their derivatives by every angle, by running the circuit backwards.

    `first` and `second` hold two states each: |ψ⟩ and O|ψ⟩.
    """
    meta = integers[META]
    num_qubits, patterns = integers[meta], integers[integers[0] + PATTERNS]
    for row in range(values.shape[0]):
        bind(integers, reals, values, row, flags, scratch)
        for index in range(result.shape[1]):
            in_first = prepare(integers, reals, first, second, flags, scratch, wide, pairs)
            state = first if in_first else second
            result[row, index] = apply_observable(
                state, num_qubits, index, passes, weights, reals, patterns, wide
            )
            for stage in range(integers[meta + 1] - 1, -1, -1):
                if pairs is not None:
                    state = first if in_first else second
                    stage_exchanges(integers, stage, state, 4 << num_qubits, -1)
                if integers[integers[PERMUTES] + stage]:
                    state, other = (first, second) if in_first else (second, first)
                    low, high = integers[FORWARD_LOW], integers[FORWARD_HIGH]
                    stage_permutation(integers, stage, other, state, int64(2), low, high, boolean(False))
                    in_first = not in_first
                state = first if in_first else second
                if pairs is not None:
                    corner_slopes(integers, reals, stage, state, parts, slopes, row, index)
                    stage_corners(integers, stage, state, int64(2), -1.0, scratch)
                phase_slopes(integers, reals, stage, state, parts, scratch, slopes, row, index, wide)
                stage_phases(integers, reals, stage, state, int64(2), -1.0, 1.0, flags, scratch, wide)
                if pairs is not None:
                    undo_pairs(integers, reals, stage, state, scratch, slopes, row, index)
                undo_rotations(integers, reals, stage, state, flags, scratch, slopes, row, index)


@_jit
def measured_in(state, rotated, num_qubits, low_bits, letters, flags, scratch, result):
    """|amplitude|² of all outcomes of one state, (bases, 2^n); `letters` as of `basis_probabilities`."""
    size = 1 << num_qubits
    half = math.sqrt(0.5)
    for basis in range(letters.shape[0]):
        any_y = False
        for qubit in range(num_qubits):
            letter = letters[basis, qubit]
            flags[qubit] = 1 if letter else 0
            scratch[qubit] = half if letter else 1.0
            scratch[SINE + qubit] = -half if letter else 0.0
            scratch[BIT_ANGLES + qubit] = -0.5 * math.pi if letter == 2 else 0.0
            any_y = any_y or letter == 2
        for i in range(0, 2 * size, 4):
            store(rotated, i, load(state, i))
        if any_y:
            phase_tables(scratch, num_qubits, low_bits)
            rows = 1 << (num_qubits - low_bits)
            multiply_phases(
                rotated, int64(1), num_qubits, low_bits, int64(PHASES), scratch, 1.0, int64(0), rows
            )
        rotate(rotated, 2 * size, num_qubits, flags, scratch)
        for i in range(size):
            result[basis, i] = rotated[i] * rotated[i] + rotated[i + size] * rotated[i + size]


@_jit
def basis_probabilities(integers, reals, values, letters, first, second, flags, scratch, wide, pairs, result):
    """|amplitude|² of all outcomes, (sets, bases, 2^n); `letters[b, q]` is 0 for z or nothing, 1 for x, 2 for y."""
    meta = integers[META]
    num_qubits, low_bits = integers[meta], integers[meta + 2]
    for row in range(values.shape[0]):
        bind(integers, reals, values, row, flags, scratch)
        in_first = prepare(integers, reals, first, second, flags, scratch, wide, pairs)
        state, rotated = (first, second) if in_first else (second, first)
        measured_in(state, rotated, num_qubits, low_bits, letters, flags, scratch, result[row])


@_jit
def carry_on(integers, reals, values, times, first, second, flags, scratch, wide, pairs):
    """Run the program, with the first parameter set, `times` times on the state in `first`, where it ends as well."""
    meta = integers[META]
    num_qubits = integers[meta]
    bind(integers, reals, values, 0, flags, scratch)
    in_first = True
    for _ in range(times):
        for stage in range(integers[meta + 1]):
            state, other = (first, second) if in_first else (second, first)
            stage_rotations(integers, stage, 1.0, flags, scratch)
            factor = stage_turns(integers, reals, stage, state, flags, scratch, wide)
            if pairs is not None:
                stage_pairs(integers, reals, stage, state, 2 << num_qubits, 1.0, scratch)
            if factor != 0.0:
                stage_phases(integers, reals, stage, state, int64(1), 1.0, factor, flags, scratch, wide)
            if pairs is not None:
                stage_corners(integers, stage, state, int64(1), 1.0, scratch)
            if integers[integers[PERMUTES] + stage]:
                low, high = integers[BACKWARD_LOW], integers[BACKWARD_HIGH]
                stage_permutation(integers, stage, other, state, int64(1), low, high, boolean(False))
                in_first = not in_first
            if pairs is not None:
                stage_exchanges(integers, stage, first if in_first else second, 2 << num_qubits, 1)
    if not in_first:
        for i in range(0, 2 << num_qubits, 4):
            store(first, i, load(second, i))


@_jit
def state_energies(integers, reals, passes, weights, state, wide, result):
    """Expectation values of every observable in one state, (observables,)."""
    num_qubits, patterns = integers[integers[META]], integers[integers[0] + PATTERNS]
    for index in range(result.shape[0]):
        result[index] = energy(state, num_qubits, index, passes, weights, reals, patterns, wide)


# One wide state by several threads, each of which goes over a span of it (`wide.py`):


@_jit
def wide_bind(integers, reals, values, row, flags, scratch):
    """`bind`."""
    bind(integers, reals, values, row, flags, scratch)


@_jit
def wide_tables(integers, reals, stage, flags, scratch):
    """The rotations of a stage and the tables of its phases; whether the rotations are lean."""
    num_qubits = integers[integers[META]]
    start = integers[SINGLE_START] + stage
    stage_rotations(integers, stage, 1.0, flags, scratch)
    if not integers[integers[LAYERS] + 5 * stage]:
        if integers[start + 1] > integers[start]:
            flags[TABLES_OF] = 0
            bit_angles(integers, reals, stage, scratch)
            phase_tables(scratch, num_qubits, integers[integers[META] + 2])
        return False
    factor = lean_tangents(num_qubits, scratch) if stage else 0.0
    layer_phases(integers, reals, stage, factor if factor != 0.0 else 1.0, flags, scratch)
    return factor != 0.0


@_jit
def wide_product(state, bit, begin, end, scratch):
    """`product_span`."""
    product_span(state, bit, begin, end, scratch)


@_jit
def wide_turns_across(state, begin, end, num_qubits, lean, flags, scratch):
    """Rotate the bits that reach beyond blocks, of a span that holds all of them."""
    if lean:
        lean_bits(state, begin, end, int64(_LEAN_MIDDLE_BITS), num_qubits, flags, scratch)
    else:
        rotate_bits(state, begin, end, int64(_MIDDLE_BITS), num_qubits, flags, scratch)


@_jit
def wide_turns_inside(state, begin, end, num_qubits, lean, flags, scratch):
    """Rotate the bits within blocks, of a span of whole blocks."""
    if lean:
        lean_blocks(state, begin, end, num_qubits, flags, scratch)
    else:
        step, small = int64(1 << _MIDDLE_BITS), int64(1 << _BLOCK_BITS)
        block, middle = int64(_BLOCK_BITS), int64(_MIDDLE_BITS)
        rotate_blocks(state, begin, end, step, small, block, middle, flags, scratch)


@_jit
def wide_pair_angles(integers, stage, scratch):
    """`pair_angles`."""
    pair_angles(integers, stage, 1.0, scratch)


@_jit
def wide_pairs_across(integers, reals, stage, state, begin, end, scratch):
    """Rotate the pairs that reach beyond blocks, of a span that holds all of them."""
    num_qubits = integers[integers[META]]
    pair_span(integers, reals, stage, state, begin, end, int64(_MIDDLE_BITS), num_qubits, scratch)


@_jit
def wide_pairs_inside(integers, reals, stage, state, begin, end, scratch):
    """`pair_blocks`."""
    pair_blocks(integers, reals, stage, state, begin, end, scratch)


@_jit
def wide_phases(integers, reals, stage, state, first, last, scratch):
    """Apply the phases of a stage to rows [first, last)."""
    meta = integers[META]
    num_qubits, low_bits, angles = integers[meta], integers[meta + 2], integers[meta + 4]
    if integers[integers[LAYERS] + 5 * stage]:
        layer_rows(integers, reals, stage, state, int64(1), 1.0, scratch, first, last)
        return
    start = integers[SINGLE_START] + stage
    if integers[start + 1] > integers[start]:
        multiply_phases(state, int64(1), num_qubits, low_bits, int64(PHASES), scratch, 1.0, first, last)
    start, masks, slots = integers[PARITY_START], integers[PARITY_MASK], integers[PARITY_SLOT]
    signs, patterns = integers[integers[0] + PARITY_SIGN], integers[integers[0] + PATTERNS]
    for entry in range(integers[start + stage], integers[start + stage + 1]):
        half = 0.5 * reals[signs + entry] * scratch[angles + integers[slots + entry]]
        multiply_parity(
            state, int64(0), num_qubits, integers[masks + entry], math.cos(half), math.sin(half), reals, patterns,
            first << low_bits, last << low_bits,
        )  # fmt: skip


@_jit
def wide_permutation(integers, stage, target, source, first, last):
    """Permute the rows [first, last) of the target."""
    meta = integers[META]
    num_qubits, low_bits = integers[meta], integers[meta + 2]
    low = integers[BACKWARD_LOW] + (stage << low_bits)
    high = integers[BACKWARD_HIGH] + (stage << (num_qubits - low_bits))
    permute(target, source, int64(0), num_qubits, low_bits, integers, low, high, first, last, boolean(False))


@_jit
def wide_corners(integers, stage, state, scratch):
    """`stage_corners`."""
    stage_corners(integers, stage, state, int64(1), 1.0, scratch)


@_jit
def wide_exchanges(integers, stage, state, size):
    """The exchanges of a stage among the real parts or among the imaginary ones."""
    stage_exchanges(integers, stage, state, size, 1)


@_jit
def wide_sums(integers, reals, passes, weights, state, numbers, begin, end, sums):
    """What passes within blocks add to an expectation value, (blocks, passes), for the blocks of a span."""
    size, patterns = 1 << integers[integers[META]], integers[integers[0] + PATTERNS]
    for start in range(begin, end, _PASS_SPAN):
        stop = start + _PASS_SPAN
        for place in range(numbers.shape[0]):
            sums[start // _PASS_SPAN, place] = pass_sum(
                state, size, start, stop, numbers[place], passes, weights, reals, patterns, True
            )


@_jit
def wide_sum(integers, reals, passes, weights, state, number):
    """What a pass beyond blocks adds to an expectation value."""
    size, patterns = 1 << integers[integers[META]], integers[integers[0] + PATTERNS]
    return pass_sum(state, size, int64(0), size, number, passes, weights, reals, patterns, True)


@_jit
def draw(cumulated, points, guide, outcomes):
    """For each point the first index whose cumulated weight exceeds it, like `searchsorted(…, side="right")`."""
    count = cumulated.shape[0]
    weight = cumulated[count - 1]
    index = 0
    for cell in range(count):
        edge = cell * (weight / count)
        while index < count - 1 and cumulated[index] <= edge:
            index += 1
        guide[cell] = index
    for shot in range(points.shape[0]):
        point = points[shot]
        index = guide[min(int(point / weight * count), count - 1)]
        while index > 0 and cumulated[index - 1] > point:
            index -= 1
        while index < count - 1 and cumulated[index] <= point:
            index += 1
        outcomes[shot] = index


@_inlined
def philox(seed, index, counter, place):
    """Four numbers of 64 bits, those of NumPy's `Philox(key=[seed, index], counter=[counter - 1, place, 0, 0])`."""
    a, b, c, d = uint64(counter), uint64(place), uint64(0), uint64(0)
    key, other_key = uint64(seed), uint64(index)
    for _ in range(10):
        high, other_high = high_product(_PHILOX[0], a), high_product(_PHILOX[1], c)
        a, b, c, d = other_high ^ b ^ key, _PHILOX[1] * c, high ^ d ^ other_key, _PHILOX[0] * a
        key += _WEYL[0]
        other_key += _WEYL[1]
    return a, b, c, d


@_jit
def draw_bits(table, bits, seed, first, place):
    """What `draw` gives of two outcomes with weights (B, 2), written to (B, shots) zeros, each row from its stream."""
    shots = bits.shape[1]
    for row in range(table.shape[0]):
        edge, weight = table[row, 0], table[row, 0] + table[row, 1]
        if table[row, 1] == 0.0:
            continue
        for start in range(0, shots, 4):
            numbers = philox(seed, first + row, start // 4 + 1, place)
            for offset in range(min(4, shots - start)):
                point = (numbers[offset] >> uint64(11)) * _TO_UNIT
                bits[row, start + offset] = point * weight >= edge
