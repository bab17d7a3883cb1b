"""Accounting for a full shift at the centre, against reading and hashing the same rows.

Ten hours and 34,150 lines (`bench.patrol`). The page's account is made anew each time, and once more where it is kept;
the command's is made with its JSON and its picture.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
from datetime import datetime
from pathlib import Path

from bench.harness import Row, pair
from bench.patrol import DEVICE, Patrol
from sync.central.web.days import Days
from vedette import cli

MEMORY = Path("/dev/shm")
REFERENCE = "the same rows read and hashed"


def shift() -> list[Row]:
    """Lines a second: an account made, one that is kept, one by the command."""
    with tempfile.TemporaryDirectory(prefix="vedette-bench-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        patrol = Patrol(Path(folder))
        day = datetime.fromtimestamp(patrol.clock.utc_us() // 1_000_000).date()
        patrol.live()
        db, kept, picture = patrol.store.db, Days(patrol.store), Path(folder) / "shift.svg"
        lines = int(db.execute("SELECT count(*) FROM custody_lines").fetchone()[0])

        def hashed() -> None:
            running = hashlib.sha256()
            for (line,) in db.execute("SELECT line FROM custody_lines ORDER BY device, service, seq").fetchall():
                running.update(line)

        def command() -> None:
            picture.unlink(missing_ok=True)
            words = ["custody", "timeline", str(patrol.central), "--device", DEVICE, "--json", "--svg", str(picture)]
            with contextlib.redirect_stdout(io.StringIO()):
                assert cli.main(words) == 0

        parts = (
            ("a shift's account for its page", lambda: Days(patrol.store).of(DEVICE, day)),
            ("the same, kept", lambda: kept.of(DEVICE, day)),
            ("the command's, JSON and picture", command),
        )
        return [pair(name, run, REFERENCE, hashed, amount=lines, unit="lines") for name, run in parts]
