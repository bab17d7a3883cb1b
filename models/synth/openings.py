"""How many closed spaces a drawn character has, which its weight must not change.

A heavy stroke closes what is open in a character: a 9 becomes an 8, a 4 loses its hole, and the label is no longer
what is drawn.  A thin one opens what is closed.  Decided here is what counts as a closed space: it is looked for at
half the size of the masks, which is about how large a character stands in the reader's picture.  There a gap that is
too narrow to be seen is no gap, and a pinhole where strokes meet is no space.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

# Latin letters and digits as strokes and stamping tools draw them; a character that is not here has none.
CLOSED = dict.fromkeys("0469ADOPQR", 1) | dict.fromkeys("B8", 2)
# As strokes none of these can close, however heavy they are.
NEVER_CLOSING = frozenset("127EFHIJKLNTUVWXYZ")
# Of the outline that its ink has around a space: a space of three pixels has one of about six.
SMALLEST_PX = 5.0


def holes(mask: NDArray[np.uint8]) -> int:
    """How many spaces of the grey mask (height, width) are surrounded by its ink."""
    height, width = (max(1, side // 2) for side in mask.shape)
    small = cv2.resize(mask[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    _, ink = cv2.threshold(small, 127, 255, cv2.THRESH_BINARY)
    outlines, tree = cv2.findContours(ink, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if len(outlines) < 2:
        return 0
    inner = [outline for outline, around in zip(outlines, tree[0, :, 3], strict=True) if around >= 0]
    return sum(cv2.contourArea(outline) >= SMALLEST_PX for outline in inner)


def thinned(draw: Callable[[int], NDArray[np.uint8]], thick: int, thinnest: int, closed: int) -> NDArray[np.uint8]:
    """What is drawn with the heaviest stroke, `thick` or less, that leaves so many closed spaces."""
    mask = draw(thick)
    while thick > thinnest and holes(mask) != closed:
        thick -= 1
        mask = draw(thick)
    return mask
