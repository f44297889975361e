"""The compiled loops of the kernel: states as `[real | imaginary]`, 2·2^n doubles, and nothing but loops over them.

All functions release the GIL and are cached on disk. A "span" is an index range of the flat array; rotations do not
care that its upper half is the imaginary part, nor that a second state may follow: they are real.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from runner.engine.kernel.vector import (
    add,
    alternating,
    flip,
    gather,
    load,
    mul,
    parity,
    splat,
    store,
    sub,
    total,
)

_jit = njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")
_inlined = njit(nogil=True, boundscheck=False, error_model="numpy", forceinline=True)
_BLOCK_BITS = 11
"""Rotations of lower bits are done in blocks of 2^11 doubles (16 KiB), inside the first-level cache."""
_MIDDLE_BITS = 15
"""… and those of the next bits in blocks of 2^15 doubles (256 KiB), inside the second-level cache."""


@_jit
def rotate_low(state, start, stop, c, s):
    """Rotate bits 0 to 3 of the span by the (cos, sin) of each."""
    c0, c1, c2, c3 = splat(c[0]), splat(c[1]), splat(c[2]), splat(c[3])
    s0, s1 = alternating(s[0], 1), alternating(s[1], 2)
    s2, s3 = splat(s[2]), splat(s[3])
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


@_jit
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


@_jit
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
                y0 = sub(mul(c0, x0), mul(s0, x1))
                y1 = add(mul(s0, x0), mul(c0, x1))
                y2 = sub(mul(c0, x2), mul(s0, x3))
                y3 = add(mul(s0, x2), mul(c0, x3))
                store(state, i, sub(mul(c1, y0), mul(s1, y2)))
                store(state, i + step_p, sub(mul(c1, y1), mul(s1, y3)))
                store(state, i + step_q, add(mul(s1, y0), mul(c1, y2)))
                store(state, i + step_q + step_p, add(mul(s1, y1), mul(c1, y3)))


@_jit
def rotate_bits(state, start, stop, first, last, active, c, s):
    """Rotate the active bits of [first, last) of the span, two at a time; `first` is 4 or higher."""
    held = -1
    for bit in range(first, last):
        if not active[bit]:
            continue
        if held < 0:
            held = bit
        else:
            rotate_two(state, start, stop, held, bit, c[held], s[held], c[bit], s[bit])
            held = -1
    if held >= 0:
        rotate_one(state, start, stop, held, c[held], s[held])


@_jit
def rotate(state, length, num_qubits, active, c, s):
    """Rotate the active bits by their (cos, sin): the bits outside a block first, then block by block."""
    block = min(_BLOCK_BITS, num_qubits)
    middle = min(_MIDDLE_BITS, num_qubits)
    rotate_bits(state, 0, length, middle, num_qubits, active, c, s)
    low = active[0] or active[1] or active[2] or active[3]
    step = length if num_qubits <= _MIDDLE_BITS and length <= (2 << _MIDDLE_BITS) else 1 << middle
    for start in range(0, length, step):
        rotate_bits(state, start, start + step, block, middle, active, c, s)
        small = step if num_qubits <= _BLOCK_BITS and step <= (2 << _BLOCK_BITS) else 1 << block
        for inner in range(start, start + step, small):
            if low:
                rotate_low(state, inner, inner + small, c, s)
            rotate_bits(state, inner, inner + small, 4, block, active, c, s)


@_jit
def product_state(state, num_qubits, c, s):
    """The state whose qubit q is (c[q], s[q])."""
    size = 1 << num_qubits
    state[0] = 1.0
    for bit in range(num_qubits):
        half = 1 << bit
        cosine, sine = c[bit], s[bit]
        for i in range(half):
            value = state[i]
            state[i] = cosine * value
            state[i + half] = sine * value
    state[size : 2 * size] = 0.0


@_jit
def phase_table(angles, first, count, table):
    """exp(i Σ angles of the bits that are set) for `count` bits, real parts first."""
    size = 1 << count
    table[0] = 1.0
    table[size] = 0.0
    for bit in range(count):
        half = 1 << bit
        angle = angles[first + bit]
        c, s = math.cos(angle), math.sin(angle)
        for i in range(half):
            re, im = table[i], table[size + i]
            table[i + half] = c * re - s * im
            table[size + i + half] = s * re + c * im


@_jit
def multiply_phases(state, offset, num_qubits, low_bits, low, high, sign):
    """Multiply one state by the phases of its bits (or, with sign -1, by their conjugates)."""
    size = 1 << num_qubits
    width = 1 << low_bits
    rows = 1 << (num_qubits - low_bits)
    for row in range(rows):
        hr, hi = splat(high[row]), splat(sign * high[rows + row])
        flipped = splat(sign)
        for i in range(0, width, 4):
            lr, li = load(low, i), mul(flipped, load(low, width + i))
            pr = sub(mul(hr, lr), mul(hi, li))
            pi = add(mul(hr, li), mul(hi, lr))
            where = offset + row * width + i
            re, im = load(state, where), load(state, where + size)
            store(state, where, sub(mul(re, pr), mul(im, pi)))
            store(state, where + size, add(mul(re, pi), mul(im, pr)))


@_jit
def multiply_parity(state, offset, num_qubits, mask, cosine, sine, patterns):
    """Multiply one state by exp(-iθ/2 (-1)^parity), cos and sin of θ/2 given."""
    size = 1 << num_qubits
    c = splat(cosine)
    row = 16 * (mask & 15)
    for base in range(0, size, 16):
        signed = splat(sine - 2.0 * sine * parity(mask & base & ~15))
        for i in range(0, 16, 4):
            s = mul(signed, load(patterns, row + i))
            where = offset + base + i
            re, im = load(state, where), load(state, where + size)
            store(state, where, add(mul(c, re), mul(s, im)))
            store(state, where + size, sub(mul(c, im), mul(s, re)))


@_jit
def permute(target, source, offset, num_qubits, low_bits, low, high):
    """target[y] = source[low[y low] ^ high[y high]] for one state; both tables are linear in their index."""
    size = 1 << num_qubits
    width = 1 << low_bits
    rows = 1 << (num_qubits - low_bits)
    one, two = low[0] ^ low[1], low[0] ^ low[2]
    three = one ^ two
    for row in range(rows):
        base = high[row]
        out = offset + row * width
        for i in range(0, width, 4):
            a = base ^ low[i]
            b, c, d = offset + (a ^ one), offset + (a ^ two), offset + (a ^ three)
            a += offset
            store(target, out + i, gather(source, a, b, c, d))
            store(target, out + size + i, gather(source, a + size, b + size, c + size, d + size))


@_inlined
def lanes_of(value, mask):
    """Lane k takes lane k XOR mask."""
    if mask & 1:
        value = flip(value, 1)
    if mask & 2:
        value = flip(value, 2)
    return value


@_inlined
def term_weights(first, last, terms, coefficients, patterns, base):
    """Weights of sixteen indices, summed over the terms of a pass."""
    w0, w1, w2, w3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for term in range(first, last):
        mask = terms[term]
        coefficient = coefficients[term]
        signed = splat(coefficient - 2.0 * coefficient * parity(mask & base & ~15))
        row = 16 * (mask & 15)
        w0 = add(w0, mul(signed, load(patterns, row)))
        w1 = add(w1, mul(signed, load(patterns, row + 4)))
        w2 = add(w2, mul(signed, load(patterns, row + 8)))
        w3 = add(w3, mul(signed, load(patterns, row + 12)))
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


@_jit
def energy_table(state, size, mask, imaginary, weights, table):
    """One pass with tabulated weights."""
    lanes, upper = mask & 3, mask & ~3
    u, v = (size, 0) if imaginary else (0, size)
    sign = splat(-1.0 if imaginary else 1.0)
    acc, more = splat(0.0), splat(0.0)
    half = 1 << top_bit(mask) if mask >= 16 else size
    for outer in range(0, size, 2 * half):
        for i in range(outer, outer + half, 8):
            product = pair_product(state, i, u, v, sign, i ^ upper, size, lanes)
            acc = add(acc, mul(load(weights, table), product))
            product = pair_product(state, i + 4, u, v, sign, (i + 4) ^ upper, size, lanes)
            more = add(more, mul(load(weights, table + 4), product))
            table += 8
    result = total(add(acc, more))
    return 2.0 * result if mask >= 16 else result


@_jit
def energy_terms(state, size, mask, imaginary, first, last, terms, coefficients, patterns):
    """One pass with weights summed over terms on the fly."""
    lanes, upper = mask & 3, mask & ~3
    u, v = (size, 0) if imaginary else (0, size)
    sign = splat(-1.0 if imaginary else 1.0)
    acc, more = splat(0.0), splat(0.0)
    half = 1 << top_bit(mask) if mask >= 16 else size
    for outer in range(0, size, 2 * half):
        for i in range(outer, outer + half, 16):
            w0, w1, w2, w3 = term_weights(first, last, terms, coefficients, patterns, i)
            acc = add(acc, mul(w0, pair_product(state, i, u, v, sign, i ^ upper, size, lanes)))
            more = add(more, mul(w1, pair_product(state, i + 4, u, v, sign, (i + 4) ^ upper, size, lanes)))
            acc = add(acc, mul(w2, pair_product(state, i + 8, u, v, sign, (i + 8) ^ upper, size, lanes)))
            more = add(more, mul(w3, pair_product(state, i + 12, u, v, sign, (i + 12) ^ upper, size, lanes)))
    result = total(add(acc, more))
    return 2.0 * result if mask >= 16 else result


@_jit
def energy(state, num_qubits, first_pass, last_pass, passes, weights, terms, coefficients, patterns):
    """⟨ψ|O|ψ⟩ without the constant term; one pass per set of flipped bits."""
    size = 1 << num_qubits
    result = 0.0
    for index in range(first_pass, last_pass):
        row = 5 * index
        mask, imaginary, table = passes[row], passes[row + 1], passes[row + 2]
        if table >= 0:
            result += energy_table(state, size, mask, imaginary, weights, table)
        else:
            first, last = passes[row + 3], passes[row + 4]
            result += energy_terms(state, size, mask, imaginary, first, last, terms, coefficients, patterns)
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


@_jit
def apply_table(state, bra, size, mask, imaginary, weights, table):
    """Add one pass with tabulated weights to the bra."""
    lanes, upper = mask & 3, mask & ~3
    to_re, to_im = (size, 0) if imaginary else (0, size)
    sign = splat(-1.0 if imaginary else 1.0)
    both = mask >= 16
    half = 1 << top_bit(mask) if both else size
    for outer in range(0, size, 2 * half):
        for i in range(outer, outer + half, 4):
            weight = load(weights, table)
            apply_four(state, bra, size, i, i ^ upper, lanes, to_re, to_im, sign, weight, both)
            table += 4


@_jit
def apply_terms(state, bra, size, mask, imaginary, first, last, terms, coefficients, patterns):
    """Add one pass with weights summed on the fly to the bra."""
    lanes, upper = mask & 3, mask & ~3
    to_re, to_im = (size, 0) if imaginary else (0, size)
    sign = splat(-1.0 if imaginary else 1.0)
    both = mask >= 16
    half = 1 << top_bit(mask) if both else size
    for outer in range(0, size, 2 * half):
        for i in range(outer, outer + half, 16):
            w0, w1, w2, w3 = term_weights(first, last, terms, coefficients, patterns, i)
            j = i ^ upper
            apply_four(state, bra, size, i, j, lanes, to_re, to_im, sign, w0, both)
            apply_four(state, bra, size, i + 4, j ^ 4, lanes, to_re, to_im, sign, w1, both)
            apply_four(state, bra, size, i + 8, j ^ 8, lanes, to_re, to_im, sign, w2, both)
            apply_four(state, bra, size, i + 12, j ^ 12, lanes, to_re, to_im, sign, w3, both)


@_jit
def apply_observable(
    state, num_qubits, first_pass, last_pass, passes, weights, terms, coefficients, patterns
):
    """Write O|ψ⟩ (without the constant term) behind the state and return ⟨ψ|O|ψ⟩."""
    size = 1 << num_qubits
    bra = 2 * size
    for i in range(bra, 2 * bra, 4):
        store(state, i, splat(0.0))
    for index in range(first_pass, last_pass):
        row = 5 * index
        mask, imaginary, table = passes[row], passes[row + 1], passes[row + 2]
        if table >= 0:
            apply_table(state, bra, size, mask, imaginary, weights, table)
        else:
            first, last = passes[row + 3], passes[row + 4]
            apply_terms(state, bra, size, mask, imaginary, first, last, terms, coefficients, patterns)
    acc = splat(0.0)
    for i in range(0, bra, 4):
        acc = add(acc, mul(load(state, i), load(state, bra + i)))
    return total(acc)


@_jit
def overlap_parts(state, num_qubits, target):
    """target[x] = imaginary part of conj(λ[x]) ψ[x]."""
    size = 1 << num_qubits
    for i in range(0, size, 4):
        re, im = load(state, i), load(state, i + size)
        bra_re, bra_im = load(state, i + 2 * size), load(state, i + 3 * size)
        store(target, i, sub(mul(bra_re, im), mul(bra_im, re)))


@_jit
def parity_sum(parts, num_qubits, mask, patterns):
    """Σ (-1)^parity(mask & x) parts[x]."""
    acc = splat(0.0)
    row = 16 * (mask & 15)
    for base in range(0, 1 << num_qubits, 16):
        signed = splat(1.0 - 2.0 * parity(mask & base & ~15))
        inner = mul(load(parts, base), load(patterns, row))
        inner = add(inner, mul(load(parts, base + 4), load(patterns, row + 4)))
        inner = add(inner, mul(load(parts, base + 8), load(patterns, row + 8)))
        inner = add(inner, mul(load(parts, base + 12), load(patterns, row + 12)))
        acc = add(acc, mul(signed, inner))
    return total(acc)


@_jit
def bit_sums(parts, num_qubits, sums):
    """sums[q] = Σ (-1)^(bit q of x) parts[x] for all bits at once; `parts` is folded up on the way."""
    for bit in range(num_qubits - 1, 1, -1):
        half = 1 << bit
        acc = splat(0.0)
        for i in range(0, half, 4):
            low, high = load(parts, i), load(parts, i + half)
            acc = add(acc, sub(low, high))
            store(parts, i, add(low, high))
        sums[bit] = total(acc)
    a, b, c, d = parts[0], parts[1], parts[2], parts[3]
    sums[0] = (a - b) + (c - d)
    sums[1] = (a + b) - (c + d)


@_jit
def rotation_sum(state, num_qubits, bit):
    """Σ over pairs of Re(conj(λ1) ψ0 - conj(λ0) ψ1): the derivative by the angle of a y rotation of this bit."""
    length = 2 << num_qubits
    acc = splat(0.0)
    if bit == 0:
        for i in range(0, length, 4):
            acc = add(acc, mul(load(state, length + i), flip(load(state, i), 1)))
        return total(mul(acc, alternating(1.0, 1)))
    if bit == 1:
        for i in range(0, length, 4):
            acc = add(acc, mul(load(state, length + i), flip(load(state, i), 2)))
        return total(mul(acc, alternating(1.0, 2)))
    half = 1 << bit
    for base in range(0, length, 2 * half):
        for i in range(base, base + half, 4):
            acc = add(acc, mul(load(state, length + i + half), load(state, i)))
            acc = sub(acc, mul(load(state, length + i), load(state, i + half)))
    return total(acc)


@_inlined
def part(integers, which):
    """Segment `which` of the packed integers; the first entries are where each starts."""
    return integers[integers[which] : integers[which + 1]]


@_inlined
def real_part(integers, reals, which):
    """Segment `which` of the packed reals; where each starts is segment 0 of the integers."""
    starts = part(integers, 0)
    return reals[starts[which] : starts[which + 1]]


@_jit
def bind(integers, reals, values, angles):
    """Every angle from one parameter set."""
    index, scale, offset = part(integers, 2), real_part(integers, reals, 0), real_part(integers, reals, 1)
    for slot in range(len(index)):
        angles[slot] = (
            scale[slot] * values[index[slot]] + offset[slot] if scale[slot] != 0.0 else offset[slot]
        )


@_jit
def stage_rotations(integers, stage, angles, direction, active, c, s):
    """(cos, sin) of the half angles of one stage, 1 and 0 for the other bits."""
    start, qubits, slots = part(integers, 3), part(integers, 4), part(integers, 5)
    active[:] = False
    c[:] = 1.0
    s[:] = 0.0
    for entry in range(start[stage], start[stage + 1]):
        qubit = qubits[entry]
        half = 0.5 * angles[slots[entry]]
        active[qubit] = True
        c[qubit] = math.cos(half)
        s[qubit] = direction * math.sin(half)


@_jit
def stage_phases(integers, reals, stage, angles, state, states, low, high, sign, bit_angles):
    """Apply (or, with sign -1, undo) the phases of one stage on one or two states."""
    meta = part(integers, 1)
    num_qubits, low_bits = meta[0], meta[2]
    start, qubits, slots = part(integers, 6), part(integers, 7), part(integers, 8)
    signs = real_part(integers, reals, 2)
    patterns = real_part(integers, reals, 4)
    if start[stage + 1] > start[stage]:
        bit_angles[:] = 0.0
        for entry in range(start[stage], start[stage + 1]):
            bit_angles[qubits[entry]] += signs[entry] * angles[slots[entry]]
        phase_table(bit_angles, 0, low_bits, low)
        phase_table(bit_angles, low_bits, num_qubits - low_bits, high)
        for which in range(states):
            multiply_phases(state, which * (2 << num_qubits), num_qubits, low_bits, low, high, sign)
    start, masks, slots = part(integers, 9), part(integers, 10), part(integers, 11)
    signs = real_part(integers, reals, 3)
    for entry in range(start[stage], start[stage + 1]):
        half = 0.5 * signs[entry] * angles[slots[entry]]
        c, s = math.cos(half), sign * math.sin(half)
        for which in range(states):
            multiply_parity(state, which * (2 << num_qubits), num_qubits, masks[entry], c, s, patterns)


@_jit
def prepare(integers, reals, angles, first, second, scratch):
    """Run the program on |0…0⟩; the state ends up in `first` (True) or `second`, whichever the permutations left."""
    meta = part(integers, 1)
    num_qubits, stages, low_bits = meta[0], meta[1], meta[2]
    low_size, high_size = 1 << low_bits, 1 << (num_qubits - low_bits)
    c, s = scratch[0:num_qubits], scratch[64 : 64 + num_qubits]
    bit_angles = scratch[128 : 128 + num_qubits]
    low = scratch[256 : 256 + 2 * low_size]
    high = scratch[256 + 2 * low_size : 256 + 2 * low_size + 2 * high_size]
    active = np.zeros(num_qubits, dtype=np.bool_)
    permutes, to_high, to_low = part(integers, 12), part(integers, 15), part(integers, 16)
    in_first = True
    for stage in range(stages):
        state = first if in_first else second
        other = second if in_first else first
        stage_rotations(integers, stage, angles, 1.0, active, c, s)
        if stage == 0:
            product_state(state, num_qubits, c, s)
        else:
            rotate(state, 2 << num_qubits, num_qubits, active, c, s)
        stage_phases(integers, reals, stage, angles, state, 1, low, high, 1.0, bit_angles)
        if permutes[stage]:
            permute(
                other,
                state,
                0,
                num_qubits,
                low_bits,
                to_low[stage * low_size : (stage + 1) * low_size],
                to_high[stage * high_size : (stage + 1) * high_size],
            )
            in_first = not in_first
    return in_first


@_jit
def energies(integers, reals, passes, weights, values, first, second, scratch, result):
    """Expectation values of every observable for every parameter set."""
    num_qubits = part(integers, 1)[0]
    angles = np.empty(len(part(integers, 2)))
    starts, table, terms = part(passes, 1), part(passes, 2), part(passes, 3)
    constants, tables = real_part(passes, weights, 0), real_part(passes, weights, 1)
    coefficients = real_part(passes, weights, 2)
    patterns = real_part(integers, reals, 4)
    for row in range(len(values)):
        bind(integers, reals, values[row], angles)
        state = first if prepare(integers, reals, angles, first, second, scratch) else second
        for index in range(len(starts) - 1):
            result[row, index] = constants[index] + energy(
                state,
                num_qubits,
                starts[index],
                starts[index + 1],
                table,
                tables,
                terms,
                coefficients,
                patterns,
            )


@_jit
def gradients(integers, reals, passes, weights, values, first, second, scratch, parts, result, slopes):
    """Expectation values, and their derivatives by every angle, by running the circuit backwards.

    `first` and `second` hold two states each: |ψ⟩ and O|ψ⟩.
    """
    meta = part(integers, 1)
    num_qubits, stages, low_bits = meta[0], meta[1], meta[2]
    low_size, high_size = 1 << low_bits, 1 << (num_qubits - low_bits)
    size = 1 << num_qubits
    c, s = scratch[0:num_qubits], scratch[64 : 64 + num_qubits]
    bit_angles = scratch[128 : 128 + num_qubits]
    low = scratch[256 : 256 + 2 * low_size]
    high = scratch[256 + 2 * low_size : 256 + 2 * low_size + 2 * high_size]
    active = np.zeros(num_qubits, dtype=np.bool_)
    angles = np.empty(len(part(integers, 2)))
    scale = real_part(integers, reals, 0)
    patterns = real_part(integers, reals, 4)
    starts, table, terms = part(passes, 1), part(passes, 2), part(passes, 3)
    constants, tables = real_part(passes, weights, 0), real_part(passes, weights, 1)
    coefficients = real_part(passes, weights, 2)
    rotation_start, rotation_qubit, rotation_slot = part(integers, 3), part(integers, 4), part(integers, 5)
    single_start, single_qubit, single_slot = part(integers, 6), part(integers, 7), part(integers, 8)
    parity_start, parity_mask, parity_slot = part(integers, 9), part(integers, 10), part(integers, 11)
    single_sign, parity_sign = real_part(integers, reals, 2), real_part(integers, reals, 3)
    permutes, to_high, to_low = part(integers, 12), part(integers, 13), part(integers, 14)
    for row in range(len(values)):
        bind(integers, reals, values[row], angles)
        for index in range(len(starts) - 1):
            in_first = prepare(integers, reals, angles, first, second, scratch)
            state = first if in_first else second
            result[row, index] = constants[index] + apply_observable(
                state,
                num_qubits,
                starts[index],
                starts[index + 1],
                table,
                tables,
                terms,
                coefficients,
                patterns,
            )
            for stage in range(stages - 1, -1, -1):
                if permutes[stage]:
                    state = first if in_first else second
                    other = second if in_first else first
                    for which in range(2):
                        permute(
                            other,
                            state,
                            which * 2 * size,
                            num_qubits,
                            low_bits,
                            to_low[stage * low_size : (stage + 1) * low_size],
                            to_high[stage * high_size : (stage + 1) * high_size],
                        )
                    in_first = not in_first
                state = first if in_first else second
                wanted_bits = False
                wanted = False
                for entry in range(single_start[stage], single_start[stage + 1]):
                    wanted_bits = wanted_bits or scale[single_slot[entry]] != 0.0
                for entry in range(parity_start[stage], parity_start[stage + 1]):
                    wanted = wanted or scale[parity_slot[entry]] != 0.0
                if wanted or wanted_bits:
                    overlap_parts(state, num_qubits, parts)
                for entry in range(parity_start[stage], parity_start[stage + 1]):
                    slot = parity_slot[entry]
                    if scale[slot] != 0.0:
                        found = parity_sum(parts, num_qubits, parity_mask[entry], patterns)
                        slopes[row, index, slot] = parity_sign[entry] * found
                if wanted_bits:
                    bit_sums(parts, num_qubits, bit_angles)
                    for entry in range(single_start[stage], single_start[stage + 1]):
                        found = single_sign[entry] * bit_angles[single_qubit[entry]]
                        slopes[row, index, single_slot[entry]] = found
                stage_phases(integers, reals, stage, angles, state, 2, low, high, -1.0, bit_angles)
                for entry in range(rotation_start[stage], rotation_start[stage + 1]):
                    slot = rotation_slot[entry]
                    if scale[slot] != 0.0:
                        slopes[row, index, slot] = rotation_sum(state, num_qubits, rotation_qubit[entry])
                if stage:
                    stage_rotations(integers, stage, angles, -1.0, active, c, s)
                    rotate(state, 4 * size, num_qubits, active, c, s)


@_jit
def basis_probabilities(integers, reals, values, letters, first, second, scratch, result):
    """|amplitude|² of all outcomes, (sets, bases, 2^n); `letters[b, q]` is 0 for z or nothing, 1 for x, 2 for y."""
    meta = part(integers, 1)
    num_qubits, low_bits = meta[0], meta[2]
    size = 1 << num_qubits
    low_size, high_size = 1 << low_bits, 1 << (num_qubits - low_bits)
    angles = np.empty(len(part(integers, 2)))
    active = np.zeros(num_qubits, dtype=np.bool_)
    c, s = np.ones(num_qubits), np.zeros(num_qubits)
    bit_angles = np.zeros(num_qubits)
    low, high = np.empty(2 * low_size), np.empty(2 * high_size)
    for row in range(len(values)):
        bind(integers, reals, values[row], angles)
        in_first = prepare(integers, reals, angles, first, second, scratch)
        state = first if in_first else second
        rotated = second if in_first else first
        for basis in range(len(letters)):
            any_y = False
            for qubit in range(num_qubits):
                letter = letters[basis, qubit]
                active[qubit] = letter != 0
                c[qubit] = math.sqrt(0.5) if letter else 1.0
                s[qubit] = -math.sqrt(0.5) if letter else 0.0
                bit_angles[qubit] = -0.5 * math.pi if letter == 2 else 0.0
                any_y = any_y or letter == 2
            rotated[:] = state
            if any_y:
                phase_table(bit_angles, 0, low_bits, low)
                phase_table(bit_angles, low_bits, num_qubits - low_bits, high)
                multiply_phases(rotated, 0, num_qubits, low_bits, low, high, 1.0)
            rotate(rotated, 2 * size, num_qubits, active, c, s)
            for i in range(size):
                result[row, basis, i] = rotated[i] * rotated[i] + rotated[i + size] * rotated[i + size]


@_jit
def draw(cumulated, points, outcomes):
    """For each point the first index whose cumulated weight exceeds it, like `searchsorted(…, side="right")`."""
    count = len(cumulated)
    total_weight = cumulated[count - 1]
    guide = np.empty(count, dtype=np.int64)
    index = 0
    for cell in range(count):
        edge = cell * (total_weight / count)
        while index < count - 1 and cumulated[index] <= edge:
            index += 1
        guide[cell] = index
    for shot in range(len(points)):
        point = points[shot]
        index = guide[min(int(point / total_weight * count), count - 1)]
        while index > 0 and cumulated[index - 1] > point:
            index -= 1
        while index < count - 1 and cumulated[index] <= point:
            index += 1
        outcomes[shot] = index
