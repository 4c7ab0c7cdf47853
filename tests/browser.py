"""A headless Chromium driven over the DevTools protocol, for looking at pages as a person would."""

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)
NO_GPU, SOFTWARE_GL = (
    ("--disable-gpu",),
    ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)")


class Browser:
    """One page; `events` collects everything that the browser reported."""

    def __init__(self, *flags: str) -> None:
        websocket = pytest.importorskip("websocket", reason="the websocket-client package is not installed")
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={self.profile.name}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port = wait_for(lambda: (Path(self.profile.name) / "DevToolsActivePort").read_text().split()[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            page = next(target for target in json.load(answer) if target["type"] == "page")
        self.socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=30)
        self.count, self.events = 0, []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while (message := json.loads(self.socket.recv())).get("id") != self.count:
            self.events.append(message)
        assert "error" not in message, message
        return message["result"]

    def js(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, url: str, width: int = 1280, height: int = 900) -> None:
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=url)
        wait_for(lambda: self.js("document.readyState") == "complete" and self.js("location.href") != "about:blank")
        self.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def errors(self) -> list[Any]:
        """Exceptions, console errors and failed loads since `open`."""
        self.js("0")
        bad = []
        for event in self.events:
            detail = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown" or (
                event["method"] == "Runtime.consoleAPICalled" and detail["type"] in ("error", "assert")
            ):
                bad.append(detail)
            if event["method"] == "Log.entryAdded" and detail["entry"]["level"] == "error":
                bad.append(detail)
        return bad

    def requests(self) -> list[str]:
        """Everything that the page asked for since `open`, embedded data left out."""
        sent = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(10)
        self.profile.cleanup()


def wait_for(ready: Any, seconds: float = 20) -> Any:
    """Call until the answer is true and no error; the last try's error is the test's."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            if answer := ready():
                return answer
        time.sleep(0.05)
    answer = ready()
    assert answer, "timed out"
    return answer
