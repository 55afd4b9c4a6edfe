"""Set RLR Studio up in the folder it lies in, and start it.

    python3 launch.py                   the app, in the browser
    python3 launch.py COMMAND ...       one of COMMANDS below

The first start makes the environment `.venv` beside this file and installs the requirements into it; later starts find it ready. Where
the requirements are installed already (a container, a Hugging Face Space) no environment is made. Only the standard library is used,
and nothing that a Python too old to run the app could not read: it must be able to say so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)
USER_ERROR = 2
INTERRUPTED = 130

COMMANDS = {
    "test": "run all tests; what follows is handed to pytest",
    "tune": "teach a model a measured property, without a person",
    "simulate": "go through the whole loop with a scripted rater",
    "export": "write a session's taste or answers to a file",
    "import": "let a taste or answers from a file count in a session",
    "bench": "measure gradients, convergence, memory and speed",
    "space": "write a folder that is a Hugging Face Space",
    "doctor": "show what this machine has and what can run on it",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing is reported to anyone.
PRIVACY = {"HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_ANALYTICS_ENABLED": "False", "DO_NOT_TRACK": "1"}


class CannotStart(Exception):  # noqa: N818 - named for what it tells
    """One sentence for the person; the process ends with `exit_code`."""

    def __init__(self, sentence: str, exit_code: int = 1) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def say(line: str) -> None:
    """Tell the person what happens now, before it happens."""
    print(line, flush=True)


def requirement_lines(path: Path) -> list[str]:
    """The requirements in a file and in the files it includes by -r, without comments."""
    lines: list[str] = []
    for raw in path.read_text(encoding="utf-8").splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith("-r "):
            lines += requirement_lines(path.parent / line[3:].strip())
        elif line:
            lines.append(line)
    return lines


def is_installed(requirement: str) -> bool:
    """Whether this interpreter has what a line `name==version` asks for; a build such as 2.13.0+cpu is the version 2.13.0."""
    name, _, wanted = requirement.partition("==")
    try:
        found = importlib.metadata.version(name.strip())
    except importlib.metadata.PackageNotFoundError:
        return False
    return found.partition("+")[0] == wanted.strip()


@dataclass(frozen=True)
class Environment:
    """The virtual environment in `folder`, and the file of requirements it has to meet."""

    folder: Path
    requirements: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        """Written when everything is installed: the Python's version, and each requirement in a line."""
        return self.folder / "installed.txt"

    def is_ready(self) -> bool:
        """Whether its Python runs and all these requirements were installed to the end."""
        return self.stamp.is_file() and set(self._wanted()) <= set(self.stamp.read_text(encoding="utf-8").splitlines())

    def prepare(self) -> None:
        """Make it, or go on where an earlier attempt stopped; raises CannotStart."""
        if self._runs("-m", "pip", "--version") is None:
            say(f"[1/2] {'Making anew the broken' if self.folder.exists() else 'Making the'} environment {self.folder}")
            must_succeed(
                [sys.executable, "-m", "venv", "--clear", str(self.folder)],
                f"The environment {self.folder} could not be made: see the lines above. "
                "Make sure that the folder can be written to and, on Debian or Ubuntu, that python3-venv is installed; then start again.",
            )
        else:
            say(f"[1/2] Using the environment {self.folder}; its installation is unfinished or out of date")
        self.stamp.unlink(missing_ok=True)
        self._forget_unfinished_packages()
        say(f"[2/2] Installing {self.requirements.name}; the first time this downloads some gigabytes and takes minutes")
        pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--requirement", str(self.requirements)]
        must_succeed(
            [str(self.python), *pip],
            f"{self.requirements.name} could not be installed: see pip's lines above. "
            "Check the network connection and the free space on the disk, then start again: it goes on where it stopped.",
        )
        self.stamp.write_text("\n".join(self._wanted()), encoding="utf-8")

    def _wanted(self) -> list[str]:
        version = self._runs("-I", "-S", "-c", "import sys; print('python', *sys.version_info[:2])")
        return [str(version).strip(), *requirement_lines(self.requirements)]

    def _runs(self, *arguments: str) -> str | None:
        """What the environment's Python prints for these arguments; None if it is missing, broken or fails."""
        try:
            return subprocess.run([str(self.python), *arguments], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return None

    def _forget_unfinished_packages(self) -> None:
        """Remove the records of packages whose installation was cut off: pip would take their files to be complete.

        pip writes INSTALLER after a package's own files.
        """
        for record in self.folder.glob("**/site-packages/*.dist-info"):
            if not (record / "INSTALLER").is_file():
                shutil.rmtree(record)


def must_succeed(command: list[str], sentence: str) -> None:
    """Run a command with its output in sight; CannotStart with the sentence if it fails."""
    if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
        raise CannotStart(sentence)


def ready_python(root: Path, requirements_name: str) -> Path:
    """An interpreter that has the requirements: the environment's, or this one, or the environment's once it is made."""
    environment = Environment(root / ".venv", root / requirements_name)
    if environment.is_ready():
        return environment.python
    if all(is_installed(line) for line in requirement_lines(environment.requirements)):
        return Path(sys.executable)
    environment.prepare()
    return environment.python


def ensure_browser() -> None:
    """The tests drive a real Chromium: on Debian, as root, install it when there is none."""
    if any(shutil.which(name) for name in BROWSERS):
        return
    if not (shutil.which("apt-get") and os.geteuid() == 0):
        say("No Chromium was found, which the browser tests need: install it (on Debian: apt install chromium).")
        return
    say("Installing chromium for the browser tests")
    sentence = "chromium could not be installed: see apt-get's lines above. Check the network connection, or install it by hand."
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    must_succeed(["apt-get", "update", "--quiet"], sentence)
    must_succeed(["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium"], sentence)


def start(python: Path, root: Path, module: str, arguments: list[str]) -> int:
    """Become `python -m module arguments`, so that signals and the exit code are its own.

    `root` goes on the module path instead of the current folder, which stays the person's: their relative paths mean what they expect.
    """
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    surroundings = {**os.environ, **PRIVACY, "PYTHONPATH": path}
    command = [str(python), "-P", "-m", module, *arguments]
    if os.name != "nt":
        os.execve(command[0], command, surroundings)
    # Windows cannot replace a process: wait for it, and leave Ctrl-C, which reaches both, to it.
    process = subprocess.Popen(command, env=surroundings)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def port(text: str) -> int:
    """A port number, for argparse."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"'{text}' is no port: give a whole number from 1 to 65535, for example 7860.")
    return int(text)


class Parser(argparse.ArgumentParser):
    """Answers a mistake with one sentence."""

    def error(self, message: str) -> NoReturn:
        raise CannotStart(message, USER_ERROR)


def app_parser() -> Parser:
    """The app's options, known here so that a typing mistake is answered before anything is installed."""
    commands = "\n".join(f"  {name:10} {what}" for name, what in COMMANDS.items())
    parser = Parser(
        prog="launch.py",
        usage="python3 launch.py [options]  |  python3 launch.py COMMAND ...",
        description="Start RLR Studio in the browser. The first start sets it up in the folder .venv beside this file,\n"
        "which downloads some gigabytes; later ones start at once.",
        epilog=f"commands, each with its own --help:\n{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--host", help="address to listen on; without it only this machine can connect")
    parser.add_argument("--port", type=port, help="port to listen on")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    parser.add_argument("--workspace", metavar="FOLDER", help="where sessions, pictures and adapters are kept")
    return parser


def refuse_unknown(word: str, known: list[str]) -> NoReturn:
    """Answer a word that means nothing with the nearest one that does."""
    near = get_close_matches(word, known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise CannotStart(f"'{word}' is unknown: {hint}'python3 launch.py --help' shows what there is.", USER_ERROR)


def check_app_options(arguments: list[str]) -> None:
    """Refuse what the app would refuse; print the help and end where that is asked for."""
    _, unknown = app_parser().parse_known_args(arguments)
    if unknown:
        refuse_unknown(unknown[0], ["--host", "--port", "--no-browser", "--workspace", "--help"])


def launch(arguments: list[str], root: Path) -> int:
    """Do what the command line asks for; the exit code, where this process was not replaced."""
    command = arguments[0] if arguments and not arguments[0].startswith("-") else "app"
    if command == "app":
        check_app_options(arguments)
        return start(ready_python(root, "requirements.txt"), root, "app", arguments)
    if command == "test":
        python = ready_python(root, "requirements-test.txt")
        ensure_browser()
        os.chdir(root)
        return start(python, root, "pytest", arguments[1:])
    if command == "bench":
        return start(ready_python(root, "requirements-test.txt"), root, "benchmarks", arguments[1:])
    if command not in COMMANDS:
        refuse_unknown(command, list(COMMANDS))
    return start(ready_python(root, "requirements.txt"), root, "rlr_core.command", arguments)


def main(arguments: list[str], root: Path = ROOT) -> int:
    """`launch`, with every mistake and every interruption turned into an exit code."""
    # A launcher that is told to end takes a running pip with it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        if sys.version_info < OLDEST_PYTHON:  # noqa: UP036 - this is where an older one is told
            raise CannotStart(
                f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old: RLR Studio needs 3.11 or newer. "
                "Install one (https://www.python.org) and start again with it, for example: python3.12 launch.py",
                USER_ERROR,
            )
        return launch(arguments, root)
    except CannotStart as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
