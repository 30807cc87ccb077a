"""Run benchmarks and print their reports: ``python -m benchmarks`` for all, ``python -m benchmarks seat`` for one."""

import argparse
import sys

from benchmarks import cohort, corpus, distillation_step, gpu_step, paper_scale, seat

BENCHMARKS = {
    "distillation_step": ("distillation step, BERT-base shape", distillation_step.run),
    "gpu_step": ("distillation step on a CUDA GPU", gpu_step.run),
    "cohort": ("four students on one teacher's pass", cohort.run),
    "corpus": ("preparing a corpus, speed and memory", corpus.run),
    "paper_scale": ("study A at the paper's scale, estimated", paper_scale.run),
    "seat": ("SEAT, encoding and statistics", seat.run),
}


def main() -> None:
    """Print the reports one after the other; one that cannot be run, or whose two sides disagree, ends with a line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all by default")
    names = parser.parse_args().names
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        title, run = BENCHMARKS[name]
        print(f"== {title}")
        try:
            for line in run():
                print(line, flush=True)
        except (RuntimeError, ValueError) as error:
            sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()
