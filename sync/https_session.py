"""One session with the depot's door, from its handshake to its end; `sync.https_link` decides when there is one.

Decided here: what the session's socket is like, and that another thread may cut it at any moment. The link's thread
connects, sends and ends; the caller's hands over what is to be sent, and cuts. Implements DE-13, DE-15 and DE-16 of
docs/spec/depot.md.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from sync.bulk_socket import drop_unsent, mark
from vedette.wire import Fin, Init, Part

MAX_WAITING = 64
CONNECT_TIMEOUT_S = 5.0
TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpsConfig:
    """Where the depot's door is, as whom to knock, and the mark (DSCP) of the packets; 0 is none."""

    host: str
    port: int
    device: str
    ca: Path
    certificate: Path
    key: Path
    dscp: int = 0


class HttpsSession(http.client.HTTPSConnection):
    """A connection with what waits to be sent on it, `jobs`; both end together. `why_cut` is empty until it is cut."""

    def __init__(self, config: HttpsConfig, tls: ssl.SSLContext) -> None:
        super().__init__(config.host, config.port, timeout=CONNECT_TIMEOUT_S, context=tls)
        self._dscp = config.dscp
        self.jobs: queue.Queue[Init | Part | Fin] = queue.Queue(MAX_WAITING)
        self.why_cut = ""
        self._ending = threading.Lock()
        # A second descriptor of the socket, closed under the lock only: http.client closes its own whenever it likes,
        # and by then the number may be another file's. It is none of TLS either: `SSLSocket.shutdown` takes TLS off
        # first, and a send under way in another thread would go on in clear.
        self._handle: socket.socket | None = None

    def connect(self) -> None:
        """Connect within CONNECT_TIMEOUT_S; OSError when that fails, or when the session has been cut meanwhile.

        http.client calls it again where the door has closed the connection behind an answer.
        """
        super().connect()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mark(self.sock, self._dscp)
        self.sock.settimeout(TIMEOUT_S)
        with self._ending:
            self._close_handle()
            if self.why_cut:
                raise ConnectionAbortedError(self.why_cut)
            self._handle = socket.fromfd(self.sock.fileno(), self.sock.family, self.sock.type)

    def cut(self, reason: str) -> None:
        """Let nothing more leave; a request under way fails at once, and whoever makes it ends the session."""
        with self._ending:
            self.why_cut = reason
            if self._handle is not None:
                drop_unsent(self._handle)
                with contextlib.suppress(OSError):  # the connection is lost already
                    self._handle.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Close the connection as it is."""
        with self._ending:
            self.close()
            self._close_handle()

    def _close_handle(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None
