"""What rewards may need beyond their settings."""

from dataclasses import dataclass
from pathlib import Path

import torch

from rlr_core.preference.taste import Taste


@dataclass(frozen=True)
class RewardResources:
    """Handed to every reward's factory.

    Attributes:
        clip_folder: a transformers CLIP with tokenizer and preprocessor_config.json.
        taste: what was learned from the person's answers; None before the first.
        device: where networks are loaded; pictures are expected there too.
    """

    clip_folder: Path
    taste: Taste | None
    device: torch.device
