"""What the model libraries advise their developers does not reach a person; their errors do."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
CODE = """
import rlr_core.command, rlr_core.engine
from transformers.utils.logging import get_logger
get_logger("transformers.some").warning("This is advice.")
get_logger("transformers.some").error("This is an error.")
"""


def test_only_errors_of_the_model_libraries_are_heard():
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_VERBOSITY")}
    done = subprocess.run([sys.executable, "-c", CODE], cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.endswith("This is an error.")
