"""The symbols the plate reader can emit, in the order of its output; index 0 of the output is the CTC blank.

The models are trained on exactly this order: changing it makes every reader file unusable.
"""

from __future__ import annotations

DIGITS = "0123456789"
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BAR = "|"
ARABIC = "أبدهوشطجم"
# Letters of special Moroccan series, and whole words that stand on a plate as one sign.
ARABIC_MORE = "قس"
TUNIS, SUSPENDED, MOROCCO = "ت", "ن", "غ"
WORDS = {TUNIS: "تونس", SUSPENDED: "نت", MOROCCO: "المغرب"}
# A character that is there and cannot be seen: covered by a sticker, mud or a mask.
HIDDEN = "?"
SYMBOLS = DIGITS + LATIN + BAR + ARABIC + ARABIC_MORE + TUNIS + SUSPENDED + MOROCCO + HIDDEN
BLANK = 0
INDEX_OF = {symbol: index for index, symbol in enumerate(SYMBOLS, start=1)}
