"""A taste as one file: what was said, the features of the pictures it was said of, and what was learned from it.

The file is a safetensors file, in which nothing can be run. Its tensors are `features`, `reference` and, after "taste.", those of the
taste; its metadata is one text, "rlr-studio-taste", in JSON: version, picture encoder, base model, prompts, evidence, and the taste's
numbers. The pictures themselves are not in it. The same taste gives the same bytes.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn, get_args, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rlr_core.errors import RLRError
from rlr_core.preference.evidence import Answer, Evidence, Outcome, Ranking, Side, Stars, Thumb, Upload
from rlr_core.preference.features import FeatureEncoder
from rlr_core.preference.material import Material
from rlr_core.preference.taste import Taste

ABOUT, VERSION = "rlr-studio-taste", 1
MAX_BYTES = 64 * 2**20
MAX_HEADER_BYTES = 8 * 2**20
MAX_TEXT = 500  # characters of a name or a prompt
MAX_RATERS = 200
MAX_COMPARED = 100_000  # the sum over all evidence of its pictures' number squared: what memory and time of a fit grow with
KINDS: dict[str, Callable[..., Evidence]] = {"answer": Answer, "thumb": Thumb, "stars": Stars, "ranking": Ranking, "upload": Upload}
HINTS = {kind: get_type_hints(kind) for kind in KINDS.values()}
NAMES = {kind: name for name, kind in KINDS.items()}
IS_OF: dict[Any, Callable[[Any], bool]] = {
    int: lambda value: type(value) is int,
    bool: lambda value: type(value) is bool,
    str: lambda value: type(value) is str and len(value) <= MAX_TEXT,
    Outcome: lambda value: value in get_args(Outcome),
    Side | None: lambda value: value is None or value in get_args(Side),
    tuple[int, ...]: lambda value: type(value) is tuple and all(type(each) is int for each in value),
}


@dataclass(frozen=True)
class TasteFile:
    """A taste that can be taken to another base model, session or machine.

    Attributes:
        base_model: the name of the model whose pictures were spoken of.
        prompts: what the pictures were asked to show.
        material: what was said; fitted again, it gives `taste`.
        taste: what was learned from it, for whoever wants no fit of their own.
    """

    base_model: str
    prompts: tuple[str, ...]
    material: Material
    taste: Taste

    @property
    def encoder(self) -> str:
        """The name of the FeatureEncoder its features are of."""
        return self.material.features_name

    def check_encoder(self, encoder: FeatureEncoder) -> None:
        """Raise RLRError if its features were made by another encoder."""
        if self.encoder != encoder.name:
            raise RLRError(
                f"The taste was learned from features called '{self.encoder}', which cannot be compared with '{encoder.name}', those of "
                "this session: export it again from a studio and session with the same, or leave it out."
            )
        if self.taste.centre.shape != (encoder.num_columns,):
            raise _damaged(f"it has {len(self.taste.centre)} features a picture in place of {encoder.num_columns}")

    def to_bytes(self) -> bytes:
        """The file's content; RLRError if there is more than a file holds."""
        check_size(self.material.evidence)
        tensors, numbers = self.taste.parts()
        about = {
            "version": VERSION,
            "encoder": self.encoder,
            "base_model": self.base_model,
            "prompts": self.prompts,
            "evidence": [{"kind": NAMES[type(piece)], **asdict(piece)} for piece in self.material.evidence],
            "taste": numbers,
        }
        # Copies, for the two may be the same tensor, which safetensors refuses.
        said = {name: getattr(self.material, name).clone(memory_format=torch.contiguous_format) for name in ("features", "reference")}
        # One text alone: several would be written in any order.
        content = save(said | {f"taste.{name}": tensor for name, tensor in tensors.items()}, {ABOUT: json.dumps(about)})
        _check_length(content)
        return content

    @staticmethod
    def read(data: bytes) -> "TasteFile":
        """Read what `to_bytes` gave. Whatever else comes in, however it is made, is refused.

        Raises:
            RLRError: it is too large, no such file, damaged, of a newer studio, or says what makes no sense.
        """
        _check_length(data)
        tensors, about = _opened(data)
        try:
            file = TasteFile(
                about["base_model"],
                tuple(about["prompts"]),
                Material(tensors["features"], tuple(_piece(each) for each in about["evidence"]), tensors["reference"], about["encoder"]),
                Taste.from_parts({name.removeprefix("taste."): tensor for name, tensor in tensors.items()}, about["taste"]),
            )
            check_size(file.material.evidence)
            file._check_texts()
            file._check_figures()
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as problem:
            raise _damaged(f"{type(problem).__name__}: {str(problem)[:MAX_TEXT]}") from problem
        file._check_tensors()
        file._check_rows()
        return file

    def _check_texts(self) -> None:
        texts = (self.encoder, self.base_model, *self.prompts, *(rater.name for rater in self.taste.raters))
        if not all(IS_OF[str](text) for text in texts):
            raise ValueError(f"a name or a prompt is no text of at most {MAX_TEXT} characters")

    def _check_figures(self) -> None:
        taste = self.taste
        figures = [value for rater in taste.raters for name, value in vars(rater).items() if name != "name"]
        shares = [] if taste.agreement_held_out is None else [taste.agreement_held_out]
        if not all(map(math.isfinite, (taste.spread, *figures))) or not all(0 <= share <= 1 for share in shares):
            raise ValueError("a figure of the taste is out of its range")
        if taste.num_answers != len(self.material.evidence):
            raise ValueError(f"it says to be of {taste.num_answers} answers, ratings and uploads, and has {len(self.material.evidence)}")

    def _check_tensors(self) -> None:
        said, taste = self.material, self.taste
        tensors = {"features": said.features, "reference": said.reference}
        tensors |= {f"taste.{name}": tensor for name, tensor in taste.parts()[0].items()}
        width = said.features.shape[-1:]
        wanted = [(*said.features.shape[:1], *width), (*said.reference.shape[:1], *width), width, width, width, (*width, *width)]
        for (name, tensor), shape in zip(tensors.items(), wanted, strict=True):
            if len(width) != 1 or not tensor.numel() or tensor.dtype != torch.float32 or tensor.shape != shape:
                raise _damaged(f"{name} has the shape {tuple(tensor.shape)} and the type {tensor.dtype}")
            if not tensor.isfinite().all():
                raise _damaged(f"{name} has numbers that are not finite")
        if len(said.reference) < 2 or not (taste.scale > 0).all() or not 0 <= taste.spread < math.inf:  # noqa: PLR2004
            raise _damaged("its standard of comparison has no spread")

    def _check_rows(self) -> None:
        num_pictures = len(self.material.features)
        for piece in self.material.evidence:
            if not all(0 <= row < num_pictures for row in piece.pictures):
                raise _damaged(f"it speaks of the pictures {piece.pictures} where there are {num_pictures}")


def check_size(evidence: Sequence[Evidence]) -> None:
    """Raise RLRError if there is nothing, or more than a taste file may hold, for it would take too long to learn from."""
    if not evidence:
        raise RLRError("The taste is of 0 answers, ratings and uploads, so there is nothing to carry: answer a few questions first.")
    raters = len({piece.rater for piece in evidence})
    if raters > MAX_RATERS:
        raise RLRError(f"The taste is of {raters} people, more than the {MAX_RATERS} that are learned from together: take fewer.")
    if sum(len(piece.pictures) ** 2 for piece in evidence) > MAX_COMPARED:
        raise RLRError(f"The taste is of {len(evidence)} answers, ratings and uploads, more than can be learned from: take fewer.")


def _check_length(content: bytes) -> None:
    if len(content) > MAX_BYTES:
        raise RLRError(f"The taste has {len(content) >> 20} MB, more than the {MAX_BYTES >> 20} MB of a taste file: take fewer answers.")


def _opened(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a taste file, and what its JSON holds; the header's length is its first eight bytes."""
    if int.from_bytes(data[:8], "little") > MAX_HEADER_BYTES:
        raise _no_taste()
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about = json.loads(header["__metadata__"][ABOUT], parse_constant=_refuse_constant)
        version = about["version"]
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as problem:
        raise _no_taste() from problem
    if type(version) is not int or version < 1:
        raise _no_taste()
    if version > VERSION:
        raise RLRError(
            f"The taste file is of version {version}, which a newer studio wrote; this one knows up to {VERSION}: update the studio, "
            "or export the taste from this version."
        )
    return tensors, about


def _no_taste() -> RLRError:
    return RLRError("The file is no whole taste file of RLR Studio, so no taste can be read from it: give one that was exported.")


def _damaged(what: str) -> RLRError:
    return RLRError(f"The taste file is damaged ({what}), so nothing was taken from it: export it again.")


def _piece(given: Any) -> Evidence:  # noqa: ANN401 - JSON
    """A piece of evidence from its JSON; KeyError, TypeError, ValueError or RLRError if it is none."""
    kind = KINDS[given["kind"]]
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if name != "kind"}
    for name, value in values.items():
        if not IS_OF[HINTS[kind][name]](value):
            raise ValueError(f"{name} of a piece of evidence is {str(value)[:MAX_TEXT]!r}")
    return kind(**values)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
