# ruff: noqa: ARG001 - an intrinsic declares the arguments its generated code reads
"""Vectors of four doubles for Numba: explicit loads, arithmetic and shuffles that LLVM maps to the machine's own.

Numba has no vector type and LLVM's loop vectorizer gives up on the butterfly patterns of a state vector, so the
kernel says what it wants. On machines with other widths LLVM splits or joins the four lanes by itself.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

LANES = 4
_IR = ir.VectorType(ir.DoubleType(), LANES)
_CONTRACT = ("contract",)


class Vector(types.Type):
    """The Numba type of four doubles."""

    def __init__(self) -> None:
        super().__init__(name="Vector4d")


vector = Vector()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _IR)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _IR.as_pointer())


@intrinsic
def load(_typing: Any, array: Any, index: Any) -> Any:
    """Four doubles from `array[index:]`, a contiguous array; no bounds are checked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], args[0], args[1]), align=8)

    return vector(array, types.intp), generate


@intrinsic
def store(_typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write four doubles to `array[index:]`; no bounds are checked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def gather(_typing: Any, array: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Four doubles from anywhere in a contiguous array; no bounds are checked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        value = ir.Constant(_IR, ir.Undefined)
        for lane in range(LANES):
            element = builder.load(builder.gep(data, [args[1 + lane]]))
            value = builder.insert_element(value, element, ir.Constant(ir.IntType(32), lane))
        return value

    return vector(array, types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def splat(_typing: Any, value: Any) -> Any:
    """The same number in all lanes."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        zero = ir.Constant(ir.IntType(32), 0)
        single = builder.insert_element(ir.Constant(_IR, ir.Undefined), args[0], zero)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(single, ir.Constant(_IR, ir.Undefined), lanes)

    return vector(types.float64), generate


@intrinsic(prefer_literal=True)
def alternating(_typing: Any, value: Any, stride: Any) -> Any:
    """(-v, v, -v, v) for stride 1, (-v, -v, v, v) for stride 2 (a literal)."""
    pattern = [1.0 if lane & stride.literal_value else -1.0 for lane in range(LANES)]

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        zero = ir.Constant(ir.IntType(32), 0)
        single = builder.insert_element(ir.Constant(_IR, ir.Undefined), args[0], zero)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        wide = builder.shuffle_vector(single, ir.Constant(_IR, ir.Undefined), lanes)
        return builder.fmul(wide, ir.Constant(_IR, pattern))

    return vector(types.float64, stride), generate


@intrinsic(prefer_literal=True)
def flip(_typing: Any, value: Any, mask: Any) -> Any:
    """Lane k takes lane k XOR mask (a literal)."""
    order = [lane ^ mask.literal_value for lane in range(LANES)]

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), order)
        return builder.shuffle_vector(args[0], ir.Constant(_IR, ir.Undefined), lanes)

    return vector(vector, mask), generate


@intrinsic
def choose(_typing: Any, bits: Any, one: Any, other: Any) -> Any:
    """Lane k of `one` where bit k is set, of `other` elsewhere."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.IntType(64), LANES)
        zero = ir.Constant(ir.IntType(32), 0)
        single = builder.insert_element(ir.Constant(kind, ir.Undefined), args[0], zero)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        wide = builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), lanes)
        places = ir.Constant(kind, [1 << lane for lane in range(LANES)])
        chosen = builder.icmp_unsigned("!=", builder.and_(wide, places), ir.Constant(kind, [0] * LANES))
        return builder.select(chosen, args[1], args[2])

    return vector(types.int64, vector, vector), generate


@intrinsic
def add(_typing: Any, left: Any, right: Any) -> Any:
    """Sum."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fadd(args[0], args[1], flags=_CONTRACT)

    return vector(vector, vector), generate


@intrinsic
def sub(_typing: Any, left: Any, right: Any) -> Any:
    """Difference."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fsub(args[0], args[1], flags=_CONTRACT)

    return vector(vector, vector), generate


@intrinsic
def mul(_typing: Any, left: Any, right: Any) -> Any:
    """Product."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fmul(args[0], args[1], flags=_CONTRACT)

    return vector(vector, vector), generate


@intrinsic
def total(_typing: Any, value: Any) -> Any:
    """The sum over the lanes, pairwise."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        parts = [builder.extract_element(args[0], ir.Constant(ir.IntType(32), lane)) for lane in range(LANES)]
        return builder.fadd(builder.fadd(parts[0], parts[2]), builder.fadd(parts[1], parts[3]))

    return types.float64(vector), generate


@intrinsic
def parity(_typing: Any, value: Any) -> Any:
    """1 if an odd number of bits is set, else 0."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.and_(builder.ctpop(args[0]), ir.Constant(ir.IntType(64), 1))

    return types.int64(types.int64), generate


@intrinsic
def high_product(_typing: Any, left: Any, right: Any) -> Any:
    """The upper 64 bits of a product of two unsigned numbers of 64 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate
