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
    os.link(path, tmp_path / "same file")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert (tmp_path / "same file").read_bytes() == b"old"  # the old bytes were never touched
    assert sorted(os.listdir(tmp_path)) == ["file", "same file"]


def test_a_file_is_whole_at_every_moment_and_after_a_kill(tmp_path, python):
    path = tmp_path / "file"
    process = python(WRITE_FOR_EVER, path)
    process.stdout.readline()
    seen = [path.read_bytes() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    seen.append(path.read_bytes())
    assert all(content == content[:1] * 1_000_000 for content in seen)
    assert len(set(seen)) > 1  # it did change meanwhile


def test_an_error_that_is_not_of_the_disk_passes_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), explained(tmp_path):
        (tmp_path / "missing").read_bytes()
    with pytest.raises(RLRError, match="cannot be a folder"), explained(tmp_path):
        (tmp_path).mkdir()
