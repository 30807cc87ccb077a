"""``evenhand collection``: a study's students on the Hub, with the metric and the app, as one collection."""

from __future__ import annotations

import argparse

EXAMPLE = 'evenhand collection user "Even-handed MiniLM" runs/plain runs/mixup --seat --space compare --dry-run'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("owner", metavar="OWNER", help="you, or an organisation of yours, on the Hub")
    parser.add_argument("title", metavar="TITLE", help="of the collection, by which it is found again")
    parser.add_argument(
        "runs", nargs="+", metavar="RUN",
        help="evaluated runs; each becomes OWNER/NAME, with the name of its publish.repo_id or else its directory's",
    )  # fmt: skip
    parser.add_argument("--seat", action="store_true", help="also publish the metric as the Space OWNER/seat")
    parser.add_argument(
        "--space", metavar="NAME", help="also publish the app that compares them as the Space OWNER/NAME"
    )
    parser.add_argument(
        "--private", action="store_true", help="what is new is private: students, Spaces and collection"
    )
    parser.add_argument("--dry-run", action="store_true", help="stage and check everything; publish nothing")
    parser.add_argument(
        "--accept-amplification", metavar="REASON",
        help="publish students whose association is worse than the teacher's too; the reason stands in their cards",
    )  # fmt: skip
    parser.add_argument(
        "--output-dir", metavar="DIR", help="where the Spaces' files are put together (default: collection)"
    )


def run(options: argparse.Namespace) -> int:
    """Check all, publish each, then the collection."""
    from evenhand.launch.published_study import publish_study

    print(
        publish_study(
            options.owner, options.title, options.runs, options.output_dir or "collection",
            seat=options.seat, space=options.space, private=options.private, dry_run=options.dry_run,
            accept_amplification=options.accept_amplification,
        )
    )  # fmt: skip
    return 0
