"""The parser of records' fields."""

from typing import Any

import pytest

from vedette.errors import Integrity
from vedette.fields import Fields, check_device_id


@pytest.mark.parametrize("text", ["car-1", "a.b", "0" * 59, "rabat.car-12"])
def test_device_id_is_accepted_when_it_keeps_the_form(text: str) -> None:
    assert check_device_id(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "ab", "a" * 60, "Car-1", "car 1", "car/1", "car+", "#", "$SYS", "-car", "car.", "a..b", "car-1\n", None],
)
def test_device_id_is_refused_when_it_could_be_a_topic_or_a_path(text: object) -> None:
    with pytest.raises(Integrity, match="device id"):
        check_device_id(text)


@pytest.mark.parametrize(
    ("getter", "value"),
    [
        ("text", 1),
        ("text", "x" * 513),
        ("integer", True),
        ("integer", -1),
        ("integer", 1 << 53),
        ("boolean", 1),
        ("sha256", "A" * 64),
        ("sha256", "a" * 64 + "\n"),
        ("object", []),
        ("texts", {"a": 1}),
    ],
)
def test_field_is_refused_by_name_when_its_value_is_wrong(getter: str, value: Any) -> None:
    """RE-11."""
    with pytest.raises(Integrity, match=r"record.*name|record\.name"):
        getattr(Fields({"name": value}, "record"), getter)("name")


def test_fields_name_what_is_missing_and_what_nobody_asked_for() -> None:
    """RE-11."""
    fields = Fields({"known": 1, "extra": 2}, "record")
    with pytest.raises(Integrity, match="'other' is missing"):
        fields.integer("other")
    assert fields.integer("known") == 1
    with pytest.raises(Integrity, match="unknown field 'extra'"):
        fields.close()
