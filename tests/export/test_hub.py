"""Pushing to a hub on this machine that speaks what the client asks; and the token, which nothing that is written may hold."""

import base64
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from rlr_core.errors import RLRError
from rlr_core.export.hub import check_repository, push_folder

TOKEN = "hf_" + "s3cret" * 6


class Hub:
    """What arrived: the headers of every request, the repositories made and the files of their commits."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.authorizations: list[str] = []
        self.repositories: list[dict] = []
        self.files: dict[str, bytes] = {}
        self.address = ""

    def commit(self, body: bytes) -> None:
        """Take over the files of a commit, one JSON entry a line."""
        for entry in map(json.loads, body.splitlines()):
            if entry["key"] == "file":
                self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])


@contextmanager
def serve(status: int = 200) -> Iterator[Hub]:
    """A hub that takes uploads, or answers everything with an error."""
    hub = Hub(status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            hub.authorizations.append(self.headers.get("Authorization", ""))
            if hub.status != 200:
                self._send({"error": f"no, {self.headers.get('Authorization')}"}, hub.status)
            elif self.path == "/api/repos/create":
                hub.repositories.append(json.loads(body))
                self._send({"url": f"{hub.address}/someone/taste", "id": "someone/taste"})
            elif self.path == "/api/validate-yaml":
                self._send({"errors": [], "warnings": []})
            elif "/preupload/" in self.path:
                files = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in json.loads(body)["files"]]
                self._send({"files": files})
            elif "/commit/" in self.path:
                hub.commit(body)
                self._send({"commitUrl": f"{hub.address}/someone/taste/commit/0", "commitOid": "0" * 40, "pullRequestUrl": None})
            else:
                self._send({"error": self.path}, 404)

        def do_GET(self) -> None:
            hub.authorizations.append(self.headers.get("Authorization", ""))
            self._send({"id": "someone/taste", "sha": "0" * 40, "siblings": [], "private": True, "tags": []}, hub.status)

        def _send(self, content: object, status: int = 200) -> None:
            written = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "bundle"
    made.mkdir()
    (made / "README.md").write_text("---\nlicense: mit\n---\n\n# A LoRA\n")
    (made / "pytorch_lora_weights.safetensors").write_bytes(bytes(range(256)))
    return made


@pytest.fixture
def online(monkeypatch):
    """The client may use the network, which here is this machine."""

    def use(hub):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)

    return use


def test_a_folder_arrives_whole_in_a_repository_of_its_own(folder, online):
    with serve() as hub:
        online(hub)
        address = push_folder(folder, " someone/taste ", f" {TOKEN}\n", is_private=True)
        assert address == f"{hub.address}/someone/taste"
    assert hub.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert (hub.repositories[0]["name"], hub.repositories[0]["visibility"]) == ("taste", "private")
    assert set(hub.authorizations) == {f"Bearer {TOKEN}"}
    assert TOKEN not in "".join(path.read_text(errors="replace") for path in folder.iterdir())


@pytest.mark.parametrize(
    ("status", "words"), [(401, "does not know this token"), (403, "may not write there"), (404, "no such owner"), (418, "try again later")]
)
def test_a_refusal_is_a_sentence_without_the_token(folder, online, caplog, status, words):
    caplog.set_level(logging.DEBUG)
    with serve(status) as hub:
        online(hub)
        with pytest.raises(RLRError, match=rf"refused someone/taste \(answer {status}\).*{words}") as refused:
            push_folder(folder, "someone/taste", TOKEN, is_private=False)
    assert hub.authorizations[0] == f"Bearer {TOKEN}", "the hub did see it"
    assert TOKEN not in str(refused.value) and refused.value.__cause__ is None and refused.value.__suppress_context__
    assert TOKEN not in caplog.text


def test_a_hub_out_of_reach_is_told(folder, monkeypatch, online):
    with serve() as hub:
        online(hub)
    with pytest.raises(RLRError, match="cannot be reached at http://127.0.0.1") as gone:
        push_folder(folder, "someone/taste", TOKEN, is_private=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RLRError, match="HF_HUB_OFFLINE") as offline:
        push_folder(folder, "someone/taste", TOKEN, is_private=True)
    assert TOKEN not in str(gone.value) + str(offline.value)


def test_without_a_token_it_says_where_to_get_one(folder, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(RLRError, match="There is no token"):
        push_folder(folder, "someone/taste", "  ", is_private=True)


def test_the_machines_own_token_is_used(folder, online, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serve() as hub:
        online(hub)
        push_folder(folder, "someone/taste", None, is_private=True)
    assert set(hub.authorizations) == {f"Bearer {TOKEN}"}


def test_a_token_with_something_odd_in_it_is_not_echoed(folder, online):
    with serve() as hub:
        online(hub)
        for token in (f"{TOKEN}\nX-Evil: 1", f"{TOKEN} {TOKEN}", f"{TOKEN}ü"):
            with pytest.raises(RLRError, match="The token holds something that no token does") as odd:
                push_folder(folder, "someone/taste", token, is_private=True)
            assert TOKEN not in str(odd.value)
    assert hub.authorizations == []


@pytest.mark.parametrize("name", ["", "taste", "a/b/c", "../x", "someone/..", "some one/x", "someone/a--b", "someone/" + "x" * 200])
def test_what_names_no_repository_is_refused(name):
    with pytest.raises(RLRError, match="a repository is called owner/name"):
        check_repository(name)


def test_a_token_in_the_wrong_field_is_not_repeated():
    with pytest.raises(RLRError, match="looks like a token") as mixed_up:
        check_repository(TOKEN)
    assert TOKEN not in str(mixed_up.value)
