"""The app in a process of its own, and a real browser; for tests and benchmarks."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from rlr_core.errors import RLRError

REPOSITORY = Path(__file__).parents[2]
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Running:
    """The app at work on a workspace."""

    url: str
    workspace: Path
    process: subprocess.Popen

    def stop(self) -> None:
        """End it as Ctrl+C does."""
        self.process.terminate()
        self.process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(workspace: Path, port: int) -> Running:
    """Start the app and return once it has said where it listens."""
    command = [sys.executable, "-u", "-m", "app", "--no-browser", "--port", str(port), "--workspace", str(workspace)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = process.stdout.readline()
    assert f"http://127.0.0.1:{port}" in line, line
    return Running(f"http://127.0.0.1:{port}", workspace, process)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise RLRError("No Chromium was found, which this needs: install it (on Debian: apt-get install chromium), or leave this out.")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=CHROMIUM_ARGUMENTS)
        try:
            yield opened
        finally:
            opened.close()
