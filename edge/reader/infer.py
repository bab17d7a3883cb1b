"""The one home of TensorFlow Lite: loads a full-integer model and runs it.

Decides which runtime is used (ai-edge-litert, else its predecessor tflite-runtime) and how brightness becomes the
model's integers.  Knows nothing of plates.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.reader.tflite_file import MAX_FILE_BYTES
from edge.reader.tflite_resize import resized
from vedette import files
from vedette.errors import Integrity, NotFound, Usage

MAX_THREADS = 64
M = TypeVar("M", bound="Model")


class RuntimeMissing(NotFound):
    """No TensorFlow Lite runtime is installed, or the one that is cannot run here."""


class ModelUnusable(Integrity):
    """The file is no full-integer model that this runtime can run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How the integers of one tensor stand for numbers: value = (integer - zero_point) * scale."""

    scale: float
    zero_point: int

    def real(self, integers: NDArray[np.int8]) -> NDArray[np.float32]:
        """The numbers that the integers stand for, same shape."""
        return (integers.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where a model's operations run: in how many pieces XNNPACK has them, and the names of those it does not have."""

    pieces: int
    outside: tuple[str, ...]


def runtime_name() -> str:
    """The runtime in use and its version; raises RuntimeMissing where there is none."""
    package = str(_interpreter_class().__module__).partition(".")[0]
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def _interpreter_class() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except Exception as error:
            raise RuntimeMissing(
                f"no TensorFlow Lite runtime can be used ({error}); install ai-edge-litert, "
                "or tflite-runtime with numpy<2"
            ) from error
    return Interpreter


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a model is made from: its file's bytes and name, and how many threads it may use."""

    content: bytes = field(repr=False)
    name: str
    threads: int


class Model:
    """One loaded model.  Not safe to share between threads: each thread that reads loads its own."""

    def __init__(self, interpreter: Any, source: Source) -> None:
        """Takes an interpreter with its tensors allocated, and what it was made from."""
        self._interpreter = interpreter
        self._source = source
        (self._input,) = interpreter.get_input_details()
        self._outputs = interpreter.get_output_details()
        _, height, width, _ = (int(n) for n in self._input["shape"])
        self.height_px, self.width_px = height, width
        self.scales = tuple(_scale(detail) for detail in self._outputs)
        self._levels = _levels(_scale(self._input))

    @classmethod
    def load(cls: type[M], path: Path, *, threads: int) -> M:
        """The model of one file, tried out once.

        Raises NotFound where the file is missing, Usage for a bad number of threads, RuntimeMissing where no
        runtime works and ModelUnusable where the file cannot be run as 8-bit integers throughout.
        """
        if not 1 <= threads <= MAX_THREADS:
            raise Usage(f"{threads} threads: give 1 to {MAX_THREADS}")
        if not path.is_file():
            raise NotFound(f"model {path}: no such file; install the package again")
        return cls.made(Source(content=files.read(path, max_bytes=MAX_FILE_BYTES), name=path.name, threads=threads))

    @classmethod
    def made(cls: type[M], source: Source) -> M:
        """The model of a file's bytes, tried out once; ModelUnusable where it cannot be run as 8-bit integers."""
        interpreter_class = _interpreter_class()
        try:
            interpreter = interpreter_class(model_content=source.content, num_threads=source.threads)
            interpreter.allocate_tensors()
            model = cls(interpreter, source)
            model._self_test()
        except (ValueError, RuntimeError, KeyError, SystemError, AttributeError) as error:
            text = f"model {source.name} does not run here: {error}; install the package again"
            raise ModelUnusable(text) from error
        return model

    def sized(self: M, *, height_px: int, width_px: int) -> M:
        """The same network for pictures of another size, tried out once; Integrity where it cannot be made for that."""
        content = resized(self._source.content, height_px=height_px, width_px=width_px)
        return self.made(replace(self._source, content=content))

    def _self_test(self) -> None:
        details = [self._input, *self._outputs]
        if any(detail["dtype"] is not np.int8 for detail in details):
            raise ValueError("its inputs and outputs are not 8-bit integers")
        grey = np.full((1, self.height_px, self.width_px, 1), 128, dtype=np.uint8)
        first, second = self.run(grey), self.run(grey)
        if not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)):
            raise ValueError("it answers the same picture in two ways")

    def placement(self) -> Placement:
        """Which operations this runtime hands to XNNPACK on this machine."""
        return placement_of(self._interpreter._get_ops_details())

    def run(self, picture: NDArray[np.uint8] | NDArray[np.int8]) -> tuple[NDArray[np.int8], ...]:
        """The outputs for one picture (1, height, width, 1), each in the model's own integers (see `scales`).

        uint8 is brightness 0 to 255; int8 is taken as it is, in the model's own integers.
        """
        expected = (1, self.height_px, self.width_px, 1)
        if picture.shape != expected:
            raise ValueError(f"a picture of shape {picture.shape} for a model of {expected}")
        integers = self._levels[picture] if picture.dtype == np.uint8 else picture
        self._interpreter.set_tensor(self._input["index"], integers)
        self._interpreter.invoke()
        return tuple(self._interpreter.get_tensor(detail["index"]) for detail in self._outputs)

    def run_real(self, picture: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """The outputs as numbers."""
        return tuple(scale.real(out) for scale, out in zip(self.scales, self.run(picture), strict=True))


def placement_of(operations: Sequence[dict[str, Any]]) -> Placement:
    """What a loaded interpreter's list of operations says of its delegate.

    The list keeps the operations of the file and adds one named DELEGATE for each piece that was taken over; a piece
    holds what lies between its outputs and its inputs.
    """
    pieces = [one for one in operations if one["op_name"] == "DELEGATE"]
    own = [one for one in operations if one["op_name"] != "DELEGATE"]
    written_by = {int(tensor): one for one in own for tensor in one["outputs"]}
    taken: set[int] = set()
    for piece in pieces:
        borders = {int(tensor) for tensor in piece["inputs"]}
        waiting = [int(tensor) for tensor in piece["outputs"]]
        while waiting:
            one = written_by.get(waiting.pop())
            if one is None or one["index"] in taken:
                continue
            taken.add(one["index"])
            waiting += [int(tensor) for tensor in one["inputs"] if int(tensor) not in borders]
    outside = tuple(str(one["op_name"]) for one in own if one["index"] not in taken)
    return Placement(pieces=len(pieces), outside=outside)


def _scale(detail: dict[str, Any]) -> Scale:
    scale, zero_point = detail["quantization"]
    if not scale > 0:
        raise ValueError("a tensor has no scale")
    return Scale(scale=float(scale), zero_point=int(zero_point))


def _levels(scale: Scale) -> NDArray[np.int8]:
    """The model's integer of each brightness: the networks see (brightness - 128) / 128."""
    numbers = (np.arange(256, dtype=np.float64) - 128.0) / 128.0
    return np.asarray(np.clip(np.rint(numbers / scale.scale) + scale.zero_point, -128, 127), dtype=np.int8)
