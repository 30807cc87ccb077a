"""The ``evenhand`` command."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from functools import partial
from importlib import metadata

from evenhand.launch.errors import exit_code


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0: done; 1: failed; 2: wrong usage or bad input; 75: stopped by a scheduler's signal, to be run again.
    """
    options = _parse(argv)
    # where DeepSpeed is installed, every Trainer imports it, and on a machine without a GPU it says so on stdout
    logging.getLogger("DeepSpeed").addFilter(_not_about_the_cpu)
    return exit_code(f"evenhand {options.command}", partial(options.run, options), options.debug)


def _not_about_the_cpu(record: logging.LogRecord) -> bool:
    return "Setting accelerator to CPU" not in record.getMessage()


def _parse(argv: list[str] | None) -> argparse.Namespace:
    """As ``parse_args``, but ``key=value`` may also follow an option, which argparse gives up on."""
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    if rest and not (hasattr(options, "overrides") and all("=" in word and not word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.overrides = [*options.overrides, *rest]
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evenhand", description="Distil language models without amplifying their bias, and report what happened."
    )
    parser.add_argument("--version", action="version", version=f"evenhand {metadata.version('evenhand')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    adders = (
        _add_demo,
        _add_distill,
        _add_debias_teacher,
        _add_evaluate,
        _add_card,
        _add_publish,
        _add_verify,
        _add_metric,
        _add_space,
        _add_collection,
        _add_study,
        _add_sbatch,
        _add_doctor,
    )
    for add in adders:
        add(commands)
    return parser


def _command(commands, name: str, run, summary: str, example: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)
    return parser


def _add_demo(commands) -> None:
    parser = _command(
        commands, "demo", _demo, "plant a known bias, distil with and without mixup, measure, write the cards",
        "evenhand demo --output-dir demo",
    )  # fmt: skip
    parser.add_argument("--output-dir", default="demo", help="where everything goes (default: demo)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same numbers (default: 0)")


def _demo(options: argparse.Namespace) -> int:
    from evenhand.launch.demo import demo

    return demo(options.output_dir, options.seed)


def _add_distill(commands) -> None:
    parser = _command(
        commands, "distill", _distill, "distil a student as a recipe says",
        "evenhand distill minilm_cpu --output-dir runs/mixup mixup.enabled=true training.seed=1",
    )  # fmt: skip
    parser.add_argument("recipe", help="a YAML file, or the name of a packaged recipe")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="values that replace the recipe's")
    parser.add_argument("--output-dir", required=True, help="the run directory; run again to resume")
    parser.add_argument(
        "--arms", metavar="ARMS.yaml",
        help="distil several students on one teacher's pass: a YAML file that maps a name to changes of the recipe, one run directory each",
    )  # fmt: skip
    group = parser.add_argument_group("several processes, through accelerate")
    group.add_argument(
        "--accelerate", nargs="?", const="ddp", metavar="NAME",
        help="a config of accelerate: cpu, one_gpu, ddp (the default: 4 GPUs, fp16), zero1, zero2, multi_node, or a YAML file",
    )  # fmt: skip
    group.add_argument(
        "--num-processes", type=int, metavar="N", help="on all machines together (default: the config's)"
    )
    group.add_argument("--mixed-precision", choices=("no", "fp16", "bf16"), help="(default: the config's)")
    group.add_argument("--num-machines", type=int, metavar="N", help="(default: the config's, or SLURM_NNODES)")
    group.add_argument(
        "--machine-rank", type=int, metavar="N", help="which one this is, from 0 (default: SLURM_NODEID)"
    )
    group.add_argument("--main-process-ip", metavar="HOST", help="machine 0 (default: MASTER_ADDR)")
    group.add_argument("--main-process-port", type=int, metavar="PORT", help="on machine 0 (default: MASTER_PORT)")


def _distill_with_accelerate(options: argparse.Namespace) -> int:
    from evenhand.launch.accelerate_launch import launch
    from evenhand.launch.accelerate_plan import LaunchOptions, plan_launch
    from evenhand.launch.arms_file import load_arms
    from evenhand.launch.cohort_directory import CohortDirectory
    from evenhand.launch.recipe import load_any_recipe
    from evenhand.launch.requeue import exit_code_of_processes
    from evenhand.launch.run_directory import RunDirectory

    flags = LaunchOptions.of(options)
    if options.accelerate is None:
        raise ValueError(f"{flags.given()[0]} needs --accelerate NAME.")
    names, overrides = _without_overrides([options.accelerate], options.overrides)
    recipe = load_any_recipe(options.recipe, overrides)
    run = RunDirectory(options.output_dir)
    if options.arms:
        run = CohortDirectory(options.output_dir, load_arms(options.recipe, options.arms, overrides))
    plan = plan_launch(names[0] if names else "ddp", flags, recipe.training, os.environ)
    command = [options.recipe, *overrides, "--output-dir", options.output_dir]
    command += ["--arms", options.arms] if options.arms else []
    command += ["--debug"] if options.debug else []
    return exit_code_of_processes(run, lambda: launch(plan, command))


def _distill(options: argparse.Namespace) -> int:
    from evenhand.launch.accelerate_plan import LaunchOptions

    if options.accelerate is not None or LaunchOptions.of(options).given():
        return _distill_with_accelerate(options)
    from evenhand.launch.requeue import until_stopped
    from evenhand.launch.run_directory import RunDirectory

    if options.arms:
        from evenhand.launch.arms_file import load_arms
        from evenhand.launch.cohort_directory import CohortDirectory

        recipes = load_arms(options.recipe, options.arms, options.overrides)
        return until_stopped(
            CohortDirectory(options.output_dir, recipes), partial(_distill_cohort_here, options, recipes)
        )
    return until_stopped(RunDirectory(options.output_dir), partial(_distill_here, options))


def _distill_here(options: argparse.Namespace) -> int:
    from accelerate import PartialState

    from evenhand.launch.distill import distill
    from evenhand.launch.recipe import load_any_recipe
    from evenhand.launch.task.distill import distill_task
    from evenhand.launch.task.recipe import TaskRecipe

    recipe = load_any_recipe(options.recipe, options.overrides)
    run = (distill_task if isinstance(recipe, TaskRecipe) else distill)(recipe, options.output_dir)
    state = PartialState()
    if state.is_main_process:
        print(_student_line(run))
    # left to the interpreter's exit, the threads of a process group abort a process now and then
    state.destroy_process_group()
    return 0


def _distill_cohort_here(options: argparse.Namespace, recipes: dict) -> int:
    from accelerate import PartialState

    from evenhand.launch.cohort import distill_cohort

    runs = distill_cohort(recipes, options.output_dir)
    state = PartialState()
    if state.is_main_process:
        print("\n".join(_student_line(run) for run in runs.values()))
    state.destroy_process_group()  # as above
    return 0


def _student_line(run) -> str:
    training = run.training()
    if "task" in training:
        accuracy = training["held_out"].get("accuracy")
        return f"Student in {run.student}; held-out accuracy {'not measured' if accuracy is None else format(accuracy, '.3f')}."
    loss, chosen = training["held_out_mlm_loss"], (training.get("watch") or {}).get("chosen")
    which = f" (of step {chosen['step']}, {chosen['metric']} {chosen['value']:.4g})" if chosen else ""
    return f"Student{which} in {run.student}; held-out MLM loss {loss['student']} (teacher {loss['teacher']}), {loss['unit']}."


def _add_debias_teacher(commands) -> None:
    from evenhand.launch.debias_command import EXAMPLE, add_arguments, run

    summary = "debias a teacher (context-debias) before it is distilled, and measure it before and after"
    add_arguments(_command(commands, "debias-teacher", run, summary, EXAMPLE))


def _add_evaluate(commands) -> None:
    parser = _command(
        commands, "evaluate", _evaluate, "measure runs or models, compare them, write report.json and pictures",
        "evenhand evaluate runs/mixup measures.glue.data=glue_data measures.glue.tasks=[cola,rte]\n"
        "         evenhand evaluate runs/mixup-seed0 runs/mixup-seed1 --reference runs/plain-seed0 runs/plain-seed1 --output-dir runs/both",
    )  # fmt: skip
    parser.add_argument(
        "models", nargs="+", metavar="MODEL_OR_RUN",
        help="run directories, model folders, or models on the Hub; key=value sets something of the evaluation section",
    )  # fmt: skip
    parser.set_defaults(overrides=[])
    parser.add_argument("--settings", help="a YAML file with an evaluation section, or a packaged one's name")
    parser.add_argument(
        "--reference",
        nargs="+",
        default=[],
        help="what to compare with: one model or run for all, or one for each, paired by seed (default: a run's teacher)",
    )
    parser.add_argument(
        "--output-dir",
        help="where report.json and pictures go (default: a run's own directory; a bare model's are printed only); for several models their aggregate",
    )  # fmt: skip


def _evaluate(options: argparse.Namespace) -> int:
    from evenhand.launch.evaluate import evaluate_all, evaluation_section, print_reports

    models, overrides = _without_overrides(options.models, options.overrides)
    references, overrides = _without_overrides(options.reference, overrides)
    if not models:
        raise ValueError("No model or run is named, only key=value; name one first.")
    section = evaluation_section(models[0], overrides, options.settings)
    print_reports(evaluate_all(models, section, references, options.output_dir))
    return 0


def _without_overrides(words: list[str], overrides: list[str]) -> tuple[list[str], list[str]]:
    """Words that name something, and all ``key=value`` ones: argparse hands both to an option that takes several."""
    named = [word for word in words if "=" not in word or os.path.exists(word)]
    return named, [*(word for word in words if word not in named), *overrides]


def _add_card(commands) -> None:
    from evenhand.launch.card_command import EXAMPLE, add_arguments

    summary = "write the model card of an evaluated run, as a page too, or check it"
    add_arguments(_command(commands, "card", _card, summary, EXAMPLE))


def _card(options: argparse.Namespace) -> int:
    from evenhand.launch.card_command import run

    return run(options)


def _add_publish(commands) -> None:
    from evenhand.launch.publish_command import EXAMPLE, add_arguments

    summary = "publish a run, checked: as one commit on the Hub, or into a folder"
    add_arguments(_command(commands, "publish", _publish, summary, EXAMPLE))


def _publish(options: argparse.Namespace) -> int:
    from evenhand.launch.publish_command import run

    return run(options)


def _add_verify(commands) -> None:
    from evenhand.launch.verify_command import EXAMPLE, add_arguments

    summary = "recompute the numbers of a published folder or Hub repository and compare them with what it claims"
    add_arguments(_command(commands, "verify", _verify, summary, EXAMPLE))


def _verify(options: argparse.Namespace) -> int:
    from evenhand.launch.verify_command import run

    return run(options)


def _add_metric(commands) -> None:
    parser = _command(
        commands, "metric", _metric, "publish a metric (seat or glue) of this project as a Space on the Hub",
        "evenhand metric seat user/seat --dry-run",
    )  # fmt: skip
    parser.add_argument("name", choices=("seat", "glue"), help="which metric")
    parser.add_argument("repo_id", metavar="USER/NAME", help="the Space")
    parser.add_argument("--output-dir", help="where its files are put together (default: metric_NAME)")
    parser.add_argument("--private", action="store_true", help="a Space that only you can see")
    parser.add_argument("--dry-run", action="store_true", help="put the files together and list them; publish nothing")


def _metric(options: argparse.Namespace) -> int:
    from evenhand.model_cards.hub.metric_space import publish_metric

    folder = options.output_dir or f"metric_{options.name}"
    space = publish_metric(options.name, options.repo_id, folder, dry_run=options.dry_run, private=options.private)
    print(space.summary())
    return 0


def _add_space(commands) -> None:
    from evenhand.launch.space_command import EXAMPLE, add_arguments, run

    summary = "compare teacher and students on your own word lists and sentences, in a browser or as a Space on the Hub"
    add_arguments(_command(commands, "space", run, summary, EXAMPLE))


def _add_collection(commands) -> None:
    from evenhand.launch.collection_command import EXAMPLE, add_arguments, run

    summary = "publish several runs, with the metric and the app if wanted, as one collection on the Hub"
    add_arguments(_command(commands, "collection", run, summary, EXAMPLE))


def _add_study(commands) -> None:
    from evenhand.launch.study_command import EXAMPLE, add_arguments

    summary = "run a study: its arms, over seeds, measured, compared and written up; what is there is not made again"
    add_arguments(_command(commands, "study", _study, summary, EXAMPLE))


def _study(options: argparse.Namespace) -> int:
    from evenhand.launch.study_command import run

    return run(options)


def _add_sbatch(commands) -> None:
    from evenhand.launch.sbatch_command import EXAMPLE, add_arguments

    summary = "write a Slurm script that distils, requeues itself at its time limit and goes on, or submit it"
    add_arguments(_command(commands, "sbatch", _sbatch, summary, EXAMPLE))


def _sbatch(options: argparse.Namespace) -> int:
    from evenhand.launch.sbatch_command import run

    recipes, overrides = _without_overrides(options.recipes, options.overrides)
    if not recipes:
        raise ValueError("No recipe is named, only key=value; name one first.")
    return run(options, recipes, overrides)


def _add_doctor(commands) -> None:
    parser = _command(
        commands, "doctor", _doctor, "say what this machine can run, what a recipe needs offline, and what to do about each gap",
        "evenhand doctor\n         evenhand doctor my_recipe.yaml evaluation.measures.crows_pairs.data=hub",
    )  # fmt: skip
    parser.add_argument("recipe", nargs="?", help="also say what this recipe needs on nodes without a network")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="values that replace the recipe's")
    parser.add_argument(
        "--settings", help="what `evaluate --settings` will be given, in the place of the recipe's measures"
    )


def _doctor(options: argparse.Namespace) -> int:
    from evenhand.launch.doctor import doctor

    if options.recipe is None:
        if options.settings:
            raise ValueError("--settings needs a recipe before it.")
        return doctor()
    from evenhand.launch.evaluate import evaluation_section
    from evenhand.launch.recipe import load_any_recipe
    from evenhand.launch.task.recipe import TaskRecipe

    recipe = load_any_recipe(options.recipe, options.overrides)
    if options.settings and isinstance(recipe, TaskRecipe):
        raise ValueError(
            "--settings replaces measures of masked text; a task recipe has its own in the section evaluation."
        )
    section = evaluation_section("", (), options.settings) if options.settings else None
    return doctor(recipe, section)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(main())
