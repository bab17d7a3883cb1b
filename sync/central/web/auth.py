"""Who is signed in: server-side sessions, the tokens that forms carry, and patience with wrong passwords.

Decided here: a session is a random token whose SHA-256 is the only thing kept, in memory, so a restart signs everyone
out; it ends `[web] session_minutes` after signing in, and earlier after `IDLE_S` without a person's request (the
page's own polling does not count). Passwords and the lock of one account are the store's (`Store.check_password`);
slowing down one address is done here.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass

from sync.central.rows import User
from vedette.clock import Clock

IDLE_S = 2 * 3600
MAX_SESSIONS = 1000
FREE_FAILURES = 10
FAILURE_WINDOW_S = 900
MAX_ADDRESSES = 10_000


@dataclass(slots=True)
class Session:
    """One signed-in browser. `name` identifies it inside the server (never sent), `form_token` goes into every form."""

    name: str
    user: User
    form_token: str
    created_us: int
    used_us: int


class Sessions:
    """The signed-in browsers, by the hash of their token. Called from the server's worker threads."""

    def __init__(self, clock: Clock, *, lasting_s: int) -> None:
        self._clock = clock
        self._lasting_us = lasting_s * 1_000_000
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    def open(self, user: User) -> str:
        """Start a session for `user` and return the token for its cookie; beyond `MAX_SESSIONS` the longest unused one
        ends.
        """
        token = secrets.token_urlsafe(32)
        now_us = self._clock.mono_us()
        session = Session(_name(token), user, secrets.token_urlsafe(32), now_us, now_us)
        with self._lock:
            self._drop_ended(now_us)
            if len(self._sessions) >= MAX_SESSIONS:
                del self._sessions[min(self._sessions.values(), key=lambda one: one.used_us).name]
            self._sessions[session.name] = session
        return token

    def find(self, token: str | None, *, by_person: bool) -> Session | None:
        """The live session of this token; a request made `by_person` keeps it alive, the page's polling does not."""
        if not token:
            return None
        now_us = self._clock.mono_us()
        with self._lock:
            session = self._sessions.get(_name(token))
            if session is None or self._ended(session, now_us):
                return None
            if by_person:
                session.used_us = now_us
            return session

    def close(self, session: Session) -> None:
        """End a session now."""
        with self._lock:
            self._sessions.pop(session.name, None)

    def _drop_ended(self, now_us: int) -> None:
        for session in [one for one in self._sessions.values() if self._ended(one, now_us)]:
            del self._sessions[session.name]

    def _ended(self, session: Session, now_us: int) -> bool:
        return now_us - session.used_us > IDLE_S * 1_000_000 or now_us - session.created_us > self._lasting_us


def _name(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Door:
    """Form tokens for a browser that is not signed in yet: an HMAC of its own cookie; nothing is kept for strangers."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def new_cookie(self) -> str:
        """A fresh cookie value."""
        return secrets.token_urlsafe(24)

    def form_token(self, cookie: str) -> str:
        """The token that a form must carry beside this cookie."""
        return hmac.new(self._secret, cookie.encode(), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare two tokens without telling by the time taken where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


class Patience:
    """Counts wrong passwords of one address; past `FREE_FAILURES` in `FAILURE_WINDOW_S` that address waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[str, list[int]] = {}

    def wait_s(self, address: str) -> int:
        """Whole seconds until this address may try again; 0 when it may now."""
        with self._lock:
            recent = self._recent(address)
            if len(recent) < FREE_FAILURES:
                return 0
            return (recent[-FREE_FAILURES] + FAILURE_WINDOW_S * 1_000_000 - self._clock.mono_us()) // 1_000_000 + 1

    def failed(self, address: str) -> None:
        """Note a wrong password from `address`."""
        with self._lock:
            recent = self._recent(address)
            if address not in self._failures and len(self._failures) >= MAX_ADDRESSES:
                del self._failures[min(self._failures, key=lambda one: self._failures[one][-1])]
            self._failures[address] = [*recent, self._clock.mono_us()][-FREE_FAILURES:]

    def forget(self, address: str) -> None:
        """A right password clears the count of its address."""
        with self._lock:
            self._failures.pop(address, None)

    def _recent(self, address: str) -> list[int]:
        since_us = self._clock.mono_us() - FAILURE_WINDOW_S * 1_000_000
        return [at_us for at_us in self._failures.get(address, []) if at_us > since_us]
