"""Run every benchmark and print its report: ``python -m benchmarks``."""

from benchmarks import distillation_step

BENCHMARKS = {"distillation step, natural-length batches": distillation_step.run}


def main() -> None:
    """Print the reports one after the other."""
    for name, run in BENCHMARKS.items():
        print(f"== {name}")
        print("\n".join(run()), flush=True)


if __name__ == "__main__":
    main()
