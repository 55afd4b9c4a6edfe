"""What the estimators' tests share."""

import pytest
import torch

from tests.estimators.by_hand import four_chains

# These tests are thousands of small operations. Where other programs use the machine too, an operation on two threads waits for its second
# one to be given a processor, some 10 ms each time: tests of two seconds then take minutes and seem to hang.
torch.set_num_threads(1)


@pytest.fixture
def drawn():
    """A chain, a batch of four, and the same batch in plain numbers."""
    return four_chains()
