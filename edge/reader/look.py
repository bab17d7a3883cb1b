"""The whole chain for one picture: find the plates, straighten each, read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.reader.calibration import IDENTITY, Calibration, find_calibration
from edge.reader.detect import MAX_OVERLAP, Detection, Detector, overlap, shared
from edge.reader.infer import Model
from edge.reader.ocr import PlateReader, PlateText
from edge.reader.registry import Registry, open_registry
from edge.reader.weighing import merged

Luma = NDArray[np.uint8]
# The grey frames a cut-out plate gets before the detector looks for its corners, in widths of the picture.
FRAMES = (0.6, 1.1)
# A plate that takes this share of the picture's width fills it: the picture was cut to it.
FILLS_SHARE = 0.4
CONFIDENT_PERMILLE = 400
# Above this side a picture is always looked at from closer too: a plate far off is a few pixels wide at the first look.
LARGE_PX = 1920
DOUBTFUL_PERMILLE = 450
HOPELESS_PERMILLE = 20
# A read below this gets its corners found anew, with this much room around the plate, in its widths.
SURE_PERMILLE = 900
CLOSE_ROOM = 0.6
SAME_OVERLAP = 0.4


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One plate of one picture; `plate` is None where no text fits."""

    detection: Detection
    plate: PlateText | None


class Looker:
    """The two models of this version, ready to look at pictures.  One per thread."""

    def __init__(self, detector: Detector, reader: PlateReader, model_hashes: dict[str, str]) -> None:
        """Takes both stages; `model_hashes` is SHA-256 by model name, for the record."""
        self.detector = detector
        self.reader = reader
        self.model_hashes = model_hashes

    @classmethod
    def load(cls, *, threads: int, folder: Path | None = None) -> Looker:
        """Both models of the package or of `folder`, hashes checked; errors as in `registry` and `infer`.

        OpenCV, whose pool is the process's, gets as many threads.
        """
        registry = open_registry(folder)
        registry.check_calibration()
        calibration = find_calibration(registry.model("reader").sha256, folder=folder)
        return cls._loaded(registry, calibration, threads)

    @classmethod
    def load_uncalibrated(cls, *, threads: int, folder: Path | None = None) -> Looker:
        """As `load`, but with the reader's own confidence, whatever lies beside: to measure what that is worth."""
        return cls._loaded(open_registry(folder), IDENTITY, threads)

    @classmethod
    def _loaded(cls, registry: Registry, calibration: Calibration, threads: int) -> Looker:
        files = (registry.model("detector"), registry.model("reader"))
        detector, reader = (Model.load(file.path, threads=threads) for file in files)
        cv2.setNumThreads(threads)
        return cls(Detector(detector), PlateReader(reader, calibration), {file.name: file.sha256 for file in files})

    def look(self, luma: Luma) -> list[Look]:
        """Every plate of a grey picture (height, width), the surest detection first; of a large one the surest read.

        A large picture is looked at from closer too, any picture where nothing is read with confidence; that one also
        as if it were cut to its plate.
        """
        looks = [self._closely(luma, look) for look in self._read_all(luma, self.detector.detect(luma))]
        is_large = max(luma.shape) > LARGE_PX
        if is_large:
            looks = self._with_further(luma, looks)
        if any(_is_confident(look) for look in looks):
            return looks
        closer = [] if is_large else self.detector.detect_closer(luma)
        filling = [one for one in self._framed(luma) if _width(one) >= FILLS_SHARE * luma.shape[1]]
        return _better(looks + self._read_all(luma, [*closer, *filling]))

    def _with_further(self, luma: Luma, looks: Sequence[Look]) -> list[Look]:
        """The looks at a large picture, and those at plates that were too small in it when it was made smaller.

        What was read with confidence stands, and nothing that shares its place is read again.
        """
        kept = [look for look in looks if _is_confident(look)]
        lacking = [one for one in self.detector.detect_whole_closer(luma) if not _is_among(one, kept)]
        further = [self._closely(luma, look) for look in self._read_all(luma, lacking)]
        unsure = [look for look in looks if not _is_confident(look)]
        for look in sorted([*further, *unsure], key=_confidence, reverse=True):
            if not _is_among(look.detection, kept):
                kept.append(look)
        return sorted(kept, key=_confidence, reverse=True)

    def _framed(self, luma: Luma) -> list[Detection]:
        return [one for share in FRAMES for one in self.detector.detect_framed(luma, share)[:1]]

    def _read_all(self, luma: Luma, detections: list[Detection]) -> list[Look]:
        return [Look(detection=one, plate=self._read(luma, one)) for one in detections]

    def _read(self, luma: Luma, detection: Detection) -> PlateText | None:
        """A doubtful detection gets a thorough read only where a glance finds anything like a plate's text."""
        if detection.confidence_permille >= DOUBTFUL_PERMILLE:
            return self.reader.read(luma, detection.corners_px)
        glance = self.reader.glance(luma, detection.corners_px)
        if glance.plate is None or glance.plate.confidence_permille < HOPELESS_PERMILLE:
            return glance.plate
        return self.reader.read(luma, detection.corners_px, glance)

    def _closely(self, luma: Luma, look: Look) -> Look:
        """The same plate, where it was not read surely, read again with corners found anew from closer.

        Corners that are a pixel off in a picture that was made small cut into the characters of a plate seen aslant.
        """
        doubtful, read = look.detection.confidence_permille < DOUBTFUL_PERMILLE, _confidence(look)
        if read >= SURE_PERMILLE or (doubtful and read < HOPELESS_PERMILLE):
            return look
        x0, y0, x1, y1 = look.detection.box_px
        room = round(CLOSE_ROOM * (x1 - x0))
        left, top = max(0, x0 - room), max(0, y0 - room)
        part = np.ascontiguousarray(luma[top : y1 + room, left : x1 + room])
        if part.size == 0:
            return look
        for found in self.detector.detect(part):
            moved = found.moved(left, top)
            if overlap(moved.box_px, look.detection.box_px) >= SAME_OVERLAP:
                again = Look(detection=moved, plate=self.reader.read(luma, moved.corners_px))
                surer = max(look, again, key=_confidence)
                if look.plate is None or again.plate is None:
                    return surer
                return Look(detection=surer.detection, plate=merged(look.plate, again.plate))
        return look

    def look_at_crop(self, luma: Luma) -> list[Look]:
        """The one plate of a picture that is already cut to it, tilted and with some room around as it may be."""
        height, width = luma.shape
        whole = Detection(
            corners_px=((0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height))),
            confidence_permille=1000,
        )
        looks = [
            Look(detection=one, plate=self.reader.read(luma, one.corners_px)) for one in [*self._framed(luma), whole]
        ]
        return [max(looks, key=_confidence)]


def _is_among(detection: Detection, looks: Sequence[Look]) -> bool:
    """Whether one of the looks is at the same plate, at a part of it, or at one that it is a part of."""
    return any(shared(detection.box_px, look.detection.box_px) >= MAX_OVERLAP for look in looks)


def _width(detection: Detection) -> int:
    return detection.box_px[2] - detection.box_px[0]


def _confidence(look: Look) -> int:
    return look.plate.confidence_permille if look.plate is not None else -1


def _is_confident(look: Look) -> bool:
    return look.plate is not None and look.plate.is_plate and _confidence(look) >= CONFIDENT_PERMILLE


def _better(looks: list[Look]) -> list[Look]:
    """Of looks at the same plate, the one that is read with the most confidence."""
    order = sorted(looks, key=lambda look: -look.plate.confidence_permille if look.plate is not None else 1)
    kept: list[Look] = []
    for look in order:
        if all(overlap(look.detection.box_px, other.detection.box_px) < MAX_OVERLAP for other in kept):
            kept.append(look)
    return kept
