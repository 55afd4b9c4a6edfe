"""How well a taste fitted to 30 answers foretells new questions, by scripted rater.

    python3 launch.py bench taste --base-model emoji --questions 96 --answers 30 --seeds 3

Of the questions that were not answered, the half in which the rater's utilities differ most is asked: on the others no person has an
opinion. Chance is 0.5. Answers are noisy: half of them are clear by two logits or more.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from rlr_core.preference.rater import Rater, informative, load_rater
from rlr_core.preference.taste import fit_taste
from rlr_core.rng import generator
from rlr_core.studio import Studio

REPOSITORY = Path(__file__).parents[1]
RATER_FOLDERS = (REPOSITORY / "assets" / "raters", REPOSITORY / "tests" / "preference" / "raters")

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


def foretold(rater: Rater, questions: Sequence[Question], features: tuple[Tensor, Tensor], num_answers: int, seed: int) -> float:
    """Share of unanswered, clear questions whose better picture the taste names."""
    order = torch.randperm(len(questions), generator=generator(seed, "order")).tolist()
    asked, new = order[:num_answers], order[num_answers:]
    outcomes = [rater.answer(*questions[number], generator(seed, "rater", number)) for number in asked]
    a, b = features
    taste = fit_taste(a[asked], b[asked], outcomes, liked=a[:0], disliked=a[:0], reference=torch.cat([a[asked], b[asked]]))
    truth = torch.tensor([rater.utility(left, text) - rater.utility(right, text) for left, right, text in (questions[n] for n in new)])
    clear = truth.abs() > truth.abs().median()
    found, _ = taste.difference(a[new], b[new])
    return float(((found > 0) == (truth > 0))[clear].float().mean())


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base-model", default="emoji")
    parser.add_argument("--questions", type=int, default=96)
    parser.add_argument("--answers", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args(argv)
    questions, *features = make_questions(arguments.base_model, arguments.questions)
    for path in sorted(path for folder in RATER_FOLDERS for path in folder.glob("*.py")):
        rater = informative(load_rater(path), questions)
        shares = [foretold(rater, questions, tuple(features), arguments.answers, seed) for seed in range(arguments.seeds)]
        print(f"{path.stem:16} {sum(shares) / len(shares):.3f}")


if __name__ == "__main__":
    main()
