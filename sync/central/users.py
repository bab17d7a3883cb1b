"""The people who may sign in at the centre: names, roles and salted scrypt hashes (RFC 7914) of their passwords.

Decided here: N=2^15, r=8, p=1 (32 MiB, tens of milliseconds), a minimum length, and a pause after repeated failures
that an attacker cannot tell from a wrong password. Sessions and cookies are the web's business.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re

from sync.central.database import Database
from sync.central.rows import ROLES, Role, User
from vedette.clock import Clock
from vedette.errors import Refused

MIN_PASSWORD_CHARACTERS = 10
MAX_PASSWORD_CHARACTERS = 256
MAX_FAILURES = 8
LOCK_US = 60_000_000

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{1,31}$")
_LOG2_N, _R, _P = 15, 8, 1
_MEMORY_BYTES = 64 << 20


def check_name(name: str) -> str:
    """`name` when it may be a user's, else `Refused`."""
    if not _NAME.fullmatch(name):
        raise Refused(f"{name[:40]!r} is not a user name: 2 to 32 of a-z, 0-9, dot, dash, underscore")
    return name


def hash_password(password: str) -> str:
    """`scrypt$<log2 N>$<r>$<p>$<salt>$<hash>`; `Refused` when the password is too short or too long."""
    if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise Refused(f"a password has {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters")
    salt = os.urandom(16)
    digest = _scrypt(password, salt, _LOG2_N, _R, _P)
    return f"scrypt${_LOG2_N}${_R}${_P}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def password_matches(password: str, stored: str) -> bool:
    """Whether `password` is the one `stored` was made from; takes the same time either way."""
    _, log2_n, r, p, salt, digest = stored.split("$")
    got = _scrypt(password[:MAX_PASSWORD_CHARACTERS], base64.b64decode(salt), int(log2_n), int(r), int(p))
    return hmac.compare_digest(got, base64.b64decode(digest))


class Users:
    """The users' table of one connection."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def add(self, name: str, password: str, role: Role) -> User:
        """Make a user; `Refused` for a bad name, role or password, or a name that is taken."""
        if role not in ROLES:
            raise Refused(f"{role!r} is not a role; one of {', '.join(ROLES)}")
        now_us = self._clock.utc_us()
        row = [check_name(name), hash_password(password), role, now_us]
        sql = "INSERT INTO users (name, password, role, created_us) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        if self._db.execute(sql, row).rowcount != 1:
            raise Refused(f"there is a user {name!r} already")
        return User(name=name, role=role, created_us=now_us)

    def check(self, name: str, password: str) -> User | None:
        """The user when the password is theirs and they are not locked out, else None."""
        now_us = self._clock.utc_us()
        sql = "SELECT password, role, created_us, locked_until_us FROM users WHERE name = ?"
        row = self._db.execute(sql, [name]).fetchone()
        matches = password_matches(password, STRANGER if row is None else row[0])
        if row is None:
            return None
        if row[3] > now_us:
            return None
        if not matches:
            self._count_failure(name, now_us)
            return None
        self._db.execute("UPDATE users SET failures = 0 WHERE name = ?", [name])
        return User(name=name, role=row[1], created_us=row[2])

    def all(self) -> list[User]:
        """Everybody, by name."""
        rows = self._db.execute("SELECT name, role, created_us FROM users ORDER BY name").fetchall()
        return [User(name=row[0], role=row[1], created_us=row[2]) for row in rows]

    def _count_failure(self, name: str, now_us: int) -> None:
        self._db.execute(
            "UPDATE users SET failures = (failures + 1) % ?,"
            " locked_until_us = CASE WHEN failures + 1 >= ? THEN ? ELSE locked_until_us END WHERE name = ?",
            [MAX_FAILURES, MAX_FAILURES, now_us + LOCK_US, name],
        )


def _scrypt(password: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << log2_n, r=r, p=p, maxmem=_MEMORY_BYTES, dklen=32)


STRANGER = hash_password(base64.b64encode(os.urandom(24)).decode())
