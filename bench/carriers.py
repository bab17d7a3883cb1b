"""`python -m bench.carriers ROLE …`: the two references of the transfer, each end a process of its own.

    sink HOST PORT KEYS         subscribe and count bytes: MQTT QoS 1 with nobody in control
    flood HOST PORT KEYS ID     publish parts as fast as paho and the broker take them
    shelf HOST KEYS FOLDER      an HTTPS server that hashes each PUT while it comes and fsyncs it before it answers
    put HOST PORT CA            PUT each item over one kept connection

Words on standard input: `go COUNT BYTES` to flood and put, `until BYTES` to sink; one JSON line answers each.
"""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import os
import queue
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

PART_BYTES = 256 * 1024
WINDOW = 32
TOPIC_END = "check"  # the only topic of a device that no ingest worker hears


def _mqtt(host: str, port: str, keys: str, name: str) -> Client:
    context = ssl.create_default_context(cafile=f"{keys}/ca.crt")
    context.check_hostname = False
    certificate = "ingest" if (Path(keys) / "ingest.crt").exists() else "tls"
    context.load_cert_chain(f"{keys}/{certificate}.crt", f"{keys}/{certificate}.key")
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
    client.tls_set_context(context)
    client.max_inflight_messages_set(WINDOW)
    client.on_socket_open = _no_delay
    client.connect(host, int(port))
    client.loop_start()
    while not client.is_connected():
        time.sleep(0.01)
    return client


def _no_delay(_client: Client, _data: Any, connection: Any) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def sink(host: str, port: str, keys: str) -> Callable[..., object]:
    """Count what arrives."""
    client, got = _mqtt(host, port, keys, "central"), queue.Queue[int]()

    def on_message(_client: Client, _data: Any, message: MQTTMessage) -> None:
        got.put(len(message.payload))

    client.on_message = on_message
    client.subscribe(f"devices/+/{TOPIC_END}", 1)
    time.sleep(0.5)

    def until(size: int) -> dict[str, object]:
        left = size
        while left > 0:
            left -= got.get(timeout=120)
        return {"bytes": size}

    return until


def flood(host: str, port: str, keys: str, name: str) -> Callable[..., object]:
    """Publish with nothing but paho's window."""
    client, payload = _mqtt(host, port, keys, name), os.urandom(PART_BYTES)
    room = threading.Semaphore(WINDOW)
    client.on_publish = lambda *_: room.release()

    def go(count: int, size: int) -> dict[str, object]:
        for _ in range(count * size // PART_BYTES):
            room.acquire()
            client.publish(f"devices/{name}/{TOPIC_END}", payload, qos=1)
        return {}

    return go


def shelf(host: str, keys: str, folder: str) -> Callable[..., object]:
    """Serve PUTs; tells its port."""

    class Shelf(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
            path = Path(folder) / self.path.strip("/")
            with path.with_suffix(".part").open("wb") as file:
                while left:
                    piece = self.rfile.read(min(left, PART_BYTES))
                    digest.update(piece)
                    file.write(piece)
                    left -= len(piece)
                file.flush()
                os.fsync(file.fileno())
            os.replace(path.with_suffix(".part"), path.with_name(f"{digest.hexdigest()}-{path.name}"))
            descriptor = os.open(folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer((host, 0), Shelf)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{keys}/server.crt", f"{keys}/server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return lambda: {"port": server.server_address[1]}


def put(host: str, port: str, ca: str) -> Callable[..., object]:
    """Send items whole, hashing each first, as a client that means to check the answer would."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    connection = http.client.HTTPSConnection(host, int(port), context=context)
    connection.connect()
    number = iter(range(1 << 30))

    def go(count: int, size: int) -> dict[str, object]:
        data = os.urandom(size)
        for _ in range(count):
            hashlib.sha256(data)
            connection.request("PUT", f"/{os.getpid()}-{next(number)}", body=data)
            connection.getresponse().read()
        return {}

    return go


ROLES: dict[str, Callable[..., Callable[..., object]]] = {"sink": sink, "flood": flood, "shelf": shelf, "put": put}


def main(words: list[str]) -> int:
    """Play the role until standard input ends."""
    play = ROLES[words[0]](*words[1:])
    print(json.dumps({"role": words[0]}), flush=True)
    for line in sys.stdin:
        _word, *numbers = line.split()
        print(json.dumps(play(*(int(number) for number in numbers))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
