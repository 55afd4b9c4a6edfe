"""A folder that is a Hugging Face Space as it stands: front matter, requirements, app file, limits, and an example to begin with."""

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

from rlr_core.config import to_json
from rlr_core.errors import RLRError
from rlr_core.session.files import explained
from rlr_core.space.limits import SpaceLimits
from rlr_core.studio import Studio

REPOSITORY = Path(__file__).parents[2]
PARTS = ("app", "rlr_core", "assets", "launch.py", "LICENSE", "NOTICE")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "recipe", "raters")
EXAMPLE_QUESTIONS, EXAMPLE_PICTURES = 16, 4

APP_FILE = '''"""The Space's app file."""

from pathlib import Path

from app.space import main

if __name__ == "__main__":
    main(Path(__file__).parent)
'''
# The free tier has no GPU: without this, pip fetches gigabytes of CUDA.
CPU_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"
# The newest torch that ZeroGPU has, and the package that lends the GPU.
ZERO_GPU = {"torch": "torch==2.11.0", "spaces": "spaces==0.51.3"}
ABOUT = """
# RLR Studio

Teach a diffusion model your taste by picking pictures: generate, rate, learn, compare, keep or undo. Everybody who comes has a place of
their own here, which is deleted {idle:g} minutes after they leave. `limits.json` says how much there is for each.

On your own machine, with your own models and without limits: `git clone` this Space's source, then `python3 launch.py`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`space`: where the folder goes, and for which machine."""
    parser.description = "Write a folder that can be pushed to a Hugging Face Space as it is, and receives many visitors at once."
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="A folder that does not exist yet, or is empty.")
    parser.add_argument("--zero-gpu", action="store_true", help="For a Space on ZeroGPU; without it, for two CPU cores.")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the folder; what is in it."""
    out = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RLRError(
            f"{out} is there already and not empty, so a Space written into it would mix with what it holds: give another folder."
        )
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
        write_space(out, SpaceLimits(), arguments.zero_gpu)
    make_example(out / "example")
    return {"folder": str(out), "zero_gpu": arguments.zero_gpu, "files": sum(path.is_file() for path in out.rglob("*"))}


def write_space(out: Path, limits: SpaceLimits, is_zero_gpu: bool) -> None:
    """Everything but the example."""
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, out / part, ignore=LEFT_OUT)
        else:
            shutil.copyfile(source, out / part)
    (out / "space.py").write_text(APP_FILE, encoding="utf-8")
    (out / "limits.json").write_text(to_json(limits) + "\n", encoding="utf-8")
    (out / "requirements.txt").write_text(requirements(is_zero_gpu), encoding="utf-8")
    (out / "README.md").write_text(front_matter(is_zero_gpu) + ABOUT.format(idle=limits.idle_minutes), encoding="utf-8")


def requirements(is_zero_gpu: bool) -> str:
    """What the Space installs."""
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    if not is_zero_gpu:
        return "\n".join([CPU_INDEX, *pinned]) + "\n"
    kept = [line for line in pinned if line.partition("==")[0] not in ZERO_GPU]
    return "\n".join([*kept, *ZERO_GPU.values()]) + "\n"


def front_matter(is_zero_gpu: bool) -> str:
    """What the hub reads, as in the project's own README, with the Space's app file."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.match(r"---\n.*?\n---\n", text, re.DOTALL)
    if found is None:
        raise RLRError(f"{REPOSITORY / 'README.md'} has no front matter, so the hub would not know what to start: get the project again.")
    hardware = "zero-a10g" if is_zero_gpu else "cpu-basic"
    changed = re.sub(r"(?m)^app_file: .*$", "app_file: space.py", found[0])
    return re.sub(r"(?m)^suggested_hardware: .*$", f"suggested_hardware: {hardware}", changed)


def make_example(folder: Path) -> None:
    """A workspace with pictures and questions, so that a visitor begins at once instead of waiting for a turn."""
    studio = Studio(folder)
    try:
        session = studio.create_session("emoji")
        prompts = session.record.prompts
        job = session.generate(prompts[:EXAMPLE_PICTURES], seed=0)
        session.next_pairs(EXAMPLE_QUESTIONS)
        job.wait()
    finally:
        studio.close()
