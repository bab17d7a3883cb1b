"""A second output for a reader's file, grown on what its layers already see: every other integer of it stays the same.

Decides how the branch of `models.train.plate_score` becomes 8-bit integers and where it is attached: to what the last
two additions of the file give. The branch is of convolutions and one concatenation, which XNNPACK runs; its inner
layers end in ReLU6, whose range is known, so nothing has to be measured for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

RELU6_SCALE, RELU6_ZERO = 6.0 / 255, -128
SCORE_SCALE, SCORE_ZERO = 0.125, 0
IDENTIFIER = b"TFL3"
CONCATENATION_VERSION = 2
# What the tensors of a branch are called, with their number.
NAME = "plate"
NARROW, WIDE = 127, 2**31 - 1


class NoPlace(ValueError):
    """The file is not one that the branch can be attached to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Convolution:
    """One convolution without padding: kernel (out, in, height, width), bias (out), strides down and across."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: tuple[int, int] = (1, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """For each place that it is attached to its convolutions, each with ReLU6, and the last one over all of them."""

    arms: tuple[tuple[Convolution, ...], ...]
    last: Convolution


def ungrafted(content: bytes) -> bytes:
    """The file without a branch; one that has none as it is."""
    graph = schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0]
    last = graph.tensors[int(graph.outputs[-1])].name
    return packed(bare(content)) if last.startswith(f"{NAME}_".encode()) else content


def bare(content: bytes) -> Any:
    """The file's model with its first output alone; what a branch had added is taken out."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    logits = int(graph.outputs[0])
    ends = [place for place, one in enumerate(graph.operators) if logits in one.outputs]
    if len(ends) != 1:
        raise NoPlace("the reader's file does not say where its first output comes from")
    graph.operators = graph.operators[: ends[0] + 1]
    kept = 1 + max(int(i) for one in graph.operators for i in (*one.inputs, *one.outputs))
    model.buffers = model.buffers[: 1 + max(one.buffer for one in graph.tensors[:kept])]
    graph.tensors, graph.outputs, model.signatureDefs = graph.tensors[:kept], [logits], None
    return model


def places(model: Any) -> list[int]:
    """The tensors that a branch is attached to: the results of the last two additions, the earlier one first."""
    kinds = [_kind(code) for code in model.operatorCodes]
    sums = [one for one in model.subgraphs[0].operators if kinds[one.opcodeIndex] == schema.BuiltinOperator.ADD]
    if len(sums) < 2:
        raise NoPlace("the reader's file has no two additions to attach a branch to")
    return [int(one.outputs[0]) for one in sums[-2:]]


def tapped(content: bytes) -> bytes:
    """The file with those tensors as further outputs."""
    model = bare(content)
    model.subgraphs[0].outputs = [*model.subgraphs[0].outputs, *places(model)]
    return packed(model)


def grafted(content: bytes, branch: Branch) -> bytes:
    """The file with the branch's result (1, 1, 1, 1) as its second output; errors as `NoPlace`."""
    model = bare(content)
    growth = _Growth(model)
    ends = []
    for place, arm in zip(places(model), branch.arms, strict=True):
        at = place
        for convolution in arm:
            at = growth.convolution(at, convolution, (RELU6_SCALE, RELU6_ZERO), ends_in_relu6=True)
        ends.append(at)
    joined = growth.concatenation(ends)
    score = growth.convolution(joined, branch.last, (SCORE_SCALE, SCORE_ZERO), ends_in_relu6=False)
    model.subgraphs[0].outputs = [*model.subgraphs[0].outputs, score]
    return packed(model)


def packed(model: Any) -> bytes:
    """The bytes of a file."""
    builder = flatbuffers.Builder(1 << 21)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _kind(code: Any) -> int:
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


class _Growth:
    """Adds tensors and operations to a model's graph."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._graph = model.subgraphs[0]
        self._codes = {_kind(code): place for place, code in enumerate(model.operatorCodes)}

    def convolution(self, at: int, one: Convolution, gives: tuple[float, int], *, ends_in_relu6: bool) -> int:
        """A convolution of the tensor `at`; the number of the tensor it gives, on the scale `gives`."""
        _, height, width, channels = (int(side) for side in self._graph.tensors[at].shape)
        outputs, inputs, tall, broad = one.kernel.shape
        if inputs != channels or tall > height or broad > width:
            raise NoPlace(f"a kernel of {one.kernel.shape} does not fit a tensor of {height} x {width} x {channels}")
        scales = np.maximum(np.abs(one.kernel).max(axis=(1, 2, 3)), 1e-6) / NARROW
        kernel = np.rint(one.kernel / scales[:, None, None, None]).astype(np.int8).transpose(0, 2, 3, 1)
        steps = np.float64(self._graph.tensors[at].quantization.scale[0]) * scales
        bias = np.clip(np.rint(one.bias / steps), -WIDE, WIDE).astype(np.int32)
        zeros = np.zeros(outputs, dtype=np.int64)
        weights = self._constant(kernel, scales, zeros)
        offsets = self._constant(bias, steps, zeros)
        shape = (1, (height - tall) // one.stride[0] + 1, (width - broad) // one.stride[1] + 1, outputs)
        result = self._tensor(shape, schema.TensorType.INT8, [gives[0]], [gives[1]], 0)
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH, options.strideW = one.stride
        if ends_in_relu6:
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
        self._operation(
            schema.BuiltinOperator.CONV_2D, [at, weights, offsets], result, schema.BuiltinOptions.Conv2DOptions, options
        )
        return result

    def concatenation(self, parts: Sequence[int]) -> int:
        """The tensors side by side along their channels; they are of one scale."""
        first = self._graph.tensors[parts[0]]
        channels = sum(int(self._graph.tensors[part].shape[3]) for part in parts)
        result = self._tensor(
            (*(int(n) for n in first.shape[:3]), channels), schema.TensorType.INT8, [RELU6_SCALE],
            [RELU6_ZERO], 0,
        )  # fmt: skip
        options = schema.ConcatenationOptionsT()
        options.axis = 3
        self._operation(
            schema.BuiltinOperator.CONCATENATION, parts, result, schema.BuiltinOptions.ConcatenationOptions, options
        )
        return result

    def _constant(self, values: Any, scales: Any, zeros: Any) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
        self._model.buffers.append(buffer)
        kind = schema.TensorType.INT8 if values.dtype == np.int8 else schema.TensorType.INT32
        return self._tensor(values.shape, kind, scales, zeros, len(self._model.buffers) - 1)

    def _tensor(self, shape: Sequence[int], kind: int, scales: Any, zeros: Any, buffer: int) -> int:
        tensor, known = schema.TensorT(), schema.QuantizationParametersT()
        known.scale = np.asarray(scales, dtype=np.float32)
        known.zeroPoint = np.asarray(zeros, dtype=np.int64)
        tensor.shape, tensor.type, tensor.buffer, tensor.quantization = np.array(shape, np.int32), kind, buffer, known
        tensor.name = f"{NAME}_{len(self._graph.tensors)}".encode()
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _operation(self, kind: int, inputs: Sequence[int], output: int, which: int, options: Any) -> None:
        if kind not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = kind
            code.version = CONCATENATION_VERSION
            self._model.operatorCodes.append(code)
            self._codes[kind] = len(self._model.operatorCodes) - 1
        one = schema.OperatorT()
        one.opcodeIndex, one.builtinOptionsType, one.builtinOptions = self._codes[kind], which, options
        one.inputs, one.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        self._graph.operators.append(one)
