"""Browsers that are not Chromium, by their own remote control: Firefox by Marionette, WebKit (the engine of Safari) by
W3C WebDriver.

Both skip the test where the browser is not there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from ports import free_port

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
WEBKIT = shutil.which("WebKitWebDriver")
DISPLAY = shutil.which("Xvfb")
MINIBROWSER = next(iter(sorted(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser"))), None)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
WITHIN_S = 60
PREFERENCES = {
    "marionette.port": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "network.manage-offline-status": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.aboutwelcome.enabled": False,
    "remote.prefs.recommended": True,
}


class Browser(Protocol):
    """What of a browser's remote control is needed."""

    def run(self, verb: str, path: str, body: dict[str, Any]) -> Any:
        """A command by its WebDriver name, such as `ExecuteScript`, or its path in W3C WebDriver."""

    def close(self) -> None:
        """End it."""


class Firefox:
    """A headless Firefox through Marionette: length-prefixed JSON over a socket."""

    def __init__(self, folder: Path) -> None:
        profile = folder / "profile"
        profile.mkdir()
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
        (profile / "user.js").write_text("\n".join(lines))
        env = {**os.environ, "HOME": str(folder), "MOZ_HEADLESS_WIDTH": "1280", "MOZ_HEADLESS_HEIGHT": "900"}
        words = [str(FIREFOX), "--headless", "--marionette", "--no-remote", "--profile", str(profile), "about:blank"]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(words, env=env, stdout=log, stderr=log)
        port = profile / "MarionetteActivePort"
        found = wait_for(lambda: port.read_text() if port.is_file() else "", lambda: (folder / "log").read_text())
        self._socket = wait_for(lambda: connected(int(found)), lambda: (folder / "log").read_text())
        self._read()
        self._number = 0
        self.run("NewSession", "", {"strictFileInteractability": False})

    def run(self, verb: str, path: str, body: dict[str, Any]) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, f"WebDriver:{verb}", body]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _kind, _number, error, answer = self._read()
        assert error is None, error
        return answer.get("value") if isinstance(answer, dict) else answer

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(WITHIN_S)

    def _read(self) -> Any:
        size = b""
        while (one := self._socket.recv(1)) != b":":
            assert one
            size += one
        data = b""
        while len(data) < int(size):
            data += self._socket.recv(int(size) - len(data))
        return json.loads(data)


class WebKit:
    """WebKitGTK's MiniBrowser through WebKitWebDriver, on a display in memory."""

    def __init__(self, folder: Path) -> None:
        port, self._processes = free_port(), list[subprocess.Popen[bytes]]()
        with (folder / "log").open("wb") as log:
            read, write = os.pipe()
            words = [str(DISPLAY), "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
            self._processes.append(subprocess.Popen(words, pass_fds=[write], stdout=log, stderr=log))
            os.close(write)
            with os.fdopen(read) as told:
                display = told.readline().strip()
            env = {
                **os.environ, "DISPLAY": f":{display}", "HOME": str(folder), "GDK_BACKEND": "x11",
                "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
                "LIBGL_ALWAYS_SOFTWARE": "1", "DBUS_SESSION_BUS_ADDRESS": "disabled:", "NO_AT_BRIDGE": "1",
            }  # fmt: skip
            driver = subprocess.Popen([str(WEBKIT), f"--port={port}"], env=env, stdout=log, stderr=log)
        self._processes.append(driver)
        self._address, self._session = f"http://127.0.0.1:{port}", ""
        wait_for(lambda: connected(port), lambda: (folder / "log").read_text()).close()
        options = {"binary": str(MINIBROWSER), "args": ["--automation"]}
        asked = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
        self._session = self.run("", "", asked)["sessionId"]

    def run(self, verb: str, path: str, body: dict[str, Any]) -> Any:
        place = f"/session/{self._session}/{path}" if self._session else "/session"
        method = "GET" if path == "screenshot" else "POST"
        data = None if method == "GET" else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + place, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()[:500]}") from None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            request = urllib.request.Request(f"{self._address}/session/{self._session}", method="DELETE")
            urllib.request.urlopen(request, timeout=WITHIN_S).close()
        for process in reversed(self._processes):
            process.terminate()
            process.wait(WITHIN_S)


@contextlib.contextmanager
def opened(name: str) -> Iterator[tuple[Browser, Path]]:
    """`firefox` or `webkit`, and the folder of its files, both gone afterwards; skips the test where it is not here.

    The folder is no test's own: names of sockets in it must be short.
    """
    if name == "firefox" and FIREFOX is None:
        pytest.skip("Firefox is not installed (apt install firefox-esr)")
    if name == "webkit" and not (WEBKIT and MINIBROWSER and DISPLAY):
        pytest.skip("WebKit's driver is not installed (apt install webkit2gtk-driver xvfb)")
    with tempfile.TemporaryDirectory(prefix="vedette-browser-", ignore_cleanup_errors=True) as folder:
        browser = Firefox(Path(folder)) if name == "firefox" else WebKit(Path(folder))
        try:
            yield browser, Path(folder)
        finally:
            browser.close()


def wait_for(fact: Callable[[], Any], why: Callable[[], str]) -> Any:
    end = time.monotonic() + WITHIN_S
    while not (found := fact()):
        assert time.monotonic() < end, why()[-2000:]
        time.sleep(0.02)
    return found


def connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)
    except OSError:
        return None
