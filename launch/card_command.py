"""The command line of ``evenhand card``."""

from __future__ import annotations

import argparse

EXAMPLE = (
    "evenhand card runs/mixup\n"
    "         evenhand card runs/mixup --check\n"
    "         evenhand card runs/mixup-seed0 runs/plain-seed0 --html --output-dir runs/both"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything but ``--debug``."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN",
        help="run directories with report.json; with --check also staged folders, or a README.md",
    )  # fmt: skip
    parser.add_argument(
        "--check", action="store_true",
        help="write nothing; print each problem of the card that would keep it from being published (exit code 1), or that there is none (0)",
    )  # fmt: skip
    parser.add_argument(
        "--html", action="store_true", help="also write README.html beside each card: a page as the Hub shows it"
    )
    parser.add_argument(
        "--output-dir",
        metavar="DIR",
        help="compare the runs' students on a page of its own, README.md and README.html, there",
    )


def run(options: argparse.Namespace) -> int:
    """Check, or write cards and pages."""
    if options.check:
        if options.html or options.output_dir:
            raise ValueError("--check writes nothing; leave out --html and --output-dir.")
        return _check(options.runs)
    if options.output_dir and len(options.runs) < 2:
        raise ValueError("--output-dir is for the comparison of several students; name two runs or more.")
    from evenhand.launch.run_card import require_card, write_card
    from evenhand.model_cards.page import require_comparison, write_comparison, write_page

    for run_dir in options.runs:
        require_card(run_dir)
    if options.output_dir:
        require_comparison(options.runs, options.output_dir)
    for run_dir in options.runs:
        print(write_card(run_dir))
        if options.html:
            print(write_page(run_dir))
    if options.output_dir:
        print(write_comparison(options.runs, options.output_dir))
    return 0


def _check(paths: list[str]) -> int:
    """Print the problems of all of them; 1 where there is one."""
    from evenhand.launch.run_card import check_card

    problems = [problem for path in paths for problem in check_card(path)]
    print("\n".join(problems) if problems else "no problems")
    return 1 if problems else 0
