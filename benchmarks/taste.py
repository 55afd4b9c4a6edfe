"""How well a taste fitted to 30 answers foretells new questions, by scripted rater.

    python3 launch.py bench taste --base-model emoji --questions 96 --answers 30 --seeds 3
    python3 launch.py bench taste --reliability      # whether its probabilities come true
    python3 launch.py bench taste --fit-speed        # seconds a fit and the choice of a question take; needs no model

Of the questions that were not answered, the half in which the rater's utilities differ most is asked: on the others no person has an
opinion. Chance is 0.5. Answers are noisy: half of them are clear by two logits or more. The reliability is of all questions that were
not answered, each answered once by the rater.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from rlr_core.paths import assets_folder
from rlr_core.preference.calibration import Reliability, reliability
from rlr_core.preference.evidence import Answer, Evidence, Ranking, Stars, Thumb
from rlr_core.preference.features import FeatureEncoder
from rlr_core.preference.questions import order_of_asking
from rlr_core.preference.rater import Rater, informative, load_rater
from rlr_core.preference.taste import Taste, fit_taste
from rlr_core.rng import generator
from rlr_core.studio import Studio

REPOSITORY = Path(__file__).parents[1]
RATER_FOLDERS = (REPOSITORY / "assets" / "raters", REPOSITORY / "tests" / "preference" / "raters")
NUM_SPEED_PICTURES = 2000
SPEED_COUNTS = (100, 1000, 10_000)
NUM_CANDIDATES = 200
REPETITIONS = 5

Question = tuple[Image.Image, Image.Image, str]


def make_questions(base_model: str, count: int) -> tuple[list[Question], Tensor, Tensor]:
    """Real questions of a fresh session, and the features of their two pictures, shape (n, F) each."""
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder))
        session = studio.create_session(base_model, studio.shipped_prompts("emoji"))
        pairs = session.next_pairs(count)
        questions = [(*(Image.open(studio.picture(each)).copy() for each in (pair.image_a, pair.image_b)), pair.prompt) for pair in pairs]
        sides = ([pair.image_a for pair in pairs], [pair.image_b for pair in pairs])
        features = studio.run("Features", lambda job: [studio.engine().encode(side) for side in sides])
        studio.close()
    return questions, *features


@dataclass(frozen=True)
class Trial:
    """A taste from some of a rater's answers, and the questions that were kept from it."""

    taste: Taste
    new: list[int]


def learn(rater: Rater, questions: Sequence[Question], features: tuple[Tensor, Tensor], num_answers: int, seed: int) -> Trial:
    """Answer `num_answers` questions drawn at random, and fit a taste to them."""
    order = torch.randperm(len(questions), generator=generator(seed, "order")).tolist()
    asked, (a, b) = order[:num_answers], features
    outcomes = [rater.answer(*questions[number], generator(seed, "rater", number)) for number in asked]
    evidence = [Answer(row, num_answers + row, outcome, left="a") for row, outcome in enumerate(outcomes)]
    shown = torch.cat([a[asked], b[asked]])
    return Trial(fit_taste(shown, evidence, reference=shown), order[num_answers:])


def foretold(rater: Rater, questions: Sequence[Question], features: tuple[Tensor, Tensor], trial: Trial) -> float:
    """Share of unanswered, clear questions whose better picture the taste names."""
    (a, b), new = features, trial.new
    truth = torch.tensor([rater.utility(left, text) - rater.utility(right, text) for left, right, text in (questions[n] for n in new)])
    clear = truth.abs() > truth.abs().median()
    found, _ = trial.taste.difference(a[new], b[new])
    return float(((found > 0) == (truth > 0))[clear].float().mean())


def predictions(
    rater: Rater, questions: Sequence[Question], features: tuple[Tensor, Tensor], trial: Trial, seed: int
) -> tuple[Tensor, Tensor]:
    """How likely the taste holds "a" to be the answer to each unanswered question, and whether it was; shape (n,) each."""
    (a, b), new = features, trial.new
    happened = [rater.answer(*questions[number], generator(seed, "held out", number)) == "a" for number in new]
    return trial.taste.probability(a[new], b[new]), torch.tensor(happened)


def fit_speed(say: Callable[[str], None]) -> None:
    """Seconds of one core for fits to many answers, made up for pictures of random features, and for choosing a question."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    num_columns = FeatureEncoder(assets_folder() / "clip", torch.device("cpu"))(torch.ones(1, 3, 64, 64)).shape[1]
    features = torch.randn(NUM_SPEED_PICTURES, num_columns, generator=generator(0, "features"))
    say(f"one core, {num_columns} features")
    for kind, make in (("answers", random_answers), ("mixed, two raters", random_mixture)):
        for count in SPEED_COUNTS:
            evidence = make(features, count)
            started = time.process_time()
            taste = fit_taste(features, evidence, features)
            say(f"{kind:18} {count:6}  {time.process_time() - started:6.2f} s")
    a, b = features[:NUM_CANDIDATES], features[NUM_CANDIDATES : 2 * NUM_CANDIDATES]
    started = time.process_time()
    for number in range(REPETITIONS):
        order_of_asking(taste, a, b, generator(0, "question", number))
    say(f"order of {NUM_CANDIDATES} questions     {(time.process_time() - started) / REPETITIONS * 1000:6.1f} ms")
    torch.set_num_threads(threads)


def planted_utility(features: Tensor) -> Tensor:
    """A utility of random weights, by which the made-up evidence goes; shape (n,)."""
    return features @ (2 * torch.randn(features.shape[1], generator=generator(0, "utility")) / features.shape[1] ** 0.5)


def random_answers(features: Tensor, count: int) -> list[Evidence]:
    """Bradley and Terry on the planted utility."""
    draws = generator(1, "answers")
    utility = planted_utility(features)
    a, b = torch.randint(len(features), (2, count), generator=draws)
    wins = torch.rand(count, generator=draws) < torch.sigmoid(utility[a] - utility[b])
    sides = torch.rand(count, generator=draws) < 0.5  # noqa: PLR2004 - a fair coin
    rows = zip(a.tolist(), b.tolist(), wins.tolist(), sides.tolist(), strict=True)
    return [Answer(left, right, "a" if won else "b", left="a" if side else "b") for left, right, won, side in rows]


def random_mixture(features: Tensor, count: int) -> list[Evidence]:
    """As many answers, thumbs, stars and rankings, by two raters; without noise, of which the time does not depend."""
    utility, draws = planted_utility(features), generator(2, "mixture")
    pictures = torch.randint(len(features), (count, 4), generator=draws)
    stars = 1 + (torch.bucketize(utility, torch.tensor([-2.0, -0.5, 0.5, 2.0])))
    made: list[Evidence] = []
    for number, row in enumerate(pictures.tolist()):
        rater = ("ann", "bea")[number // 4 % 2]
        best, *others = sorted(dict.fromkeys(row), key=lambda picture: -float(utility[picture]))
        made.append(
            [
                Answer(best, others[-1], "a", left="a", rater=rater),
                Thumb(best, bool(utility[best] > 0), rater),
                Stars(best, int(stars[best]), rater),
                Ranking((best, *others), 1, rater),
            ][number % 4]
        )
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base-model", default="emoji")
    parser.add_argument("--questions", type=int, default=96)
    parser.add_argument("--answers", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--reliability", action="store_true", help="print whether the taste's probabilities come true")
    parser.add_argument("--fit-speed", action="store_true", help="print how long a fit takes, and nothing else")
    arguments = parser.parse_args(argv)
    if arguments.fit_speed:
        fit_speed(print)
        return
    questions, *features = make_questions(arguments.base_model, arguments.questions)
    sides, found = tuple(features), []
    for path in sorted(path for folder in RATER_FOLDERS for path in folder.glob("*.py")):
        rater = informative(load_rater(path), questions)
        trials = [learn(rater, questions, sides, arguments.answers, seed) for seed in range(arguments.seeds)]
        shares = [foretold(rater, questions, sides, trial) for trial in trials]
        print(f"{path.stem:16} {sum(shares) / len(shares):.3f}")
        found += [predictions(rater, questions, sides, trial, seed) for seed, trial in enumerate(trials)]
    if arguments.reliability:
        print(*pooled(found).lines, sep="\n")


def pooled(found: Sequence[tuple[Tensor, Tensor]]) -> Reliability:
    """One table of predictions of several tastes."""
    predicted, happened = zip(*found, strict=True)
    return reliability(torch.cat(predicted), torch.cat(happened))


if __name__ == "__main__":
    main()
