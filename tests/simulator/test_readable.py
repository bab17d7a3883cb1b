"""Which pieces of what is opened are looked for on the wire."""

from __future__ import annotations

import pytest

from simulator.readable import BEGINS, WINDOW, windows


@pytest.mark.parametrize(
    ("piece", "looked_for"),
    [
        (b'\x8a\x01\xf3k\x99\x10Q\xe4"\xb7\x00\xd2\x5e\xc8\x31\x77', True),
        (b'"name":"Amrani",', True),
        (b'amrani|31|b|7741', True),
        (b'0192f3aa-55c1-7e', False),
        (b's":1795872895644', False),
        (b'95644123,"utc_us', False),
    ],
)  # fmt: skip
def test_an_id_or_a_time_is_not_looked_for_with_a_piece_of_its_fields_name(piece: bytes, looked_for: bool) -> None:
    """WI-16: the broker may know ids and times."""
    assert len(piece) == WINDOW
    assert (piece in windows(bytes(BEGINS) + piece + bytes(2))) is looked_for
