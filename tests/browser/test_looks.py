"""How it looks, measured: contrast of text in light and dark, nothing beyond the edge of a phone, targets a finger can hit."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import watched_page
from tests.browser.running import Running

# The Rate page once for every way to rate.
PAGES = ("model", "rate pair", "rate thumb", "rate stars", "rate best", "rate order", "learn", "prove", "history", "export")
PHONE = {"width": 390, "height": 844}
# WCAG 2.2, 1.4.3: text against what is behind it; large text may have less.
CONTRAST = """() => {
  const rgb = (text) => {
    const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number), unit = text.startsWith("color(") ? 255 : 1;
    return [r * unit, g * unit, b * unit, a ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const behind = (element) => {
    const own = rgb(getComputedStyle(element).backgroundColor);
    if (own[3] === 1) return own;
    return over(own, element.parentElement ? behind(element.parentElement) : [255, 255, 255, 1]);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || element.closest("script, style, .sr-only, .waits .side, svg")) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(element), background = behind(element), colour = over(rgb(style.color), background);
    const [dark, light] = [luminance(colour), luminance(background)].sort((a, b) => a - b);
    const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (light + 0.05) / (dark + 0.05);
    found.push({ text: text.slice(0, 40), ratio, isLow: ratio < (isLarge ? 3 : 4.5) });
  }
  return found;
}"""
# Whatever is cut off or has to be scrolled sideways to, unless it lies in a row that is made to be swiped.
BEYOND = """() => [...document.querySelectorAll("body *")].filter((element) => {
  if (!element.checkVisibility({ visibilityProperty: true }) || element.closest(".cards, .sr-only, svg, .toast-wrap")) return false;
  const box = element.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && (box.right > innerWidth + 1 || box.left < -1);
}).map((element) => `${element.tagName}.${element.className}`)"""
# A finger that lands 18 px beside the middle of a target still hits it, or the field or label that it belongs to.
MISSED = """() => [...document.querySelectorAll(".studio :is(button, a), .gradio-container button.lg, #preset label")].filter((element) => {
  if (!element.checkVisibility({ visibilityProperty: true })) return false;
  element.scrollIntoView({ block: "center", inline: "center" });
  const box = element.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
  return [[0, -18], [0, 18], [-18, 0], [18, 0]].some(([dx, dy]) => !element.contains(document.elementFromPoint(x + dx, y + dy)));
}).map((element) => element.getAttribute("aria-label") || element.textContent.trim())"""


def open_page(page: Page, name: str) -> None:
    """Open a page with everything on it unfolded."""
    name, _, mode = name.partition(" ")
    page.goto(f"{page.url.split('#')[0]}#{name}")
    expect(page.locator(f"#page-{name} h2")).to_be_visible()
    expect(page.locator(".steps a")).to_have_count(6)
    # All of them, since one that is opened is no longer among those that are not.
    for folding in page.locator(f"#page-{name} button.label-wrap").all():
        if "open" not in (folding.get_attribute("class") or "").split():
            folding.click()
    if name == "model":
        expect(page.locator("#page-model .pictures img")).to_have_count(4)
    if name == "rate":
        expect(page.locator(".uploads li")).to_have_count(2)
        page.locator(f".modes input[value={mode}]").locator("..").click()
        expect(page.locator(".question:not([data-card=''])")).to_have_attribute("data-mode", mode)
    if name in ("learn", "prove"):
        expect(page.locator(f"#page-{name} .strip img")).to_have_count(8)
    if name == "prove":
        expect(page.locator("#page-prove .duo")).to_have_count(4)
    if name == "history":
        expect(page.locator(".tree li")).to_have_count(4)
        for summary in page.locator(".tree summary").all():
            summary.click()
    if name == "export":
        expect(page.locator(".downloads a")).to_have_count(5)


@pytest.fixture
def phone_page(browser: Browser, full_app: Running) -> Iterator[Page]:
    """The full app on a phone: narrow, and touched rather than pointed at."""
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    yield from watched_page(context, full_app)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(full_page: Page, scheme):
    full_page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    full_page.reload()
    for name in PAGES:
        open_page(full_page, name)
        measured = full_page.evaluate(CONTRAST)
        assert len(measured) > 20, name
        assert [each for each in measured if each["isLow"]] == [], name
    paper = full_page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    assert max(paper) < 60 if scheme == "dark" else min(paper) > 200


def test_text_that_does_not_stand_out_is_found(full_page: Page):
    full_page.add_style_tag(content=".lead p { color: #b0a89e !important; }")
    assert any(each["isLow"] for each in full_page.evaluate(CONTRAST))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_reaches_beyond_the_edge_of_a_phone(phone_page: Page, name):
    open_page(phone_page, name)
    assert phone_page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert phone_page.evaluate(BEYOND) == []


def test_what_reaches_beyond_the_edge_is_found(phone_page: Page):
    phone_page.add_style_tag(content=".lead { width: 500px; }")
    assert any("lead" in each for each in phone_page.evaluate(BEYOND))


@pytest.mark.parametrize("name", PAGES)
def test_a_finger_hits_every_target(phone_page: Page, name):
    open_page(phone_page, name)
    assert phone_page.evaluate(MISSED) == []


def test_no_page_asks_another_host(full_page: Page, full_app):
    """The fixture fails on any foreign request; this makes sure that it hears of requests at all."""
    heard: list[str] = []
    full_page.context.on("request", lambda request: heard.append(request.url))
    full_page.reload()
    for name in PAGES:
        open_page(full_page, name)
    assert any("/picture/" in url for url in heard)
    assert {url.split("/")[2] for url in heard if url.startswith("http")} == {full_app.url.removeprefix("http://")}


def test_a_failure_in_the_background_is_on_its_page_and_in_the_header(full_page: Page):
    expect(full_page.locator(".news a")).to_have_attribute("href", "#rate")
    full_page.locator(".news a").click()
    expect(full_page.locator(".learned").get_by_role("alert")).to_contain_text("The disk is full")
