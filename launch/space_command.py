"""``evenhand space``: teacher and students side by side in a browser, here or as a Space on the Hub."""

from __future__ import annotations

import argparse

EXAMPLE = (
    "evenhand space runs/plain runs/mixup --local\n"
    "         evenhand space runs/plain runs/mixup --publish user/compare --dry-run"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "models",
        nargs="+",
        metavar="RUN_OR_MODEL",
        help="runs (each brings its teacher), model folders, or models on the Hub",
    )
    parser.add_argument(
        "--teacher", metavar="MODEL", help="what the students are compared with (default: each run's own teacher)"
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--local", action="store_true", help="run the app on this machine, for this machine alone")
    where.add_argument(
        "--publish", metavar="USER/NAME", help="publish it as this Space, which loads the published models"
    )
    parser.add_argument("--port", type=int, metavar="N", help="with --local (default: the first free one from 7860)")
    parser.add_argument(
        "--private", action="store_true", help="with --publish: a new Space is one that only you can see"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="with --publish: put the files together and list them; publish nothing"
    )
    parser.add_argument(
        "--output-dir", metavar="DIR", help="with --publish: where its files are put together (default: space_NAME)"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted, or stage and publish."""
    given = {
        "--port": options.port is not None,
        "--private": options.private,
        "--dry-run": options.dry_run,
        "--output-dir": options.output_dir is not None,
    }
    for option in ("--private", "--dry-run", "--output-dir") if options.local else ("--port",):
        if given[option]:
            raise ValueError(f"{option} needs {'--publish USER/NAME' if options.local else '--local'}.")
    from evenhand.launch.side_by_side import published_models, serve_here

    if options.local:
        return serve_here(options.models, options.teacher, options.port)
    from evenhand.model_cards.hub.space import check_space_id, publish_space

    check_space_id(options.publish)
    models = published_models(options.models, options.teacher)
    folder = options.output_dir or f"space_{options.publish.split('/')[-1]}"
    space = publish_space(models, options.publish, folder, dry_run=options.dry_run, private=options.private)
    print(space.summary())
    return 0
