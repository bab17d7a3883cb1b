"""Trains the plate reader: drawn crops, and real Moroccan ones with their digits exchanged."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import nn

from edge.reader.alphabet import BAR, BLANK, INDEX_OF, SYMBOLS
from models.synth.crops import Crop, CropSource, Luma, Quad, RealPlate, cut, normalised
from models.train import data, shipped
from models.train.data import Character, Photo
from models.train.loop import DEVICE, Course, Plan, halves, relit, train
from models.train.nets import Reader

# What the loss of a crop of nothing is divided by, as that of a plate is by its characters.
EMPTY_CHARACTERS = 8
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def symbols_of(text: str) -> str:
    """What the reader emits for a manifest text: bars only where the plate has them."""
    return text if text.count(BAR) == 2 else text.replace(BAR, "")


def real_plates(photos: Sequence[Photo]) -> list[RealPlate]:
    """The readable plates of these photographs; those of two lines row by row."""
    readable = [p for p in photos if p.text is not None and "?" not in p.text and p.box is not None]
    rows = [row for p in readable if p.lines == 2 and p.characters for row in _rows(p)]
    return [_real(p) for p in readable if p.lines == 1] + rows


def _real(photo: Photo) -> RealPlate:
    luma = data.luma_of(photo.path)
    assert photo.text is not None and photo.box is not None
    symbols = symbols_of(photo.text)
    if not photo.characters:
        quad = data.corners_of(photo)
        assert quad is not None
        return RealPlate(luma=luma, quad=quad, symbols=symbols)
    latin = symbols.endswith("WW")
    boxes = tuple((c.symbol if latin else data.ARABIC_OF.get(c.symbol, c.symbol), c.box) for c in photo.characters)
    spelled = "".join(symbol for symbol, _ in boxes)
    fits = spelled == symbols.replace(BAR, "")
    return RealPlate(luma=luma, quad=quad_around(photo), symbols=symbols, boxes=boxes if fits else ())


def _rows(photo: Photo) -> list[RealPlate]:
    """The two rows of a Moroccan plate: the letter and the prefecture above, the serial below."""
    assert photo.text is not None
    serial, letter, prefecture = photo.text.split(BAR)
    lower = sorted(photo.characters, key=lambda c: -c.box[1])[: len(serial)]
    made = []
    for symbols, row in ((f"{letter}{BAR}{prefecture}", [c for c in photo.characters if c not in lower]),
                         (serial, lower)):  # fmt: skip
        places = sorted(row, key=lambda c: c.box[0])
        boxes = tuple((data.ARABIC_OF.get(c.symbol, c.symbol), c.box) for c in places)
        fits = "".join(symbol for symbol, _ in boxes) == symbols.replace(BAR, "")
        luma = data.luma_of(photo.path)
        made.append(RealPlate(luma=luma, quad=quad_of(places), symbols=symbols, boxes=boxes if fits else ()))
    return made


def quad_around(photo: Photo) -> Quad:
    """The plate's quad (4, 2) guessed from its character boxes."""
    return quad_of(photo.characters)


def quad_of(characters: Sequence[Character]) -> Quad:
    """A quad (4, 2) around characters: their common slope and height, and some room."""
    boxes = np.array([c.box for c in characters if c.symbol.isdigit()], dtype=np.float32)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    spread = float(np.ptp(centres[:, 0]))
    slope = float(np.polyfit(centres[:, 0], centres[:, 1], 1)[0]) if spread > 10 else 0.0
    every = np.array([c.box for c in characters], dtype=np.float32)
    x0, x1 = float(every[:, 0].min()), float(every[:, 2].max())
    tall = float(np.median(boxes[:, 3] - boxes[:, 1]))
    middle_x, middle_y = float(centres[:, 0].mean()), float(centres[:, 1].mean())
    x0, x1 = x0 - 0.25 * tall, x1 + 0.25 * tall
    rows = [(x0, -0.7), (x1, -0.7), (x1, 0.7), (x0, 0.7)]
    return np.array([[x, middle_y + slope * (x - middle_x) + side * tall] for x, side in rows], dtype=np.float32)


def backgrounds(photos: Sequence[Photo], rng: Generator, count: int = 800) -> list[Luma]:
    """Patches (96, 288) of training scenes away from the labelled plate, to stand around drawn plates."""
    found: list[Luma] = []
    while len(found) < count:
        photo = photos[int(rng.integers(len(photos)))]
        luma = data.luma_of(photo.path)
        height = int(rng.integers(40, 120))
        y, x = int(rng.integers(luma.shape[0] - height)), int(rng.integers(luma.shape[1] - 3 * height))
        assert photo.box is not None
        if x < photo.box[2] and x + 3 * height > photo.box[0] and y < photo.box[3] and y + height > photo.box[1]:
            continue
        found.append(
            cut(
                luma,
                np.array([[x, y], [x + 3 * height, y], [x + 3 * height, y + height], [x, y + height]], np.float32),
                (288, 96),
            )
        )
    return found


def collate(crops: list[Crop]) -> Batch:
    """Crops to input (n, 1, 48, 160) in [-1, 1), all targets in one row, and their lengths."""
    pictures = torch.from_numpy(np.stack([crop.luma for crop in crops]))[:, None].float().sub_(128).div_(128)
    targets = torch.tensor([INDEX_OF[s] for crop in crops for s in crop.symbols], dtype=torch.long)
    return pictures, targets, torch.tensor([len(crop.symbols) for crop in crops], dtype=torch.long)


def loss_of(net: nn.Module, batch: Batch, kept: nn.Module | None = None) -> torch.Tensor:
    """CTC loss of one batch, and with `kept` how far the answers are from those that it gives rightly.

    Both are for each character; a crop of nothing counts as one of `EMPTY_CHARACTERS`.
    """
    pictures, targets, lengths = batch
    pictures = pictures.to(DEVICE).contiguous(memory_format=torch.channels_last)
    with halves():
        logits = net(pictures)
    scores = logits.float().log_softmax(-1)
    steps = torch.full((len(pictures),), scores.shape[1], dtype=torch.long)
    loss = nn.functional.ctc_loss(
        scores.transpose(0, 1), targets.to(DEVICE), steps, lengths, blank=BLANK, reduction="none", zero_infinity=True
    )
    characters = torch.where(lengths > 0, lengths, EMPTY_CHARACTERS).to(DEVICE)
    if kept is None:
        return (loss / characters).mean()
    return ((loss + _departure(scores, kept, (pictures, targets, lengths))) / characters).mean()


def _departure(scores: torch.Tensor, kept: nn.Module, batch: Batch) -> torch.Tensor:
    """For each crop the divergence from what `kept` answers, nothing where that is wrong."""
    pictures, targets, lengths = batch
    with torch.no_grad(), halves():
        known = kept(pictures).float()
    wanted = ["".join(SYMBOLS[int(i) - 1] for i in part) for part in targets.split(lengths.tolist())]
    right = torch.tensor([a == b for a, b in zip(greedy(known), wanted, strict=True)], device=scores.device)
    apart = nn.functional.kl_div(scores, known.log_softmax(-1), reduction="none", log_target=True).sum((1, 2))
    return apart * right


def kept_from(weights: Path) -> Reader:
    """The network that training goes on from, to be asked and not trained."""
    net = Reader()
    if weights.suffix == ".tflite":
        shipped.resume(net, weights, torch.rand(8, 1, 48, 160) * 2 - 1)
    else:
        net.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    net.to(DEVICE, memory_format=torch.channels_last).eval().requires_grad_(False)
    return net


def varied(batch: Batch) -> Batch:
    """The same crops cut a little otherwise (3 % of the width, 5 % of the height, a slight slant) in another light."""
    pictures, targets, lengths = batch
    pictures = pictures.to(DEVICE)
    spread = torch.tensor([[0.03, 0.02, 0.03], [0.03, 0.05, 0.05]])
    moved = torch.eye(2, 3) + spread * torch.randn(len(pictures), 2, 3)
    grid = nn.functional.affine_grid(moved.to(DEVICE), list(pictures.shape), align_corners=False)
    cut_anew = nn.functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return relit(cut_anew), targets, lengths


def greedy(logits: torch.Tensor) -> list[str]:
    """The best path of each row of logits (n, steps, symbols + 1), repeats and blanks removed."""
    texts = []
    for path in logits.argmax(-1).tolist():
        kept = [now for before, now in zip([BLANK, *path], path, strict=False) if now not in (before, BLANK)]
        texts.append("".join(SYMBOLS[index - 1] for index in kept))
    return texts


def crop_accuracy(net: nn.Module, plates: Sequence[RealPlate]) -> float:
    """Share of plates whose best path is exactly right, cut with a little room around their quad."""
    pictures = torch.from_numpy(np.stack([_plain(p) for p in plates]))[:, None].float().sub_(128).div_(128)
    with torch.no_grad():
        read = greedy(net(pictures.to(DEVICE)).cpu())
    right = [a.replace(BAR, "") == b.symbols.replace(BAR, "") for a, b in zip(read, plates, strict=True)]
    return float(np.mean(right))


def _plain(real: RealPlate) -> Luma:
    across, down = real.quad[1] - real.quad[0], real.quad[3] - real.quad[0]
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float32)
    roomy = real.quad + signs[:, :1] * across * 0.025 + signs[:, 1:] * down * 0.07
    return normalised(cut(real.luma, roomy.astype(np.float32), (160, 48)))


def _validation(photos: Sequence[Photo]) -> dict[str, list[RealPlate]]:
    sets = {
        name: [p for p in photos if p.folder == name and p.held_out]
        for name in ("ma_scenes", "ma_crops", "br_scenes", "us_scenes")
    }
    return {name: real_plates(held) for name, held in sets.items()}


def relabelled(photos: Sequence[Photo], labels: Path) -> list[RealPlate]:
    """The scenes whose corners and text an earlier pair of models has found (see `relabel`)."""
    known = json.loads(labels.read_text(encoding="utf-8"))
    return [
        RealPlate(
            luma=data.luma_of(photo.path),
            quad=np.array(known[photo.name]["corners"], dtype=np.float32),
            symbols=symbols_of(known[photo.name]["text"]),
        )
        for photo in photos
        if photo.name in known and known[photo.name]["text"] is not None and photo.lines == 1
    ]


def run(data_root: Path, plan: Plan, out: Path, labels: Path | None = None, *, keep: bool = False) -> None:
    """Trains a reader on the drawn and the real material and writes its weights to `out`.

    With `keep` it is held to what the network that it starts from reads rightly.
    """
    photos = data.photos(data_root)
    training = [p for p in photos if not p.held_out]
    real = real_plates(training) + (relabelled(training, labels) if labels else [])
    around = backgrounds([p for p in training if p.folder == "ma_scenes"], np.random.default_rng(plan.seed))
    held = _validation(photos)
    print(f"{len(real)} real plates; held out: " + ", ".join(f"{k} {len(v)}" for k, v in held.items()), flush=True)

    def source(rng: Generator) -> Callable[[], Crop]:
        return CropSource(rng=rng, real=real, backgrounds=around).next

    def report(net: nn.Module) -> str:
        return " ".join(f"{name} {crop_accuracy(net, plates):.3f}" for name, plates in held.items())

    net = Reader()
    net.freeze(plan.frozen)
    print(f"reader of {sum(p.numel() for p in net.parameters()):,} parameters", flush=True)
    loss = functools.partial(loss_of, kept=kept_from(plan.start_from)) if keep and plan.start_from else loss_of
    course = Course(
        source=source, collate=collate, pictures=lambda batch: batch[0], loss=loss, vary=varied, report=report
    )
    train(net, course, plan, out)
