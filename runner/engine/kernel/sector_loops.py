# Numba infers the types:
# mypy: disable-error-code="no-untyped-def"
"""The compiled loops of a state that lives on a few basis states: pairs of them are rotated, all others stay zero.

A "block" is a list of pairs of places (of places alone, for phases) that turn by the same angle; `sector.py` says what
the kinds of blocks are. The circuit and its observables come as two flat arrays, as in `loops.py`: integers (32 bits),
whose first ones say where their segments start, and reals; so does the working memory.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

_OPTIONS: Any = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
_PART_OPTIONS: Any = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_jit = njit(cache=True, **_OPTIONS)  # called from outside
_part = njit(cache=True, **_PART_OPTIONS)
REAL, IMAGINARY, PHASE = 0, 1, 2
# the first integers: numbers …
STATES, BLOCKS, COMPLEX, START = 0, 1, 2, 3
# … and where segments of integers start: kinds and pairs of blocks, what their angles are made of, the observables
KIND, PAIR_START, FIRST, SECOND, INPUT_START, INPUT, ROW_START, COLUMN = 4, 5, 6, 7, 8, 9, 10, 11
# … and segments of reals: weights of inputs, offsets of angles, the observables
WEIGHT, OFFSET, DIAGONAL, HERMITIAN_REAL, HERMITIAN_IMAGINARY = 12, 13, 14, 15, 16
HEADER = 17


@_part
def sector_angles(integers, reals, values, row, work):
    """The angle of every block from one parameter set, at the front of the working memory."""
    start, inputs = integers[INPUT_START], integers[INPUT]
    weights, offsets = integers[WEIGHT], integers[OFFSET]
    for block in range(integers[BLOCKS]):
        angle = reals[offsets + block]
        for entry in range(integers[start + block], integers[start + block + 1]):
            angle += reals[weights + entry] * values[row, integers[inputs + entry]]
        work[block] = angle


@_part
def turn_pairs(integers, block, c, s, work, re, im):
    """Rotate the pairs of one block by the angle whose cosine and sine are given; the state is at `re` and `im`."""
    kind, both = integers[integers[KIND] + block], integers[COMPLEX]
    i, j = integers[FIRST], integers[SECOND]
    for pair in range(integers[integers[PAIR_START] + block], integers[integers[PAIR_START] + block + 1]):
        a, b = integers[i + pair], integers[j + pair]
        if kind == REAL:
            x, y = work[re + a], work[re + b]
            work[re + a] = c * x - s * y
            work[re + b] = s * x + c * y
            if both:
                x, y = work[im + a], work[im + b]
                work[im + a] = c * x - s * y
                work[im + b] = s * x + c * y
        elif kind == IMAGINARY:
            ra, ia, rb, ib = work[re + a], work[im + a], work[re + b], work[im + b]
            work[re + a] = c * ra + s * ib
            work[im + a] = c * ia - s * rb
            work[re + b] = c * rb + s * ia
            work[im + b] = c * ib - s * ra
        else:
            x, y = work[re + a], work[im + a]
            work[re + a] = c * x + s * y
            work[im + a] = c * y - s * x


@_part
def evolve_sector(integers, work, re, im):
    """The state after all blocks, from the one basis state in which the circuit starts."""
    for place in range(re, im + integers[STATES]):
        work[place] = 0.0
    work[re + integers[START]] = 1.0
    for block in range(integers[BLOCKS]):
        turn_pairs(integers, block, math.cos(work[block]), math.sin(work[block]), work, re, im)


@_part
def sector_energy(integers, reals, index, work, re, im):
    """⟨ψ|O|ψ⟩ of a Hermitian matrix: its diagonal, and what is right of it."""
    count, both = integers[STATES], integers[COMPLEX]
    rows, columns = integers[ROW_START] + index * (count + 1), integers[COLUMN]
    diagonal = integers[DIAGONAL] + index * count
    real, imaginary = integers[HERMITIAN_REAL], integers[HERMITIAN_IMAGINARY]
    result = 0.0
    for a in range(count):
        x, y = 0.0, 0.0
        first, last = integers[rows + a], integers[rows + a + 1]
        for entry in range(first, last):
            x += reals[real + entry] * work[re + integers[columns + entry]]
        if both:
            for entry in range(first, last):
                b = integers[columns + entry]
                h, g = reals[real + entry], reals[imaginary + entry]
                x -= g * work[im + b]
                y += h * work[im + b] + g * work[re + b]
            result += work[im + a] * (reals[diagonal + a] * work[im + a] + 2.0 * y)
        result += work[re + a] * (reals[diagonal + a] * work[re + a] + 2.0 * x)
    return result


@_part
def sector_apply(integers, reals, index, work, re, im, bra_re, bra_im):
    """Put O|ψ⟩ at `bra_re` and `bra_im`; returns ⟨ψ|O|ψ⟩."""
    count, both = integers[STATES], integers[COMPLEX]
    rows, columns = integers[ROW_START] + index * (count + 1), integers[COLUMN]
    diagonal = integers[DIAGONAL] + index * count
    real, imaginary = integers[HERMITIAN_REAL], integers[HERMITIAN_IMAGINARY]
    for a in range(count):
        work[bra_re + a] = reals[diagonal + a] * work[re + a]
        work[bra_im + a] = reals[diagonal + a] * work[im + a]
    for a in range(count):
        x, y = 0.0, 0.0
        for entry in range(integers[rows + a], integers[rows + a + 1]):
            b, h = integers[columns + entry], reals[real + entry]
            x += h * work[re + b]
            work[bra_re + b] += h * work[re + a]
            if both:
                g = reals[imaginary + entry]
                x -= g * work[im + b]
                y += h * work[im + b] + g * work[re + b]
                work[bra_re + b] += g * work[im + a]
                work[bra_im + b] += h * work[im + a] - g * work[re + a]
        work[bra_re + a] += x
        work[bra_im + a] += y
    result = 0.0
    for a in range(count):
        result += work[bra_re + a] * work[re + a] + work[bra_im + a] * work[im + a]
    return result


@_part
def block_slope(integers, block, work, re, im, bra_re, bra_im):
    """The derivative of ⟨O⟩ by a block's angle: twice the real part of ⟨λ|-iG|ψ⟩."""
    kind, both = integers[integers[KIND] + block], integers[COMPLEX]
    i, j = integers[FIRST], integers[SECOND]
    result = 0.0
    for pair in range(integers[integers[PAIR_START] + block], integers[integers[PAIR_START] + block + 1]):
        a, b = integers[i + pair], integers[j + pair]
        if kind == REAL:
            result += work[bra_re + b] * work[re + a] - work[bra_re + a] * work[re + b]
            if both:
                result += work[bra_im + b] * work[im + a] - work[bra_im + a] * work[im + b]
        elif kind == IMAGINARY:
            result += work[bra_re + a] * work[im + b] - work[bra_im + a] * work[re + b]
            result += work[bra_re + b] * work[im + a] - work[bra_im + b] * work[re + a]
        else:
            result += work[bra_re + a] * work[im + a] - work[bra_im + a] * work[re + a]
    return 2.0 * result


@_jit
def sector_energies(integers, reals, values, work, result):
    """Expectation values of every observable for every parameter set, (sets, observables)."""
    re = integers[BLOCKS]
    im = re + integers[STATES]
    for row in range(values.shape[0]):
        sector_angles(integers, reals, values, row, work)
        evolve_sector(integers, work, re, im)
        for index in range(result.shape[1]):
            result[row, index] = sector_energy(integers, reals, index, work, re, im)


@_jit
def sector_gradients(integers, reals, values, work, result, slopes):
    """Expectation values, and their derivatives by every input, by running the blocks backwards."""
    count = integers[STATES]
    re = integers[BLOCKS]
    im, bra_re, bra_im = re + count, re + 2 * count, re + 3 * count
    start, inputs, weights = integers[INPUT_START], integers[INPUT], integers[WEIGHT]
    for row in range(values.shape[0]):
        sector_angles(integers, reals, values, row, work)
        for index in range(result.shape[1]):
            evolve_sector(integers, work, re, im)
            result[row, index] = sector_apply(integers, reals, index, work, re, im, bra_re, bra_im)
            for block in range(integers[BLOCKS] - 1, -1, -1):
                first, last = integers[start + block], integers[start + block + 1]
                if last > first:
                    slope = block_slope(integers, block, work, re, im, bra_re, bra_im)
                    for entry in range(first, last):
                        slopes[row, index, integers[inputs + entry]] += reals[weights + entry] * slope
                c, s = math.cos(work[block]), -math.sin(work[block])
                turn_pairs(integers, block, c, s, work, re, im)
                turn_pairs(integers, block, c, s, work, bra_re, bra_im)


@_jit
def sector_state(integers, reals, values, row, work):
    """The state of one parameter set, behind the angles in the working memory."""
    sector_angles(integers, reals, values, row, work)
    evolve_sector(integers, work, integers[BLOCKS], integers[BLOCKS] + integers[STATES])
