"""What the trainers of the shipped models share: time, checkpoints, curves, and sheets of samples."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from assets.recipe.samples import pictures, sheet
from assets.recipe.training import Training, descend
from tests.tiny import tiny_pipeline


class Clock:
    """Every look at it takes a second."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


class Line:
    """A line fitted to y = 3 x, cut off at an update if one is given."""

    def __init__(self, folder, minutes=1.0, cut_off_at=None):
        torch.manual_seed(0)
        self.module = nn.Linear(1, 1)
        self.optimizer = torch.optim.AdamW(self.module.parameters())
        self.cut_off_at = cut_off_at
        self.first_update = None
        parts = {"line": self.module, "optimizer": self.optimizer}
        self.training = Training(folder / "line.pt", folder / "curve.json", minutes, 10, parts, Clock())

    def step(self, share, update):
        self.first_update = update if self.first_update is None else self.first_update
        if update == self.cut_off_at:
            raise KeyboardInterrupt
        x = torch.full((1, 1), float(update))
        loss = (self.module(x) - 3 * x).pow(2).mean()
        descend(self.optimizer, loss, 0.1 * (1 - share))
        return loss.item()

    def run(self):
        self.training.run(self.step, lambda update, seconds, loss: [update, seconds, loss])
        return self

    def state(self):
        return torch.cat([self.module.weight.flatten(), self.module.bias])


def test_a_training_that_was_cut_off_ends_as_one_that_was_not(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = Line(tmp_path / "whole").run()
    with pytest.raises(KeyboardInterrupt):
        Line(tmp_path / "cut", cut_off_at=23).run()
    resumed = Line(tmp_path / "cut").run()
    assert 0 < resumed.first_update < 23
    assert torch.equal(resumed.state(), whole.state())
    curves = [json.loads((tmp_path / name / "curve.json").read_text()) for name in ("whole", "cut")]
    assert curves[0][-1][:2] == curves[1][-1][:2] == [60, 60]
    assert [update for update, _, _ in curves[1]] == sorted({update for update, _, _ in curves[1]})


def test_more_minutes_go_on_and_spent_ones_do_nothing(tmp_path):
    first = Line(tmp_path).run()
    assert Line(tmp_path).run().first_update is None
    longer = Line(tmp_path, minutes=2.0).run()
    assert longer.first_update == 60
    assert not torch.equal(longer.state(), first.state())


def test_a_checkpoint_of_an_older_recipe_is_resumed_from(tmp_path):
    old = Line(tmp_path)
    state = {"spent": 50.0, "update": 50, "curve": [[50, 50, 1.0]]}
    torch.save({"line": old.module.state_dict(), "optimizer": old.optimizer.state_dict(), "state": state}, tmp_path / "line.pt")
    assert Line(tmp_path).run().first_update == 50


def test_a_sheet_holds_each_prompts_picture():
    pipeline = tiny_pipeline(dtype=torch.float32)
    rows = [["a red heart", "a blue square"], ["a cat face", "a dog face"], ["the green apple", "a yellow circle"]]
    made = pictures(pipeline, [prompt for row in rows for prompt in row], seed=7)
    grid = np.asarray(sheet(pipeline, rows))
    assert grid.shape == (48, 32, 3)
    third_row_second = torch.from_numpy(grid[32:48, 16:32].copy()).permute(2, 0, 1) / 255
    torch.testing.assert_close(third_row_second, made[5], rtol=0, atol=0.5 / 255 + 1e-6)
