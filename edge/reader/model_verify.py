"""Whether the models of a folder may be used here, and run as they were meant to: integers throughout, all in XNNPACK.

Decides what is looked at and in which order; the first thing that is wrong is the error.  Signature, size and hash are
`registry`'s, whether a file runs at all is `infer`'s.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from edge.reader.arithmetic import cost, listed
from edge.reader.infer import Model, Placement
from edge.reader.registry import NAMES, ModelFile, Registry, open_registry
from edge.reader.tflite_file import Network, read_network
from vedette.errors import Integrity, Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A folder of models in which everything is as it should be."""

    registry: Registry
    models: tuple[ModelFile, ...]


def verify_models(folder: Path | None = None) -> Verified:
    """Checks the models of `folder`, or of the package.

    Raises as `open_registry`, `Registry.check_calibration`, `Registry.model` and `Model.load`; Integrity for a model
    that takes another picture than the registry says, computes in floating point or leaves XNNPACK; Refused where this
    runtime has no XNNPACK.
    """
    registry = open_registry(folder)
    registry.check_calibration()
    models = tuple(registry.model(name) for name in NAMES)
    for file in models:
        check_network(file, read_network(file.path))
    for file in models:
        check_placement(file, Model.load(file.path, threads=1).placement())
    return Verified(registry=registry, models=models)


def check_network(file: ModelFile, network: Network) -> None:
    """Returns where the file is a network of 8-bit integers that takes the registry's picture, else Integrity."""
    where = f"model {file.name}: {file.path.name}"
    in_float = cost(network).in_float
    if in_float:
        raise Integrity(f"{where} computes in floating point ({listed(in_float)}); quantise it throughout")
    taken = [(one.type, one.shape) for one in network.inputs]
    if taken != [("int8", (1, *file.input_px, 1))]:
        height, width = file.input_px
        raise Integrity(f"{where} takes {_pictures(taken)}, the registry says int8 1x{height}x{width}x1")


def check_placement(file: ModelFile, placement: Placement) -> None:
    """Returns where XNNPACK has the whole network in one piece, else Integrity; Refused where there is no XNNPACK."""
    if placement.pieces == 0:
        raise Refused("this TensorFlow Lite runtime has no XNNPACK; models run much slower; install ai-edge-litert")
    if placement.outside:
        left = listed(Counter(placement.outside))
        raise Integrity(
            f"model {file.name}: {file.path.name} leaves XNNPACK for {left} and runs in {placement.pieces} pieces; "
            "build it from operations that XNNPACK has"
        )


def _pictures(taken: list[tuple[str, tuple[int, ...]]]) -> str:
    return " and ".join(f"{kind} {'x'.join(map(str, shape))}" for kind, shape in taken) or "nothing"
