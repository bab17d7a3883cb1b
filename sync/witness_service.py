"""A witness on the network: `POST /add-checkpoint` of C2SP tlog-witness, and what it cosigned last, for all to read.

Decided here: the HTTP of it (statuses, limits, one thread a connection with a short time-out). What is checked is
`vedette.witness`, what is remembered `vedette.witness_folder`. A witness is its own process in its own folder with its
own key, and best on somebody else's machine. `GET /logs` and `GET /logs/<origin>` are ours: the public specification
leaves reading open. Implements TL-31 of docs/spec/log.md.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from vedette.clock import Clock, SystemClock
from vedette.errors import NotFound, Refused, VedetteError
from vedette.witness import MAX_REQUEST_BYTES, SIZE_TYPE, Rejected
from vedette.witness_folder import WitnessFolder

_log = logging.getLogger("vedette.witness")
TIMEOUT_S = 10.0
PLAIN = "text/plain; charset=utf-8"


class WitnessServer(ThreadingHTTPServer):
    """Serves the witness in `folder` at `host` and `port` (0: a free one, see `server_address`)."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: WitnessFolder, host: str, port: int, clock: Clock | None = None) -> None:
        self.folder = folder
        self.clock: Clock = clock or SystemClock()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise Refused(f"the witness cannot listen on {host} port {port}: {error.strerror or error}") from None


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    timeout = TIMEOUT_S
    protocol_version = "HTTP/1.1"
    server_version = "vedette"
    sys_version = ""

    def do_POST(self) -> None:
        """One request for a cosignature."""
        body = self._body()
        if body is None:
            return
        if self.path.rstrip("/") != "/add-checkpoint":
            self._answer(HTTPStatus.NOT_FOUND, "there is only POST /add-checkpoint\n")
            return
        try:
            line = self.server.folder.add(body.decode("utf-8", "replace"), self.server.clock.utc_us() // 1_000_000)
        except Rejected as error:
            _log.warning("refused (%d): %s", error.status, error)
            is_size = error.size is not None and not error.is_suspect
            text = f"{error.size}\n" if is_size else f"{error}\n"
            self._answer(error.status, text, kind=SIZE_TYPE if is_size else PLAIN)
        except (VedetteError, OSError) as error:
            _log.error("cannot answer: %s", error)
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the witness's own state cannot be read or written\n")
        else:
            self._answer(HTTPStatus.OK, line)

    def do_GET(self) -> None:
        """What this witness is and what it cosigned last."""
        folder = self.server.folder
        try:
            if self.path == "/":
                self._answer(HTTPStatus.OK, f"{folder.key.text}\n")
            elif self.path == "/logs":
                self._answer(HTTPStatus.OK, "".join(f"{one.key.text}\n" for one in folder.logs()))
            elif self.path.startswith("/logs/"):
                signed = folder.log(unquote(self.path.removeprefix("/logs/"))).signed
                self._answer(HTTPStatus.OK if signed else HTTPStatus.NOT_FOUND, signed or "nothing cosigned yet\n")
            else:
                self._answer(HTTPStatus.NOT_FOUND, "there are /, /logs and /logs/<origin>\n")
        except NotFound:
            self._answer(HTTPStatus.NOT_FOUND, "this log is not watched here\n")
        except (VedetteError, OSError) as error:
            _log.error("cannot answer: %s", error)
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the witness's own state cannot be read\n")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what is refused is logged where it is refused."""

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or len(length) > 9:
            self.close_connection = True
            self._answer(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is needed\n")
            return None
        if int(length) > MAX_REQUEST_BYTES:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"over {MAX_REQUEST_BYTES} bytes\n")
            return None
        return self.rfile.read(int(length))

    def _answer(self, status: int, text: str, *, kind: str = PLAIN) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
