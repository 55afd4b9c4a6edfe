"""The whole human loop with a scripted rater: questions, answers, a round on the learned taste, and a blind comparison at the end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from rlr_core.config import RoundConfig
from rlr_core.pictures import to_pillow
from rlr_core.preference.rater import Rater, informative
from rlr_core.rng import generator
from rlr_core.session.records import PairRecord
from rlr_core.studio import Session, Studio
from rlr_core.tuning import HELD_OUT_SEED, learn
from rlr_core.verdict import Verdict

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SimulationReport:
    """What a scripted rater's answers taught, on prompts and seeds never rated.

    Attributes:
        win_rate, wins, losses, ties, interval: of the tuned model over the base model, by the rater's utility; 95 % Wilson interval.
        temperature: what the rater's utilities were divided by to become logits.
        seconds: from the first question to the last comparison; `learning_seconds` of the rounds alone.
        network_evaluations: of questions and rounds; the comparison is not counted.
        text_match_before, text_match_after: margin of the own prompt over the others, by the embedded CLIP.
    """

    win_rate: float
    wins: int
    losses: int
    ties: int
    interval: tuple[float, float]
    answers_used: int
    agreement_held_out: float | None
    temperature: float
    rounds: int
    updates: int
    kl: float
    text_match_before: float
    text_match_after: float
    seconds: float
    learning_seconds: float
    network_evaluations: int
    session_id: str


def simulate(  # noqa: PLR0913 - the loop's own parts
    studio: Studio,
    session: Session,
    rater: Rater,
    num_answers: int,
    configs: Sequence[RoundConfig],
    held_out: Sequence[str],
    say: Callable[[str], None],
) -> SimulationReport:
    """Ask `num_answers` questions, spread evenly over the rounds of `configs`, learn, and compare with the base model."""
    started, evaluations = time.monotonic(), studio.network_evaluations()
    base, learning_seconds = session.current_round().id, 0.0
    for number, config in enumerate(configs):
        share = num_answers * (number + 1) // len(configs) - num_answers * number // len(configs)
        rater = _answer(studio, session, rater, session.next_pairs(share))
        before_round = time.monotonic()
        learn(session, config, say)
        learning_seconds += time.monotonic() - before_round
    evaluations = studio.network_evaluations() - evaluations
    seeds = [HELD_OUT_SEED + number for number in range(len(held_out))]
    tuned = session.current_round().id
    before, after = (session.measure(each, "text_match", held_out, seeds) for each in (base, tuned))
    verdict = compare(rater, held_out, before.images, after.images)
    summary = session.taste()
    return SimulationReport(
        win_rate=verdict.win_rate,
        wins=verdict.wins,
        losses=verdict.losses,
        ties=verdict.ties,
        interval=verdict.interval,
        answers_used=session.num_answers(),
        agreement_held_out=summary.agreement_held_out,
        temperature=rater.temperature,
        rounds=len(configs),
        updates=sum(session.progress(record.id).update for record in session.rounds() if record.parent_id),
        kl=float(after.divergences.mean()),
        text_match_before=float(before.text_margins.mean()),
        text_match_after=float(after.text_margins.mean()),
        seconds=time.monotonic() - started,
        learning_seconds=learning_seconds,
        network_evaluations=evaluations,
        session_id=session.id,
    )


def _answer(studio: Studio, session: Session, rater: Rater, pairs: Sequence[PairRecord]) -> Rater:
    """Answer every pair; the rater comes back as it answered, its temperature settled by these pairs."""
    sides = [tuple(Image.open(studio.picture(each)) for each in (pair.image_a, pair.image_b)) for pair in pairs]
    settled = informative(rater, [(a, b, pair.prompt) for (a, b), pair in zip(sides, pairs, strict=True)])
    for (a, b), pair in zip(sides, pairs, strict=True):
        session.answer(pair.id, settled.answer(a, b, pair.prompt, generator(session.record.seed, "rater", pair.number)))
    return settled


def compare(rater: Rater, prompts: Sequence[str], before: "Tensor", after: "Tensor") -> Verdict:
    """Blind: the rater sees two pictures of the same prompt and seed, not which is which; the one of greater utility wins."""
    differences = [
        rater.utility(to_pillow(new), prompt) - rater.utility(to_pillow(old), prompt)
        for old, new, prompt in zip(before, after, prompts, strict=True)
    ]
    return Verdict(
        wins=sum(difference > 0 for difference in differences),
        losses=sum(difference < 0 for difference in differences),
        ties=sum(difference == 0 for difference in differences),
    )
