"""The watch over a round that learns: the same pictures before, during and after, to be shown, and to see whether the reward is cheated.

The pictures that are shown are one a prompt; a check looks at a second one of each as well, so that it can tell whether the pictures of a
prompt become alike. Round 0's pictures are what is compared with, however many rounds lie between: many small steps lead as far as one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlr_core.drift import PREFIX, Drift, accepted_changes
from rlr_core.session.events import DriftAlarm, PicturesReady, RoundEnded
from rlr_core.session.records import ROUND_ZERO, MetricRecord, RoundRecord, SampleRecord, SessionRecord
from rlr_core.session.store import Store

if TYPE_CHECKING:
    from rlr_core.engine import Engine

STRIP_PROMPTS = 4
STRIP_SEED = 7
STRIP_EVERY = 4
SEEDS_A_PROMPT = 2
Place = tuple[str, int]  # a prompt and a seed


@dataclass(frozen=True)
class StripRow:
    """One prompt and seed before and after a round; a picture that is not there yet is None."""

    prompt: str
    seed: int
    before: str | None
    after: str | None


def places(session: SessionRecord, seeds_a_prompt: int = 1) -> list[Place]:
    """The prompts and seeds that are watched: every prompt with its first seed, then every prompt with its second, and so on."""
    prompts = session.prompts[:STRIP_PROMPTS] * seeds_a_prompt
    return [(prompt, STRIP_SEED + number) for number, prompt in enumerate(prompts)]


def strip(store: Store, session: SessionRecord, round_id: str) -> tuple[StripRow, ...]:
    """The pictures before and after a round; the last of each counts."""
    samples = store.samples(session.id)
    before = latest(samples, lambda each: each.purpose == f"before {round_id}")
    after = latest(samples, lambda each: each.purpose == f"after {round_id}")
    return tuple(StripRow(prompt, seed, before.get((prompt, seed)), after.get((prompt, seed))) for prompt, seed in places(session))


def latest(samples: Sequence[SampleRecord], is_wanted: Callable[[SampleRecord], bool]) -> dict[Place, str]:
    """The last picture of each prompt and seed among the wanted samples."""
    return {(each.prompt, each.seed): each.image_id for each in samples if is_wanted(each)}


class Watch:
    """Makes a round's pictures while it learns, and checks them; for the worker's thread.

    Args:
        round_: a round that learns.
        check: is called before every denoising step.
    """

    def __init__(self, store: Store, engine: "Engine", session: SessionRecord, round_: RoundRecord, check: Callable[[], None]) -> None:
        self._store = store
        self._engine = engine
        self._session = session
        self._round = round_
        self._parent_id, self._config = round_.lesson
        self._check = check

    def show_start(self) -> None:
        """Make the pictures of before the round, unless they are there."""
        if any(row.before is None for row in strip(self._store, self._session, self._round.id)):
            self._make(self._parent_id, "before", places(self._session))

    def look(self, update: int, is_end: bool = False) -> bool:
        """Make and check the pictures if it is time for it; whether the round may go on. If not, it has ended as "drifted".

        Args:
            update: number of updates made; 0 is never looked at.
            is_end: this was the last one.
        """
        if self._was_checked(update):
            return True
        if is_due(update, self._config.drift_check_every, is_end):
            self._make(self._round.id, "after", places(self._session, SEEDS_A_PROMPT))
            return self._passes(update)
        if is_due(update, STRIP_EVERY, is_end):
            self._make(self._round.id, "after", places(self._session))
        return True

    def _make(self, round_id: str, purpose: str, wanted: Sequence[Place]) -> None:
        made = self._sample(round_id, f"{purpose} {self._round.id}", wanted)
        self._store.report(self._session.id, PicturesReady(self._round.id, purpose, tuple(sample.image_id for sample in made)))

    def _sample(self, round_id: str, purpose: str, wanted: Sequence[Place]) -> list[SampleRecord]:
        prompts, seeds = [prompt for prompt, _ in wanted], [seed for _, seed in wanted]
        return self._engine.make_samples(self._session, round_id, purpose, prompts, seeds, self._check)

    def _was_checked(self, update: int) -> bool:
        return any(metric.update == update for metric in drift_metrics(self._store, self._round.id))

    def _passes(self, update: int) -> bool:
        drift = self._measure()
        if not drift.is_alarming:
            # The file comes first: a check that is known to have passed has its state kept.
            self._store.keep_last_good(self._round.id)
        # Together, or a round that is killed in between would go on as if nothing had rung.
        with self._store.transaction():
            self._store.add_metrics(self._round.id, update, drift.metrics())
            if drift.is_alarming:
                self._store.report(
                    self._session.id,
                    DriftAlarm(self._round.id, update, {each.gauge: each.change for each in drift.alarms}, drift.sentence),
                )
                held = f"{drift.sentence} The round waits after {update} of {self._config.num_updates} updates: look at the pictures."
                self._store.report(self._session.id, RoundEnded(self._round.id, "drifted", held))
        return not drift.is_alarming

    def _measure(self) -> Drift:
        wanted = places(self._session, SEEDS_A_PROMPT)
        start = self._round_zero(wanted)
        now = latest(self._store.samples(self._session.id), lambda each: each.purpose == f"after {self._round.id}")
        prompts = [prompt for prompt, _ in wanted]
        start_ids, now_ids = ([pictures[place] for place in wanted] for pictures in (start, now))
        return self._engine.drift(self._session, self._round, prompts, start_ids, now_ids, self._accepted())

    def _round_zero(self, wanted: Sequence[Place]) -> Mapping[Place, str]:
        """The base model's pictures; whatever they were made for, a prompt and a seed always give the same one."""
        base = self._store.rounds(self._session.id)[0].id
        found = self._pictures_of(base)
        missing = [place for place in wanted if place not in found]
        if missing:
            self._sample(base, ROUND_ZERO, missing)
        return self._pictures_of(base)

    def _pictures_of(self, round_id: str) -> dict[Place, str]:
        return latest(self._store.samples(self._session.id), lambda each: each.round_id == round_id)

    def _accepted(self) -> dict[str, float]:
        """The changes that somebody went on in spite of: in this round, and in those it comes from unless they were taken back there."""
        went_on = {each.id for each in self._store.lineage(self._round.id) if each.status != "returned"}
        alarms = self._store.events(self._session.id, kinds=("drift_alarm",))
        return accepted_changes(alarm.payload["changes"] for alarm in alarms if alarm.round_id in went_on)


def is_due(update: int, every: int, is_end: bool) -> bool:
    """Whether something is to be done after `update` updates that is done after each `every` of them and at the end; never if 0."""
    return every > 0 and update > 0 and (is_end or update % every == 0)


def drift_metrics(store: Store, round_id: str) -> list[MetricRecord]:
    """The round's figures of drift."""
    return [metric for metric in store.metrics(round_id) if metric.name.startswith(PREFIX)]


def last_drift(store: Store, round_id: str) -> Drift:
    """The readings of the round's last check; none before the first."""
    figures = drift_metrics(store, round_id)
    last = max((metric.update for metric in figures), default=0)
    return Drift.from_metrics({metric.name: metric.value for metric in figures if metric.update == last})
