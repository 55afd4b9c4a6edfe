"""Load a base model: by its name in the catalogue, from a diffusers folder, from a .safetensors file, or from the Hugging Face hub.

Only safetensors are read: a pickle can run any program. Code that comes with a model is never run. Files that are already on this
machine are used without asking the network.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors import SafetensorError, safe_open

from rlr_core.config import AdapterConfig
from rlr_core.errors import RLRError
from rlr_core.pipelines.catalogue import BASE_MODELS
from rlr_core.pipelines.device import best_device, place
from rlr_core.pipelines.stable_diffusion import BaseModel

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
PICKLES = {".ckpt", ".pt", ".pth", ".bin", ".pkl"}
LATENT_CHANNELS_KEY = "model.diffusion_model.input_blocks.0.0.weight"
# Weights are read in float32 and cast by `place`, whatever format they are kept in.
ARGUMENTS: dict[str, Any] = {
    "dtype": torch.float32, "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
}  # fmt: skip


def load_base_model(source: str, adapter: AdapterConfig, device: torch.device | None = None, dtype: torch.dtype | None = None) -> BaseModel:
    """Load a base model and put a fresh adapter on it.

    Args:
        source: a name of the catalogue, a diffusers folder, a .safetensors file, or a hub id "owner/name".
        device: where it shall run; the fastest device of this machine if None.
        dtype: the number format of its weights; the one that suits the device if None.

    Raises:
        RLRError: the source is unknown, unsafe, damaged, of another kind, or out of reach.
    """
    name, pipeline = load_pipeline(source, device or best_device(), dtype)
    return BaseModel(name, pipeline, adapter)


def load_pipeline(source: str, device: torch.device, dtype: torch.dtype | None = None) -> tuple[str, StableDiffusionPipeline]:
    """The model's name and its pipeline as it is published, without an adapter; as for `load_base_model`."""
    name, read = _reader(source)
    pipeline = read()
    pipeline.set_progress_bar_config(disable=True)
    return name, place(pipeline, device, dtype)


def check_source(source: str) -> None:
    """Raise RLRError for what can be said without loading: the source is unknown, unsafe, or cannot run here."""
    _reader(source)


def _reader(source: str) -> tuple[str, Callable[[], StableDiffusionPipeline]]:
    """The model's name, and how it is read."""
    path = Path(source)
    if source in BASE_MODELS:
        return source, _catalogue_reader(source)
    if path.suffix.lower() in PICKLES:
        raise RLRError(f"{path.name} is a pickle, which can run any program when it is opened; use the model's .safetensors file.")
    if path.is_dir():
        _check_folder(path)
        return path.resolve().name, partial(_from_folder, path)
    if path.is_file():
        if path.suffix.lower() != ".safetensors":
            raise RLRError(f"{path.name} is no .safetensors file; choose one, or a diffusers folder.")
        return path.stem, partial(_from_file, path)
    if HUB_ID.fullmatch(source) and path.suffix != ".safetensors":
        return source, partial(_from_hub, source)
    near = get_close_matches(source, BASE_MODELS, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise RLRError(
        f"Base model '{source}' is neither known nor a folder or file on this machine: {hint}Use one of {', '.join(BASE_MODELS)}, "
        "a diffusers folder, a .safetensors file, or an id such as owner/name on the Hugging Face hub."
    )


def _catalogue_reader(name: str) -> Callable[[], StableDiffusionPipeline]:
    card = BASE_MODELS[name]
    reason = card.availability()
    if reason is not None:
        raise RLRError(f"Base model '{name}' cannot run here: {reason}")
    return partial(_from_folder if isinstance(card.source, Path) else _from_hub, card.source)  # type: ignore[arg-type]


def _check_folder(folder: Path) -> None:
    if not (folder / "model_index.json").is_file():
        raise RLRError(f"{folder} has no model_index.json, so it is no diffusers model; choose the folder that holds that file.")


def _from_folder(folder: Path) -> StableDiffusionPipeline:
    _check_folder(folder)
    with _readable(str(folder)):
        _check_class(folder / "model_index.json", str(folder))
        return _from_pretrained(str(folder), local_files_only=True)


def _from_hub(repository: str) -> StableDiffusionPipeline:
    _check_class(_hub_index(repository), repository)
    try:
        return _from_pretrained(repository, local_files_only=True)
    except OSError:  # not all of it is on this machine yet
        with _readable(repository):
            return _from_pretrained(repository, local_files_only=False)


def _hub_index(repository: str) -> Path:
    """The repository's model_index.json: the copy on this machine, or else a download."""
    try:
        return Path(hf_hub_download(repository, "model_index.json", local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(hf_hub_download(repository, "model_index.json"))
    except RepositoryNotFoundError as error:
        raise RLRError(
            f"There is no model {repository} on the Hugging Face hub, or it is private; check the id, or log in with `hf auth login`."
        ) from error
    except LocalEntryNotFoundError as error:
        raise RLRError(
            f"{repository} is not on this machine and the Hugging Face hub cannot be reached; connect to the internet for its first use."
        ) from error
    except EntryNotFoundError as error:
        raise RLRError(f"{repository} has no model_index.json, so it is no diffusers model; choose another repository.") from error


def _from_file(path: Path) -> StableDiffusionPipeline:
    with _readable(str(path)):
        _check_checkpoint(path)
        # The configuration comes from this machine's hub cache, and only if it is not there from the hub.
        return StableDiffusionPipeline.from_single_file(str(path), local_files_only=True, **ARGUMENTS)


def _from_pretrained(source: str, local_files_only: bool) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(source, local_files_only=local_files_only, use_safetensors=True, **ARGUMENTS)


def _check_class(index: Path, source: str) -> None:
    kind = json.loads(index.read_text(encoding="utf-8")).get("_class_name")
    if kind != "StableDiffusionPipeline":
        raise RLRError(f"{source} is a {kind}: only StableDiffusionPipeline models (1.x, 2.x) are supported for now; choose one.")


def _check_checkpoint(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        channels = file.get_slice(LATENT_CHANNELS_KEY).get_shape()[1] if LATENT_CHANNELS_KEY in names else None
    if channels != 4 or not any(name.startswith("cond_stage_model.") for name in names):
        raise RLRError(f"{path.name} is no checkpoint of Stable Diffusion 1.x or 2.x, the only kind supported for now; choose one.")


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """Say what a failed reading means."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise RLRError(
            f"{source} cannot be read as a Stable Diffusion model: its safetensors files are missing or damaged ({first_line}); "
            "get the files again."
        ) from error
