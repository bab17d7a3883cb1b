"""The symbols the plate reader can emit, in the order of its output; index 0 of the output is the CTC blank.

The models are trained on exactly this order: changing it makes every reader file unusable.
"""

from __future__ import annotations

DIGITS = "0123456789"
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BAR = "|"
ARABIC = "أبدهوشطجم"
SYMBOLS = DIGITS + LATIN + BAR + ARABIC
BLANK = 0
INDEX_OF = {symbol: index for index, symbol in enumerate(SYMBOLS, start=1)}
