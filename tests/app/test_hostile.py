"""A thousand hostile inputs to the real server over raw HTTP: it lives on, writes nothing outside the workspace, answers in sentences."""

import hashlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import pytest
from PIL import Image

from app.server import MAX_FILE_BYTES
from rlr_core.config import SamplerConfig
from rlr_core.session.records import PairRecord
from rlr_core.studio import Studio
from tests.app import hostile
from tests.app.hostile import MARK, Input

REPOSITORY = Path(__file__).parents[2]
FORM = "multipart/form-data; boundary=b"
SEED, PATIENCE_SECONDS = 20261105, 60


@dataclass
class Server:
    """The studio in a process of its own, and a listener that nothing may ever connect to."""

    port: int
    root: Path
    process: subprocess.Popen
    session: str
    pair: str
    canary: socket.socket
    visits: list[object] = field(default_factory=list)

    def raw(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; 0 where the connection was closed without one."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS) as connection:
            try:
                # Eight digits for eight letters: the request says how long it is.
                connection.sendall(request.replace(b"{canary}", b"%08d" % self.canary.getsockname()[1]))
                answer = http.client.HTTPResponse(connection, method="HEAD" if request.startswith(b"HEAD") else None)
                answer.begin()
                return answer.status, answer.read()
            except (http.client.BadStatusLine, ConnectionError):
                return 0, b""

    def get(self, path: str) -> tuple[int, bytes]:
        return self.raw(hostile.request("GET", path))

    def stream(self, hash_: str) -> list[dict]:
        """What the queue says to a page until it has no more to say."""
        status, said = self.get(f"/gradio_api/queue/data?session_hash={hash_}")
        assert status == 200
        return [json.loads(line.removeprefix("data: ")) for line in said.decode().splitlines() if line.startswith("data: ")]

    def files(self) -> set[Path]:
        """All files that could have been written: the server's home, its temporary files, its workspace and what lies beside."""
        return {path for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("hostile")
    studio = Studio(root / "workspace")
    session = studio.create_session(str(tiny_folder), ["a cat"], sampler=SamplerConfig(num_inference_steps=4))
    image, record = studio.store.put_image(Image.new("RGB", (4, 4), "red")).id, session.record
    pairs = [PairRecord(record.id, record.current_round_id, number, "a cat", image, image, is_a_plus=True, step=1) for number in range(40)]
    for pair in pairs:
        studio.store.add_pair(pair)
    studio.close()
    for folder in ("home", "temporary"):
        (root / folder).mkdir()
    canary, probe = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "app", "--no-browser", "--port", str(port), "--workspace", str(root / "workspace")],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "temporary"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MPLCONFIGDIR": str(root.parent),
        },
        stdout=subprocess.PIPE,
        stderr=(root.parent / "hostile.log").open("w"),
        text=True,
    )
    assert str(port) in process.stdout.readline()
    made = Server(port, root, process, session.id, pairs[-1].id, canary)
    threading.Thread(target=count_visits, args=[made], daemon=True).start()
    yield made
    process.terminate()
    process.wait(30)
    canary.close()


def count_visits(server: Server) -> None:
    """Until the listener is closed."""
    try:
        while True:
            server.visits.append(server.canary.accept())
    except OSError:
        return


def all_inputs(server: Server) -> Iterator[Input]:
    draw, config = random.Random(SEED), json.loads(server.get("/config")[1])
    return chain(
        hostile.paths(draw),
        hostile.broken_http(),
        hostile.bodies(draw, 200),
        hostile.events(draw, config, 300),
        hostile.server_calls(draw, config, server.session, server.pair, 150),
        hostile.uploads(draw),
    )


def complaint(status: int, body: bytes) -> str:
    """What is wrong with an answer, "" if nothing is."""
    if b"Traceback" in body or b'File "/' in body or b"root:" in body or b"SQLite format" in body:
        return "it tells what nobody should know"
    if status < 400:
        return ""
    text = body.decode(errors="replace")
    try:
        text = json.loads(text)["error"]
    except ValueError:
        pass
    is_sentence = text.strip().endswith(".") and " " in text
    return "" if is_sentence else f"{text[:80]!r} is no sentence"


def test_a_thousand_hostile_inputs(server: Server):
    known, wrong, inputs = server.files(), [], list(all_inputs(server))
    assert len(inputs) >= 1000
    for each in inputs:
        status, body = server.raw(each.request)
        problem = complaint(status, body) if status or not each.request.startswith((b"GET /", b"POST /")) else "there was no answer"
        if each.hash and status == 200:
            problem = problem or stream_complaint(server.stream(each.hash))
        if problem and not each.request.startswith(b"HEAD"):
            wrong.append(f"{each.about}: {status}, {problem}")
        assert server.process.poll() is None, each.about
    assert wrong == []
    assert server.visits == [], "something was fetched"
    assert server.get("/")[0] == 200
    new = server.files() - known
    uploads = {path for path in new if path.relative_to(server.root).parts[:1] == ("temporary",)}
    outside = {path for path in new - uploads if path.relative_to(server.root).parts[0] != "workspace"}
    assert outside == set()
    assert {path.relative_to(server.root).parts[1][:19] for path in uploads} <= {"rlr-studio-uploads-"}
    assert [path for path in Path("/tmp").glob(f"*{MARK}*")] == []


def stream_complaint(messages: list[dict]) -> str:
    """What is wrong with how an event ended."""
    ended = [each for each in messages if each["msg"] == "process_completed"]
    if not ended:
        return f"the event never ended: {messages}"
    output = ended[-1]["output"]
    return "" if ended[-1]["success"] else complaint(500, json.dumps({"error": output.get("error") or ""}).encode())


def test_of_hostile_uploads_only_pixels_are_kept(server: Server):
    event = next(each for each in json.loads(server.get("/config")[1])["dependencies"] if each["targets"][0][1] == "upload")
    for number, (about, content) in enumerate(hostile.bad_files().items()):
        status, answer = server.raw(hostile.request("POST", "/gradio_api/upload", hostile.form(f"{MARK}.png", content), FORM))
        assert status == 200, about
        file = {"path": json.loads(answer)[0], "orig_name": f"{MARK}.png", "meta": {"_type": "gradio.FileData"}}
        body = {"data": [server.session, [file]], "fn_index": event["id"], "session_hash": f"u{number}"}
        assert server.raw(hostile.request("POST", "/gradio_api/queue/join", json.dumps(body).encode()))[0] == 200
        messages = server.stream(f"u{number}")
        told = [each["log"] for each in messages if each["msg"] == "log"]
        assert stream_complaint(messages) == "", about
        assert bool(told) == (about not in hostile.TRUE_PICTURES), (about, told)
        assert all(each.endswith(".") for each in told), told
    kept = [path for path in (server.root / "workspace" / "images").glob("*.png")]
    for path in kept:
        content = path.read_bytes()
        assert path.name == f"{hashlib.sha256(content).hexdigest()}.png"
        assert not any(each in content for each in (b"script", b"PK\x03\x04", MARK.encode(), b"tEXt", b"eXIf")), path
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("PNG", "RGB") and max(image.size) <= 1024


def test_uploads_that_nobody_takes_in_stay_within_bounds(server: Server):
    """Of two files that are larger than anything may be, none is kept."""
    uploads = next((server.root / "temporary").glob("rlr-studio-uploads-*"))
    before = sum(path.stat().st_size for path in uploads.rglob("*") if path.is_file())
    for _ in range(2):
        status, answer = server.raw(
            hostile.request("POST", "/gradio_api/upload", hostile.form("x.png", bytes(MAX_FILE_BYTES + 2**20)), FORM)
        )
        assert status == 413 and complaint(status, answer) == ""
    assert sum(path.stat().st_size for path in uploads.rglob("*") if path.is_file()) == before
