"""The hardware around the camera, behind one port; `open_board` picks the adapter that device.toml names.

Built in: `null`, `pi`, `jetson`. Others come from the entry-point group `vedette.boards`; each entry point is a
callable `(options, *, run_dir, clock) -> Board`.
"""

from __future__ import annotations

import importlib.metadata

from edge.board.jetson import JetsonBoard
from edge.board.null import NullBoard
from edge.board.pi import PiBoard
from edge.board.port import Board
from edge.board.relay import RelayBoard
from vedette.clock import Clock
from vedette.config import DeviceConfig
from vedette.errors import NotFound, Usage

GROUP = "vedette.boards"


def open_board(config: DeviceConfig, clock: Clock) -> Board:
    """The board that `[board] adapter` names; `NotFound` when there is no such adapter or its package is missing."""
    name, options = config.board.adapter, config.board.options
    if name == "pi":
        return PiBoard(options, run_dir=config.run, clock=clock)
    if name == "jetson":
        return JetsonBoard(options, run_dir=config.run, clock=clock)
    if name == "null":
        if options:
            raise Usage(f"[board] options: adapter 'null' has none, and {next(iter(options))!r} is set")
        return NullBoard(config.run, clock)
    for entry in importlib.metadata.entry_points(group=GROUP, name=name):
        board: Board = entry.load()(options, run_dir=config.run, clock=clock)
        return board
    raise NotFound(f"[board] adapter {name!r} is not there; built in: null, pi, jetson")


def open_alerts(config: DeviceConfig, clock: Clock) -> Board:
    """The board as a service has it that owns no pins: where the device is, and signals by way of the panel.

    A wired board is not opened here; a simulated one is, for its position. Raises what `open_board` raises.
    """
    wired = config.board.adapter in ("pi", "jetson")
    board = NullBoard(config.run, clock) if wired else open_board(config, clock)
    return RelayBoard(config.run, clock, position=board.position)
