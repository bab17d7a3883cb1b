"""One item's way from a device's spool to the centre's signed receipt: the two state machines and what they agree on.

A transfer is driven by the receiver, idempotent, and resumable after a restart of either side: any message may be lost,
doubled, late, reordered or foreign. `Sender` and `Receiver` are pure: messages and times in, actions out.
Implements docs/spec/wire.md.
"""

from __future__ import annotations

from sync.parts import PartSet
from sync.receiver import Receiver
from sync.sender import Sender

__all__ = ["PartSet", "Receiver", "Sender"]
