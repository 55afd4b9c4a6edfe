"""How many bytes of tensors a piece of work holds at its peak, measured the same way on every device.

On an accelerator the allocator counts. On the CPU every operator's result is followed until it is freed; what a kernel allocates and frees
within itself is not seen.
"""

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def peak_bytes(work: Callable[[], Any], device: torch.device) -> int:
    """The most bytes that were alive at once during `work()`, over what was alive before it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with LiveBytes() as live:
        work()
    return live.peak


class LiveBytes(TorchDispatchMode):
    """Counts the storages that operators make while it is entered; a view adds nothing to the storage it looks at, whoever made that."""

    def __init__(self) -> None:
        super().__init__()
        self._alive = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        for tensor in _tensors(args):
            self._follow(tensor.untyped_storage(), is_new=False)
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            self._follow(tensor.untyped_storage(), is_new=True)
        return result

    def _follow(self, storage: torch.UntypedStorage, is_new: bool) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        size = storage.nbytes() if is_new else 0
        self._alive += size
        self.peak = max(self.peak, self._alive)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._alive -= size


def _tensors(result: Any) -> Iterator[Tensor]:  # noqa: ANN401 - whatever an operator returns
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, (list, tuple)):
        for each in result:
            yield from _tensors(each)
