"""The same network for pictures of another size: a TFLite file's bytes with other shapes in it.

A network of convolutions has the same weights whatever the picture's size; only the file fixes one. The runtime's
`resize_tensor_input` cannot change it where a view or a resize has its size as a constant, so the shapes are written
over, each by the share that its rows and columns have of the input's. Decides which networks that can be done with.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from edge.reader.tflite_file import filled_of, operators_of, root_of
from vedette.errors import Integrity

# Operations that look at each place in the same way, and those whose second input is the size of what they give.
EVERYWHERE = frozenset({"ADD", "CONV_2D", "DEPTHWISE_CONV_2D"})
TO_A_SIZE = frozenset({"RESHAPE", "RESIZE_BILINEAR"})


def resized(content: bytes, *, height_px: int, width_px: int) -> bytes:
    """The network of `content` for pictures (1, height_px, width_px, channels).

    Integrity where it is no network of one graph and one picture that is made of EVERYWHERE, TO_A_SIZE and PAD, and
    where one of its layers would have no whole number of rows or columns.
    """
    try:
        return _resized(content, height_px, width_px)
    except (struct.error, IndexError, ValueError) as error:
        raise Integrity(f"the network cannot be made for pictures of {width_px} x {height_px}: {error}") from None


def _resized(content: bytes, height_px: int, width_px: int) -> bytes:
    model, made = root_of(content), bytearray(content)
    (graph,) = model.tables(2)
    tensors, buffers, filled, names = graph.tables(0), model.tables(4), filled_of(model), operators_of(model)
    shapes = [tensor.ints("i", 0) for tensor in tensors]
    (picture,) = graph.ints("i", 1)
    _, height, width, _ = shapes[picture]

    def changed(shape: Sequence[int]) -> list[int]:
        """(1, rows, columns, depth) or (rows, columns)."""
        at = len(shape) // 2 - 1
        rows, columns = shape[at] * height_px, shape[at + 1] * width_px
        if len(shape) not in (2, 4) or rows % height or columns % width:
            raise ValueError(f"a layer of {tuple(shape)}")
        return [*shape[:at], rows // height, columns // width, *shape[at + 2 :]]

    def write(at: int, shape: Sequence[int]) -> None:
        struct.pack_into(f"<{len(shape)}i", made, at, *shape)

    frames: dict[int, int] = {}  # what a PAD gives, and what it was before
    for operation in graph.tables(3):
        name, inputs = names[operation.number("I", 0)], operation.ints("i", 1)
        if name in TO_A_SIZE:
            buffer = buffers[tensors[inputs[1]].number("I", 2)]
            at = buffer.vector(0)
            write(at, changed(struct.unpack_from(f"<{buffer.length(0) // 4}i", content, at)))
        elif name == "PAD":
            frames[operation.ints("i", 2)[0]] = inputs[0]
        elif name not in EVERYWHERE:
            raise ValueError(f"{name} depends on the size")
    for index, tensor in enumerate(tensors):
        if not filled[tensor.number("I", 2)]:
            before = shapes[frames.get(index, index)]
            frame = [whole - part for whole, part in zip(shapes[index], before, strict=True)]
            write(tensor.vector(0), [side + more for side, more in zip(changed(before), frame, strict=True)])
    return bytes(made)
