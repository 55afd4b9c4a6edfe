"""docs/pains.md names tests; here they are looked up."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TABLE = (TESTS.parent / "docs" / "pains.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in TABLE.splitlines() if re.match(r"\| \d+ ", line)]


def test_all_of_them_are_there():
    assert [int(row[0]) for row in ROWS] == list(range(1, 26))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_shows_the_answer_exists(row):
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", row[3])
    assert named
    for file, test in named:
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        functions = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
        assert test in functions if test else any(each.startswith("test_") for each in functions), f"{file}::{test}"
