"""Pages as a reader sees them, in a real browser: on a phone and a desktop, in the light and the dark scheme."""

import json
import shutil

import pytest
from browser import browser, needs_browser, set_scheme, set_viewport
from hostile_html import HOSTILE
from several_students import student_report

from evenhand.model_cards.card import build_card
from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.figures.pictures import draw_pictures
from evenhand.model_cards.page import write_comparison, write_page

pytestmark = needs_browser

PHONE, DESKTOP = (390, 844), (1280, 900)
FACTS = CardFacts(
    licence="apache-2.0", author="Someone", repo_id="someone/a-student-with-quite-a-long-name-" + "x" * 40,
    base_model="someone/teacher", datasets=("someone/text", "a/very-" + "long-" * 12 + "name"),
)  # fmt: skip
WIDE = (
    "\n\n## Wide things\n\n"
    + "x" * 300
    + "\n\n`" + "0123456789abcdef" * 8 + "`\n\n```\n" + "code " * 80 + "\n```\n\n"
    + "<table><tr>" + "<td>a-cell-of-an-html-table</td>" * 20 + "</tr></table>\n\n"
    + "> quoted " + "y" * 200 + "\n\n- [ ] task " + "z" * 200 + "\n\nnote[^1] ~~gone~~ [link](report.json) <kbd>k</kbd> <mark>m</mark>\n\n"
    + "> [!WARNING]\n> careful\n\n[^1]: the note\n"
)  # fmt: skip

# Ratios of WCAG 2 of every visible text against the backgrounds under it, the lowest first.
CONTRASTS = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parse = text => { const v = text.match(/[\\d.]+/g).map(Number); return v.length < 4 ? [...v.slice(0, 3), 1] : v; };
const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3]));
const background = node => {
  const layers = [];
  for (let e = node; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const parent = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
  if (!text || !parent.checkVisibility()) continue;
  const under = background(parent), a = luminance(over(parse(getComputedStyle(parent).color), under)), b = luminance(under);
  found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text.slice(0, 40)]);
}
return found.sort((x, y) => x[0] - y[0]);
"""
# Elements that reach beyond the right edge without a box around them that scrolls.
OVERFLOWING = """
const inScroller = e => { for (let p = e.parentElement; p; p = p.parentElement)
  if (['auto', 'scroll'].includes(getComputedStyle(p).overflowX) && p !== document.documentElement) return true; return false; };
return [...document.body.querySelectorAll('*')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !inScroller(e))
  .map(e => e.tagName + ' ' + e.className + ' ' + (e.textContent || '').slice(0, 40));
"""


@pytest.fixture(scope="module")
def reader():
    with browser(*DESKTOP) as driver:
        yield driver


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """What `card` and `comparison` made, by name: made once for all tests of this file."""
    return {"folder": tmp_path_factory.mktemp("pages")}


@pytest.fixture
def card(report, pages):
    """The page of a complete card with its pictures, and of wide things under it."""
    if "card" not in pages:
        folder = pages["folder"] / "card"
        complete = student_report(report, 1)
        complete["training"]["loss_curve"] = [{"step": n, "loss": 9.0 - n, "ce": 2.0, "mlm": 5.0} for n in (1, 2, 3)]
        figures = [f"figures/{path.name}" for path in draw_pictures(complete, folder / "figures")]
        assert {"figures/glue.png", "figures/loss_curves.png", "figures/tradeoff.png"} <= set(figures)
        (folder / "README.md").write_text(build_card(complete, FACTS, figures) + WIDE, encoding="utf-8")
        pages["card"] = write_page(folder)
        shutil.rmtree(folder / "figures")  # the page carries them
    return pages["card"]


@pytest.fixture
def comparison(report, pages):
    """The page that compares three students."""
    if "comparison" not in pages:
        runs = [pages["folder"] / f"student-of-a-long-name-seed{number}" for number in (1, 2, 3)]
        for number, run in enumerate(runs, start=1):
            run.mkdir()
            (run / "README.md").write_text(f"# Card {number}\n")
            (run / "report.json").write_text(json.dumps(student_report(report, number)))
        pages["comparison"] = write_comparison(runs, pages["folder"] / "all")
    return pages["comparison"]


def opened(driver, page, size=DESKTOP, dark=False):
    set_viewport(driver, *size)
    set_scheme(driver, dark)
    driver.get(page.as_uri())
    driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    return driver


@pytest.mark.parametrize("which", ["card", "comparison"])
@pytest.mark.parametrize("size", [PHONE, (320, 568), DESKTOP])
def test_nothing_overflows_the_page(reader, request, which, size):
    driver = opened(reader, request.getfixturevalue(which), size)
    assert driver.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [size[0], size[0]]
    assert driver.execute_script(OVERFLOWING) == []


@pytest.mark.parametrize("which", ["card", "comparison"])
def test_every_picture_is_there_and_has_words(reader, request, which):
    driver = opened(reader, request.getfixturevalue(which))
    images = driver.execute_script(
        "return [...document.images].map(i => [i.complete && i.naturalWidth > 300, i.alt.length > 20])"
    )
    assert images and images == [[True, True]] * len(images)


@pytest.mark.parametrize("which", ["card", "comparison"])
@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read_in_light_and_dark(reader, request, which, dark):
    driver = opened(reader, request.getfixturevalue(which), dark=dark)
    contrasts = driver.execute_script(CONTRASTS)
    assert len(contrasts) > 100
    assert contrasts[0][0] >= 4.5, contrasts[:5]
    shade = driver.execute_script("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert max(shade) < 60 if dark else min(shade) > 200
    # The measure itself sees grey on grey.
    driver.execute_script("document.querySelector('main p').style.cssText = 'color: #777; background: #888'")
    assert driver.execute_script(CONTRASTS)[0][0] < 1.5


def test_a_wide_table_scrolls_in_its_own_box_and_keeps_its_first_column(reader, card):
    driver = opened(reader, card, PHONE)
    before, after, label, most = driver.execute_script(
        """
        const box = [...document.querySelectorAll('.table-box')].sort((a, b) => b.scrollWidth - a.scrollWidth)[0];
        const row = box.querySelector('tbody tr'), at = i => row.children[i].getBoundingClientRect().left;
        const before = [at(0), at(2)]; box.scrollLeft = 200; return [before, [at(0), at(2)], box.tabIndex, box.scrollWidth - box.clientWidth];
        """
    )
    assert most > 200 and label == 0
    assert after[0] == pytest.approx(before[0], abs=1) and after[1] == pytest.approx(before[1] - 200, abs=1)


def test_a_plot_on_a_phone_is_wide_enough_to_be_read_and_white_on_dark(reader, card):
    driver = opened(reader, card, PHONE, dark=True)
    pictures = driver.execute_script(
        """return [...document.querySelectorAll('.picture')].map(p => [p.scrollWidth, p.clientWidth,
           getComputedStyle(p.querySelector('img')).backgroundColor])"""
    )
    assert pictures and all(inner >= 600 and outer <= 390 for inner, outer, _ in pictures)
    assert {colour for _, _, colour in pictures} == {"rgb(255, 255, 255)"}


def test_labels_results_and_text_stand_side_by_side_on_a_desktop_and_below_on_a_phone(reader, card):
    places = "return ['main', 'aside'].map(n => { const r = document.querySelector(n).getBoundingClientRect(); return [r.left, r.top]; })"
    text, beside = opened(reader, card).execute_script(places)
    assert beside[0] > text[0] and beside[1] == text[1]
    text, below = opened(reader, card, PHONE).execute_script(places)
    assert below[0] == text[0] and below[1] > text[1]


def test_links_inside_the_card_lead_to_their_place(reader, tmp_path):
    body = (
        "[down](#the-end)\n\n"
        + "filler\n\n" * 200
        + "## The end\n\nand a note[^1]\n\n"
        + "more\n\n" * 200
        + "[^1]: the note\n"
    )
    (tmp_path / "README.md").write_text(body)
    driver = opened(reader, write_page(tmp_path))
    driver.find_element("link text", "down").click()
    top = driver.execute_script("return document.getElementById('the-end').getBoundingClientRect().top")
    assert 0 <= top < 100


def test_a_hostile_card_runs_nothing(reader, tmp_path):
    (tmp_path / "README.md").write_text(
        "\n\n".join(HOSTILE).replace("alert(1)", "document.title='taken'") + "\n\nlast words\n"
    )
    driver = opened(reader, write_page(tmp_path))
    assert driver.title != "taken" and driver.execute_script("return document.scripts.length") == 0
    assert "last words" in driver.find_element("tag name", "main").text
    assert driver.execute_script("return [...document.images].every(i => !i.src.startsWith('data:'))")
