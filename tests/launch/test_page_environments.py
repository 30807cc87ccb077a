"""The head of a results page says with what, on what and by which code its models were made."""

from types import SimpleNamespace

from evenhand.launch.page_environments import environment_lines, environments

FIRST, SECOND = "a" * 40, "b1" * 20


def report(commit=None, name="EPYC", modified=False, **environment):
    hardware = {"name": name, "device": "cpu", "processes": 1, "threads": 2}
    training = {"code": {"commit": commit, "modified": modified}, "hardware": hardware} if commit else None
    data = {"evenhand_version": "0.1.0", "environment": {"python": "3"} | environment}
    return SimpleNamespace(data=data, training=training)


def test_one_machine_and_one_commit_are_a_line_each():
    found = environments([report(FIRST), report(FIRST)])
    assert environment_lines(found) == [
        "- Environment: python 3; evenhand 0.1.0.",
        "- Trained on EPYC, cpu, 1 process of 2 threads.",
        "- Trained by the code of commit aaaaaaa.",
    ]


def test_several_commits_are_counted_over_all_environments_and_a_changed_tree_is_told():
    made = [
        report(SECOND),
        report(FIRST, python="4"),
        report(SECOND, python="4"),
        report(FIRST, modified=True, name="Xeon"),
    ]
    lines = environment_lines(environments(made), "student")
    assert lines[0].startswith("- Environments: 2, ")
    assert "- Trained on: EPYC, cpu, 1 process of 2 threads (3), Xeon, cpu, 1 process of 2 threads (1)." in lines
    assert lines[-1] == "- Trained by the code of commits: b1b1b1b (2), aaaaaaa with changes (1), aaaaaaa (1)."


def test_many_commits_are_named_in_part_and_kept_whole():
    made = [report(f"{index:x}" * 40) for index in range(6) for _ in range(6 - index)]
    found = environments(made)
    assert list(found[0]["commits"].values()) == [6, 5, 4, 3, 2, 1]
    assert environment_lines(found)[-1].endswith("3333333 (3) and 2 more, which results.json names.")


def test_reports_without_a_training_say_nothing_of_it():
    assert environment_lines(environments([report()])) == ["- Environment: python 3; evenhand 0.1.0."]
