"""Pictures brought along: taken in, told of, removed, refused with a sentence, and learned from without a single answer."""

import re

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.test_loop import answer, expect_note, go


@pytest.fixture
def pictures(tmp_path):
    """A picture to like and one to dislike."""
    paths = []
    for name, colour in (("liked", "orange"), ("disliked", "navy")):
        paths.append(tmp_path / f"{name}.png")
        Image.new("RGB", (40, 30), colour).save(paths[-1])
    return paths


def bring(page: Page, zone: int, path) -> None:
    page.locator("#page-rate input[type=file]").nth(zone).set_input_files(path)


def test_uploads_are_kept_told_of_and_learned_from(page: Page, pictures, tmp_path):
    go(page, "Rate")
    page.get_by_role("button", name="Pictures you brought along").click()
    bring(page, 0, pictures[0])
    expect(page.locator(".learned")).to_contain_text("1 liked picture.")
    bring(page, 1, pictures[1])
    expect(page.locator(".learned")).to_contain_text("1 liked picture, 1 disliked picture.")
    expect(page.locator(".uploads .liked")).to_have_count(1)
    expect(page.locator(".uploads .disliked .said")).to_have_text("disliked")

    (tmp_path / "broken.png").write_bytes(pictures[0].read_bytes()[:60])
    bring(page, 0, tmp_path / "broken.png")
    expect(page.get_by_text("The upload is not a whole picture")).to_be_visible()
    expect(page.locator(".uploads li")).to_have_count(2)

    page.get_by_role("link", name="Learn from this").click()
    page.get_by_role("button", name="Advanced").click()
    page.get_by_label("Number of updates").fill("1")
    page.get_by_label("Number of updates").press("Tab")
    page.get_by_role("button", name="Start learning").click()
    expect_note(page, "Learn", "Round 1: done")

    go(page, "Rate")
    answer(page, "ArrowLeft", 1)
    expect(page.locator(".learned")).to_contain_text("1 answer, 1 liked picture, 1 disliked picture.")
    page.get_by_role("button", name="Remove this liked picture").click()
    expect(page.locator(".learned")).to_contain_text(re.compile("1 answer, 1 disliked picture"))
