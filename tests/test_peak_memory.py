"""Peak bytes against sums by hand."""

import torch

from rlr_core.peak_memory import peak_bytes

CPU = torch.device("cpu")
MEGABYTES = 1_000_000


def test_what_is_alive_together_counts_and_views_do_not():
    def work():
        first = torch.zeros(MEGABYTES, dtype=torch.uint8)
        second = first + 1
        del first
        return second.view(1000, 1000) * 2

    assert peak_bytes(work, CPU) == 2 * MEGABYTES


def test_what_was_there_before_does_not_count():
    kept = torch.zeros(MEGABYTES, dtype=torch.uint8)
    assert peak_bytes(lambda: kept.view(10, -1), CPU) == 0


def test_a_graph_is_alive_until_its_backward_pass():
    """Each sine keeps its input; the largest moment is in the backward pass."""
    weight = torch.zeros(MEGABYTES // 4, requires_grad=True)

    def backward(depth):
        def work():
            value = weight
            for _ in range(depth):
                value = torch.sin(value)
            torch.autograd.grad(value.sum(), weight)

        return peak_bytes(work, CPU)

    assert backward(9) - backward(5) == 4 * MEGABYTES
