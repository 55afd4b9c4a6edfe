"""What is done with rounds once they are learned: compared blind, arranged, and taken home."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from safetensors.torch import load

from rlr_core.config import RoundConfig
from rlr_core.studio import Studio
from tests.browser.conftest import make_workspace, watched_page
from tests.browser.running import Running, free_port, start
from tests.browser.test_loop import expect_note, go

TOKEN = "hf_" + "s3cret" * 6


@pytest.fixture(scope="module")
def learned_workspace(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A workspace whose session has learned a round."""
    workspace = make_workspace(tmp_path_factory.mktemp("learned") / "workspace", tiny_folder)
    studio = Studio(workspace)
    job = studio.latest_session().start_round(RoundConfig(reward="colourfulness", num_updates=2, batch_size=2, learning_rate=1e-2))
    job.wait()
    assert job.state == "done", job.error
    studio.close()
    return workspace


@pytest.fixture(scope="module")
def learned_app(learned_workspace: Path) -> Iterator[Running]:
    running = start(learned_workspace, free_port())
    yield running
    running.stop()


@pytest.fixture
def page(context: BrowserContext, learned_app: Running) -> Iterator[Page]:
    yield from watched_page(context, learned_app)


def test_two_rounds_are_compared_blind_and_it_goes_on_after_a_reload(page: Page, tmp_path):
    go(page, "Prove")
    question = page.get_by_role("region", name="Blind question")
    expect(page.locator("#verdict img")).to_have_count(8)
    page.get_by_role("button", name="Compare blind").click()
    expect(question).to_have_attribute("data-pair", re.compile("."))
    expect(page.locator("#verdict details")).not_to_have_attribute("open", re.compile(".*"))
    for number, key in enumerate(("ArrowLeft", "ArrowRight", "ArrowUp"), start=1):
        expect(question).to_have_attribute("data-pair", re.compile("."))
        page.keyboard.press(key)
        expect(question.locator(".count")).to_have_text(f"{number} of 16 answered")
    page.keyboard.press("z")
    expect(question.locator(".count")).to_have_text("2 of 16 answered")
    assert page.locator(".outcome").count() == 0, "how it stands is not told before the end"
    page.screenshot(path=tmp_path / "blind.png", full_page=True)
    page.reload()
    expect(question.locator(".count")).to_have_text("2 of 16 answered")
    expect_note(page, "Prove", "2 of 16 answered")
    expect(question).to_have_attribute("data-pair", re.compile("."))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("e")

    verdict = page.get_by_role("region", name="Verdict")
    expect(verdict).to_contain_text("3 pairs")
    expect(question).to_be_hidden()
    pairs = page.locator(".duo")
    expect(pairs).to_have_count(3)
    later = pairs.nth(2).get_attribute("data-later")
    pairs.nth(2).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".slide .over img")).to_have_attribute("src", f"picture/{later}.png")
    expect(pairs.nth(2)).to_have_attribute("aria-pressed", "true")
    slider = page.get_by_role("slider", name=re.compile("Border between"))
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator(".slide").evaluate("each => getComputedStyle(each).getPropertyValue('--at').trim()") == "0%"

    page.get_by_role("button", name="Ask more pairs").click()
    expect(question).to_be_visible()
    expect(question.locator(".count")).to_have_text(re.compile(r"3 of \d+ answered"))
    expect(page.locator(".outcome")).to_have_count(0)


def test_the_tree_takes_notes_blends_and_lets_go(page: Page, tmp_path):
    go(page, "History")
    rounds = page.locator(".tree > li")
    expect(rounds).to_have_count(2)
    first = rounds.nth(1)
    first.get_by_text("Note, blend, delete").click()
    note = page.get_by_label("Note on round 1")
    note.fill("half a thought")
    page.locator(".tree > li").nth(0).get_by_text("Note, blend, delete").click()
    page.get_by_label("Note on the base model").fill("The start")
    page.locator(".tree > li").nth(0).get_by_role("button", name="Save the note").click()
    expect(rounds.nth(0).locator(".note")).to_have_text("The start")
    expect(note).to_have_value("half a thought")
    expect(note).to_be_visible()
    first.get_by_role("button", name="Save the note").click()
    expect(first.locator(".note")).to_have_text("half a thought")
    page.reload()
    expect(first.locator(".note")).to_have_text("half a thought")

    first.get_by_text("Note, blend, delete").click()
    first.get_by_label("Blend with").select_option(label="The base model")
    first.get_by_label("Its share").fill("25")
    first.get_by_role("button", name="Make a blend").click()
    expect(rounds).to_have_count(3)
    blend = rounds.nth(2)
    expect(blend).to_contain_text("A blend: 75% of round 1, 25% of the base model.")
    expect(blend.locator("img")).to_have_count(4)
    page.screenshot(path=tmp_path / "history.png", full_page=True)
    page.get_by_role("button", name="Go on from round 2").click()
    expect_note(page, "History", "Round 2 in use")
    expect(rounds.nth(1)).to_contain_text("Other rounds were made from it (2): delete those first.")
    page.get_by_role("button", name="Undo round 2").click()
    expect_note(page, "History", "Round 1 in use")
    blend.get_by_text("Note, blend, delete").click()
    blend.get_by_text("Delete round 2 …").click()
    blend.get_by_role("button", name="Delete round 2").click()
    expect(rounds).to_have_count(2)
    page.get_by_role("button", name="Compare the base model with round 1").click()
    expect(page.locator("#page-prove h2")).to_be_visible()


def test_everything_can_be_taken_home(page: Page, learned_app: Running, tmp_path):
    go(page, "Export")
    page.get_by_role("button", name="Make its files").click()
    lora = page.get_by_role("region", name="LoRA")
    expect(lora.locator(".downloads a")).to_have_count(4)
    expect(lora).to_contain_text("Loaded again with diffusers")
    with page.expect_download() as caught:
        lora.get_by_role("link", name=re.compile("ComfyUI")).click()
    assert caught.value.suggested_filename.endswith("-round-1-comfyui.safetensors")
    assert any(name.endswith(".alpha") for name in load(Path(caught.value.path()).read_bytes()))

    page.get_by_role("button", name="Save the whole session").click()
    with page.expect_download() as caught:
        page.get_by_role("link", name=re.compile("The whole session")).click()
    caught.value.save_as(tmp_path / "session.zip")
    page.screenshot(path=tmp_path / "export.png", full_page=True)
    page.get_by_role("button", name="Open a session that was saved").click()
    page.locator("#page-export input[type=file]").set_input_files(tmp_path / "session.zip")
    expect_note(page, "Export", "Nothing made yet")
    expect_note(page, "History", "Round 1 in use")
    go(page, "Model")
    expect(page.locator(".sessions li")).to_have_count(1)


def test_an_archive_that_is_none_is_refused_with_a_sentence(page: Page, tmp_path):
    go(page, "Export")
    (tmp_path / "wrong.zip").write_bytes(b"PK nothing")
    page.get_by_role("button", name="Open a session that was saved").click()
    page.locator("#page-export input[type=file]").set_input_files(tmp_path / "wrong.zip")
    expect(page.get_by_text("This is no whole archive of a session")).to_be_visible()


def test_a_token_is_used_once_and_found_nowhere(page: Page, learned_app: Running):
    go(page, "Export")
    page.get_by_label("Repository").fill("someone/taste")
    token = page.get_by_label("Token with the right to write")
    token.fill(TOKEN)
    page.get_by_role("button", name="Push to the hub").click()
    expect(page.get_by_role("region", name="Hub").get_by_role("alert")).to_contain_text("The hub cannot be reached")
    expect(token).to_have_value("")
    assert TOKEN not in page.content()
    assert page.evaluate("JSON.stringify([{ ...sessionStorage }, { ...localStorage }])").count("s3cret") == 0
    written = [path for path in learned_app.workspace.rglob("*") if path.is_file()]
    assert written and not [path for path in written if TOKEN.encode() in path.read_bytes()]
