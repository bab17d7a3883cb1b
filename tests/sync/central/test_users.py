"""Who may sign in."""

from __future__ import annotations

from typing import Any

import pytest

from sync.central import users
from vedette.errors import Refused

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def quick_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_LOG2_N", 4)


def test_user_is_known_when_the_password_is_right(centre: Any) -> None:
    made = centre.store.add_user("chief", PASSWORD, "admin")

    assert centre.store.check_password("chief", PASSWORD) == made
    assert centre.store.users() == [made]


@pytest.mark.parametrize(("name", "password"), [("chief", "wrong"), ("chief", ""), ("nobody", PASSWORD), ("", "")])
def test_nobody_is_known_when_name_or_password_is_wrong(centre: Any, name: str, password: str) -> None:
    centre.store.add_user("chief", PASSWORD, "admin")

    assert centre.store.check_password(name, password) is None


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("name", "password", "role"),
    [
        ("Chief", PASSWORD, "admin"),
        ("a", PASSWORD, "admin"),
        ("a" * 33, PASSWORD, "admin"),
        ("chief\n", PASSWORD, "admin"),
        ("chief", "x" * 9, "admin"),
        ("chief", "x" * 257, "admin"),
        ("chief", PASSWORD, "god"),
    ],
)
def test_user_is_refused_when_name_password_or_role_is_bad(centre: Any, name: str, password: str, role: Any) -> None:
    with pytest.raises(Refused):
        centre.store.add_user(name, password, role)


@pytest.mark.parametrize("length", [10, 256])
def test_password_is_taken_when_its_length_is_at_a_limit(centre: Any, length: int) -> None:
    centre.store.add_user("chief", "é" * length, "viewer")

    assert centre.store.check_password("chief", "é" * length) is not None


def test_user_is_refused_when_the_name_is_taken(centre: Any) -> None:
    centre.store.add_user("chief", PASSWORD, "admin")

    with pytest.raises(Refused, match="already"):
        centre.store.add_user("chief", "another password", "viewer")
    assert centre.store.check_password("chief", PASSWORD) is not None


def test_user_is_locked_out_when_the_password_was_wrong_too_often(centre: Any) -> None:
    centre.store.add_user("chief", PASSWORD, "admin")
    for _ in range(users.MAX_FAILURES):
        centre.store.check_password("chief", "wrong")

    assert centre.store.check_password("chief", PASSWORD) is None
    centre.clock.advance(users.LOCK_US + 1)
    assert centre.store.check_password("chief", PASSWORD) is not None


def test_failures_are_forgotten_when_the_password_was_right(centre: Any) -> None:
    centre.store.add_user("chief", PASSWORD, "admin")
    for _ in range(2):
        for _ in range(users.MAX_FAILURES - 1):
            centre.store.check_password("chief", "wrong")
        assert centre.store.check_password("chief", PASSWORD) is not None


def test_password_is_not_in_the_store_when_it_is_hashed(centre: Any) -> None:
    centre.store.add_user("chief", PASSWORD, "admin")

    (stored,) = centre.store.db.execute("SELECT password FROM users").fetchone()

    assert PASSWORD not in stored and stored.startswith("scrypt$")
