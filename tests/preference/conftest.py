from pathlib import Path

import pytest
import torch

from rlr_core.preference.features import FeatureEncoder

CLIP_FOLDER = Path(__file__).parents[2] / "assets" / "clip"


@pytest.fixture(scope="session")
def encoder():
    return FeatureEncoder(CLIP_FOLDER, torch.device("cpu"))
