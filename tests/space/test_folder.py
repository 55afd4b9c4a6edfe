"""The folder of a Space: whole, and only where nothing else lies. That it starts is seen in tests/browser."""

import argparse
import re

import pytest

from rlr_core.config import from_json
from rlr_core.errors import RLRError
from rlr_core.space import folder
from rlr_core.space.limits import SpaceLimits
from rlr_core.studio import Studio


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    out = tmp_path_factory.mktemp("space")
    folder.write_space(out, SpaceLimits(visitors=7), is_zero_gpu=False)
    return out


def test_it_has_all_that_the_hub_reads(space):
    matter = re.match(r"---\n(.*?)\n---\n", (space / "README.md").read_text(), re.DOTALL)[1]
    fields = dict(line.split(": ", 1) for line in matter.splitlines() if ": " in line)
    assert fields["sdk"] == "gradio" and (space / fields["app_file"]).is_file()
    assert fields["suggested_hardware"] == "cpu-basic"
    requirements = (space / "requirements.txt").read_text()
    assert f"gradio=={fields['sdk_version']}" in requirements
    assert "torch==" in requirements and "whl/cpu" in requirements and "spaces" not in requirements


def test_it_has_all_that_it_imports_and_no_more(space):
    assert (space / "assets" / "emoji" / "model_index.json").is_file()
    assert (space / "app" / "static" / "studio.css").is_file() and (space / "rlr_core" / "studio.py").is_file()
    assert not (space / "tests").exists() and not (space / "assets" / "recipe").exists()
    assert not list(space.rglob("__pycache__"))


def test_its_limits_can_be_read_and_changed(space):
    assert from_json(SpaceLimits, (space / "limits.json").read_text()) == SpaceLimits(visitors=7)


def test_for_zero_gpu_it_asks_for_what_is_there():
    lines = folder.requirements(is_zero_gpu=True).splitlines()
    assert [line for line in lines if line.startswith("torch==")] == ["torch==2.11.0"]
    assert any(line.startswith("spaces==") for line in lines) and not any("whl/cpu" in line for line in lines)


def test_nothing_is_written_among_other_things(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(RLRError, match="not empty"):
        folder.run(argparse.Namespace(out=tmp_path, zero_gpu=False))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_example_has_questions_and_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "EXAMPLE_QUESTIONS", 4)
    folder.make_example(tmp_path / "example")
    studio = Studio(tmp_path / "example")
    session = studio.latest_session()
    assert len(session.open_pairs(10)) == 4 and len(session.previews()) == folder.EXAMPLE_PICTURES
    assert session.num_answers() == 0
    studio.close()
