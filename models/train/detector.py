"""Trains the plate detector: a heat map of plate centres (focal loss) and the four corners around each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import nn

from models.synth.scenes import SIZE_PX, Scene, SceneSource, Street, bounds
from models.train import data
from models.train.data import Photo
from models.train.loop import DEVICE, Course, Plan, halves, relit, train
from models.train.nets import CORNER_SCALE_PX, HEAT_STRIDE_PX, Detector

CELLS = SIZE_PX // HEAT_STRIDE_PX
CORNER_WEIGHT = 1.0
IGNORED = -1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """Heat (n, 1, c, c) with -1 where nothing is judged, corners (n, 8, c, c), and where corners count (n, 1, c, c)."""

    pictures: torch.Tensor
    heat: torch.Tensor
    corners: torch.Tensor
    weight: torch.Tensor


def target_of(scene: Scene) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Heat (c, c), corner offsets (8, c, c) as asinh(pixels / 4), and the weight of the corners (c, c)."""
    heat = np.zeros((CELLS, CELLS), dtype=np.float32)
    corners = np.zeros((8, CELLS, CELLS), dtype=np.float32)
    weight = np.zeros((CELLS, CELLS), dtype=np.float32)
    grid = (np.arange(CELLS, dtype=np.float32) + 0.5) * HEAT_STRIDE_PX
    for box in scene.ignored:
        left, top, right, bottom = (int(v // HEAT_STRIDE_PX) for v in box)
        heat[max(0, top) : bottom + 1, max(0, left) : right + 1] = IGNORED
    for quad in scene.quads:
        x0, y0, x1, y1 = bounds(quad)
        centre = quad.mean(axis=0)
        wide = max(4.5, 0.10 * (x1 - x0))
        tall = max(4.5, 0.16 * (y1 - y0))
        across = np.exp(-0.5 * ((grid - centre[0]) / wide) ** 2)
        down = np.exp(-0.5 * ((grid - centre[1]) / tall) ** 2)
        bump = down[:, None] * across[None, :]
        column, row = (int(np.clip(v // HEAT_STRIDE_PX, 0, CELLS - 1)) for v in centre)
        bump[row, column] = 1.0
        near = bump > np.maximum(0.45, weight)
        offsets = [
            np.arcsinh((quad[k, axis] - (grid[None, :] if axis == 0 else grid[:, None])) / CORNER_SCALE_PX)
            for k in range(4)
            for axis in (0, 1)
        ]
        for channel, offset in enumerate(offsets):
            corners[channel][near] = np.broadcast_to(offset, heat.shape)[near]
        weight[near] = bump[near]
        heat = np.where(bump > 0.02, np.maximum(heat, bump), heat).astype(np.float32)
    return heat, corners, weight


def collate(scenes: list[Scene]) -> Targets:
    """Scenes to one batch."""
    made = [target_of(scene) for scene in scenes]
    pictures = torch.from_numpy(np.stack([scene.luma for scene in scenes]))[:, None].float().sub_(128).div_(128)
    heat, corners, weight = (torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))
    return Targets(pictures=pictures, heat=heat[:, None], corners=corners, weight=weight[:, None])


def loss_of(net: nn.Module, batch: Targets) -> torch.Tensor:
    """Penalty-reduced focal loss on the heat map and a smooth L1 on the corners near each centre."""
    pictures = batch.pictures.to(DEVICE).contiguous(memory_format=torch.channels_last)
    with halves():
        heat, corners = net(pictures)
    heat, corners = heat.float().cpu(), corners.float().cpu()
    score = heat.sigmoid().clamp(1e-5, 1 - 1e-5)
    centre, judged = (batch.heat == 1).float(), (batch.heat >= 0).float()
    found = centre * (1 - score) ** 2 * score.log()
    quiet = judged * (1 - centre) * (1 - batch.heat.clamp(min=0)) ** 4 * score**2 * (1 - score).log()
    plates = centre.sum().clamp(min=1)
    misplaced = nn.functional.smooth_l1_loss(corners, batch.corners, reduction="none", beta=0.1) * batch.weight
    return -(found + quiet).sum() / plates + CORNER_WEIGHT * misplaced.sum() / batch.weight.sum().clamp(min=1)


def varied(batch: Targets) -> Targets:
    """The same scenes in another light."""
    return replace(batch, pictures=relit(batch.pictures.to(DEVICE)))


def streets(photos: Sequence[Photo], labels: Path | None) -> list[Street]:
    """The training scenes; corners an earlier detector has refined (a JSON object, file to quad) make them exact."""
    refined = json.loads(labels.read_text(encoding="utf-8")) if labels else {}
    made = []
    for photo in photos:
        quad = data.corners_of(photo)
        assert quad is not None
        if photo.name in refined:
            quad = np.array(refined[photo.name]["corners"], dtype=np.float32)
        made.append(Street(luma=data.luma_of(photo.path), quad=quad, exact=photo.name in refined or not photo.loose))
    return made


def best_boxes(net: nn.Module, luma: NDArray[np.uint8]) -> tuple[float, tuple[float, float, float, float]]:
    """The strongest centre of a picture of multiples of 64: its probability and the box around its corners."""
    with torch.no_grad():
        seen = torch.from_numpy(luma)[None, None].float().sub_(128).div_(128)
        heat, corners = (part.cpu() for part in net(seen.to(DEVICE)))
    row, column = np.unravel_index(int(heat.argmax()), heat.shape[2:])
    offsets = np.sinh(corners[0, :, row, column].numpy().reshape(4, 2)) * CORNER_SCALE_PX
    quad = offsets + (np.array([column, row]) + 0.5) * HEAT_STRIDE_PX
    return float(heat.max().sigmoid()), bounds(quad.astype(np.float32))


def iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes."""
    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, wide) * max(0.0, tall)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def recall(net: nn.Module, photos: Sequence[Photo], size_px: int) -> float:
    """Share of scenes whose strongest centre gives the labelled plate's box (IoU at least 0.5)."""
    hits = []
    for photo in photos:
        luma = data.luma_of(photo.path)
        assert photo.box is not None
        small, scale = fitted(luma, size_px)
        _, box = best_boxes(net, small)
        hits.append(iou(tuple(v / scale for v in box), photo.box) >= 0.5)  # type: ignore[arg-type]
    return float(np.mean(hits))


def fitted(luma: NDArray[np.uint8], size_px: int) -> tuple[NDArray[np.uint8], float]:
    """The picture shrunk into the upper left of a square, and the scale."""
    import cv2

    scale = size_px / max(luma.shape)
    small = cv2.resize(luma, (round(luma.shape[1] * scale), round(luma.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    square = np.full((size_px, size_px), 114, dtype=np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    return square, scale


def run(data_root: Path, plan: Plan, out: Path, labels: Path | None = None) -> None:
    """Trains a detector on Moroccan streets with plates of everywhere and writes its weights to `out`."""
    photos = [p for p in data.photos(data_root) if p.kind == "scene"]
    training = streets([p for p in photos if p.folder == "ma_scenes" and not p.held_out], labels)
    held = {
        name: [p for p in photos if p.folder == name and p.held_out and not p.loose][:32]
        for name in ("ma_scenes", "br_scenes", "us_scenes", "es_scenes")
    }
    print(f"{len(training)} streets; held out: " + ", ".join(f"{k} {len(v)}" for k, v in held.items()), flush=True)

    def source(rng: Generator) -> Callable[[], Scene]:
        return SceneSource(rng=rng, streets=training).next

    def report(net: nn.Module) -> str:
        return " ".join(f"{name} {recall(net, pictures, 384):.3f}" for name, pictures in held.items())

    net = Detector()
    for layer in net.stem[: plan.frozen]:
        layer.requires_grad_(False)
    print(f"detector of {sum(p.numel() for p in net.parameters()):,} parameters", flush=True)
    course = Course(
        source=source, collate=collate, pictures=lambda batch: batch.pictures, loss=loss_of, vary=varied, report=report
    )
    train(net, course, plan, out)
