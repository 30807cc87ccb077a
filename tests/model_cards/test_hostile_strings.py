"""Whatever stands in a name, a data set or a word list, a card keeps its shape, its front matter and its page; numbers that are none are refused."""

import copy
import math
import re
from html.parser import HTMLParser

import pytest
import yaml
from full_report import complete
from huggingface_hub import ModelCard
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from evenhand.evaluation.report import EvaluationReport
from evenhand.model_cards import CardFacts, build_card
from evenhand.model_cards.hub.target import HubRepository, LocalFolder, parse_target
from evenhand.model_cards.page.html_page import render_page

# the report is made anew for each test; an example works on a copy of it
EXAMPLES = settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FRAGMENTS = [
    *("|", "||", "\\|", "\\", "\n", "\r\n", "\n\n", "\t", "\x00", "\x1b[31m", "\u2028", "\u202e", "\u200b", "\ufeff"),
    *("---", "\n---\n", "...", ": ", "- ", "# ", "\n# ", "1. ", "> ", "=====", "\n===\n", "&", "*", "!!python/object:x", "%YAML", "'", '"'),
    *("<script>alert(1)</script>", "<b>", "</table>", "</details>", "<details>", "<!--", "-->", "<img src=x onerror=alert(1)>", "&lt;", "&#60;"),
    *("<!-- end of hand-written: limits -->", "<!-- hand-written: limits, kept when the card is made again -->"),
    *("{{ 7 * 7 }}", "{% raw %}", "{% endraw %}", "{#", "#}", "${x}", "$x$", "$$", "`", "```", "~~~", "_a_", "__", "**", "~~", "[", "]"),
    *("](javascript:alert(1))", "[x](http://a.example)", "![y](z.png)", "http://a.example", "www.a.example", "@user", "#1", ":smile:", "\\("),
    *("he", "she", "naïve", "日本", "🙂", " ", "  ", "a/b", "null", "true", "3", "1e5"),
]  # fmt: skip
hostile = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=6).map("".join)
HARMLESS = "plain words"
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def leaves(value, path=()):
    """Paths of everything in JSON data that is neither object nor list."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, (*path, index))]
    return [path]


def at(value, path):
    for key in path:
        value = value[key]
    return value


def replaced(report, paths, new):
    report = copy.deepcopy(report)
    for path in paths:
        at(report, path[:-1])[path[-1]] = new
    return report


def renamed(report, path, new):
    """A copy in which the last key of a path is called otherwise, at the same place."""
    report = copy.deepcopy(report)
    items = list(at(report, path[:-1]).items())
    at(report, path[:-1]).clear()
    at(report, path[:-1]).update({new if key == path[-1] else key: item for key, item in items})
    return report


def keys(value, path=()):
    """Paths of every key in JSON data."""
    inner = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    own = [(*path, key) for key, _ in inner if isinstance(key, str)]
    return own + [found for key, item in inner for found in keys(item, (*path, key))]


def outline(card):
    """The kinds of block in a card, and the raw HTML within it; what the text says does not enter."""
    body = card.split("\n---\n", 1)[1]
    tokens = PARSER.parse(body)
    html = [child.content for token in tokens for child in token.children or [] if child.type == "html_inline"]
    # of a summary the tags: the name of the stimuli stands in it as text
    html += [tag for token in tokens if token.type == "html_block" for tag in re.findall("<[^>]*>", token.content)]
    links = [child.attrs for token in tokens for child in token.children or [] if child.type in ("link_open", "image")]
    # A code span of harmless text is written with backticks, another as an element.
    return [token.type for token in tokens], [tag for tag in html if tag not in ("<code>", "</code>")], links


def front_matter(card):
    assert card.startswith("---\n")
    return yaml.safe_load(card[4:].split("\n---\n", 1)[0])


class Elements(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture
def full(report):
    """A report of every kind of measure, with all that a training record can hold."""
    return complete(report)


# a failure is told as it was drawn: to shrink one takes minutes
@settings(EXAMPLES, max_examples=16, phases=[Phase.generate])
@given(data=st.data(), text=hostile, named=st.booleans())
def test_text_of_others_in_a_report_changes_no_block_of_the_card(full, data, text, named):
    strings = [path for path in leaves(full) if isinstance(at(full, path), str)]
    paths = data.draw(st.lists(st.sampled_from(strings), min_size=0 if named else 1, max_size=8, unique=True))
    ours, theirs = (replaced(full, paths, new) for new in (text, HARMLESS))
    if named:  # the schema leaves some keys open: tests, tasks, words, terms, settings
        key = data.draw(st.sampled_from(list({key[-1]: key for key in keys(full)}.values())))
        assume(text not in at(full, key[:-1]))
        ours, theirs = renamed(ours, key, text), renamed(theirs, key, HARMLESS)
    for changed in (ours, theirs):  # some strings are one of a few words
        try:
            EvaluationReport.from_dict(changed)
        except ValueError:
            assume(False)
    try:
        harmless = build_card(theirs, CardFacts())
    except ValueError:  # a number's place, or another role
        with pytest.raises(ValueError):
            build_card(ours, CardFacts())
        return
    card = build_card(ours, CardFacts())
    assert outline(card) == outline(harmless)
    assert front_matter(card).keys() == front_matter(harmless).keys()
    results = [len(ModelCard(one, ignore_metadata_errors=False).data.eval_results) for one in (card, harmless)]
    assert results[0] == results[1]


@EXAMPLES
@given(text=hostile)
@example(text="</script><script>alert(1)</script>|\n---\n{{ 7 * 7 }}")
def test_declared_text_is_kept_whole_and_shown_as_text(report, text):
    assume(text.strip())

    def facts(word):
        return CardFacts(
            licence="mit", title=word, author=word, datasets=(word,), accepted_amplification=word, licence_source=word,
            data_licences={word: word},
        )  # fmt: skip

    card, harmless = build_card(report, facts(text)), build_card(report, facts(HARMLESS))
    assert outline(card) == outline(harmless)
    # a text that could be a repository's id is listed as a data set; no other is
    assert front_matter(card).keys() - {"datasets"} == front_matter(harmless).keys() - {"datasets"}
    assert CardFacts.from_dict(facts(text).to_dict()) == facts(text)


@EXAMPLES
@given(text=hostile)
def test_a_page_of_a_hostile_card_runs_nothing(report, text):
    report = replaced(report, [("model", "name"), ("reference", "name"), ("environment", "platform")], text)
    page = render_page(build_card(report, CardFacts(title=text, author=text)), text)
    elements = Elements(page)
    assert not {"iframe", "object", "embed", "form", "base"} & set(elements.tags)
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    assert not [value for _, value in elements.attributes if value and "javascript:" in value.lower()]
    harmless = Elements(render_page(build_card(report, CardFacts(title=HARMLESS)), HARMLESS))
    assert elements.tags.count("script") == harmless.tags.count("script")


@EXAMPLES
@given(data=st.data(), number=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_number_that_is_none_is_refused_in_one_line(report, data, number):
    path = data.draw(st.sampled_from(leaves(report)))
    with pytest.raises(ValueError) as error:
        build_card(replaced(report, [path], number), CardFacts())
    assert "\n" not in str(error.value)


@EXAMPLES
@given(
    version=st.one_of(
        st.none(), st.integers().filter(lambda n: n != 2), hostile, st.floats(allow_nan=False), st.just(True)
    )
)
def test_a_report_of_another_schema_version_is_refused_in_one_line(report, version):
    with pytest.raises(ValueError, match="schema version") as error:
        build_card(report | {"schema_version": version}, CardFacts())
    assert "\n" not in str(error.value)


@settings(EXAMPLES, max_examples=300)
@given(text=st.one_of(hostile, st.from_regex(r"[\w.@/~-]{1,40}", fullmatch=True), st.text(max_size=100)))
def test_a_target_is_a_valid_repository_a_folder_or_refused_in_one_line(text):
    try:
        target = parse_target(text, for_publishing=True)
    except ValueError as error:
        assert "\n" not in str(error)
        return
    if isinstance(target, HubRepository):
        validate_repo_id(target.repo_id)
        assert target.repo_id.count("/") == 1
    else:
        assert isinstance(target, LocalFolder)
        with pytest.raises(HFValidationError):
            validate_repo_id(text)
