"""The facade: everything a page or a script can do, in the user's words.

Importing it is light; the heavy libraries are loaded in the worker's thread when the first job needs them, so a page is up before them.
"""

import importlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, TypeVar

from rlr_core.advice import advice
from rlr_core.config import AdapterConfig, FeatureConfig, RoundConfig, SamplerConfig, from_mapping, validate
from rlr_core.drift import Drift
from rlr_core.errors import Cancelled, RLRError
from rlr_core.export.archive import read_archive
from rlr_core.export.exports import Exports
from rlr_core.paths import assets_folder
from rlr_core.proof import FIRST_PLAN, Proof
from rlr_core.session.events import (
    ASKING,
    BLENDING,
    CURES,
    DRAWING,
    FAILURE_KINDS,
    FITTING,
    LOADING,
    SUPPLYING,
    ComparisonOpened,
    Failed,
    Heard,
    ModelReady,
    PairsRanked,
    PairsReady,
    PicturesReady,
    RoundEnded,
    RoundQueued,
    RoundStarted,
    TasteFitted,
    UpdateDone,
    WorkDone,
    from_payload,
    standing_failures,
)
from rlr_core.session.records import (
    ME,
    PREVIEW,
    REFERENCE,
    TO_RATE,
    Choice,
    ComparisonRecord,
    ImportedTaste,
    PairRecord,
    RatingKind,
    RatingRecord,
    RoundRecord,
    SampleRecord,
    SessionRecord,
    UploadRecord,
)
from rlr_core.session.store import STATE_FILE, Store
from rlr_core.session.uploads import read_upload
from rlr_core.session.worker import Job
from rlr_core.watch import StripRow, Watch, drift_metrics, last_drift, latest, places, strip
from rlr_core.workshop import Workshop

if TYPE_CHECKING:
    from rlr_core.engine import Engine, Measurement
    from rlr_core.preference.taste import Taste

Result = TypeVar("Result")
REFERENCE_PICTURES = 16
MAX_PROMPTS = 1000
MAX_PROMPT_CHARACTERS = 500
MAX_NOTE_CHARACTERS = 2000
URGENT, USUAL, IDLE = 0, 1, 2
SET_SIZE = 4  # pictures of one prompt to choose from


@dataclass(frozen=True)
class Named:
    """One entry of a list a person chooses from."""

    name: str
    label: str
    help: str


@dataclass(frozen=True)
class Picture:
    """A picture to be rated, and what it was to show."""

    image_id: str
    prompt: str


@dataclass(frozen=True)
class TasteSummary:
    """What is known of a person's taste.

    Attributes:
        num_liked: of the uploads.
        num_ratings: thumbs, stars and orders.
        num_imported: tastes that were brought along in files.
        agreement_held_out: share of answers that a taste fitted without them foretells; None before there are enough.
        is_stale: there are answers, ratings or uploads that it does not know yet.
        advice: whether to go on answering; empty before the first fit.
    """

    num_answers: int
    num_uploads: int
    num_liked: int
    num_ratings: int
    num_imported: int
    agreement_held_out: float | None
    is_stale: bool
    advice: str = ""

    @property
    def is_empty(self) -> bool:
        """There is nothing to learn a taste from."""
        return self.num_answers + self.num_uploads + self.num_ratings + self.num_imported == 0

    @property
    def counts(self) -> str:
        """How much of each kind was said: "12 answers, 1 liked picture"."""
        uploads = (("liked picture", self.num_liked), ("disliked picture", self.num_uploads - self.num_liked))
        counts = (("answer", self.num_answers), ("rating", self.num_ratings), *uploads, ("imported taste", self.num_imported))
        return ", ".join(f"{number} {noun}{'s' * (number != 1)}" for noun, number in counts if number)

    @property
    def sentence(self) -> str:
        """In words."""
        if self.is_empty:
            return "Nothing learned yet: answer a few questions."
        if self.agreement_held_out is None:
            return f"{self.counts}. A few more answers, and it can be said how well your taste is understood."
        return (
            f"{self.counts}. What was learned foretells {self.agreement_held_out:.0%} of the answers that were kept from it; chance is 50%."
        )


@dataclass(frozen=True)
class RoundProgress:
    """How a round is doing; series are (update, value) or (update, mean, standard error).

    Attributes:
        kl: divergence from the base model, in nats a trajectory; never below zero, whereas what a round adds to it is a difference of two
            estimates, which can be.
        kl_at_start: of the round's parent; the round may reach kl_at_start + kl_budget.
        drift: of its pictures from round 0's, at the last check; without readings before the first.
        effective_share: how much of the stored answers' pictures the model would still make, from 0 to 1; None if it learns from none.
    """

    round_id: str
    status: str
    update: int
    num_updates: int
    seconds_left: float | None
    rewards: tuple[tuple[int, float, float], ...]
    kl: tuple[tuple[int, float], ...]
    kl_at_start: float
    kl_budget: float
    gradient_norm: float | None
    part_norms: dict[str, float]
    sentence: str
    drift: Drift = Drift(())
    effective_share: float | None = None


@dataclass(frozen=True)
class RoundFigures:
    """What a round did, in short; None before its first update, and for a blend.

    Attributes:
        reward_before, reward_after: mean rewards of its first and its last update.
        kl: divergence from the base model at its end, in nats a trajectory.
    """

    updates: int
    reward_before: float | None
    reward_after: float | None
    kl: float | None


class Studio:
    """One workspace, and one line at a worker, which has one model at a time."""

    def __init__(self, workspace: Path, workshop: Workshop | None = None) -> None:
        """Args: workshop: where the work is done; one of its own if None."""
        self.store = Store(workspace)
        self._workshop = workshop or Workshop()
        self._is_own_workshop = workshop is None
        self._line = self._workshop.line()
        self._engine: Engine | None = None
        self._queued: dict[str, Job] = {}
        self._learning: dict[str, Job] = {}
        self._submitting = threading.Lock()

    def close(self) -> None:
        """Stop all work and give the workspace back."""
        self._line.close()
        if self._is_own_workshop:
            self._workshop.close()
        self.store.close()

    def claim(self) -> None:
        """Take the right to train in this workspace now; RLRError if another program has it."""
        self.store.lock.acquire()

    def engine(self) -> "Engine":
        """The engine; for the worker's thread only. The first call imports the heavy libraries."""
        if self._engine is None:
            self._engine = importlib.import_module("rlr_core.engine").Engine(self.store, self._workshop.models())
        return self._engine

    def network_evaluations(self) -> int:
        """Network evaluations of questions, pictures and rounds so far; figures are not counted."""
        return self._engine.network_evaluations if self._engine else 0

    def submit(self, label: str, work: Any, priority: int = USUAL) -> Job:  # noqa: ANN401 - Job -> anything
        """Queue work for the worker's thread; `work` is called with its Job."""
        return self._line.submit(label, work, priority)

    def submit_once(self, key: str, label: str, work: Any, priority: int = IDLE) -> Job:  # noqa: ANN401
        """Queue work unless the same work is already waiting or running."""
        with self._submitting:
            waiting = self._queued.get(key)
            if waiting is None or waiting.has_ended:
                waiting = self._queued[key] = self.submit(label, work, priority)
            return waiting

    def requeue(self, key: str, label: str, work: Any, priority: int = IDLE) -> None:  # noqa: ANN401
        """Queue the rest of the work that runs under `key`, so that more urgent work can come in between."""
        with self._submitting:
            self._queued[key] = self._line.submit(label, work, priority)

    def run(self, label: str, work: Any, priority: int = URGENT) -> Any:  # noqa: ANN401
        """Do work in the worker's thread, wait, and return what it returns or raise what it raises."""
        return self._line.run(label, work, priority)

    def jobs(self) -> tuple[Job, ...]:
        """The job at work, then those that wait."""
        return self._line.jobs()

    def num_before(self) -> int:
        """How many other studios have their turn at the worker before this one."""
        return self._line.num_before()

    def job(self) -> Job | None:
        """The job at work, or else the next one."""
        return next(iter(self.jobs()), None)

    def submit_round(self, record: RoundRecord, work: Any) -> Job:  # noqa: ANN401 - Job -> anything
        """Queue the learning of a round."""
        with self._submitting:
            job = self.submit(f"Round {record.number}", work)
            self._learning = {key: each for key, each in self._learning.items() if not each.has_ended} | {record.id: job}
        return job

    def learning_job(self, round_id: str) -> Job | None:
        """The job of a round at work or waiting, else None."""
        job = self._learning.get(round_id)
        return None if job is None or job.has_ended else job

    def learning_jobs(self) -> tuple[Job, ...]:
        """The rounds at work or waiting."""
        return tuple(job for job in self._learning.values() if not job.has_ended)

    # Lists to choose from

    def presets(self) -> dict[str, RoundConfig]:
        """The shipped settings of a round by name: careful, normal, bold."""
        files = sorted((assets_folder() / "presets").glob("*.json"))
        read = {path.stem: from_mapping(RoundConfig, json.loads(path.read_text())) for path in files}
        return dict(sorted(read.items(), key=lambda item: item[1].kl_budget))

    def rewards(self) -> list[Named]:
        """The rewards that can run here, once the heavy libraries are loaded; before that, the person's own taste alone."""
        if not self._workshop.is_ready:
            return [Named("taste", "My taste", "What your answers and uploads taught.")]
        registry = self._registry("rewards", "REWARDS")
        return [Named(name, plugin.label, plugin.help) for name, plugin in registry.items() if plugin.availability() is None]

    def estimators(self) -> list[Named]:
        """The gradient estimators; none before the heavy libraries are loaded."""
        return [Named(name, plugin.label, plugin.help) for name, plugin in self._registry("estimators", "ESTIMATORS").items()]

    def features(self) -> list[Named]:
        """What a taste can go by, in the same way; whether it can be had here is checked when it is chosen."""
        return [Named(name, plugin.label, plugin.help) for name, plugin in self._registry("preference", "FEATURES").items()]

    def features_settings(self, name: str) -> type | None:
        """The settings of features, as those of a reward."""
        return self._settings_of("preference", "FEATURES", name)

    def reward_settings(self, name: str) -> type | None:
        """The settings of a reward; None for a name that is none, and before the heavy libraries are loaded."""
        return self._settings_of("rewards", "REWARDS", name)

    def estimator_settings(self, name: str) -> type | None:
        """The settings of an estimator, in the same way; "automatic" has none."""
        return self._settings_of("estimators", "ESTIMATORS", name)

    def _settings_of(self, package: str, registry: str, name: str) -> type | None:
        plugin = self._registry(package, registry).get(name)
        return plugin.settings if plugin else None

    def _registry(self, package: str, name: str) -> Mapping[str, Any]:
        """Importing one takes seconds, so nothing but the worker's thread does it first."""
        if not self._workshop.is_ready:
            return {}
        return getattr(importlib.import_module(f"rlr_core.{package}.registry"), name)

    def check_names(self, config: RoundConfig) -> None:
        """Raise RLRError if there is no such reward, estimator or setting of theirs, or it cannot work. Loads the heavy libraries."""
        importlib.import_module("rlr_core.engine").check_names(config)

    def check_features(self, config: FeatureConfig) -> None:
        """Raise RLRError if there are no such features or settings of theirs, or they cannot work.

        The embedded ones always can; only for others the heavy libraries are loaded.
        """
        if config != FeatureConfig():
            importlib.import_module("rlr_core.preference.registry").check_features(config)

    def shipped_prompts(self, name: str) -> tuple[str, ...]:
        """A shipped list of prompts: "emoji", "emoji-held-out" or "animals"."""
        return tuple((assets_folder() / "prompts" / f"{name}.txt").read_text().split("\n")[:-1])

    # Sessions

    def create_session(
        self,
        base_model: str = "emoji",
        prompts: Sequence[str] = (),
        seed: int = 0,
        sampler: SamplerConfig | None = None,
        adapter: AdapterConfig | None = None,
        features: FeatureConfig | None = None,
    ) -> "Session":
        """A new session; without prompts it uses the shipped list. Raises RLRError for settings that cannot work."""
        sampler, adapter, features = sampler or SamplerConfig(), adapter or AdapterConfig(), features or FeatureConfig()
        validate(sampler, adapter, features)
        self.check_features(features)
        if not base_model.strip():
            raise RLRError("The base model's name is empty: choose one of the list, a folder, a .safetensors file or a hub id.")
        chosen = tuple(prompts) or self.shipped_prompts("emoji" if base_model == "emoji" else "animals")
        return self._opened(self.store.create_session(base_model.strip(), checked_prompts(chosen), seed, adapter, sampler, features))

    def open_archive(self, path: Path, base_model: str = "") -> "Session":
        """A new session from an archive; `base_model` is what its base model is called here, if not as where the archive was made."""
        return self._opened(read_archive(self.store, path, base_model))

    def export_file(self, content: str) -> tuple[Path, str]:
        """An export's file and what to call it; anything but the hash of one raises RLRError."""
        return self.store.export_path(content), self.store.export(content).name

    def sessions(self) -> tuple[SessionRecord, ...]:
        """All sessions, the oldest first."""
        return self.store.sessions()

    def session(self, session_id: str) -> "Session":
        """The session called so; RLRError if there is none."""
        return self._opened(self.store.session(session_id))

    def latest_session(self) -> "Session | None":
        """The newest session."""
        records = self.store.sessions()
        return self._opened(records[-1]) if records else None

    def _opened(self, record: SessionRecord) -> "Session":
        """The session to work with; the one place where a studio of another kind gives one of its own."""
        return Session(self, record.id)

    def picture(self, image_id: str) -> Path:
        """A stored picture's file; anything but the hash of one raises RLRError."""
        self.store.image(image_id)
        return self.store.image_path(image_id)

    # Tastes from elsewhere

    def check_taste(self, content: bytes) -> None:
        """Raise RLRError if `Session.import_taste` of a session with the embedded features would."""
        self.run(FITTING, lambda job: self.engine().read_taste(content))

    def taste_of_pick_a_pic(self, file: IO[bytes]) -> bytes:
        """The content of a taste file, for `Session.import_taste`, of the answers in a parquet file of Pick-a-Pic's kind.

        Of their pictures it has only what a taste needs. Waits until it is learned.
        """
        return self.run(FITTING, lambda job: self.engine().read_pick_a_pic(file, job.check).to_bytes())


def checked_prompts(prompts: Sequence[str]) -> tuple[str, ...]:
    """The prompts without surrounding space; an empty or overlong one raises RLRError."""
    if len(prompts) > MAX_PROMPTS:
        raise RLRError(f"There are {len(prompts)} prompts, more than the {MAX_PROMPTS} a session holds: leave some out.")
    for number, prompt in enumerate(prompts, start=1):
        if not prompt.strip():
            raise RLRError(f"Prompt {number} is empty, so there is nothing to draw: write what the picture should show, or remove it.")
        if len(prompt) > MAX_PROMPT_CHARACTERS:
            raise RLRError(
                f"Prompt {number} has {len(prompt)} characters; a model reads no more than {MAX_PROMPT_CHARACTERS}. Make it shorter."
            )
    return tuple(prompt.strip() for prompt in prompts)


def in_words(problem: Exception) -> str:
    """What a person reads of a failure; anything but an RLRError is a bug, whose sentence can only say so."""
    if isinstance(problem, RLRError):
        return str(problem)
    return f"The program failed ({type(problem).__name__}: {problem}). What was kept before is untouched: try again, or report this."


class Session:
    """One person's work with one base model."""

    def __init__(self, studio: Studio, session_id: str) -> None:
        self.id = session_id
        self._studio = studio
        self._store = studio.store

    @property
    def record(self) -> SessionRecord:
        """The session as it is now."""
        return self._store.session(self.id)

    # What goes on behind the pages

    def warm_up(self) -> Job:
        """Load the heavy libraries and the model ahead of their first use."""

        def work(job: Job) -> None:
            record = self.record
            self._studio.engine().load(record)
            self._store.report(self.id, ModelReady(record.base_model))

        return self._studio.submit(LOADING, self.attempt(LOADING, work))

    def failures(self) -> dict[str, str]:
        """Label and sentence of the work outside rounds that failed and has not worked since."""
        return standing_failures(from_payload(each.kind, each.payload) for each in self._store.events(self.id, kinds=FAILURE_KINDS))

    def attempt(self, label: str, work: Callable[[Job], Result]) -> Callable[[Job], Result]:
        """`work`, whose failure is kept, so that the pages can tell of it."""

        def attempt(job: Job) -> Result:
            try:
                result = work(job)
            except Cancelled:
                raise
            except Exception as problem:
                self._store.report(self.id, Failed(label, in_words(problem)))
                raise
            if label not in CURES:
                self._store.report(self.id, WorkDone(label))
            return result

        return attempt

    # Pictures

    def generate(self, prompts: Sequence[str], seed: int) -> Job:
        """Make a picture of each prompt with the current round; they become previews."""
        checked = checked_prompts(prompts)
        if not checked:
            raise RLRError("There is no prompt, so there is nothing to draw: write one.")

        def work(job: Job) -> None:
            record = self.record
            seeds = [seed + number for number in range(len(checked))]
            made = self._studio.engine().make_samples(record, record.current_round_id, PREVIEW, checked, seeds, job.check)
            self._store.report(self.id, PicturesReady(record.current_round_id, PREVIEW, tuple(sample.image_id for sample in made)))

        return self._studio.submit(DRAWING, self.attempt(DRAWING, work), URGENT)

    def previews(self, limit: int = 4) -> tuple[SampleRecord, ...]:
        """The last pictures made."""
        return tuple(sample for sample in self._store.samples(self.id) if sample.purpose == PREVIEW)[-limit:]

    # Questions and answers

    def prepare_pairs(self, ahead: int = 12) -> Job | None:
        """See to it that about `ahead` questions wait; the job that makes the next ones in the background, None if there are enough."""
        return self._prepare(ASKING, lambda: len(self._open_pair_ids()) >= ahead, self._make_group)

    def _prepare(self, label: str, is_enough: Callable[[], bool], make: Callable[[Job], None]) -> Job | None:
        """Call `make` in the background until there is enough, one job at a time; the next job, None if there is enough already."""
        key = f"{label} {self.id}"

        def work(job: Job) -> None:
            make(job)
            if not is_enough():
                self._studio.requeue(key, label, self.attempt(label, work))

        return None if is_enough() else self._studio.submit_once(key, label, self.attempt(label, work))

    def next_pairs(self, count: int) -> tuple[PairRecord, ...]:
        """The next `count` open questions; waits until they are made."""

        def work(job: Job) -> None:
            while len(self._open_pair_ids()) < count:
                self._make_group(job)

        self._studio.run(ASKING, work)
        return self.open_pairs(count)

    def _make_group(self, job: Job) -> None:
        made = self._studio.engine().make_pairs(self.record, job.check)
        self._store.report(self.id, PairsReady(tuple(pair.id for pair in made)))

    def open_pairs(self, limit: int = 4) -> tuple[PairRecord, ...]:
        """Questions of the current round that wait for an answer, the most informative first as far as they were ranked."""
        ranked = self._last_event("pairs_ranked")
        places = {pair_id: place for place, pair_id in enumerate(ranked["pair_ids"] if ranked else ())}
        first = sorted(self._open_pair_ids(), key=lambda pair_id: places.get(pair_id, len(places)))[:limit]
        return tuple(self._store.pair(pair_id) for pair_id in first)

    def _open_pair_ids(self) -> tuple[str, ...]:
        return self._store.open_pair_ids(self.id, self.record.current_round_id)

    def answer(self, pair_id: str, choice: Choice, press_id: str | None = None, rater: str = ME) -> None:
        """Answer a question of this session; the same press counts once however often it arrives."""
        if self._store.pair(pair_id).session_id != self.id:
            raise RLRError(f"The question '{pair_id}' belongs to another session: answer one of this session's.")
        self._store.answer(pair_id, choice, press_id, rater)

    def undo_answer(self, press_id: str | None = None, of: str | None = None) -> str | None:
        """Take the last answer back, or that of the press `of`; its question is open again, and its id is returned.

        The same press counts once, as for an answer.
        """
        undone = self._store.undo_last_answer(self.id, press_id, of)
        return undone.pair_id if undone else None

    def num_answers(self) -> int:
        """Answered questions, skipped ones not counted."""
        return self._store.pair_counts(self.id).answered

    # Ratings

    def pictures_to_rate(self, limit: int = 8) -> tuple[Picture, ...]:
        """Pictures of the current round of which nothing was said yet: previews, those of waiting questions, and those made for this."""
        pairs = self._store.open_pairs(self.id, self.record.current_round_id)
        # All left pictures come first, since the twins of a question look much alike.
        asked = [Picture(pair.image_a, pair.prompt) for pair in pairs] + [Picture(pair.image_b, pair.prompt) for pair in pairs]
        previews, made = (self._samples_now(purpose) for purpose in (PREVIEW, TO_RATE))
        rated = {image_id for rating in self.ratings() for image_id in rating.image_ids}
        found = {picture.image_id: picture for picture in (*previews, *asked, *made) if picture.image_id not in rated}
        return tuple(found.values())[:limit]

    def sets_to_order(self, limit: int = 2) -> tuple[tuple[Picture, ...], ...]:
        """Fours of pictures of the current round to choose the best of, or to put in order: one prompt, four seeds, not ordered yet."""
        made = self._samples_now(TO_RATE)
        sets = [tuple(made[first : first + SET_SIZE]) for first in range(0, len(made), SET_SIZE)]
        ordered = {frozenset(rating.image_ids) for rating in self.ratings() if rating.kind == "order"}
        waiting = {ids: each for each in sets if (ids := frozenset(picture.image_id for picture in each)) not in ordered}
        return tuple(waiting.values())[:limit]

    def _samples_now(self, purpose: str) -> list[Picture]:
        now = self.record.current_round_id
        found = (sample for sample in self._store.samples(self.id) if (sample.purpose, sample.round_id) == (purpose, now))
        return [Picture(sample.image_id, sample.prompt) for sample in found]

    def prepare_pictures(self, ahead: int = 12) -> Job | None:
        """See to it that about `ahead` pictures wait to be rated, as `prepare_pairs` does for questions."""
        return self._prepare(SUPPLYING, lambda: len(self.pictures_to_rate(ahead)) >= ahead, self._make_set)

    def prepare_sets(self, ahead: int = 2) -> Job | None:
        """See to it that about `ahead` fours of pictures wait to be put in order, in the same way."""
        return self._prepare(SUPPLYING, lambda: len(self.sets_to_order(ahead)) >= ahead, self._make_set)

    def _make_set(self, job: Job) -> None:
        made = self._studio.engine().make_set(self.record, SET_SIZE, job.check)
        self._store.report(self.id, PicturesReady(made[0].round_id, TO_RATE, tuple(sample.image_id for sample in made)))

    def rate_thumb(self, image_id: str, up: bool, press_id: str | None = None, rater: str = ME) -> RatingRecord:
        """Say that a picture of this session is good or bad. The last word on a picture counts; the same press counts once."""
        return self._rate("thumb", (image_id,), up, press_id, rater)

    def rate_stars(self, image_id: str, stars: int, press_id: str | None = None, rater: str = ME) -> RatingRecord:
        """Give a picture of this session 1 to 5 stars, in the same way."""
        return self._rate("stars", (image_id,), stars, press_id, rater)

    def rate_order(
        self, image_ids: Sequence[str], num_ordered: int | None = None, press_id: str | None = None, rater: str = ME
    ) -> RatingRecord:
        """Put pictures of this session in order, from the best down, in the same way.

        Only the first `num_ordered` are in order, each better than all the rest: 1 for the best of several; None for all.
        """
        return self._rate("order", image_ids, len(image_ids) if num_ordered is None else num_ordered, press_id, rater)

    def _rate(self, kind: RatingKind, image_ids: Sequence[str], value: int, press_id: str | None, rater: str) -> RatingRecord:
        return self._store.rate(self.id, kind, image_ids, value, press_id, rater)

    def undo_rating(self, press_id: str | None = None, of: str | None = None) -> RatingRecord | None:
        """Take the last rating back, or that of the press `of`, and return it; None if there is none. The same press counts once."""
        return self._store.undo_last_rating(self.id, press_id, of)

    def ratings(self) -> tuple[RatingRecord, ...]:
        """The valid ratings, the oldest first."""
        return self._store.ratings(self.id)

    def num_ratings(self) -> int:
        """How many ratings are valid."""
        return self._store.num_ratings(self.id)

    # Uploads

    def upload(self, data: bytes, liked: bool) -> UploadRecord:
        """Keep a picture the person likes or dislikes; re-encoded, nothing of the file but its pixels is kept."""
        image = self._store.put_image(read_upload(data))
        record = UploadRecord(self.id, image.id, liked)
        self._store.add_upload(record)
        return record

    def remove_upload(self, upload_id: str) -> None:
        """Forget an upload."""
        self._store.remove_upload(self.id, upload_id)

    def uploads(self) -> tuple[UploadRecord, ...]:
        """The pictures the person brought along."""
        return self._store.uploads(self.id)

    # Taste

    def taste(self) -> TasteSummary:
        """What is known of the taste; `refresh_taste` brings it up to date."""
        uploads, payload = self.uploads(), self._last_event("taste_fitted")
        event = from_payload("taste_fitted", payload) if payload else None
        fitted = event if isinstance(event, TasteFitted) else None
        return TasteSummary(
            self.num_answers(),
            len(uploads),
            sum(upload.liked for upload in uploads),
            self.num_ratings(),
            len(self.imported_tastes()),
            fitted.agreement_held_out if fitted else None,
            is_stale=fitted is None or fitted.heard != self._heard(),
            advice=advice(fitted) if fitted else "",
        )

    def _heard(self) -> Heard:
        """What has been said so far."""
        return self._store.num_changes(self.id), tuple(taste.id for taste in self.imported_tastes())

    def refresh_taste(self) -> None:
        """Fit the taste in the background if answers have come since."""
        if self.taste().is_stale and not self.taste().is_empty:
            # The last answer may be taken back before its turn comes.
            work = self.attempt(FITTING, lambda job: None if self.taste().is_empty else self._fit_taste(job))
            self._studio.submit_once(f"taste {self.id}", FITTING, work)

    def _fit_taste(self, job: Job) -> "Taste":
        job.check()
        engine, (num_changes, imported) = self._studio.engine(), self._heard()
        num_answers, num_uploads = self.num_answers(), len(self.uploads())
        self._make_references(job)
        fitted, repeated = engine.fit_taste(self.record), engine.repeats(self.record)
        again = engine.repeat_due(self.record)
        if again is not None:
            self._store.repeat_pair(again.id)
        waiting = self._store.open_pairs(self.id, self.record.current_round_id)
        self._store.report(
            self.id,
            TasteFitted(
                num_answers,
                num_uploads,
                fitted.agreement_held_out,
                self._store.num_rating_changes(self.id),
                imported,
                engine.answers_wanted(self.record, fitted, waiting),
                repeated.count,
                repeated.same,
                num_changes,
            ),
        )
        if len(waiting) > 1:
            self._store.report(self.id, PairsRanked(engine.rank_pairs(self.record, fitted, waiting)))
        return fitted

    def learn_taste(self) -> None:
        """Fit the taste now, which also ranks the questions that wait; returns when that is done."""
        self._studio.run(FITTING, self._fit_taste)

    def export_taste(self) -> bytes:
        """The content of a file of the taste: what was said, the features of the pictures it was said of, and what was learned from it.

        `import_taste` reads it in any session, of this base model or another. Waits until the taste is learned.
        """
        return self._studio.run(FITTING, self.taste_content)

    def taste_content(self, job: Job) -> bytes:
        """The same within a job."""
        return self._studio.engine().export_taste(self.record, self._fit_taste(job))

    def import_taste(self, content: bytes) -> ImportedTaste:
        """Let a taste from another session count in this one, beside what is said here; the same file counts once.

        Who spoke in it keeps their name: what "me" said there, "me" says here. Raises RLRError for anything but a taste file whose
        features can be compared with this session's.
        """
        file = self._studio.run(FITTING, lambda job: self._studio.engine().read_taste(content, self.record))
        return self._store.add_taste(self.id, file.to_bytes(), file.base_model, len(file.material.evidence))

    def export_pick_a_pic(self, file: IO[bytes]) -> int:
        """Write the session's answers with their pictures as a parquet file of Pick-a-Pic's kind; returns how many there are."""
        return importlib.import_module("rlr_core.session.pick_a_pic").write(file, self._store, self.record)

    def export_win_lose(self, file: IO[bytes]) -> int:
        """Write the session's decided answers as a zip of the folders win and lose; returns how many there are."""
        return importlib.import_module("rlr_core.session.win_lose").write(file, self._store, self.record)

    def imported_tastes(self) -> tuple[ImportedTaste, ...]:
        """The tastes that were brought along, the oldest first."""
        return self._store.imported_tastes(self.id)

    def remove_taste(self, taste_id: str) -> None:
        """Let an imported taste count no more."""
        self._store.remove_taste(self.id, taste_id)

    def _make_references(self, job: Job) -> None:
        """Pictures of the base model, for uploads to be compared with while there are few questions; made once."""
        has_enough = 2 * self.num_answers() >= REFERENCE_PICTURES
        if not has_enough and not any(sample.purpose == REFERENCE for sample in self._store.samples(self.id)):
            prompts = [self.record.prompts[number % len(self.record.prompts)] for number in range(REFERENCE_PICTURES)]
            base = self._store.rounds(self.id)[0].id
            self._studio.engine().make_samples(self.record, base, REFERENCE, prompts, list(range(REFERENCE_PICTURES)), job.check)

    def _last_event(self, kind: str) -> Any:  # noqa: ANN401 - a JSON payload
        last = self._store.last_event(self.id, kind)
        return last.payload if last else None

    # Rounds

    def start_round(self, config: RoundConfig) -> Job:
        """Learn from the current round on, in the background; behind rounds that learn or wait already, from the newest of them on.

        It begins when that one has ended well, and is withdrawn if it ends otherwise. Settings that cannot work raise at once.
        """
        validate(config)
        self._studio.check_names(config)
        if config.uses_taste and self.taste().is_empty:
            raise RLRError("There are no answers yet, so there is no taste to learn: answer some questions, or choose another reward.")
        # Together, or the round before could end in between without knowing of this one.
        with self._store.transaction():
            newest = max(self._queue(self.rounds()), key=lambda each: each.number, default=self.current_round())
            record = self._store.create_round(newest.id, config)
        return self._run_round(record)

    def resume_round(self, round_id: str) -> Job:
        """Go on with a round that was stopped or interrupted, or in spite of its alarm; its gauges' limits then count from there."""
        record = self.round(round_id)
        if record.status not in ("stopped", "interrupted", "failed", "drifted"):
            raise RLRError(f"Round {record.number} is {record.status}, so there is nothing to resume: start a new round.")
        self._store.lock.acquire()
        self._store.report(self.id, RoundQueued(record.id))
        return self._run_round(record)

    def withdraw_round(self, round_id: str) -> None:
        """Let a round that waits not begin, nor those that wait for it."""
        record = self.round(round_id)
        if record.status != "queued":
            raise RLRError(f"Round {record.number} is {record.status}, so it waits no more: {'stop it' if record.is_live else 'leave it'}.")
        self._withdraw_followers(record)
        self._withdraw(record)

    def _run_round(self, record: RoundRecord) -> Job:
        def work(job: Job) -> Iterator[None]:
            try:
                yield from self.learn(record.id, job)
            finally:
                # They were to go on from what it would have learned.
                if self.round(record.id).status not in ("done", "budget_spent"):
                    self._withdraw_followers(record)

        try:
            return self._studio.submit_round(record, work)
        except RLRError:
            self._withdraw(record)
            raise

    def _withdraw_followers(self, record: RoundRecord) -> None:
        """Withdraw the rounds that wait for this one, or for another that does."""
        awaited, waiting = {record.id}, []
        for each in self.rounds():
            if each.status == "queued" and each.parent_id in awaited:
                awaited.add(each.id)
                waiting.append(each)
        for each in reversed(waiting):
            self._withdraw(each)

    def _withdraw(self, record: RoundRecord) -> None:
        """Take a round that waits out of the tree, unless it has learned something before."""
        job = self._studio.learning_job(record.id)
        if job is not None:
            job.stop()
            if job.state != "stopped":
                return  # it has just begun, and ends as a stopped round does
        if self._has_adapter(record):
            self._end(record, "stopped", "Stopped before it went on. Resume it, or go on from an earlier round.")
        else:
            self._store.delete_round(record.id)

    def learn(self, round_id: str, job: Job) -> Iterator[None]:
        """Learn what is left of a round in this thread, the worker's: an update a part, so that other studios have their turns between."""
        record = self.round(round_id)
        self._store.report(self.id, RoundStarted(record.id, record.lesson[1].num_updates))
        try:
            yield from self._learn_updates(record, job)
        except Cancelled:
            self._end(record, "stopped", "Stopped. What was learned so far is kept: keep it, resume, or go on from an earlier round.")
            raise
        except Exception as problem:
            self._end(record, "failed", in_words(problem))
            raise

    def _learn_updates(self, record: RoundRecord, job: Job) -> Iterator[None]:
        engine, (parent_id, config) = self._studio.engine(), record.lesson
        self._check_usable(self.round(parent_id))
        if config.uses_taste and not engine.has_taste(record):
            engine.keep_taste(record, self._fit_taste(job))
        watch, update = Watch(self._store, engine, self.record, record, job.check), engine.updates_made(record)
        watch.show_start()
        # The look that an interruption left out.
        if not watch.look(update):
            return
        for report in engine.updates(self.record, record, job.check, job.at_work):
            update = report.update
            shown = (report.reward_mean, report.reward_error, report.kl, report.gradient_norm, report.seconds)
            self._store.report(self.id, UpdateDone(record.id, update, config.num_updates, *shown, report.part_norms))
            if update < config.num_updates and not watch.look(update):
                return
            yield
        if not watch.look(update, is_end=True):
            return
        with self._store.transaction():
            self._store.set_current_round(record.id)
            if update < config.num_updates:
                self._end(record, "budget_spent", f"The budget of {config.kl_budget:g} nats was spent after {update} updates.")
            else:
                self._end(record, "done", f"Done: {config.num_updates} updates.")

    def _end(self, record: RoundRecord, outcome: Any, sentence: str) -> None:  # noqa: ANN401 - events.Outcome
        self._store.report(self.id, RoundEnded(record.id, outcome, sentence))

    def rounds(self) -> tuple[RoundRecord, ...]:
        """The tree of rounds, the oldest first; number 0 is the base model."""
        return self._store.rounds(self.id)

    def round(self, round_id: str) -> RoundRecord:
        """A round of this session."""
        record = self._store.round(round_id)
        if record.session_id != self.id:
            raise RLRError(f"The round '{round_id}' belongs to another session: choose one of this session's.")
        return record

    def number_of(self, round_id: str) -> int:
        """A round's number, even if it was deleted."""
        return self._store.round_number(round_id)

    def current_round(self) -> RoundRecord:
        """The round that pictures and questions come from."""
        return self._store.round(self.record.current_round_id)

    def checkout(self, round_id: str) -> None:
        """Go on from this round."""
        record = self.round(round_id)
        self._check_usable(record)
        self._store.set_current_round(record.id)

    def _has_adapter(self, record: RoundRecord) -> bool:
        return record.parent_id is None or (self._store.round_folder(record.id) / STATE_FILE).exists()

    def _check_usable(self, record: RoundRecord) -> None:
        if not self._has_adapter(record) or record.is_live:
            raise RLRError(f"Round {record.number} is {record.status} and has no adapter to use yet: choose another round.")

    def undo(self) -> RoundRecord:
        """Go back to the round before the current one; nothing is deleted."""
        current = self.current_round()
        if current.parent_id is None:
            raise RLRError("This is the base model: there is no round to undo.")
        self._store.set_current_round(current.parent_id)
        return self.current_round()

    def return_to_last_good(self, round_id: str) -> RoundRecord:
        """Make the state at the round's last check that rang no alarm its result, and go on from it; without such a check, its start."""
        record = self.round(round_id)
        if record.is_live:
            raise RLRError(f"Round {record.number} is still {record.status}: stop it first, then return to its last good state.")
        self._store.lock.acquire()
        update = self._last_good_update(round_id)
        self._store.restore_last_good(round_id)
        with self._store.transaction():
            self._store.set_current_round(round_id)
            self._end(record, "returned", f"Returned to its last good state, after {update} updates.")
        return self.round(round_id)

    def note_round(self, round_id: str, text: str) -> None:
        """Write something about a round; an empty text takes the note away."""
        written = text.strip()
        if len(written) > MAX_NOTE_CHARACTERS:
            raise RLRError(f"The note has {len(written)} characters, more than the {MAX_NOTE_CHARACTERS} that are kept: make it shorter.")
        self._store.note_round(self.round(round_id).id, written)

    def delete_round(self, round_id: str) -> None:
        """Take a round out of the tree for good, its adapter with it; its questions, answers and pictures stay.

        The base model, a round at work or waiting, the one in use, and one that others were learned from raise RLRError.
        """
        with self._store.transaction():
            record = self.round(round_id)
            children = [f"{each.number}" for each in self.rounds() if each.parent_id == record.id]
            reason = None
            if record.parent_id is None:
                reason = "it is the base model, which every round starts from; delete later rounds."
            elif record.is_live:
                reason = f"it is {record.status}; stop it first."
            elif record.id == self.record.current_round_id:
                reason = "it is in use; go back to another round first."
            elif children:
                reason = f"other rounds were made from it ({', '.join(children)}); delete those first."
            if reason:
                raise RLRError(f"Round {record.number} cannot be deleted, because {reason}")
            self._store.delete_round(record.id)

    def blend(self, first_id: str, second_id: str, share: float) -> Job:
        """Mix two rounds into a new one, in the background; the job's result is its record.

        Args:
            share: of the second, from 0 to 1; the rest is the first's, whose child the new round is. Mixed with the base model, a round
                becomes weaker.
        """
        first, second = self.round(first_id), self.round(second_id)
        if not 0 <= share <= 1:
            raise RLRError(f"share = {share:g}: it is the second round's part of the mixture; give a number from 0 to 1.")
        if first.id == second.id:
            raise RLRError(f"Round {first.number} mixed with itself would be the same round again: choose two different ones.")
        for record in (first, second):
            self._check_usable(record)

        def work(job: Job) -> RoundRecord:
            return self._studio.engine().blend(self.record, first.id, second.id, share, job.check)

        return self._studio.submit(BLENDING, self.attempt(BLENDING, work), URGENT)

    def thumbnails(self) -> dict[str, tuple[str, ...]]:
        """By round, its latest pictures of the watched prompts and seeds, where there are any."""
        samples, wanted = self._store.samples(self.id), places(self.record)
        by_round: dict[str, list[SampleRecord]] = {}
        for sample in samples:
            by_round.setdefault(sample.round_id, []).append(sample)
        found = {each: latest(made, lambda _: True) for each, made in by_round.items()}
        return {each: tuple(pictures[place] for place in wanted if place in pictures) for each, pictures in found.items()}

    # Proof

    def compare(self, first_id: str, second_id: str) -> Proof:
        """The blind comparison of two rounds, which becomes the current one: the one begun before, unless a round has learned since."""
        earlier, later = sorted((self.round(first_id), self.round(second_id)), key=lambda each: each.number)
        if earlier.id == later.id:
            raise RLRError(f"Round {earlier.number} compared with itself makes the same pictures twice: choose two different ones.")
        for record in (earlier, later):
            self._check_usable(record)
        same = [each for each in self.comparisons() if (each.earlier_id, each.later_id) == (earlier.id, later.id)]
        known = [each for each in same if self.proof(each.id).is_current]
        last_event = self._store.last_end(earlier.id, later.id)
        comparison = known[-1] if known else ComparisonRecord(self.id, earlier.id, later.id, FIRST_PLAN, last_event)
        if not known:
            self._store.add_comparison(comparison)
        self._store.report(self.id, ComparisonOpened(comparison.id))
        return self.proof(comparison.id)

    def proof(self, comparison_id: str) -> Proof:
        """A comparison of this session."""
        record = self._store.comparison(comparison_id)
        if record.session_id != self.id:
            raise RLRError(f"The comparison '{comparison_id}' belongs to another session: choose one of this session's.")
        return Proof(self._studio, self, record.id)

    def comparisons(self) -> tuple[ComparisonRecord, ...]:
        """The comparisons of rounds that are there, the oldest first."""
        return self._store.comparisons(self.id)

    def current_proof(self) -> Proof | None:
        """The comparison the person last turned to."""
        opened = self._last_event("comparison_opened")
        kept = {each.id for each in self.comparisons()}
        return self.proof(opened["comparison_id"]) if opened and opened["comparison_id"] in kept else None

    def _last_good_update(self, round_id: str) -> int:
        alarms = self._store.events(self.id, kinds=("drift_alarm",))
        rang = {each.payload["update"] for each in alarms if each.round_id == round_id}
        return max((metric.update for metric in drift_metrics(self._store, round_id) if metric.update not in rang), default=0)

    def stop(self) -> None:
        """End the running round at the next denoising step; those that wait for it are withdrawn."""
        record, job = self._at_the_front()
        if job is not None:
            job.stop()
        if record is not None and (job is None or job.state == "stopped") and self.round(record.id).status == "queued":
            self._end(record, "stopped", "Stopped before it began. Resume it, or go on from an earlier round.")
            self._withdraw_followers(record)

    def pause(self) -> None:
        """Hold the running round at the next denoising step."""
        _, job = self._at_the_front()
        if job is not None:
            job.pause()

    def unpause(self) -> None:
        """Let a held round go on."""
        _, job = self._at_the_front()
        if job is not None:
            job.resume()

    def _at_the_front(self) -> tuple[RoundRecord | None, Job | None]:
        """The round at work, or else the first of those that wait, and its job."""
        first = next(iter(self._queue(self.rounds())), None)
        return first, self._studio.learning_job(first.id) if first else None

    def _queue(self, rounds: Sequence[RoundRecord]) -> tuple[RoundRecord, ...]:
        """Those at work or waiting, the one at work first."""
        return tuple(sorted((each for each in rounds if each.is_live), key=lambda each: each.status != "running"))

    def shown_round(self) -> RoundRecord | None:
        """The round of learning to watch: the one at work, or else the first that waits, or else the last one; None before the first."""
        rounds = self.rounds()
        return next(iter(self._queue(rounds)), None) or next((each for each in reversed(rounds) if each.is_learned), None)

    def waiting_rounds(self) -> tuple[RoundRecord, ...]:
        """The rounds that wait behind the one to watch, in order."""
        return self._queue(self.rounds())[1:]

    def progress(self, round_id: str) -> RoundProgress:
        """How a round is doing, from the store alone."""
        record = self.round(round_id)
        _, config = record.lesson
        names = ("reward_mean", "reward_error", "kl", "kl_spent", "seconds")
        means, errors, kl, spent, seconds = (self._store.series(round_id, name) for name in names)
        last = {metric.name: metric.value for metric in self._store.metrics(round_id) if metric.update == len(means)}
        norms = {name.removeprefix("norm/"): value for name, value in last.items() if name.startswith("norm/")}
        pace = sum(value for _, value in seconds[-8:]) / len(seconds[-8:]) if seconds else None
        ended = [event for event in self._store.events(self.id, kinds=("round_ended",)) if event.round_id == round_id]
        return RoundProgress(
            round_id=round_id,
            status=record.status,
            update=len(means),
            num_updates=config.num_updates,
            seconds_left=None if pace is None else pace * (config.num_updates - len(means)),
            rewards=tuple((update, mean, error) for (update, mean), (_, error) in zip(means, errors, strict=True)),
            kl=kl,
            kl_at_start=kl[0][1] - spent[0][1] if kl else 0.0,
            kl_budget=config.kl_budget,
            gradient_norm=last.get("gradient_norm"),
            part_norms=norms,
            sentence=ended[-1].payload["sentence"] if ended and not record.is_live else "",
            drift=last_drift(self._store, round_id),
            effective_share=last.get("effective_share"),
        )

    def figures(self, round_id: str) -> RoundFigures:
        """What a round did, in short."""
        rewards, kl = (self._store.series(round_id, name) for name in ("reward_mean", "kl"))
        if not rewards or not kl:
            return RoundFigures(0, None, None, None)
        return RoundFigures(len(rewards), rewards[0][1], rewards[-1][1], kl[-1][1])

    def strip(self, round_id: str) -> tuple[StripRow, ...]:
        """The fixed prompts and seeds before and after a round; the last picture of each counts."""
        return strip(self._store, self.record, round_id)

    # To take home

    def exportable(self, round_id: str) -> RoundRecord:
        """A round that has an adapter to take home; RLRError for the base model and for one at work."""
        record = self.round(round_id)
        if record.parent_id is None:
            raise RLRError("Round 0 is the base model, which has no LoRA: choose a later round to export.")
        self._check_usable(record)
        return record

    @property
    def exports(self) -> Exports:
        """Files to take home, and the hub."""
        return Exports(self._studio, self)

    # Figures

    def measure(
        self,
        round_id: str,
        reward: str,
        prompts: Sequence[str],
        seeds: Sequence[int],
        reward_settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> "Measurement":
        """Reward, divergence and text match of a round's adapter; waits for it."""
        return self._studio.run(
            "Measuring",
            lambda job: self._studio.engine().measure(self.record, round_id, reward, prompts, seeds, job.check, reward_settings),
        )

    def pictures(self, round_id: str, purpose: str, prompts: Sequence[str], seeds: Sequence[int]) -> tuple[SampleRecord, ...]:
        """Pictures of prompts and seeds with a round's adapter, kept under `purpose`; waits for them."""
        engine = self._studio.engine
        return tuple(
            self._studio.run(DRAWING, lambda job: engine().make_samples(self.record, round_id, purpose, prompts, seeds, job.check))
        )
