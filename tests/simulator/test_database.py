"""The PostgreSQL of the chaos trial: what it says when it ends by itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from simulator.database import Database

WITHIN_S = 60.0


@pytest.fixture
def database() -> Iterator[Database]:
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    with Database() as made:
        yield made


def test_database_that_does_not_start_says_why_and_nothing_of_the_start_before(database: Database) -> None:
    port = urlsplit(database.url).port
    assert "ready to accept connections" in database.last_words()
    database.kill()

    with socket.create_server(("127.0.0.1", port or 0)):
        database.start()
        end = time.monotonic() + WITHIN_S
        while database.running:
            assert time.monotonic() < end
            time.sleep(0.05)

    assert "could not bind" in database.last_words()
    assert "ready to accept connections" not in database.last_words()
