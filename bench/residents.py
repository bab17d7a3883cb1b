"""`python -m bench.residents DAY STEP NOW DEVICE.TOML…`: devices in one process that live through a held day.

DAY is when the day began (µs since 1970), STEP and NOW are µs of the day. Words on standard input, one JSON line
answers each (see `simulator.absence`):

    live US     go on until that moment of the day
    drain S     let the clock go, until everything has its receipt; tell in which order of priorities
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from simulator.absence import Load, Street


def main(words: list[str]) -> int:
    """Serve the words until standard input ends."""
    begins_us, step_us, at_us = (int(word) for word in words[:3])
    paths = [Path(word) for word in words[3:]]
    street = Street(paths, begins_utc_us=begins_us, load=Load(), step_us=step_us, at_us=at_us)
    print(json.dumps({"devices": len(paths)}), flush=True)
    for line in sys.stdin:
        word, number = line.split()
        if word == "live":
            street.live_until(int(number))
        else:
            street.drain(float(number))
        orders = [one.order() for one in street.residents] if word == "drain" else []
        answer = {"published": street.published, "sessions": street.sessions, "orders": orders}
        print(json.dumps(answer), flush=True)
    street.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
