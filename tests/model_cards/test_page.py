"""A card as a page: what of Markdown and front matter is shown, and that nothing of it can act or reach out."""

import base64
from html.parser import HTMLParser

import pytest
import yaml
from hostile_html import HOSTILE
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evenhand.model_cards.page import render_page, write_page

FRONT = {
    "license": "apache-2.0",
    "language": "en",
    "library_name": "transformers",
    "pipeline_tag": "fill-mask",
    "base_model": "someone/teacher",
    "datasets": ["someone/text"],
    "tags": ["bias", "seat"],
}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
OURS = {"html", "head", "meta", "title", "style", "body", "header", "p", "ul", "li", "span", "div", "main", "aside"}


class Page(HTMLParser):
    """Elements, attributes and text of a page, each as it stands in the source."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts, self._path = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._path.append(tag)

    def handle_endtag(self, tag):
        if tag in self._path:
            while self._path.pop() != tag:
                pass

    def handle_data(self, data):
        if "style" not in self._path:
            self.texts.append((tuple(self._path), data))

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def text(self, tag=None):
        return " ".join(" ".join(data for path, data in self.texts if tag is None or tag in path).split())


def with_front(front, body="# Card\n"):
    return f"---\n{yaml.safe_dump(front)}---\n\n{body}"


def test_front_matter_is_shown_as_labels_tree_and_results(report):
    results = [
        {
            "task": {"type": "fill-mask"},
            "dataset": {"name": "SEAT, builtin", "type": "seat", "config": "sent-weat6-mean"},
            "metrics": [{"type": "d", "name": "SEAT C6", "value": 1.25, "args": {"confidence_interval": [0.5, 1.75]}}],
        }
    ]
    page = Page(render_page(with_front({**FRONT, "model-index": [{"name": "x", "results": results}]}), "my student"))
    chips = [attrs["class"] for attrs in page.all("li") if "chip" in attrs.get("class", "")]
    assert len(chips) == 6 and "chip licence" in chips
    for text in ("my student", "fill-mask", "transformers", "bias", "seat", "Licence: apache-2.0"):
        assert text in page.text("header")
    aside = page.text("aside")
    for text in ("someone/teacher", "someone/text", "SEAT C6", "sent-weat6-mean", "1.250", "[0.500, 1.750]"):
        assert text in aside
    assert "license" not in page.text("main")


def test_a_card_without_front_matter_has_no_labels_and_nothing_beside_it():
    page = Page(render_page("# Only text\n", "x"))
    assert not page.all("aside") and not page.all("header") and page.text("h1") == "Only text"


@pytest.mark.parametrize("front", ["- a\n- b\n", "a: [\n", "1: x\n", "a: 2026-13-45\n"])
def test_front_matter_that_is_no_mapping_by_name_is_one_clear_line(front):
    with pytest.raises(ValueError, match="front matter") as error:
        render_page(f"---\n{front}---\ntext\n", "x")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "index", [7, [], [7], [{"name": "x"}], [{"name": "x", "results": [{"task": {}}]}], [{"name": "x", "results": 3}]]
)
def test_a_model_index_that_the_hub_would_not_read_shows_no_results(index):
    page = Page(render_page(with_front({**FRONT, "model-index": index}), "x"))
    assert "Evaluation results" not in page.text() and "someone/teacher" in page.text("aside")


def test_the_markdown_of_the_hub_is_rendered():
    text = (
        "# A title & more\n\n[down](#part-two)\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n\n<details>\n<summary>more</summary>\n\n"
        "| c |\n| --- |\n| **3** |\n\n</details>\n\n> [!NOTE]\n> mind\n\n- [x] done\n- [ ] open\n\n~~gone~~ said[^1]\n\n"
        "## Part `two`\n\n```python\nx < 1\n```\n\n[^1]: by whom\n"
    )
    html = render_page(text, "x")
    page = Page(html)
    assert len(page.all("table")) == 2 and html.count('<div class="table-box"') == 2
    assert {"style": "text-align:right"} in page.all("td")
    assert page.text("details") == "more c 3" and page.text("strong") == "3"
    assert "markdown-alert-note" in html and page.text("s") == "gone" and page.text("pre") == "x < 1"
    assert page.all("input") == [
        {"type": "checkbox", "checked": "", "disabled": ""},
        {"type": "checkbox", "disabled": ""},
    ]
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    inner = {attrs["href"][1:] for attrs in page.all("a") if attrs.get("href", "").startswith("#")}
    assert "part-two" in inner and inner <= ids


def test_no_line_ends_inside_a_number_with_its_interval():
    page = Page(render_page("| d |\n| --- |\n| 0.3 [-0.10, +1,200.20] |\n\nA 95 % interval, [see, here].\n", "x"))
    assert "0.3 [-0.10,\u00a0+1,200.20]" in "".join(data for _, data in page.texts)
    assert "A 95\u00a0% interval, [see, here]." in "".join(data for _, data in page.texts)


def assert_harmless(html, ours):
    """No element or attribute on the page that could act, load from elsewhere without an image, or change its look."""
    page = Page(html)
    allowed_loads = {"img": "src", "a": "href"}
    for tag, attrs in page.elements:
        assert tag not in {
            "script",
            "iframe",
            "object",
            "embed",
            "form",
            "button",
            "link",
            "base",
            "svg",
            "math",
            "frame",
        }
        assert not any(name.startswith("on") or name == "srcdoc" for name in attrs), (tag, attrs)
        for name in ("src", "href", "action", "data", "srcset", "background", "formaction"):
            if name in attrs:
                assert allowed_loads.get(tag) == name
                assert not (attrs[name] or "").strip().lower().startswith(("javascript:", "data:", "vbscript:")), attrs
        assert tag in ("td", "th") and attrs["style"].startswith("text-align:") if "style" in attrs else True
        assert tag != "input" or (attrs.get("type", "checkbox") == "checkbox" and "disabled" in attrs)
    assert len(page.all("style")) == 1 and len(page.all("main")) == 1 and len(page.all("meta")) == ours
    assert html.rstrip().endswith("</html>") and html.count("</main>") == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_html_of_others_cannot_act(text):
    metas = len(Page(render_page("a", "x")).all("meta"))
    assert_harmless(render_page(f"before\n\n{text}\n\nafter {text} end", "x"), metas)
    assert_harmless(render_page(with_front({**FRONT, "license": text, "tags": [text], "language": text}), text), metas)


PIECES = st.sampled_from(
    [*HOSTILE, "|", "\n", "`", "<", ">", "&", '"', "'", "{{ 7*7 }}", "{% raw %}", "---\n", "\x00", "[", "]("]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=8).map("".join))
@example("---\na: b\n---\n<scr\x00ipt>")
def test_any_text_gives_a_harmless_page_or_one_line(text):
    try:
        html = render_page(text, text)
    except ValueError as error:
        assert text.startswith("---") and "\n" not in str(error)
        return
    assert_harmless(html, 5)
    assert "49" not in Page(html).text("title") or "49" in text


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_pictures_beside_the_card_stand_in_the_page_itself(tmp_path):
    folder = tmp_path / "run"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "a b.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "notes.txt").write_text("private")
    addresses = [
        "figures/a%20b.png",
        "../secret.png",
        "missing.png",
        "notes.txt",
        "link.png",
        "https://x.example/a.png",
    ]
    card = "\n\n".join(f"![alt {n}]({address})" for n, address in enumerate(addresses))
    images = Page(render_page(card, "x", folder)).all("img")
    assert [image["alt"] for image in images] == [f"alt {n}" for n in range(len(addresses))]
    assert images[0]["src"] == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert [image["src"] for image in images[1:]] == addresses[1:]
    assert Page(render_page(card, "x")).all("img")[0]["src"] == addresses[0]


@pytest.mark.parametrize("address", ["//[", "http://[x", "https://[::1"])
def test_an_address_that_is_none_is_no_error(tmp_path, address):
    text = f"![picture]({address})\n\n[link]({address})\n\n<img src='{address}'> <a href='{address}'>b</a>\n\nlast\n"
    for alone in (False, True):
        assert Page(render_page(text, "x", tmp_path, alone=alone)).text("main").endswith("last")


def test_the_page_of_a_folder_is_written_beside_its_card_and_always_the_same(tmp_path):
    (tmp_path / "README.md").write_text(with_front(FRONT, "intro\n\n# The student\n\ntext\n"), encoding="utf-8")
    first = write_page(tmp_path)
    assert first == tmp_path / "README.html"
    before = first.read_bytes()
    assert Page(before.decode()).text("title") == "The student"
    assert write_page(tmp_path).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.html", "README.md"]


def test_a_card_that_cannot_be_shown_leaves_the_earlier_page(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no README.md; write the card first: evenhand card"):
        write_page(tmp_path)
    (tmp_path / "README.html").write_text("earlier")
    for content, said in ((b"---\n- a\n---\n", "front matter"), (b"\xff\xfe", "not UTF-8")):
        (tmp_path / "README.md").write_bytes(content)
        with pytest.raises(ValueError, match=said) as error:
            write_page(tmp_path)
        assert "README.md" in str(error.value)
        assert (tmp_path / "README.html").read_text() == "earlier"
