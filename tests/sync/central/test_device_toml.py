"""The broker's address in a device.toml."""

from __future__ import annotations

import pytest

from sync.central.device_toml import with_uplink

ADDRESS = 'host = "10.0.0.1"\nport = 8883\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"[uplink]\n{ADDRESS}"),
        ("[device]\nid = 'a'", f"[device]\nid = 'a'\n\n[uplink]\n{ADDRESS}"),
        ('[uplink]\nhost = "old"\nwindow = 2  # mine\n', f"[uplink]\n{ADDRESS}window = 2  # mine\n"),
        ("[uplink]\n\n[keeper]\nport = 1\n", f"[uplink]\n{ADDRESS}\n[keeper]\nport = 1\n"),
        ("[ uplink ] # mine\nport=1\nhostile = 1\n", f"[ uplink ] # mine\n{ADDRESS}hostile = 1\n"),
        ("# [uplink]\n", f"# [uplink]\n\n[uplink]\n{ADDRESS}"),
    ],
)
def test_address_is_put_in_and_the_rest_kept_when_a_device_is_enrolled(before: str, after: str) -> None:
    assert with_uplink(before, host="10.0.0.1", port=8883) == after


def test_address_is_the_same_when_put_in_twice() -> None:
    once = with_uplink("[device]\n", host="10.0.0.1", port=8883)

    assert with_uplink(once, host="10.0.0.1", port=8883) == once
