"""A browser to be driven: Debian's chromium by its chromedriver, over the W3C's WebDriver protocol."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from support import need

#: Nothing of the caller's, nothing from the network, nothing that is loaded later.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--force-device-scale-factor=1"),
)
#: Keys by the protocol's code points.
KEYS = {"Shift": "\ue008", "Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Space": " "}
KEYS |= {"Home": "\ue011", "End": "\ue010", "ArrowUp": "\ue013", "ArrowDown": "\ue015"}
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_PATIENCE = 120


@dataclass(frozen=True, slots=True)
class Browser:
    """One window."""

    address: str

    def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """One command of the protocol; its answer."""
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.address + path, data, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - http
                return json.load(answer)["value"]
        except HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error

    def open(self, page: Path, fragment: str = "") -> None:
        """Show a file, from the beginning."""
        self.call("POST", "/url", {"url": "about:blank"})
        self.call("POST", "/url", {"url": page.as_uri() + fragment})

    def run(self, script: str, *arguments: object) -> Any:
        """What ``script``, the body of a function that may wait, returns in the page."""
        text = (
            f"const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done, done)"
        )
        return self.call("POST", "/execute/async", {"script": text, "args": list(arguments)})

    def texts(self, selector: str) -> list[str]:
        """What is seen of each element that ``selector`` finds."""
        return list(
            self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", selector)
        )

    def text(self, selector: str) -> str:
        """What is seen of the one element."""
        (text,) = self.texts(selector)
        return text

    def click(self, selector: str) -> None:
        """Click where the element is, as with a mouse."""
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]
        self.call("POST", f"/element/{found}/click")

    def press(self, *keys: str) -> None:
        """Press keys one after the other, named as in :data:`KEYS` or letters; ``Shift+Tab`` together."""
        for key in keys:
            parts = [KEYS.get(part, part) for part in key.split("+")]
            actions = [{"type": "keyDown", "value": part} for part in parts]
            actions += [{"type": "keyUp", "value": part} for part in reversed(parts)]
            self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def until(self, condition: str, *arguments: object) -> None:
        """Wait until the expression ``condition`` holds in the page."""
        wait = f"while (!({condition})) await new Promise(requestAnimationFrame); return true"
        assert self.run(wait, *arguments) is True, condition

    def devtools(self, command: str, **parameters: object) -> Any:
        """A command that only this browser has."""
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def scheme(self, name: str) -> None:
        """Prefer ``light`` or ``dark``."""
        self.devtools(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}]
        )

    def size(self, width: int, height: int) -> None:
        """The size of the page's view."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def picture(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def messages(self) -> list[str]:
        """What the browser complained of since it was asked last."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]


@contextmanager
def browser(scratch: Path) -> Iterator[Browser]:
    """A browser with an empty profile in ``scratch``."""
    need("chromium", "chromedriver")
    home = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "LC_ALL": "C.UTF-8"}
    with (scratch / "driver.log").open("wb") as log:
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=log, env=home)
    try:
        server = f"http://127.0.0.1:{_port(driver)}/session"
        flags = [*FLAGS, f"--user-data-dir={scratch / 'profile'}"]
        wishes = {"goog:chromeOptions": {"args": flags}, "goog:loggingPrefs": {"browser": "ALL"}}
        session = Browser(server).call("POST", "", {"capabilities": {"alwaysMatch": wishes}})
        window = Browser(f"{server}/{session['sessionId']}")
        try:
            window.call("POST", "/timeouts", {"script": _PATIENCE * 500})
            yield window
        finally:
            window.call("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(_PATIENCE)


def _port(driver: subprocess.Popen[bytes]) -> int:
    assert driver.stdout is not None
    for line in driver.stdout:
        if found := re.search(rb"started successfully on port (\d+)", line):
            return int(found[1])
    raise AssertionError("chromedriver does not start")
