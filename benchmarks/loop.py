"""The whole human loop with scripted tastes: win rate by taste, number of answers and way of learning, over several seeds.

    python3 launch.py bench loop --answers 20 30 --learns-from reward answers both --seeds 3 --json out.json

Each run is one `simulate`: questions, answers, a round, and a blind comparison with the base model on prompts and seeds never rated. Runs
that --json holds already are not run again. The last table says how many answers it took until 70 % of the comparisons were won.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean

from benchmarks.taste import RATER_FOLDERS
from rlr_core.command import HELD_OUT_PROMPTS, SIMULATE_DEFAULTS
from rlr_core.config import ANSWERS, BOTH, REWARD
from rlr_core.preference.rater import Rater, load_rater
from rlr_core.simulation import simulate
from rlr_core.studio import Studio

TASTES = (
    "warm_colours",
    "large_object",
    "symmetrical",
    "flat_drawing",
    "few_colours",
    "blue_unless_an_animal",
    "bold_and_simple",
    "warm_colours:0.2",
)
WON = 0.7


@dataclass(frozen=True)
class Cell:
    """One run; `taste` is a rater's name, with the share of wrong answers after a colon where there is one."""

    taste: str
    answers: int
    learns_from: str
    pool: int
    seed: int
    win_rate: float
    kl: float
    text_match_kept: float
    agreement_held_out: float | None
    seconds: float

    @property
    def way(self) -> tuple[int, str, int]:
        """How it was learned: number of answers, what from, and how many questions there were to choose from."""
        return self.answers, self.learns_from, self.pool


def load_taste(taste: str) -> Rater:
    """The rater called so."""
    name, _, wrong = taste.partition(":")
    path = next((found for folder in RATER_FOLDERS if (found := folder / f"{name}.py").exists()), RATER_FOLDERS[0] / f"{name}.py")
    rater = load_rater(path)
    return rater.wrong(float(wrong)) if wrong else rater


def run(taste: str, answers: int, learns_from: str, pool: int, seed: int) -> Cell:
    """One loop in a workspace of its own."""
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder))
        try:
            session = studio.create_session("emoji", studio.shipped_prompts("emoji"), seed)
            config = replace(SIMULATE_DEFAULTS, learns_from=learns_from)
            held_out = studio.shipped_prompts(HELD_OUT_PROMPTS)
            report = simulate(studio, session, load_taste(taste), answers, [config], held_out, lambda said: None, pool)
        finally:
            studio.close()
    return Cell(
        taste,
        answers,
        learns_from,
        pool,
        seed,
        report.win_rate,
        report.kl,
        report.text_match_after / report.text_match_before,
        report.agreement_held_out,
        report.seconds,
    )


def table(cells: Sequence[Cell]) -> str:
    """A line a taste: the seeds' mean win rate and their range, in a column a number of answers and way of learning."""
    columns = list(dict.fromkeys(cell.way for cell in cells))
    rows = [["taste", *(f"{answers} answers, {learns_from}, pool {pool}" for answers, learns_from, pool in columns)]]
    rows.append(["---"] * (1 + len(columns)))
    for taste in dict.fromkeys(cell.taste for cell in cells):
        row = [taste]
        for way in columns:
            rates = [cell.win_rate for cell in cells if (cell.taste, cell.way) == (taste, way)]
            row.append(f"{fmean(rates):.2f} ({min(rates):.2f} … {max(rates):.2f})" if rates else "–")
        rows.append(row)
    means = [[cell.win_rate for cell in cells if cell.way == column] for column in columns]
    seconds = [[cell.seconds for cell in cells if cell.way == column] for column in columns]
    rows.append(["mean", *(f"{fmean(rates):.2f}" for rates in means)])
    rows.append(["seconds", *(f"{fmean(each):.0f}" for each in seconds)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def answers_needed(cells: Sequence[Cell]) -> str:
    """By taste and way of learning, the fewest answers with which the seeds' mean win rate reached 70 %."""
    lines = []
    for taste, way, pool in dict.fromkeys((cell.taste, cell.learns_from, cell.pool) for cell in cells):
        own = [cell for cell in cells if (cell.taste, cell.learns_from, cell.pool) == (taste, way, pool)]
        counts = sorted({cell.answers for cell in own})
        reached = [count for count in counts if fmean([cell.win_rate for cell in own if cell.answers == count]) >= WON]
        lines.append(f"{taste}, {way}, pool {pool}: {f'{reached[0]} answers' if reached else f'not with {counts[-1]}'}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing, write after each, print the tables."""
    parser = argparse.ArgumentParser(prog="launch.py bench loop", description=__doc__.splitlines()[0])
    parser.add_argument("--tastes", nargs="+", default=list(TASTES), metavar="NAME[:SHARE]", help="Raters, and the share answered wrongly.")
    parser.add_argument("--answers", nargs="+", type=int, default=[30])
    parser.add_argument("--learns-from", nargs="+", default=[REWARD], choices=(REWARD, ANSWERS, BOTH))
    parser.add_argument("--pool", nargs="+", type=int, default=[0], help="Questions to choose from; 0 asks as they come.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    done = arguments.json and arguments.json.exists()
    cells = [Cell(**each) for each in json.loads(arguments.json.read_text(encoding="utf-8"))] if done else []
    known = {(cell.taste, *cell.way, cell.seed) for cell in cells}
    ways = product(arguments.answers, arguments.learns_from, arguments.pool)
    wanted = [(taste, *way, seed) for seed, way, taste in product(range(arguments.seeds), ways, arguments.tastes)]
    for key in (each for each in wanted if each not in known):
        cells.append(run(*key))
        print(f"{key}: wins {cells[-1].win_rate:.2f}, {cells[-1].kl:.0f} nats, {cells[-1].seconds:.0f} s", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")
    print(f"{table(cells)}\n\n{answers_needed(cells)}")


if __name__ == "__main__":
    main()
