"""The payload of a hit, by its vectors."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from vedette.errors import Integrity
from vedette.hitfile import pack, unpack

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "hit" / "payloads.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", [one for one in CASES if one["good"]], ids=lambda case: case["name"])
def test_hit_opens_and_packs_to_the_same_bytes_when_the_vector_is_good(case: dict[str, Any]) -> None:
    """HT-1, HT-2, HT-3."""
    payload = base64.b64decode(case["payload"])
    assert pack(*unpack(payload)) == payload


@pytest.mark.parametrize("case", [one for one in CASES if not one["good"]], ids=lambda case: case["name"])
def test_hit_is_refused_when_the_vector_is_bad(case: dict[str, Any]) -> None:
    """HT-1, HT-2, HT-3."""
    with pytest.raises(Integrity):
        unpack(base64.b64decode(case["payload"]))
