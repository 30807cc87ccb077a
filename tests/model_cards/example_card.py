"""Make docs/example_card: the card of a really evaluated run, without its weights, and pictures of its page.

python tests/model_cards/example_card.py RUN     # from a run directory
python tests/model_cards/example_card.py         # again from the report that is there, after a change of the card's text
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from browser import browser, screenshot

from evenhand.launch.declared_facts import run_facts
from evenhand.launch.run_directory import RunDirectory
from evenhand.model_cards import CardFacts, build_card, stage
from evenhand.model_cards.page.html_page import write_page
from evenhand.model_cards.staging import CARD, FACTS, FIGURES, REPORT, staged_figures

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "example_card"
SHOTS = {"page_desktop.png": (1280, 1500, False), "page_phone_dark.png": (390, 1500, True)}


def example_text(folder: Path) -> str:
    """The card that the example's own report and facts give."""
    report, facts = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (REPORT, FACTS))
    return build_card(report, CardFacts.from_dict(facts), staged_figures(folder))


def make(run: Path | None) -> None:
    """Write the example; from ``run`` where one is given."""
    if run is not None:
        with tempfile.TemporaryDirectory() as folder:
            staged = stage(run, Path(folder) / "staged", run_facts(RunDirectory(run)))
            shutil.rmtree(EXAMPLE, ignore_errors=True)
            EXAMPLE.mkdir(parents=True)
            for name in (REPORT, FACTS):
                shutil.copyfile(staged / name, EXAMPLE / name)
            shutil.copytree(staged / FIGURES, EXAMPLE / FIGURES)
    (EXAMPLE / CARD).write_text(example_text(EXAMPLE), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        page = write_page(Path(shutil.copytree(EXAMPLE, Path(folder) / "card")))
        for name, (width, height, dark) in SHOTS.items():
            with browser(width, height, dark=dark) as driver:
                driver.get(page.as_uri())
                screenshot(driver, EXAMPLE / name, whole_page=False)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
