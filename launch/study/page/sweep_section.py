"""What a sweep (depth, temperature, …) shows: Pearson's r as the paper prints it, and the slope that its seeds support."""

from __future__ import annotations

from evenhand.evaluation.arm_comparisons import over_seeds
from evenhand.evaluation.sweeps import Sweep
from evenhand.launch.page_text import interval, passes, plural, probability, table
from evenhand.launch.results_tables import number
from evenhand.launch.study.page.measured import MeasuredStudy
from evenhand.launch.study.page.number_text import arm_label
from evenhand.launch.study.page.printed import printed_correlation
from evenhand.launch.study.study_file import Section
from evenhand.model_cards.escaping import markdown


def sweep_lines(measured: MeasuredStudy, section: Section) -> list[str]:
    """Sentences on the correlation and the slope of mean |d| with the sweep's value; empty where its values are no numbers."""
    names = [name for name in section.arms if not isinstance(measured.arms[name].arm.value, (int, float))]
    if names:
        return []
    sweep = measured.sweep(section)
    x = markdown(section.x_label or "value")
    if sweep is None:
        return [
            f"Fewer than three values of the sweep have been measured, so there is no correlation with {x} yet.",
            "",
        ]
    return [*_correlation(sweep, x, printed_correlation(section)), *_slope(sweep, x), ""]


def _correlation(sweep: Sweep, x: str, printed: float | None) -> list[str]:
    paper = printed_r_text(sweep, printed)
    if sweep.r is None:
        return [f"- Mean \\|d\\| does not vary with {x}, so there is no correlation.{paper}"]
    line = f"- Pearson's r of mean \\|d\\| with {x}, over {len(sweep.arms)} arms' means ({_of_seeds(sweep)}): **{number(sweep.r, digits=2)}**"
    if sweep.r_interval is None:
        line += " (three arms give no interval)"
    else:
        line += (
            f" {interval(sweep.r_interval)} by Fisher's z, as if the arms were a sample and their means had no noise"
        )
    lines = [f"{line}.{paper}"]
    if sweep.r_over_seeds is not None:
        mean, low, high = sweep.r_over_seeds
        of_each = ", ".join(number(r, digits=2) for r in sweep.r_of_seeds)
        seeds = plural(len(sweep.r_of_seeds), "seed")
        lines.append(
            f"- Within a seed: r = {number(mean, digits=2)} {interval((low, high))} over {seeds} (Student's t on Fisher's z; of each: {of_each}). "
            "This one respects that the arms of a seed share its noise."
        )
    return lines


def printed_r_text(sweep: Sweep, printed: float | None) -> str:
    """What the paper prints, and whether the interval of r here leaves it out; empty where it prints nothing."""
    if printed is None:
        return ""
    text = f" The paper prints r = {number(printed, digits=2)}, without an interval"
    if sweep.r_interval is None:
        return f"{text}."
    return f"{text}; it lies {'outside' if leaves_out_r(sweep, printed) else 'within'} this one."


def leaves_out_r(sweep: Sweep, printed: float) -> bool:
    """Whether there is an interval of r, and ``printed`` lies outside it."""
    return sweep.r_interval is not None and not sweep.r_interval[0] <= printed <= sweep.r_interval[1]


def _of_seeds(sweep: Sweep) -> str:
    if not sweep.seeds:
        return "of all seeds that each has, as none is common to all"
    return f"of the {plural(len(sweep.seeds), 'seed')} that all of them have"


def detectable_slope(sweep: Sweep) -> float | None:
    """The true slope that these seeds would have found with 80 % power at the level of 5 %, ``None`` for fewer than two of them."""
    return over_seeds(sweep.slope_of_seeds, better=None).detectable if sweep.slope is not None else None


def passes_lines(measured: MeasuredStudy, section: Section) -> list[str]:
    """Of a sweep over the fraction of the corpus: how much text there was, and how often each arm saw it. Equal steps on less text are more
    passes over it, so such a sweep changes both."""
    if len({measured.arms[name].arm.recipe.corpus.fraction for name in section.arms}) < 2:
        return []
    rows = []
    for name in section.arms:
        training = next((report.training for report in measured.arms[name].reports.values() if report.training), None)
        if training is not None:
            epochs = passes(training["epochs"])
            rows.append(
                [
                    arm_label(measured.arms[name]),
                    f"{training['corpus']['tokens']:,}",
                    f"{training['tokens_seen']:,}",
                    epochs,
                ]
            )
    if not rows:
        return []
    header = ["arm", "tokens of the corpus", "tokens seen in training", "passes over the text (epochs)"]
    return ["**How much text, and how often.**", "", *table(header, rows), *_seen_once(measured, section)]


def _seen_once(measured: MeasuredStudy, section: Section) -> list[str]:
    """Whether a fraction of the text is more than a fraction of the steps."""
    trainings = [report.training for name in section.arms for report in measured.arms[name].reports.values()]
    if any(training is None or training["epochs"] > 1 for training in trainings):
        return []
    return [
        "No arm saw any of its text twice, so what differs is how long the students were trained and on which sentences, not how often they read them.",
        "",
    ]


def _slope(sweep: Sweep, x: str) -> list[str]:
    if sweep.slope is None:
        return ["- A slope with an interval takes two seeds that every arm of the sweep has."]
    found = sweep.slope
    return [
        f"- Slope: {number(found.mean, digits=4)} {interval((found.low, found.high), digits=4)} of mean \\|d\\| per unit of {x} "
        f"({plural(found.n, 'seed')}, p = {probability(found.p_value)}; detectable {number(detectable_slope(sweep), False, 4)}; over seeds, with these words)."
    ]
