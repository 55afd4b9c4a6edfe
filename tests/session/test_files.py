"""Files are whole or absent."""

import os
import signal

import pytest

from rlr_core.errors import RLRError
from rlr_core.session.files import explained, write_atomically

WRITE_FOR_EVER = """
import sys
from itertools import cycle
from pathlib import Path
from rlr_core.session.files import write_atomically

for letter in cycle(b"abcdefgh"):
    write_atomically(Path(sys.argv[1]), bytes([letter]) * 1_000_000)
    print(letter)
"""


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("num_writes", [1, 2, 5, 9])
def test_a_killed_writer_leaves_a_whole_file(tmp_path, python, num_writes):
    path = tmp_path / "file"
    process = python(WRITE_FOR_EVER, path)
    for _ in range(num_writes):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    content = path.read_bytes()
    assert len(content) == 1_000_000 and len(set(content)) == 1


def test_an_error_that_is_not_of_the_disk_passes_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), explained(tmp_path):
        (tmp_path / "missing").read_bytes()
    with pytest.raises(RLRError, match="cannot be a folder"), explained(tmp_path):
        (tmp_path).mkdir()
