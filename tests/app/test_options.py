"""Arguments and environment of `python -m app`."""

import socket
from pathlib import Path

import pytest

from app.__main__ import Options, main, read_options
from rlr_core.errors import RLRError

REPOSITORY = Path(__file__).parents[2]


def test_defaults_are_local_and_outside_the_repository():
    options = read_options([], {})
    assert options == Options("127.0.0.1", 7860, options.workspace, opens_browser=True, auth=None)
    assert not options.workspace.resolve().is_relative_to(REPOSITORY)


def test_gradios_variables_count_and_arguments_count_more():
    environment = {"GRADIO_SERVER_NAME": "::1", "GRADIO_SERVER_PORT": "9000"}
    assert (read_options([], environment).host, read_options([], environment).port) == ("::1", 9000)
    given = read_options(["--host", "localhost", "--port", "9001", "--no-browser", "--workspace", "/somewhere"], environment)
    assert given == Options("localhost", 9001, Path("/somewhere"), opens_browser=False, auth=None)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "7860.0", ""])
def test_refuses_what_is_no_port(port):
    with pytest.raises(RLRError, match="whole number from 1 to 65535"):
        read_options([f"--port={port}"], {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_other_machines_need_a_password(host):
    with pytest.raises(RLRError, match="RLR_STUDIO_AUTH"):
        read_options(["--host", host], {})
    assert read_options(["--host", host], {"RLR_STUDIO_AUTH": "ada:lovelace:1"}).auth == ("ada", "lovelace:1")


@pytest.mark.parametrize("auth", ["ada", "ada:", ":secret", ":"])
def test_refuses_half_a_password_without_repeating_it(auth):
    with pytest.raises(RLRError, match="user:password") as problem:
        read_options([], {"RLR_STUDIO_AUTH": auth})
    assert "secret" not in str(problem.value)


@pytest.mark.parametrize("password", ["short", "7letter"])
def test_refuses_a_password_that_could_be_guessed_without_repeating_it(password):
    with pytest.raises(RLRError, match="at least 8") as problem:
        read_options([], {"RLR_STUDIO_AUTH": f"ada:{password}"})
    assert password not in str(problem.value)


def test_bad_options_end_with_a_sentence_and_exit_code_2(capsys):
    assert main(["--port", "nowhere"]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1 and "nowhere" in shown.err and shown.out == ""


def test_a_workspace_that_is_a_file_ends_with_a_sentence(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert main(["--workspace", str(tmp_path / "taken")]) == 2
    assert "taken" in capsys.readouterr().err


def test_a_taken_port_ends_with_a_sentence_and_exit_code_2(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port), "--workspace", str(tmp_path / "workspace")]) == 2
    shown = capsys.readouterr()
    assert f"Port {port}" in shown.err and "--port" in shown.err and shown.out == ""
