"""Trained weights to full-integer TFLite files: 8 bits, one scale per output channel, calibrated on training pictures.

`python -m models.quantize --reader W --detector W [--out DIR]` writes both files, their hashes into registry.toml, and
nothing else.  Heat map and corners leave the detector as two tensors, so that each keeps its own scale.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

import litert_torch
import numpy as np
import torch
from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer, get_symmetric_quantization_config
from litert_torch.quantize.quant_config import QuantConfig
from torch import nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from models.registering import HOME, registered
from models.synth.crops import CropSource
from models.synth.scenes import SceneSource, Street
from models.train import data, detector, reader
from models.train.loop import BUILD
from models.train.nets import Detector, Reader

CALIBRATION_PICTURES = 200
DETECTOR_HEIGHT_PX, DETECTOR_WIDTH_PX = 384, 512


def pictures_for_reader(data_root: Path) -> list[torch.Tensor]:
    """Training crops as the reader sees them, each (1, 48, 160, 1)."""
    photos = [p for p in data.photos(data_root) if not p.held_out]
    rng = np.random.default_rng(7)
    around = reader.backgrounds([p for p in photos if p.folder == "ma_scenes"], rng, 60)
    source = CropSource(rng=rng, real=reader.real_plates(photos), backgrounds=around, real_share=0.5)
    return [_input(source.next().luma) for _ in range(CALIBRATION_PICTURES)]


def pictures_for_detector(data_root: Path) -> list[torch.Tensor]:
    """Training scenes with plates, at the shipped input size, each (1, height, width, 1)."""
    photos = [p for p in data.photos(data_root) if p.folder == "ma_scenes" and not p.held_out]
    rng = np.random.default_rng(7)
    streets: list[Street] = detector.streets(
        [photos[int(i)] for i in rng.choice(len(photos), 150, replace=False)], None
    )
    source = SceneSource(rng=rng, streets=streets)
    made = []
    for _ in range(CALIBRATION_PICTURES // 2):
        canvas = np.full((DETECTOR_HEIGHT_PX, DETECTOR_WIDTH_PX), 114, dtype=np.uint8)
        for x in range(0, DETECTOR_WIDTH_PX, 320):
            for y in range(0, DETECTOR_HEIGHT_PX, 320):
                part = canvas[y : y + 320, x : x + 320]
                part[:] = source.next().luma[: part.shape[0], : part.shape[1]]
        made.append(_input(canvas))
    return made


def _input(luma: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(luma))[None, :, :, None].float().sub(128).div(128)


def converted(net: nn.Module, outputs: list[int] | None, calibration: list[torch.Tensor], out: Path) -> None:
    """Quantises one network and writes its TFLite file."""
    channel_last = litert_torch.to_channel_last_io(net.eval(), args=[0], outputs=outputs).eval()
    sample = (calibration[0],)
    quantiser = PT2EQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True, is_dynamic=False))
    prepared = prepare_pt2e(torch.export.export(channel_last, sample).module(), quantiser)
    with torch.no_grad():
        for picture in calibration:
            prepared(picture)
    integer = convert_pt2e(prepared, fold_quantize=False)
    edge = litert_torch.convert(integer, sample, quant_config=QuantConfig(pt2e_quantizer=quantiser))
    edge.export(str(out))
    integer_io(out)
    print(f"{out}: {out.stat().st_size:,} bytes, sha256 {hashlib.sha256(out.read_bytes()).hexdigest()}")


def integer_io(path: Path) -> None:
    """Says what enters and leaves the file, for the log."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    for detail in (*interpreter.get_input_details(), *interpreter.get_output_details()):
        print(path.name, detail["name"], detail["shape"], detail["dtype"].__name__, detail["quantization"])


def _load(net: nn.Module, weights: Path) -> nn.Module:
    net.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    return net.eval()


def run(data_root: Path, weights: dict[str, Path], home: Path, version: str) -> None:
    """Quantises the networks whose weights are given and registers the files."""
    make: dict[str, tuple[Callable[[], nn.Module], list[int] | None, Callable[[Path], list[torch.Tensor]]]] = {
        "reader": (Reader, None, pictures_for_reader),
        "detector": (Detector, [0, 1], pictures_for_detector),
    }
    torch.manual_seed(1)
    for name, path in weights.items():
        build, outputs, pictures = make[name]
        converted(_load(build(), path), outputs, pictures(data_root), home / f"{name}.tflite")
        registered(home, name, version)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.quantize", description=__doc__)
    data.add_data_option(parser)
    parser.add_argument("--reader", type=Path, default=BUILD / "reader.pt")
    parser.add_argument("--detector", type=Path, default=BUILD / "detector.pt")
    parser.add_argument("--only", choices=("reader", "detector"))
    parser.add_argument(
        "--out", type=Path, default=HOME, help="folder of registry.toml and the files (default: %(default)s)"
    )
    parser.add_argument("--version", default="1")
    args = parser.parse_args()
    weights = {"reader": args.reader, "detector": args.detector}
    chosen = {args.only: weights[args.only]} if args.only else weights
    run(args.data, chosen, args.out, args.version)


if __name__ == "__main__":
    main()
