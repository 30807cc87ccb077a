"""The command line of ``evenhand publish``."""

from __future__ import annotations

import argparse

EXAMPLE = (
    "evenhand publish runs/mixup user/my-student --dry-run\n"
    "         evenhand publish runs/mixup user/my-student\n"
    "         evenhand publish runs/mixup ./published/my-student"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything but ``--debug``."""
    parser.add_argument("run_dir", metavar="RUN", help="a run directory with report.json")
    parser.add_argument(
        "target", metavar="OWNER/NAME[@BRANCH]_OR_FOLDER",
        help="a model on the Hub (also hf://OWNER/NAME), or a folder: one that exists, or ./NEW",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything and list what would go out; no login and no network"
    )
    parser.add_argument(
        "--accept-amplification", metavar="REASON",
        help="publish a student whose association is reliably worse than its teacher's; the reason stands in the card",
    )  # fmt: skip
    group = parser.add_argument_group("on the Hub")
    group.add_argument("--private", action="store_true", help="a new repository stays one that only you can see")
    group.add_argument("--create-pr", action="store_true", help="propose the change to a repository that is there")
    group.add_argument("--revision", metavar="BRANCH", help="commit to this branch, made where it is missing")
    group.add_argument(
        "--output-dir", metavar="DIR", help="where the files for the Hub are put together (default: RUN/published)"
    )


def run(options: argparse.Namespace) -> int:
    """Publish, and print where it is."""
    from evenhand.launch.publish import publish_run
    from evenhand.model_cards.hub.target import LocalFolder, parse_target

    target = parse_target(options.target, for_publishing=True)
    if options.output_dir and isinstance(target, LocalFolder):
        raise ValueError(f"--output-dir is for the Hub, and {target} is a folder already; leave it out.")
    published = publish_run(
        options.run_dir,
        target,
        accept_amplification=options.accept_amplification,
        private=options.private,
        create_pr=options.create_pr,
        dry_run=options.dry_run,
        revision=options.revision,
        staging_dir=options.output_dir,
        show=print,
    )
    print(published.summary())
    return 0
