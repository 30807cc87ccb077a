"""Reports of several students of one teacher, made by hand from one complete report."""

import copy


def glue_side(scores, mean):
    """The result of GLUE of one model: points by task, and their mean."""
    return {
        "measure": "glue",
        "confidence_level": 0.95,
        "data": {"name": "glue_data", "sha256": dict.fromkeys(scores, "a" * 64)},
        "scores": [
            {
                "key": task,
                "name": f"{task.upper()}, accuracy",
                "unit": "points",
                "n": 200 + index,
                "value": value,
                "confidence_interval": [value - 2, value + 2],
                "confidence_level": 0.95,
                "interval_method": "percentile bootstrap",
                "better": "higher",
                "ideal": None,
                "note": None,
            }
            for index, (task, value) in enumerate(scores.items())
        ],
        "mean_of_tasks_run": {
            "name": "mean of the tasks run",
            "value": mean,
            "tasks": list(scores),
            "confidence_interval": [mean - 1.5, mean + 1.5],
        },
        "averages": [],
        "note": None,
    }


def glue_entry(student, teacher):
    """An entry of the measure ``glue``; ``student`` and ``teacher`` are points by task."""
    means = [sum(scores.values()) / len(scores) for scores in (student, teacher)]
    changes = [
        {
            "key": task,
            "name": f"{task.upper()}, accuracy",
            "difference": value - teacher[task],
            "confidence_interval": [value - teacher[task] - 3, value - teacher[task] + 3],
            "confidence_level": 0.95,
            "interval_method": "bootstrap",
            "p_value": 0.2,
            "better": "higher",
            "p_value_method": "bootstrap",
            "verdict": "not distinguishable",
            "worst_case": 3.0,
            "n": 200,
            "unit": "points",
            "note": None,
        }
        for task, value in student.items()
    ]
    mean = {
        "difference": means[0] - means[1],
        "confidence_interval": [-9.0, -1.0],
        "verdict": "worse",
        "worst_case": 9.0,
    }
    return {
        "epochs": 3,
        "data": {"name": "glue_data", "sha256": dict.fromkeys(student, "a" * 64)},
        "model": glue_side(student, means[0]),
        "reference": glue_side(teacher, means[1]),
        "comparison": {"scores": changes, "mean_of_tasks_run": {**mean, "confidence_level": 0.95, "p_value": 0.01}},
        "not_applicable": {"model": None, "reference": None},
    }


def student_report(report, number, shift=0.0, glue=True):
    """A report of another student: its own weights and seed, mean |d| moved by ``shift``, and GLUE if wanted."""
    other = copy.deepcopy(report)
    other["model"] |= {"name": f"run-seed{number}", "weights_sha256": f"{number:x}" * 64}
    other["training"] |= {"seed": number, "recipe": {"training": {"seed": number}, "mixup": {"enabled": True}}}
    for entry in other["measures"]["seat"]:
        family = entry["model"]["families"]["gender"]
        family["mean_absolute_effect_size"] += shift
        entry["model"]["mean_absolute_effect_size"] += shift
    if glue:
        other["measures"]["glue"] = [glue_entry({"sst2": 80.0 + number, "rte": 55.0}, {"sst2": 90.0, "rte": 60.0})]
    return other
