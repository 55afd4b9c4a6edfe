"""What the gate lets through and what it answers, on Gradio's real application."""

import pytest
from gradio.routes import App
from PIL import Image
from starlette.testclient import TestClient

from app.gate import LOGINS, REQUESTS, UPLOADS, Meter, Rate
from app.page import build
from app.server import app_kwargs, local_rules

AUTH = ("ada", "lovelace1")


def client_of(studio, tmp_path, host="127.0.0.1", auth=None, base_url="http://127.0.0.1:7860", **meters):
    page = build(studio)
    page.max_file_size = 2**20
    if auth:
        page.auth, page.auth_message = [auth], None
    rules = local_rules(host, auth, tmp_path / "uploads")
    for name, meter in meters.items():
        object.__setattr__(rules, name, meter)
    return TestClient(App.create_app(page, app_kwargs=app_kwargs(lambda request: studio, rules)), base_url=base_url)


@pytest.fixture
def client(studio, tmp_path):
    return client_of(studio, tmp_path)


def sentence(answer):
    said = answer.json()
    assert said["error"] == said["detail"]
    assert said["error"].endswith(".") and " " in said["error"]
    return said["error"]


def test_an_answer_says_that_nothing_may_be_loaded_from_elsewhere(client):
    answer = client.get("/robots.txt")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "route", ["monitoring", "openapi.json", "pwa_icon/100000", "gradio_api/vibe-edit", "gradio_api/dev/reload", "docs"]
)
def test_routes_that_the_studio_has_no_use_for_do_not_exist(client, route):
    answer = client.get(f"/{route}")
    assert answer.status_code == 404
    assert "nothing here" in sentence(answer)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""])
def test_a_name_pointed_at_this_machine_does_not_reach_it(client, host):
    answer = client.get("/config", headers={"host": host})
    assert answer.status_code == 403
    assert "RLR_STUDIO_AUTH" in sentence(answer)


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1", "[::1]:7860", "LOCALHOST"])
def test_the_names_of_this_machine_do(client, host):
    assert client.get("/config", headers={"host": host}).status_code == 200


def test_with_a_password_any_name_leads_here(studio, tmp_path):
    client = client_of(studio, tmp_path, "0.0.0.0", AUTH)
    assert client.get("/robots.txt", headers={"host": "studio.example"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:7860"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_a_page_of_another_site_can_do_nothing(client, headers):
    answer = client.post("/gradio_api/queue/join", json={"data": [], "session_hash": "x"}, headers=headers)
    assert answer.status_code == 403
    assert "another site" in sentence(answer)


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}])
def test_nor_can_it_read(client, headers):
    assert client.get("/config", headers=headers).status_code == 403


def test_but_it_may_have_a_link(client):
    assert client.get("/robots.txt", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code == 200


def test_its_own_page_can(client):
    for headers in ({"origin": "http://127.0.0.1:7860"}, {"sec-fetch-site": "same-origin"}, {}):
        assert client.post("/gradio_api/reset", json={"event_id": "x"}, headers=headers).status_code == 200


CLOSED = (
    ("GET", "/config"),
    ("GET", "/picture/" + "0" * 64 + ".png"),
    ("GET", "/gradio_api/file=/x"),
    ("GET", "/gradio_api/queue/data"),
    ("GET", "/gradio_api/heartbeat/x"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/cancel"),
    ("POST", "/gradio_api/run/predict"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/component_server"),
)


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_whoever_is_not_signed_in_gets_nothing(studio, tmp_path, method, path):
    client = client_of(studio, tmp_path, auth=AUTH)
    answer = client.request(method, path)
    assert answer.status_code == 401
    assert "Sign in" in sentence(answer)


def test_signing_in_opens_it_and_a_wrong_password_does_not(studio, tmp_path):
    client = client_of(studio, tmp_path, auth=AUTH)
    image = studio.store.put_image(Image.new("RGB", (4, 4), "red"))
    assert client.post("/login", data={"username": "ada", "password": "lovelace2"}).status_code == 400
    assert client.get(f"/picture/{image.id}.png").status_code == 401
    assert client.post("/login", data={"username": "ada", "password": "lovelace1"}).status_code == 200
    assert client.get(f"/picture/{image.id}.png").status_code == 200


def test_passwords_cannot_be_tried_one_after_the_other(studio, tmp_path):
    client = client_of(studio, tmp_path, auth=AUTH, logins=Meter(LOGINS, lambda: 0.0))
    tries = [
        client.post("/login", data={"username": "ada", "password": str(number)}, headers={"x-forwarded-for": f"10.0.0.{number}"})
        for number in range(12)
    ]
    assert [each.status_code for each in tries] == [400] * 10 + [429] * 2
    assert "wait" in sentence(tries[-1])


def test_uploads_and_requests_beyond_what_a_person_does_are_refused(studio, tmp_path):
    few = {"uploads": Meter(Rate(2, 1), lambda: 0.0), "requests": Meter(Rate(3, 1), lambda: 0.0)}
    client = client_of(studio, tmp_path, **few)
    uploads = [client.post("/gradio_api/upload", files={"files": ("x.png", b"x")}) for _ in range(3)]
    assert [each.status_code for each in uploads] == [200, 200, 429]
    requests = [client.post("/gradio_api/reset", json={"event_id": "x"}) for _ in range(4)]
    assert [each.status_code for each in requests] == [200, 200, 200, 429]
    assert "a person" in sentence(requests[-1])
    assert client.get("/robots.txt").status_code == 200


def test_a_person_never_meets_the_limits():
    """Ten tabs that ask every second, eight presses a second, and fifty pictures dropped at once."""
    assert REQUESTS.per_minute >= 60 * (10 + 8) and REQUESTS.burst >= 500
    assert UPLOADS.burst >= 100


@pytest.mark.parametrize("path", ["/etc/passwd", "http://evil.example/x", "\\u0068ttp://evil.example/x"])
def test_no_file_that_was_not_uploaded_is_taken(studio, client, path):
    upload = next(each for each in client.get("/config").json()["dependencies"] if each["targets"][0][1] == "upload")
    file = f'{{"path": "{path}", "meta": {{"_type": "gradio.FileData"}}}}'
    body = f'{{"data": ["x", [{file}]], "fn_index": {upload["id"]}, "session_hash": "x"}}'
    answer = client.post("/gradio_api/run/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 404, 500)
    sentence(answer)


@pytest.mark.parametrize("body", ["", "[]", "nan", '{"data": [NaN]}', '{"data": ["\\ud800"]}', "{" * 10, "[" * 100_000, '{"a": ' * 100_000])
def test_what_is_no_json_of_text_and_numbers_is_refused(client, body):
    answer = client.post("/gradio_api/queue/join", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    sentence(answer)


def test_a_pair_of_surrogates_is_a_character_like_any_other(client):
    body = '{"event_id": "\\ud83d\\ude00"}'
    assert client.post("/gradio_api/reset", content=body, headers={"content-type": "application/json"}).status_code == 200


def test_a_body_beyond_its_limit_is_refused(client):
    answer = client.post("/gradio_api/queue/join", content=b'{"data": "' + b"x" * (9 * 2**20) + b'"}')
    assert answer.status_code == 413
    sentence(answer)


def test_waiting_uploads_are_bounded(studio, tmp_path, monkeypatch):
    client = client_of(studio, tmp_path)
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "x").write_bytes(bytes(2000))
    monkeypatch.setattr("app.gate.MAX_WAITING_BYTES", 1000)
    answer = client.post("/gradio_api/upload", files={"files": ("x.png", b"x")})
    assert answer.status_code == 503
    assert "wait to be taken in" in sentence(answer)
