"""All visitors of a Space: each has a studio of their own, opened when they come and deleted when they have been away for long."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from rlr_core.errors import RLRError
from rlr_core.session.files import explained
from rlr_core.session.store import Store
from rlr_core.space.limits import SpaceLimits
from rlr_core.space.visitor import VisitorStudio
from rlr_core.space.zero_gpu import GpuRounds
from rlr_core.workshop import Workshop

log = logging.getLogger(__name__)

FULL = "All {visitors} places are taken: try again in some minutes, or start RLR Studio on your own machine, where it runs in the same way."
SECONDS_BETWEEN_CLEANINGS = 30.0


@dataclass
class Visitor:
    """A visitor who is here; `seen` is when they last asked for something."""

    studio: VisitorStudio
    seen: float


class Visitors:
    """Keeps the visitors apart: a folder each under `root`, named by a hash of the visitor's key.

    Args:
        example: a workspace that every visitor begins with a copy of; None for an empty one.
        gpu_rounds: learns rounds on a borrowed GPU; None to learn them here.
    """

    def __init__(  # noqa: PLR0913 - where they are, what they may, and what they use
        self,
        root: Path,
        limits: SpaceLimits,
        workshop: Workshop,
        example: Path | None = None,
        gpu_rounds: GpuRounds | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.limits = limits
        self._root = root
        self._workshop = workshop
        self._example = example
        self._clock = clock
        self._gpu_rounds = gpu_rounds
        self._here: dict[str, Visitor] = {}
        self._admitting = Lock()
        self._cleaned = 0.0
        with explained(root):
            root.mkdir(parents=True, exist_ok=True)

    def studio(self, key: str) -> VisitorStudio:
        """The studio of the visitor with this key, who is admitted if new; RLRError if all places are taken."""
        name = folder_name(key)
        visitor = self._here.get(name) or self._admit(name)
        visitor.seen = self._clock()
        return visitor.studio

    def has_room_for(self, key: str | None) -> bool:
        """Whether this visitor, or a new one, can come in."""
        if key is not None and folder_name(key) in self._here:
            return True
        with self._admitting:
            return self._make_room()

    def num_rounds(self) -> int:
        """Rounds that learn or wait."""
        return sum(len(visitor.studio.learning_jobs()) for visitor in list(self._here.values()))

    def close(self) -> None:
        """Close all studios; their workspaces stay, so that a restart within the idle time loses nothing."""
        for visitor in self._here.values():
            visitor.studio.close()
        self._here.clear()

    def _admit(self, name: str) -> Visitor:
        with self._admitting:
            if name in self._here:
                return self._here[name]
            if not self._make_room():
                raise RLRError(FULL.format(visitors=self.limits.visitors))
            folder = self._root / name
            if self._example and not folder.exists():
                copy_example(self._example, folder)
            studio = VisitorStudio(folder, self._workshop, self.limits, self.num_rounds, self._gpu_rounds)
            if studio.latest_session() is None:
                studio.create_session()
            self._here[name] = Visitor(studio, self._clock())
            return self._here[name]

    def _make_room(self) -> bool:
        """Now and then, and whenever all places are taken, delete what those left who have been away for long. Whether a place is free."""
        now = self._clock()
        if len(self._here) >= self.limits.visitors or now - self._cleaned >= SECONDS_BETWEEN_CLEANINGS:
            self._cleaned = now
            self._clean()
        return len(self._here) < self.limits.visitors

    def _clean(self) -> None:
        for name, visitor in list(self._here.items()):
            if self._is_over(visitor.seen) and not visitor.studio.jobs():
                del self._here[name]
                visitor.studio.close()
                shutil.rmtree(self._root / name, ignore_errors=True)
        for folder in self._root.iterdir():
            if folder.is_dir() and folder.name not in self._here and self._is_over(last_change(folder)):
                shutil.rmtree(folder, ignore_errors=True)

    def _is_over(self, seen: float) -> bool:
        return self._clock() - seen > self.limits.idle_minutes * 60


def folder_name(key: str) -> str:
    """Where a visitor's work lies; the key does not follow from it."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def last_change(folder: Path) -> float:
    """When something was last written into a workspace, or the folder was made."""
    return max((path.stat().st_mtime for path in folder.glob("studio.db*")), default=folder.stat().st_mtime)


def copy_example(example: Path, folder: Path) -> None:
    """A workspace like the example, whose files are shared where nothing ever changes them, and whose sessions have names of their own."""
    unfinished = folder.with_suffix(".part")
    with explained(folder.parent):
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(example, unfinished, copy_function=_share_or_copy)
        unfinished.rename(folder)
    store = Store(folder)
    for record in store.sessions():
        store.rename_session(record.id)
    store.close()


def _share_or_copy(source: str, target: str) -> None:
    """Pictures and trajectories are only ever replaced as a whole, so that a second name of the same file will do."""
    if Path(source).suffix in (".png", ".safetensors"):
        try:
            os.link(source, target)
            return
        except OSError:
            log.debug("%s cannot be shared; it is copied.", source)
    shutil.copyfile(source, target)
