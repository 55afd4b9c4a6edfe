import pytest
import torch

from rlr_core.preference.clip import embedded_clip
from rlr_core.preference.features import embedded_features


@pytest.fixture(scope="session")
def encoder():
    return embedded_features(embedded_clip(torch.device("cpu")))
