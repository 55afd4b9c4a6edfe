"""Frozen networks that others trained, from a folder of transformers files or from the Hugging Face hub, and pictures as they want them.

Only safetensors are read: a pickle can run any program. Code that comes with a model is never run. Files that are already on this
machine are used without asking the network.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rlr_core.errors import RLRError

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
CONFIG, PROCESSOR, TOKENIZER, WEIGHTS = "config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"
CLIP_FILES = (CONFIG, PROCESSOR, TOKENIZER, WEIGHTS)
DESCRIPTION = (CONFIG, PROCESSOR, TOKENIZER)
# What a tokenizer may have beside its main file.
BESIDE_TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json")
HELP = "docs/rewards.md says where to get them"


def missing(source: str, files: Sequence[str]) -> str | None:
    """None if the files are on this machine or can be downloaded; else why not and what to do. Loads nothing and asks no network.

    Args:
        source: a folder, or an id "owner/name" on the Hugging Face hub.
    """
    if _is_folder(source):
        absent = _absent(Path(source), files)
        return f"{source} lacks {', '.join(absent)}; put them there ({HELP})." if absent else None
    if not HUB_ID.fullmatch(source):
        return f"'{source}' is neither a folder on this machine nor an id such as owner/name on the Hugging Face hub; give one of them."
    if constants.HF_HUB_OFFLINE and not all(isinstance(try_to_load_from_cache(source, file), str) for file in files):
        return f"{source} is not on this machine and HF_HUB_OFFLINE forbids the download; unset HF_HUB_OFFLINE once, or give a folder."
    return None


def fetch(source: str, files: Sequence[str]) -> Path:
    """The folder that holds the files: `source` itself, or the hub's copy on this machine, downloaded if it is not there yet.

    Raises:
        RLRError: they are not there and cannot be had.
    """
    reason = missing(source, files)
    if reason:
        raise RLRError(reason[0].upper() + reason[1:])
    if _is_folder(source):
        return Path(source)
    wanted = [*files, *BESIDE_TOKENIZER]
    try:
        here = Path(snapshot_download(source, allow_patterns=wanted, local_files_only=True))
        if not _absent(here, files):
            return here
    except LocalEntryNotFoundError:
        pass
    folder = _download(source, wanted)
    absent = _absent(folder, files)
    if absent:
        raise RLRError(
            f"There is no {', '.join(absent)} of {source} on this machine, and the Hugging Face hub gave none: connect to the internet, or "
            f"choose another source ({HELP})."
        )
    return folder


def _download(source: str, files: Sequence[str]) -> Path:
    try:
        return Path(snapshot_download(source, allow_patterns=list(files)))
    except RepositoryNotFoundError as error:
        raise RLRError(
            f"There is no model {source} on the Hugging Face hub, or it is private; check the id, or log in with `hf auth login`."
        ) from error
    except Exception as error:  # noqa: BLE001 - its HTTP library has errors of its own
        raise RLRError(
            f"{source} is not complete on this machine and could not be downloaded ({_first_line(error)}); connect to the internet for its "
            "first use, see that the disk has room, and try again."
        ) from error


def described_by(source: str, base: str) -> str:
    """Where the configuration, the tokenizer and the preprocessing lie: in `source` if it is a folder that holds them, else in `base`."""
    return source if (Path(source) / CONFIG).is_file() else base


def _is_folder(source: str) -> bool:
    return bool(source) and Path(source).is_dir()  # Path("") would be the working folder


def _absent(folder: Path, files: Sequence[str]) -> list[str]:
    return [file for file in files if not (folder / file).is_file()]


def read_config(kind: Any, folder: Path) -> Any:  # noqa: ANN401 - a configuration class of transformers, and one of it
    """The folder's configuration; RLRError if it is of another kind of model, or damaged."""
    found = _read_json(folder / CONFIG)
    if found.get("model_type") != kind.model_type:
        raise RLRError(f"{folder} holds a model of the kind {found.get('model_type')!r}: give one of the kind {kind.model_type!r}.")
    try:
        return kind.from_dict(found)
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise RLRError(f"{folder / CONFIG} describes no model that can be built ({_first_line(error)}); get the file again.") from error


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name; RLRError if it is missing or damaged."""
    if path.suffix != ".safetensors":
        raise RLRError(f"{path.name} is no .safetensors file, the only kind read here: a pickle can run any program. Re-save it ({HELP}).")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RLRError(f"{path} cannot be read as safetensors: it is missing or damaged ({_first_line(error)}); get it again.") from error


def frozen(  # noqa: PLR0913 - what is built, from what, where
    kind: Any,  # noqa: ANN401 - a model class of transformers
    config: Any,  # noqa: ANN401
    state: Mapping[str, Tensor],
    source: Path,
    device: torch.device,
    dtype: torch.dtype,
    **arguments: Any,  # noqa: ANN401 - of the model class
) -> Any:  # noqa: ANN401 - one of them
    """A network with these weights, in evaluation mode, none of its parameters trainable.

    Args:
        state: its tensors by the names transformers gives them; others are left out.
        source: where they come from, for messages.

    Raises:
        RLRError: a tensor is missing or of another shape than `config` says.
    """
    model, found = kind.from_pretrained(
        None, config=config, state_dict=dict(state), dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True, **arguments
    )
    if found["mismatched_keys"]:
        name, there, wanted = min(found["mismatched_keys"])
        raise RLRError(
            f"{source} does not fit its configuration: '{name}' has shape {tuple(there)} where {tuple(wanted)} is needed. "
            "Take weights and config.json from the same model."
        )
    if found["missing_keys"]:
        raise RLRError(
            f"{source} lacks {len(found['missing_keys'])} of the network's tensors, the first '{min(found['missing_keys'])}': it is no "
            f"{kind.__name__}, or not all of one. Get the file again ({HELP})."
        )
    return model.eval().requires_grad_(False).to(device=device)


class Preparation:
    """Pictures as a network was trained on them: resized to its square, then (x - mean) / std by its own preprocessor_config.json.

    Pictures here are square; another shape is squeezed into the square, whereas most published processors would crop it.

    Args:
        folder: holds preprocessor_config.json.
        size: side of the network's square, in pixels.
    """

    def __init__(self, folder: Path, size: int, device: torch.device, dtype: torch.dtype) -> None:
        values = _read_json(folder / PROCESSOR)
        if not all(len(values.get(name, ())) == 3 for name in ("image_mean", "image_std")):
            raise RLRError(f"{folder / PROCESSOR} has no image_mean and image_std of three colours; get the file of this very model.")
        self._size, self._dtype = size, dtype
        self._work = torch.promote_types(torch.float32, dtype)
        self._mean, self._std = (
            torch.tensor(values[name], device=device, dtype=self._work).view(3, 1, 1) for name in ("image_mean", "image_std")
        )

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, 3, size, size) in the network's number format, differentiable."""
        return ((resized(images.to(self._work), self._size) - self._mean) / self._std).to(self._dtype)


def resized(images: Tensor, size: int) -> Tensor:
    """Antialiased bicubic resize to a square, kept in [0, 1]: (B, 3, H, W) to (B, 3, size, size)."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


def read_tokenizer(kind: Callable[..., Any], folder: Path) -> Any:  # noqa: ANN401 - a tokenizer class of transformers, and one of it
    """The folder's tokenizer; RLRError if its files are damaged."""
    try:
        return kind.from_pretrained(folder, local_files_only=True)  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 - the tokenizers library raises bare Exceptions
        raise RLRError(f"The tokenizer in {folder} cannot be read ({_first_line(error)}); get its files again.") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RLRError(f"{path} cannot be read ({_first_line(error)}); get the file again.") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
