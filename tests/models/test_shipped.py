"""What is shipped: files, cards, the split and the figures' arithmetic."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.reader.drawn import draw
from edge.reader.look import Looker
from edge.reader.tflite_file import read_network
from models import evaluate
from models.train import data

HOME = Path(str(resources.files("models")))
MAX_SHIPPED_BYTES = 2 * 1024 * 1024


@pytest.mark.parametrize("name", ["detector", "reader"])
def test_the_card_names_the_very_file_that_is_shipped(name: str) -> None:
    content = (HOME / f"{name}.tflite").read_bytes()
    card = (HOME / "cards" / f"{name}.md").read_text(encoding="utf-8")
    assert hashlib.sha256(content).hexdigest() in card
    assert len(content) <= MAX_SHIPPED_BYTES


@pytest.mark.parametrize("name", ["detector", "reader"])
def test_no_convolution_leaves_the_lanes_of_the_integer_kernels_empty(name: str) -> None:
    """They take eight channels at a time; one over a single channel took a third of the detector's time."""
    convolutions = [one for one in read_network(HOME / f"{name}.tflite").operations if "CONV_2D" in one.name]
    assert convolutions
    assert min(one.inputs[0].shape[-1] for one in convolutions) >= 4


def test_the_reader_tells_plates_from_a_price() -> None:
    """HT-36."""
    looker = Looker.load(threads=1)
    drawn = draw(width_px=1280, height_px=720, plates=3).luma
    assert [look.plate.is_plate for look in looker.look(drawn) if look.plate] == [True] * 3
    price = np.full((110, 430), 235, dtype=np.uint8)
    cv2.putText(price, "129 000 DH", (24, 74), cv2.FONT_HERSHEY_SIMPLEX, 2.0, 20, 6, cv2.LINE_AA)
    read = looker.reader.read_crop(price)
    assert read is not None and not read.is_plate


def test_the_split_is_by_text_and_keeps_about_fifteen_percent() -> None:
    held = [data.is_validation(f"{serial}|أ|6") for serial in range(4000)]
    assert 0.13 < sum(held) / len(held) < 0.17
    assert data.is_validation("12345|أ|6") == data.is_validation("12345|أ|6")


def test_no_picture_for_evaluation_only_is_trained_on() -> None:
    root = data.default_data()
    if not (root / "plates" / "manifest.jsonl").is_file():
        pytest.skip(f"no photographs under {root}; set VEDETTE_DATA")
    photos = data.photos(root)
    training = [photo for photo in photos if not photo.held_out]
    assert {photo.folder for photo in training} == {"ma_scenes", "ma_crops"}
    texts = {photo.text for photo in training if photo.text}
    assert not texts & {
        photo.text for photo in photos if photo.held_out and photo.folder in data.TRAINABLE and photo.text
    }


@pytest.mark.parametrize(
    ("right", "of", "low", "high"), [(0, 0, 0, 1), (0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1)]
)
def test_the_wilson_interval(right: int, of: int, low: float, high: float) -> None:
    assert evaluate.wilson(right, of) == pytest.approx((low, high), abs=2e-4)


@pytest.mark.parametrize(
    ("read", "known", "right"),
    [
        ("1234ABC", "1234ABC", True),
        ("1234AB", "1234ABC", False),
        (None, "1", False),
        ("12X4", "12?4", True),
        ("124", "12?4", True),
    ],
)
def test_exact_means_every_character_that_can_be_seen(read: str | None, known: str, right: bool) -> None:
    assert evaluate.same(read, known) is right
