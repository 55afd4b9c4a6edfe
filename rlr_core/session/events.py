"""What the worker reports while it works: frozen events, stored by kind with a JSON payload."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

# "drifted": an alarm stands, and the round waits for a decision; "returned": the decision was to go back to its last good state.
Outcome = Literal["done", "budget_spent", "stopped", "failed", "drifted", "returned"]
# Work outside a round, as a person reads of it.
LOADING, DRAWING, ASKING, FITTING = "Loading the model", "Making pictures", "Preparing questions", "Learning your taste"
SUPPLYING = "Making pictures to rate"
BLENDING, COMPARING = "Blending rounds", "Making pictures to compare"
EXPORTING, GATHERING, SAVING, PUSHING = "Exporting the LoRA", "Writing your answers", "Saving the session", "Pushing to the hub"
# What a taste is learned from, so that every word changes it: how often something was said or taken back, and ids of imported tastes.
Heard = tuple[int, tuple[str, ...]]


@dataclass(frozen=True)
class RoundQueued:
    """A round waits for the worker."""

    round_id: str


@dataclass(frozen=True)
class RoundStarted:
    """A round began, or went on after an interruption."""

    round_id: str
    total_updates: int


@dataclass(frozen=True)
class UpdateDone:
    """The optimizer made one step.

    Attributes:
        update: counts from 1 to `total`.
        reward_mean, reward_error: mean reward of the update's pictures and its standard error.
        kl: divergence from the base model, nats a trajectory.
        gradient_norm: length of the gradient before clipping.
        seconds: wall time of the update.
        part_norms: length of each part of the gradient by its name.
    """

    round_id: str
    update: int
    total: int
    reward_mean: float
    reward_error: float
    kl: float
    gradient_norm: float
    seconds: float
    part_norms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DriftAlarm:
    """The pictures have drifted as if the reward were being cheated.

    Attributes:
        changes: of the gauges that rang, by name, relative to round 0.
        sentence: what they mean, in words for a person.
    """

    round_id: str
    update: int
    changes: Mapping[str, float]
    sentence: str


@dataclass(frozen=True)
class RoundEnded:
    """A round ended; `sentence` says how, in words for a person."""

    round_id: str
    outcome: Outcome
    sentence: str


@dataclass(frozen=True)
class ModelReady:
    """The base model is loaded."""

    base_model: str


@dataclass(frozen=True)
class PairsReady:
    """New questions can be asked."""

    pair_ids: tuple[str, ...]


@dataclass(frozen=True)
class PairsRanked:
    """The questions that waited are to be asked in this order; later ones come after them."""

    pair_ids: tuple[str, ...]


@dataclass(frozen=True)
class PicturesReady:
    """New samples can be shown."""

    round_id: str
    purpose: str
    image_ids: tuple[str, ...]


@dataclass(frozen=True)
class TasteFitted:
    """The taste was fitted.

    Attributes:
        num_answers, num_uploads: what it was fitted to.
        agreement_held_out: share of the answers kept from it that it foretells; None while they are too few to tell.
        num_rating_changes: how often a rating had been given or taken back.
        imported: the ids of the imported tastes.
        answers_wanted: how many more answers would lower its uncertainty by a fifth; None while no question waits.
        num_repeated, num_same: how many questions came again, and how many were then answered as before.
        num_changes: how often an answer, a rating or an upload had been given or taken back; 0 where that was not yet counted.
    """

    num_answers: int
    num_uploads: int
    agreement_held_out: float | None
    num_rating_changes: int = 0
    imported: tuple[str, ...] = ()
    answers_wanted: int | None = None
    num_repeated: int = 0
    num_same: int = 0
    num_changes: int = 0

    @property
    def heard(self) -> Heard:
        """What had been said when it was fitted."""
        return self.num_changes, self.imported


@dataclass(frozen=True)
class ComparisonOpened:
    """The person turned to a comparison."""

    comparison_id: str


@dataclass(frozen=True)
class Pushed:
    """A round's adapter is on the hub, at `address`."""

    round_id: str
    address: str


@dataclass(frozen=True)
class WorkDone:
    """Work was done that has no event of its own; `label` is one of the labels above."""

    label: str


@dataclass(frozen=True)
class Failed:
    """Work outside a round failed; `label` is one of the labels above, `sentence` says what happened, why, and what to do."""

    label: str
    sentence: str


Event = (
    RoundQueued
    | RoundStarted
    | UpdateDone
    | DriftAlarm
    | RoundEnded
    | ModelReady
    | PairsReady
    | PairsRanked
    | PicturesReady
    | TasteFitted
    | ComparisonOpened
    | Pushed
    | WorkDone
    | Failed
)

EVENTS: dict[str, type[Event]] = {
    "round_queued": RoundQueued,
    "round_started": RoundStarted,
    "update_done": UpdateDone,
    "drift_alarm": DriftAlarm,
    "round_ended": RoundEnded,
    "model_ready": ModelReady,
    "pairs_ready": PairsReady,
    "pairs_ranked": PairsRanked,
    "pictures_ready": PicturesReady,
    "taste_fitted": TasteFitted,
    "comparison_opened": ComparisonOpened,
    "pushed": Pushed,
    "work_done": WorkDone,
    "failed": Failed,
}
KINDS: dict[type[Event], str] = {event: kind for kind, event in EVENTS.items()}
# What shows that work which failed before works again. Pictures and questions come from a loaded model.
CURES: dict[str, tuple[type[Event], ...]] = {
    LOADING: (ModelReady, PicturesReady, PairsReady),
    DRAWING: (PicturesReady,),
    SUPPLYING: (PicturesReady,),
    ASKING: (PairsReady,),
    FITTING: (TasteFitted,),
}
# What tells which work fails.
FAILURE_KINDS = frozenset({"failed", "work_done"} | {KINDS[event] for events in CURES.values() for event in events})


def to_payload(event: Event) -> tuple[str, dict[str, Any]]:
    """The event's kind and its fields, ready for JSON."""
    return KINDS[type(event)], asdict(event)


def from_payload(kind: str, payload: Mapping[str, Any]) -> Event:
    """The event that `to_payload` described; JSON's lists become tuples again."""
    make: Callable[..., Event] = EVENTS[kind]
    return make(**{name: tuple(value) if isinstance(value, list) else value for name, value in payload.items()})


def standing_failures(events: Iterable[Event]) -> dict[str, str]:
    """Label and sentence of the work whose last attempt failed; `events` in order."""
    standing: dict[str, str] = {}
    for event in events:
        if isinstance(event, Failed):
            standing[event.label] = event.sentence
        else:
            standing = {label: sentence for label, sentence in standing.items() if not _cures(event, label)}
    return standing


def _cures(event: Event, label: str) -> bool:
    return event.label == label if isinstance(event, WorkDone) else isinstance(event, CURES.get(label, ()))
