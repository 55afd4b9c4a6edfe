"""What this machine has, and what of RLR Studio can run on it."""

import argparse
import importlib.metadata
import platform
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import torch

from rlr_core.errors import RLRError
from rlr_core.estimators.registry import ESTIMATORS
from rlr_core.paths import assets_folder
from rlr_core.pipelines.catalogue import BASE_MODELS, BaseModelCard
from rlr_core.pipelines.device import best_device
from rlr_core.plugin import Plugin
from rlr_core.preference.registry import FEATURES
from rlr_core.rewards.registry import REWARDS
from rlr_core.session.files import explained

PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "gradio", "numpy", "pillow")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# What each embedded model consists of; every pattern has to match a file.
ASSET_FILES = {
    "emoji": (
        "model_index.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json",
        "text_encoder/*.safetensors", "unet/*.safetensors", "vae/*.safetensors",
    ),
    "clip": ("config.json", "preprocessor_config.json", "tokenizer_config.json", "*.safetensors"),
}  # fmt: skip
GIGABYTE = 1e9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`doctor` has no options beyond those of every command."""
    parser.description = "Show what this machine has and what can run on it."


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Print the findings about this machine and about `arguments.workspace`; return them as JSON-ready data."""
    findings = examine(Path(arguments.workspace))
    print("\n".join(lines(findings)))
    return findings


def examine(workspace: Path) -> dict[str, Any]:
    """All findings. Sizes are in bytes; a `reason` is None, or the sentence that says why something cannot run here."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": _device(),
        "memory": {**_memory(), "disk_free_bytes": shutil.disk_usage(_nearest_folder(workspace)).free},
        "workspace": {"folder": str(workspace), "reason": _workspace_reason(workspace)},
        "assets": {name: {"missing": _missing(assets_folder() / name, patterns)} for name, patterns in ASSET_FILES.items()},
        "browser": next(filter(None, map(shutil.which, BROWSERS)), None),
        "base_models": {name: _base_model(card) for name, card in BASE_MODELS.items()},
        "rewards": _plugins(REWARDS),
        "estimators": _plugins(ESTIMATORS),
        "features": _plugins(FEATURES),
    }


def lines(findings: Mapping[str, Any]) -> list[str]:
    """The findings as a table for a person."""
    memory, device, workspace = findings["memory"], findings["device"], findings["workspace"]
    rows = [
        ("Python", f"{findings['python']} on {findings['platform']}"),
        ("Packages", ", ".join(f"{name} {version or 'missing'}" for name, version in findings["packages"].items())),
        ("Device", f"{device['name']} ({device['type']}), CPU threads used: {device['torch_threads']}"),
        ("Main memory", f"{_gigabytes(memory['ram_available_bytes'])} free of {_gigabytes(memory['ram_total_bytes'])}"),
        ("GPU memory", _gpu_memory(memory)),
        ("Disk", f"{_gigabytes(memory['disk_free_bytes'])} free for the workspace"),
        ("Workspace", workspace["reason"] or f"{workspace['folder']} can be written to"),
        *((f"assets/{name}", _presence(found["missing"])) for name, found in findings["assets"].items()),
        ("Test browser", findings["browser"] or "none found: the browser tests need Chromium (on Debian: apt install chromium)"),
    ]
    table = [f"{name:15}{value}" for name, value in rows]
    table += ["", "Base models", *(_verdict(name, entry) + _needs(entry) for name, entry in findings["base_models"].items())]
    for title, group in (("Rewards", "rewards"), ("Estimators", "estimators"), ("Features", "features")):
        table += ["", title, *(_verdict(name, entry) for name, entry in findings[group].items())]
    return table


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device() -> dict[str, Any]:
    device = best_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {"type": device.type, "name": name, "torch_threads": torch.get_num_threads()}


def _memory() -> dict[str, int | None]:
    """Main memory and GPU memory apart: either can be the one that runs out."""
    ram = psutil.virtual_memory()
    vram_free, vram_total = torch.cuda.mem_get_info() if torch.cuda.is_available() else (None, None)
    return {
        "ram_available_bytes": ram.available,
        "ram_total_bytes": ram.total,
        "vram_free_bytes": vram_free,
        "vram_total_bytes": vram_total,
    }


def _nearest_folder(path: Path) -> Path:
    """`path`, or the first above it that exists."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _workspace_reason(workspace: Path) -> str | None:
    try:
        with explained(workspace), tempfile.TemporaryFile(dir=_nearest_folder(workspace)):
            return None
    except RLRError as problem:
        return str(problem)


def _missing(folder: Path, patterns: tuple[str, ...]) -> list[str]:
    return [pattern for pattern in patterns if not any(folder.glob(pattern))]


def _base_model(card: BaseModelCard) -> dict[str, Any]:
    return {
        "label": card.label,
        "licence": card.licence,
        "download_bytes": card.download_bytes,
        "memory_bytes": card.memory_bytes,
        "reason": card.availability(),
    }


def _plugins(registry: Mapping[str, Plugin[Any]]) -> dict[str, Any]:
    return {name: {"label": plugin.label, "reason": plugin.availability()} for name, plugin in registry.items()}


def _gigabytes(size: int) -> str:
    return f"{size / GIGABYTE:.1f} GB"


def _gpu_memory(memory: Mapping[str, Any]) -> str:
    if memory["vram_total_bytes"] is None:
        return "none of its own"
    return f"{_gigabytes(memory['vram_free_bytes'])} free of {_gigabytes(memory['vram_total_bytes'])}"


def _presence(missing: list[str]) -> str:
    return f"incomplete, missing {', '.join(missing)}: take this folder from the repository again" if missing else "complete"


def _verdict(name: str, entry: Mapping[str, Any]) -> str:
    return f"  {name:23}{'can run' if entry['reason'] is None else 'cannot run: ' + entry['reason']}"


def _needs(entry: Mapping[str, Any]) -> str:
    download = f", download of {_gigabytes(entry['download_bytes'])}" if entry["download_bytes"] else ""
    return f" (memory {_gigabytes(entry['memory_bytes'])}{download})"
