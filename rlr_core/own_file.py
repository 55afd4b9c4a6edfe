"""A Python file of the person at this machine: run in a module of its own, and every failure of it told with its file and line."""

import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from rlr_core.errors import RLRError


def run_file(path: Path, wanted: str) -> ModuleType:
    """Run the file and return its module. Only for files of the person at this machine.

    Args:
        wanted: what the file should define, for the message if it is missing.

    Raises:
        RLRError: it is missing or does not run.
    """
    if not path.is_file():
        raise RLRError(f"{path} is not there: give a Python file that defines {wanted}.")
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 - running the person's own file is the purpose
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise RLRError(f"{path}{line}: this is not valid Python ({error.msg}); correct it.") from error
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
        raise RLRError(f"{_place(error, path)}: the file raised {type(error).__name__}: {error}. Correct it.") from error
    return module


def called(path: Path, name: str, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
    """What the file's function returns; RLRError with the line if it raises."""
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
        place = _place(error, path)
        raise RLRError(f"{place}: {name} raised {type(error).__name__}: {error}. It has to return a number; correct it.") from error


def defined_at(path: Path, function: Callable[..., Any]) -> str:
    """The file and the line on which the function begins, where that is known."""
    code = getattr(function, "__code__", None)
    return f"{path}, line {code.co_firstlineno}" if code is not None and code.co_filename == str(path) else str(path)


def _place(error: BaseException, path: Path) -> str:
    """The file and the last of its lines that the error came through, even if it was raised in a library below."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}, line {lines[-1]}" if lines else str(path)
