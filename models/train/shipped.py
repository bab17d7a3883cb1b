"""Weights from an int8 file: training can go on from what is shipped, without the weights it was made from.

A TFLite file holds each convolution with its normalisation folded in.  Here they are read back, and the normalisation
is set up anew from what it sees on a few training pictures, so that the network answers as the file does and trains as
one that never was folded.  Symbols that the network has more than the file start as nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from torch import nn

from models import graft

Folded = tuple[NDArray[np.float32], NDArray[np.float32]]
UNSEEN_LOGIT = -6.0


class OtherNetwork(ValueError):
    """The file was made from a network of another shape."""


def folded_convolutions(path: Path) -> list[Folded]:
    """Kernel (out, in, height, width) and bias (out) of every convolution of the file, in the order they run.

    Those of a branch that was grafted on are left out.
    """
    content = graft.ungrafted(path.read_bytes())
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=_no_delegate())
    interpreter.allocate_tensors()
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    found = []
    for op in interpreter._get_ops_details():
        if op["op_name"] == "CONV_2D":
            _, kernel, bias = (details[int(i)] for i in op["inputs"][:3])
            weights = _real(interpreter, kernel).transpose(0, 3, 1, 2)  # in the file the channels lie last
            found.append((np.ascontiguousarray(weights), _real(interpreter, bias)))
    return found


def _no_delegate() -> Any:
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def _real(interpreter: Any, detail: dict[str, Any]) -> NDArray[np.float32]:
    known = detail["quantization_parameters"]
    values = interpreter.get_tensor(detail["index"]).astype(np.float32)
    along = [1] * values.ndim
    along[known["quantized_dimension"]] = -1
    return np.asarray(values * known["scales"].reshape(along), dtype=np.float32)


def resume(net: nn.Module, path: Path, pictures: torch.Tensor) -> None:
    """Gives `net` the weights of the file; `pictures` (n, 1, height, width) set its normalisation up.

    Raises OtherNetwork where the file's convolutions do not fit the network's.
    """
    folded = iter(folded_convolutions(path))
    pairs = list(_pairs(net))
    for conv, norm in pairs:
        kernel, bias = next(folded, (np.zeros(0, np.float32), np.zeros(0, np.float32)))
        _set(conv, norm, kernel, bias, path)
    if next(folded, None) is not None:
        raise OtherNetwork(f"{path} has more convolutions than the network")
    _normalise(net, [norm for _, norm in pairs if norm is not None], pictures)


def _pairs(net: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Every convolution with the normalisation that follows it, in the order the network was written."""
    modules = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    for place, module in enumerate(modules):
        if isinstance(module, nn.Conv2d):
            follows = modules[place + 1] if place + 1 < len(modules) else None
            yield module, follows if isinstance(follows, nn.BatchNorm2d) else None


def _set(conv: nn.Conv2d, norm: nn.BatchNorm2d | None, kernel: Any, bias: Any, path: Path) -> None:
    mine = tuple(conv.weight.shape)
    fits = len(kernel.shape) == 4 and kernel.shape[1:] == mine[1:] and kernel.shape[0] <= mine[0]
    if not fits or (norm is not None and kernel.shape[0] != mine[0]):
        raise OtherNetwork(f"{path} has a convolution of {kernel.shape} where the network has {mine}")
    with torch.no_grad():
        known = kernel.shape[0]
        conv.weight[known:] *= 0.1
        conv.weight[:known] = torch.from_numpy(kernel)
        if norm is None:
            assert conv.bias is not None
            conv.bias[known:] = UNSEEN_LOGIT
            conv.bias[:known] = torch.from_numpy(bias)
        else:
            norm.weight.fill_(1.0)
            norm.bias.copy_(torch.from_numpy(bias))
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0 - norm.eps)


def _normalise(net: nn.Module, norms: list[nn.BatchNorm2d], pictures: torch.Tensor) -> None:
    seen: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

    def note(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen[norm] = (inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3), unbiased=False))

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    was_training = net.training
    with torch.no_grad():
        net.eval()(pictures)
        for norm, (mean, variance) in seen.items():
            gain = torch.sqrt(variance + norm.eps)
            norm.bias += norm.weight * mean
            norm.weight *= gain
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
    for hook in hooks:
        hook.remove()
    net.train(was_training)
