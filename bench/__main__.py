"""`python -m bench`: prints the table; `python -m bench seal list` only the named parts."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable

from bench import (
    absence,
    beside,
    crowd,
    endurance,
    evidence,
    microphones,
    plates,
    recorder,
    shift,
    sound,
    steps,
    stores,
    transfer,
)
from bench.harness import Fact, Row
from vedette.cli import table

PARTS: dict[str, Callable[[], list[Row] | list[Fact]]] = {
    "reader": plates.reader_stages,
    "list": plates.list_lookup,
    "seal": evidence.sealing,
    "segment": evidence.segment_writer,
    "recorder": recorder.recorder_cpu,
    "endurance": endurance.endurance,
    "beside": beside.beside_the_reader,
    "steps": steps.longest_steps,
    "sound": sound.sound_over_an_hour,
    "microphones": microphones.microphones_in_step,
    "sync": transfer.transfer,
    "crowd": crowd.crowd,
    "absence": absence.absence,
    "stores": stores.stores,
    "growth": stores.growth,
    "shift": shift.shift,
}
HEADS = ("what", "median", "rate", "reference", "its median", "ratio", "note")
LEGEND = "ratio: this over its reference, median of pairs measured in turn; below 1 is faster than the reference"
FACT_HEADS = ("what", "figure", "promised")


def main(names: list[str]) -> int:
    """Run the parts named, all when none is, and print one table."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"bench: no part is called {unknown[0]!r}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    found = [row for name in (names or PARTS) for row in PARTS[name]()]
    rows, facts = [one for one in found if isinstance(one, Row)], [one for one in found if isinstance(one, Fact)]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    if rows:
        print(table([row.cells() for row in rows], heads=HEADS))
        print(
            "\nratio: this over its reference, median of pairs measured in turn; below 1 is faster than the reference"
        )
    if facts:
        print(("\n" if rows else "") + table([fact.cells() for fact in facts], heads=FACT_HEADS))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
