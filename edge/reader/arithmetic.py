"""What one run of a model costs: multiplications, bytes moved, which operations XNNPACK takes, and what that may mean.

Counted from the file alone, so it is the same on every machine.  The milliseconds for boards are ESTIMATES from
published figures (docs/reference/model-speed.md); what a machine really takes, `vedette model bench` measures there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from edge.reader.tflite_file import Network, Operation, Tensor

# The quantised operators of XNNPACK, from the README of its delegate in TensorFlow Lite. RESIZE_NEAREST_NEIGHBOR is
# not among them. Which operations a runtime really hands over, `Model.placement` tells.
XNNPACK_INT8 = frozenset({
    "ADD", "CONCATENATION", "CONV_2D", "DEPTH_TO_SPACE", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "ELU", "FULLY_CONNECTED",
    "LEAKY_RELU", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "QUANTIZE", "RESHAPE", "RESIZE_BILINEAR", "SLICE",
    "SPACE_TO_DEPTH", "SPLIT", "SUB", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
})  # fmt: skip
FLOATS = frozenset({"float32", "float16"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """A board's effective rate on one core, in thousand million multiply-accumulates a second: from slow to fast."""

    name: str
    slow_gmacs: float
    fast_gmacs: float

    def estimate_ms(self, macs: int) -> tuple[float, float]:
        """An ESTIMATE of one run on one core, from short to long."""
        return macs / self.fast_gmacs / 1e6, macs / self.slow_gmacs / 1e6


# Where these come from: docs/reference/model-speed.md.
BOARDS = (
    Board(name="Raspberry Pi 4", slow_gmacs=6.3, fast_gmacs=8.4),
    Board(name="Raspberry Pi 5", slow_gmacs=28.0, fast_gmacs=41.0),
    Board(name="Jetson Orin Nano", slow_gmacs=17.5, fast_gmacs=25.6),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one run of a network costs.

    `parameters` are weights and biases, `activation_bytes` what all operations read and write besides them;
    `in_float` counts operations that compute in floating point, `not_xnnpack` those that XNNPACK has no int8 form of.
    """

    macs: int
    parameters: int
    parameter_bytes: int
    activation_bytes: int
    operations: Mapping[str, int]
    in_float: Mapping[str, int]
    not_xnnpack: Mapping[str, int]

    @property
    def intensity(self) -> float:
        """Multiply-accumulates for each byte moved."""
        return self.macs / max(1, self.activation_bytes + self.parameter_bytes)


def cost(network: Network) -> Cost:
    """The cost of one run."""
    operations = network.operations
    weights = [tensor for one in operations if multiplications(one) for tensor in one.inputs if tensor.constant]
    moved = [tensor for one in operations for tensor in (*one.inputs, *one.outputs) if not tensor.constant]
    return Cost(
        macs=sum(multiplications(one) for one in operations),
        parameters=sum(tensor.elements for tensor in weights),
        parameter_bytes=sum(tensor.size_bytes for tensor in weights),
        activation_bytes=sum(tensor.size_bytes for tensor in moved),
        operations=_counted(operations),
        in_float=_counted([one for one in operations if is_float(one)]),
        not_xnnpack=_counted([one for one in operations if one.name not in XNNPACK_INT8]),
    )


def _counted(operations: tuple[Operation, ...] | list[Operation]) -> dict[str, int]:
    return dict(sorted(Counter(one.name for one in operations).items()))


def listed(counts: Mapping[str, int]) -> str:
    """`19 CONV_2D, 6 PAD`: the most frequent first; `none` where there are none."""
    order = sorted(counts, key=lambda name: (-counts[name], name))
    return ", ".join(f"{counts[name]} {name}" for name in order) or "none"


def is_float(operation: Operation) -> bool:
    """Whether it reads or writes anything in floating point."""
    return any(tensor.type in FLOATS for tensor in (*operation.inputs, *operation.outputs))


def multiplications(operation: Operation) -> int:
    """Multiply-accumulates of the operations that have weights; the others do little beside them and count as none.

    Kernels lie as the schema has them: (out, height, width, in), depthwise (1, height, width, out), dense (out, in).
    """
    kernel = operation.inputs[1] if len(operation.inputs) > 1 else _NOTHING
    written = operation.outputs[0].elements if operation.outputs else 0
    if operation.name in ("CONV_2D", "FULLY_CONNECTED"):
        return written * math.prod(kernel.shape[1:])
    if operation.name == "DEPTHWISE_CONV_2D":
        return written * math.prod(kernel.shape[1:3])
    if operation.name == "TRANSPOSE_CONV" and len(operation.inputs) > 2:
        return operation.inputs[2].elements * math.prod(kernel.shape[:3])
    return 0


_NOTHING = Tensor(shape=(0,), type="int8", constant=False)
