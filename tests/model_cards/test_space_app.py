"""The app in a real browser: the boxes are filled as a visitor would, and the page shows the evaluator's numbers."""

import re
import time

import pytest

pytest.importorskip("selenium", reason="needs selenium (the extra [test])")
from browser import browser, needs_browser, screenshot, set_scheme, set_viewport
from selenium.webdriver import Keys
from tiny_encoders import tiny_model, tiny_tokenizer

from evenhand.evaluation import Seat
from evenhand.evaluation.paired_difference import compare_results
from evenhand.model_cards.space.compared_models import ComparedModel, LoadedModel
from evenhand.model_cards.space.fill_mask import fill_gap
from evenhand.model_cards.space.own_test import Box, sentences_test

gradio = pytest.importorskip("gradio", reason="needs gradio (the extra [space])")
pytestmark = needs_browser

HOSTILE = "<img src=x onerror=document.title=1>"
SETS = {
    "X": ("men", ["man", "boy", "brother", "son"]),
    "Y": (HOSTILE, ["woman", "girl", "sister", "daughter"]),
    "A": ("work", ["office", "salary", "business"]),
    "B": ("home", ["home", "family", "wedding"]),
}
FRAMES = ["This is {word}.", "Here is {a_word}.", "{Word} again."]


@pytest.fixture(scope="module")
def models():
    tokenizer = tiny_tokenizer()
    about = [ComparedModel("teacher", "x", "teacher"), ComparedModel("student", "x", "student", "teacher")]
    return [LoadedModel(one, tiny_model(tokenizer, seed).eval(), tokenizer) for seed, one in enumerate(about)]


@pytest.fixture(scope="module")
def driver(models):
    from evenhand.model_cards.space.page import page, serve

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        blocks = page(models)
        options = {"server_name": "127.0.0.1", "quiet": True, "prevent_thread_lock": True, "inbrowser": False}
        _, address, _ = serve(blocks, **options)
        try:
            with browser(1280, 1000) as driver:
                driver.get(address)
                until(lambda: driver.find_elements("css selector", "#compare"))
                yield driver
        finally:
            blocks.close(verbose=False)


def until(found, seconds=30):
    """What ``found()`` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (something := found()):
        assert time.monotonic() < end, "the page does not show it"
        time.sleep(0.05)
    return something


def fill(driver, selector, text):
    box = driver.find_element("css selector", f"{selector} textarea, {selector} input")
    box.clear()
    box.send_keys(text)


def choose(driver, selector, option):
    """Pick ``option`` of a dropdown by typing it."""
    box = driver.find_element("css selector", f"{selector} input")
    box.click()
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(option, Keys.ENTER)
    until(lambda: box.get_attribute("value") == option)


def press(driver, selector):
    driver.execute_script("document.querySelector(arguments[0]).click()", selector)


def text_of(driver, selector):
    """The element's text, or "" at a moment when the page has none: it may be putting a new one in its place."""
    return driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)


def cells(driver, selector):
    """The table's rows as a reader sees them, read in one go as the page may put a new one in its place."""
    read = "return [...document.querySelectorAll(arguments[0])].map(r => [...r.cells].map(c => c.innerText.trim()))"
    return driver.execute_script(read, f"{selector} tbody tr")


def expected_results(models, tmp_path):
    sets = "".join(f"  {r}: {{class: own, words: [{', '.join(words)}]}}\n" for r, (_, words) in SETS.items())
    frames = "".join(f"    - '{frame}'\n" for frame in FRAMES)
    text = f"sets:\n{sets}templates:\n  own:\n{frames}tests:\n  own: {{X: X, Y: Y, A: A, B: B}}\n"
    (tmp_path / "own.yaml").write_text(text)
    seat = Seat(pooling="mean_no_special", stimuli=tmp_path / "own.yaml")
    return [seat.run(loaded.model, loaded.tokenizer) for loaded in models]


def interval(pair):
    return "[{:+.2f}, {:+.2f}]".format(*pair)


def test_word_lists_of_ones_own_give_the_numbers_of_the_evaluator(driver, models, tmp_path):
    for role, (name, words) in SETS.items():
        fill(driver, f"#{role}-name", name)
        fill(driver, f"#{role}-text", "\n".join(words))
    press(driver, "#settings button")
    until(lambda: driver.find_element("css selector", "#frames textarea").is_displayed())
    fill(driver, "#frames", "\n".join(FRAMES))
    choose(driver, "#pooling", "mean_no_special")
    press(driver, "#compare")
    rows = until(lambda: cells(driver, "#association-table"))

    teacher, student = expected_results(models, tmp_path)
    change = compare_results(student.to_dict(), teacher.to_dict())["tests"]["own"]
    for row, result, name in zip(rows, (teacher, student), ("teacher (teacher)", "student (student)"), strict=True):
        test = result.tests["own"]
        assert row[:4] == [
            name,
            f"{test.effect_size:+.3f}",
            interval(test.confidence_interval),
            f"{test.p_value:.4f}",
        ]
    assert rows[0][5:] == ["–"] * 3
    assert rows[1][5:] == [
        f"{change['difference']:+.3f}",
        interval(change["confidence_interval"]),
        f"{change['p_value']:.4f}",
    ]
    reading = until(lambda: text_of(driver, "#reading"))
    assert HOSTILE in reading and driver.title != "1"
    assert "42 sentences, pooling mean_no_special" in reading
    image = until(lambda: driver.find_elements("css selector", "#plot img"))[0]
    until(lambda: driver.execute_script("return arguments[0].complete && arguments[0].naturalWidth > 100", image))


def test_lists_that_make_no_test_are_said_on_the_page_as_they_were_entered(driver):
    fill(driver, "#X-text", "<b>man</b>\n<b>man</b>")
    press(driver, "#compare")
    toast = until(lambda: [t for t in driver.find_elements("css selector", ".toast-body") if "holds" in t.text])[0]
    assert "your lists: X holds '<b>man</b>' twice; take one out" in toast.text
    assert not toast.find_elements("css selector", "b")
    press(driver, ".toast-close")


def test_a_built_in_test_fills_the_boxes(driver):
    choose(driver, "#start", "C7b: math / arts, male names / female names")
    box = driver.find_element("css selector", "#X-text textarea")
    until(lambda: box.get_attribute("value").startswith("math\nalgebra"))
    assert driver.find_element("css selector", "#B-text textarea").get_attribute("value").startswith("Amy\nJoan")


def test_whole_sentences_are_compared_too(driver, models):
    press(driver, "#kind label:nth-of-type(2) input")
    for role, (name, words) in SETS.items():
        fill(driver, f"#{role}-name", name)
        fill(driver, f"#{role}-text", "".join(f"This is the {word}.\nAgain the {word}.\n" for word in words))
    press(driver, "#compare")
    # the box for the pooling is not on the page before someone opens the settings; whatever was chosen there, the reading says it
    said = until(lambda: re.search(r"28 sentences, pooling (\w+)", text_of(driver, "#reading")))
    boxes = {
        role: Box(name, "".join(f"This is the {word}.\nAgain the {word}.\n" for word in words))
        for role, (name, words) in SETS.items()
    }
    seat = Seat(pooling=said[1], stimuli=sentences_test(boxes))
    expected = [seat.run(loaded.model, loaded.tokenizer).tests["own"].effect_size for loaded in models]
    shown = [f"{d:+.3f}" for d in expected]
    until(lambda: [row[1] for row in cells(driver, "#association-table")] == shown)


def test_a_gap_is_filled_by_every_model(driver, models):
    tabs = driver.find_elements("css selector", "button[role=tab]")
    next(tab for tab in tabs if tab.is_displayed() and tab.text == "Fill a gap").click()
    until(lambda: driver.find_element("css selector", "#fill").is_displayed())
    fill(driver, "#sentence", "The [MASK] came up again.")
    fill(driver, "#candidates", "man, woman")
    press(driver, "#fill")
    rows = until(lambda: cells(driver, "#words-table"))
    filled = fill_gap(models, "The [MASK] came up again.", 5, ["man", "woman"])
    shown = [[word, *(f"{100 * dict(one.words)[word]:.3g} %" for one in filled)] for word in ("man", "woman")]
    assert rows == shown
    assert len(cells(driver, "#likeliest-table")) == 5


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_a_phone_and_text_can_be_read(driver, tmp_path, dark):
    set_viewport(driver, 390, 844)
    set_scheme(driver, dark)
    driver.get(f"{driver.current_url.split('?')[0]}?__theme={'dark' if dark else 'light'}")
    until(lambda: driver.find_elements("css selector", "#compare"))
    press(driver, "#compare")
    until(lambda: cells(driver, "#association-table"))
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
    box = driver.find_element("css selector", "#association-table .scrolled-table")
    assert box.get_property("scrollWidth") > box.get_property("clientWidth")
    for selector in (
        "#association-table td",
        "#reading p",
        "#limits p",
        "#compare",
        "#X-class .info-text, #X-class span",
    ):
        assert contrast(driver, selector) >= 4.5, selector
    assert screenshot(driver, tmp_path / "phone.png").stat().st_size > 10_000


CONTRAST = """
const rgba = c => { const p = (c.match(/[\\d.]+/g) || []).map(Number); return p.length == 3 ? [...p, 1] : p };
const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                     return .2126 * r + .7152 * g + .0722 * b };
const e = document.querySelector(arguments[0]);
let back = e, colour = [0, 0, 0, 0];
while (back && (colour = rgba(getComputedStyle(back).backgroundColor))[3] < 1) back = back.parentElement;
if (!back) colour = [255, 255, 255, 1];
const [a, b] = [light(rgba(getComputedStyle(e).color).slice(0, 3)), light(colour.slice(0, 3))].sort((x, y) => y - x);
return (a + .05) / (b + .05);
"""


def contrast(driver, selector):
    """Of the text of the first such element against what is behind it (WCAG 2)."""
    return driver.execute_script(CONTRAST, selector)
