"""What a device is told about the centre."""

from pathlib import Path
from typing import Any

import pytest

from vedette import canonical, sealed
from vedette.errors import Integrity, NotFound, VedetteError
from vedette.keys import SigningKey
from vedette.trust import Trust, load_trust, parse_trust

RECIPIENTS = [sealed.HybridIdentity.generate().recipient.text for _ in range(3)]
TRUST = Trust(
    centre=SigningKey.generate().public,
    list_signer=SigningKey.generate().public,
    log_origin="vedette.local/log",
    evidence=(RECIPIENTS[0],),
    oversight=(RECIPIENTS[1],),
    triage=RECIPIENTS[2],
)
BODY: dict[str, Any] = canonical.loads(TRUST.to_bytes())


def test_trust_returns_equal_when_written_and_read(tmp_path: Path) -> None:
    """SP-7."""
    (tmp_path / "trust.json").write_bytes(TRUST.to_bytes())
    assert load_trust(tmp_path / "trust.json") == TRUST


def test_recordings_are_never_sealed_to_the_centres_own_key() -> None:
    """SP-7."""
    assert [one.text for one in TRUST.segment_recipients()] == RECIPIENTS[:2]
    assert [one.text for one in TRUST.lead_recipients()] == RECIPIENTS


@pytest.mark.parametrize(
    "change",
    [
        {"centre": "ed25519:AAAA"},
        {"evidence": []},
        {"evidence": RECIPIENTS[0]},
        {"evidence": ["age1nonsense"]},
        {"evidence": [RECIPIENTS[0]] * 9},
        {"triage": "AGE-SECRET-KEY-PQ-1"},
        {"officer": "x"},
    ],
)
def test_trust_is_refused_when_a_field_is_not_what_it_must_be(change: dict[str, Any]) -> None:
    """SP-7."""
    with pytest.raises(VedetteError):
        parse_trust(canonical.dumps({**BODY, **change}))


@pytest.mark.parametrize("name", sorted(BODY))
def test_trust_is_refused_when_a_field_is_missing(name: str) -> None:
    """SP-7."""
    with pytest.raises(Integrity):
        parse_trust(canonical.dumps({key: value for key, value in BODY.items() if key != name}))


def test_trust_says_when_a_device_is_not_enrolled(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_trust(tmp_path / "trust.json")


def test_trust_says_what_to_do_when_the_device_is_not_enrolled(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="central enrol"):
        load_trust(tmp_path / "trust.json")


def test_trust_names_its_file_when_it_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("plate,region\n")
    with pytest.raises(Integrity, match=r"list\.csv: a record is not JSON"):
        load_trust(tmp_path / "list.csv")
