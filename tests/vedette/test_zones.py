"""One name for the zone that a device works in."""

import datetime
import zoneinfo

import pytest

from vedette.errors import Usage
from vedette.zones import find_zone


def test_zone_is_found_by_its_name() -> None:
    assert find_zone("UTC") is datetime.timezone.utc
    assert find_zone("Africa/Casablanca") == zoneinfo.ZoneInfo("Africa/Casablanca")


@pytest.mark.parametrize("name", ["", "Africa/Atlantis", "../etc/passwd", "/etc/localtime", "a\0b"])
def test_zone_is_refused_with_its_key_when_there_is_none(name: str) -> None:
    with pytest.raises(Usage, match=r"^device\.zone: .* is no time zone here"):
        find_zone(name)
    with pytest.raises(Usage, match=r"^--zone: "):
        find_zone(name, key="--zone")
