"""Where the project's own files lie."""

from pathlib import Path


def assets_folder() -> Path:
    """The folder of everything that ships with the project."""
    return Path(__file__).resolve().parent.parent / "assets"


def default_workspace() -> Path:
    """Where sessions are kept unless told otherwise: outside the repository."""
    return Path.home() / ".rlr-studio"
