"""A TFLite file as its tensors and operations, read without any runtime.

Decides how the bytes are understood (FlatBuffers, https://flatbuffers.dev/internals, and the schema of TensorFlow Lite
3) and refuses what is none.  What the operations cost is decided in `arithmetic`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vedette import files
from vedette.errors import Integrity

MAX_FILE_BYTES = 64 * 1024 * 1024
IDENTIFIER = b"TFL3"
# Numbers of the enumerations BuiltinOperator and TensorType of the schema; those that a picture's network can have.
OPERATORS = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 20: "RELU_N1_TO_1",
    21: "RELU6", 22: "RESHAPE", 23: "RESIZE_BILINEAR", 25: "SOFTMAX", 26: "SPACE_TO_DEPTH", 28: "TANH", 34: "PAD",
    39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 42: "DIV", 43: "SQUEEZE", 45: "STRIDED_SLICE", 49: "SPLIT", 53: "CAST",
    54: "PRELU", 55: "MAXIMUM", 57: "MINIMUM", 60: "PADV2", 65: "SLICE", 67: "TRANSPOSE_CONV", 69: "TILE",
    70: "EXPAND_DIMS", 74: "SUM", 97: "RESIZE_NEAREST_NEIGHBOR", 98: "LEAKY_RELU", 111: "ELU", 114: "QUANTIZE",
    117: "HARD_SWISH", 126: "BATCH_MATMUL", 130: "BROADCAST_TO",
}  # fmt: skip
TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8", 17: "int4"}
BYTES = {"float32": 4, "float16": 2, "int32": 4, "int64": 8, "int16": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor; `constant` where the file carries its values."""

    shape: tuple[int, ...]
    type: str
    constant: bool

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """The memory of its numbers."""
        return self.elements * BYTES.get(self.type, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One operation with the tensors that it reads and writes, in the schema's order."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """The first graph of a file, its operations in the order in which they run."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operations: tuple[Operation, ...]


def read_network(path: Path) -> Network:
    """The network of a file; `NotFound` where it is not there, `Integrity` where it is no TFLite file."""
    data = files.read(path, max_bytes=MAX_FILE_BYTES)
    if data[4:8] != IDENTIFIER:
        raise Integrity(f"model {path.name} is not a TFLite file")
    try:
        return _network(root_of(data))
    except (struct.error, IndexError, OverflowError, ValueError) as error:
        raise Integrity(f"model {path.name} is damaged: {error}") from None


def root_of(data: bytes) -> Table:
    """The table `Model` of the schema; errors as `Table`."""
    return Table(data, _u32(data, 0))


def operators_of(model: Table) -> list[str]:
    """The operations' names, as operations number them."""
    return [_operator(code) for code in model.tables(1)]


def filled_of(model: Table) -> list[bool]:
    """For each buffer whether the file carries its bytes."""
    return [buffer.length(0) > 0 or buffer.number("Q", 1) > 1 for buffer in model.tables(4)]


def _network(model: Table) -> Network:
    codes, filled = operators_of(model), filled_of(model)
    graph = model.tables(2)[0]
    tensors = [_tensor(one, filled) for one in graph.tables(0)]

    def named(indices: Sequence[int]) -> tuple[Tensor, ...]:
        return tuple(tensors[index] for index in indices if index >= 0)  # an input that is left out has number -1

    return Network(
        inputs=named(graph.ints("i", 1)),
        outputs=named(graph.ints("i", 2)),
        operations=tuple(
            Operation(name=codes[one.number("I", 0)], inputs=named(one.ints("i", 1)), outputs=named(one.ints("i", 2)))
            for one in graph.tables(3)
        ),
    )


def _operator(code: Table) -> str:
    # Numbers above 127 do not fit into the older of the two fields.
    number = max(code.number("b", 0), code.number("i", 3))
    return OPERATORS.get(number, f"OPERATOR_{number}")


def _tensor(one: Table, filled: Sequence[bool]) -> Tensor:
    number = one.number("b", 1)
    shape = one.ints("i", 0)
    if any(side < 0 for side in shape):
        raise ValueError(f"a tensor of shape {shape}")
    return Tensor(shape=shape, type=TYPES.get(number, f"type {number}"), constant=filled[one.number("I", 2)])


class Table:
    """One FlatBuffers table: a place in the bytes, its fields found through its vtable; an absent one is 0 or empty."""

    def __init__(self, data: bytes, at: int) -> None:
        """The table at byte `at`; struct.error, ValueError or IndexError, here and later, where it is none."""
        self._data = data
        self._at = at
        self._vtable = at - _read(data, "i", at)
        self._vtable_bytes = _read(data, "H", self._vtable)

    def _field(self, index: int) -> int:
        """Where the field's value lies, or 0 where it is absent."""
        entry = 4 + 2 * index
        offset = _read(self._data, "H", self._vtable + entry) if entry + 2 <= self._vtable_bytes else 0
        return self._at + offset if offset else 0

    def number(self, form: str, index: int) -> int:
        """A field that is an integer of the struct format `form`."""
        at = self._field(index)
        return _read(self._data, form, at) if at else 0

    def ints(self, form: str, index: int) -> tuple[int, ...]:
        """A field that is a vector of integers of the struct format `form`."""
        return struct.unpack_from(f"<{self.length(index)}{form}", self._data, self.vector(index))

    def vector(self, index: int) -> int:
        """Where the first element of a field that is a vector lies; 0 where it is absent."""
        at = self._field(index)
        return at + _u32(self._data, at) + 4 if at else 0

    def length(self, index: int) -> int:
        """How many elements a field that is a vector has."""
        at = self._field(index)
        return _u32(self._data, at + _u32(self._data, at)) if at else 0

    def tables(self, index: int) -> list[Table]:
        """A field that is a vector of tables."""
        at = self._field(index)
        if not at:
            return []
        start = at + _u32(self._data, at)
        count = _u32(self._data, start)
        places = struct.unpack_from(f"<{count}I", self._data, start + 4)
        return [Table(self._data, start + 4 + 4 * number + place) for number, place in enumerate(places)]


def _u32(data: bytes, at: int) -> int:
    return _read(data, "I", at)


def _read(data: bytes, form: str, at: int) -> int:
    if at < 0:
        raise ValueError(f"it points to byte {at}")
    (value,) = struct.unpack_from(f"<{form}", data, at)
    return int(value)
