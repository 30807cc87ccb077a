"""All reports of a study in one small file: nothing is lost, the same bytes every time, and damage is one line."""

import json
import lzma
import shutil
import subprocess

import numpy as np
import pytest

from evenhand.evaluation import EvaluationReport, Seat
from evenhand.evaluation.evaluators import Measured, make_report
from evenhand.launch.study.report_archive import read_archive, write_archive

SEAT = Seat(tests=["C6", "C7"])


def measured(role, seed):
    n = len(SEAT.loaded_stimuli.distinct_sentences)
    vectors = np.random.default_rng(seed).normal(size=(n, 8))
    facts = {
        "model_type": "distilbert", "hidden_size": 8, "vocab_size": 9, "parameters": 10, "max_length": 16, "layers": 1,
        "role": role, "name": f"{role}-{seed}", "weights_sha256": f"{seed:064d}", "tokenizer_sha256": "7" * 64,
    }  # fmt: skip
    return Measured(facts, (SEAT.result_of(vectors),), facts["name"])


@pytest.fixture(scope="module")
def reports():
    """Eight students of two teachers, under keys in whose order the teachers take turns."""
    teachers = [measured("teacher", seed) for seed in (101, 102)]
    training = {"schema": "evenhand-training", "schema_version": 1, "seed": 0, "steps": 3, "note": "naïve λ"}
    return {f"key{i}": make_report([SEAT], measured("student", i), teachers[i % 2], training) for i in range(8)}


@pytest.fixture
def archive(reports, tmp_path):
    return write_archive(reports, tmp_path / "reports.jsonl.xz")


def rewritten(archive, change):
    """The archive with its lines as ``change`` makes them, each decoded."""
    with lzma.open(archive, "rt", encoding="utf-8") as file:
        lines = change([json.loads(line) for line in file])
    with lzma.open(archive, "wt", encoding="utf-8") as file:
        file.writelines(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    return archive


def test_every_report_comes_back_as_it_was(reports, archive):
    back = read_archive(archive)
    assert {key: report.data for key, report in back.items()} == {key: one.data for key, one in reports.items()}
    assert [back[key].sha256 for key in reports] == [report.sha256 for report in reports.values()]


def test_the_same_reports_in_any_order_give_the_same_bytes_and_leave_nothing_else(reports, archive, tmp_path):
    again = write_archive(dict(reversed(reports.items())), tmp_path / "new" / "again.xz")
    assert again.read_bytes() == archive.read_bytes() and [path.name for path in again.parent.iterdir()] == ["again.xz"]
    assert write_archive(read_archive(archive), archive).read_bytes() == again.read_bytes()
    fewer = {key: report for key, report in reports.items() if key != "key3"}
    assert write_archive(fewer, archive).read_bytes() != again.read_bytes() and set(read_archive(archive)) == set(fewer)


@pytest.mark.skipif(shutil.which("xz") is None, reason="there is no xz here")
def test_anybody_can_read_it_with_xz_and_a_line_is_a_report(reports, archive):
    done = subprocess.run(["xz", "-dc", str(archive)], capture_output=True, check=True)
    header, *lines = done.stdout.decode().splitlines()
    assert header == '{"reports":8,"schema":"evenhand-report-archive","schema_version":1}'
    found = [json.loads(line) for line in lines]
    assert {entry["key"]: entry["report"] for entry in found} == {key: one.data for key, one in reports.items()}
    # students of one teacher side by side, and canonical
    assert [entry["key"] for entry in found] == ["key0", "key2", "key4", "key6", "key1", "key3", "key5", "key7"]
    assert all(
        line == json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        for line, entry in zip(lines, found, strict=True)
    )


def test_it_takes_a_fraction_of_the_space(reports, archive, tmp_path):
    plain = sum(len(json.dumps(report.data).encode()) for report in reports.values())
    assert archive.stat().st_size < 0.3 * plain
    assert write_archive(reports, tmp_path / "nine", 9).stat().st_size < 0.75 * archive.stat().st_size


def test_fewer_digits_round_what_is_not_whole_and_nothing_else(reports, tmp_path):
    def compare(one, other):
        if isinstance(one, float):
            assert other == float(np.format_float_positional(one, 5, unique=False, fractional=False))
        elif isinstance(one, (dict, list)):
            assert type(one) is type(other) and len(one) == len(other)
            for key in one if isinstance(one, dict) else range(len(one)):
                compare(one[key], other[key])
        else:
            assert one == other and type(one) is type(other)

    back = read_archive(write_archive(reports, tmp_path / "five", 5))
    compare(reports["key1"].data, back["key1"].data)
    assert back["key1"].data != reports["key1"].data


@pytest.mark.parametrize("digits", [0, -3])
def test_no_digits_and_no_reports_are_refused(reports, tmp_path, digits):
    with pytest.raises(ValueError, match="significant_digits must be at least 1"):
        write_archive(reports, tmp_path / "x", digits)
    with pytest.raises(ValueError, match="there is no report"):
        write_archive({}, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_archive_leaves_the_one_before(reports, archive, monkeypatch):
    before = archive.read_bytes()
    calls = []

    def broken(report):
        calls.append(report)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        return report.data

    monkeypatch.setattr(EvaluationReport, "to_dict", broken)
    with pytest.raises(OSError, match="No space left"):
        write_archive(reports, archive)
    assert archive.read_bytes() == before and list(archive.parent.iterdir()) == [archive]


def _without_effect_size(lines):
    del lines[3]["report"]["measures"]
    return lines


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: [], "not an archive of reports"),
        (lambda lines: lines[1:], "not an archive of reports"),
        (lambda lines: [{"schema": "evenhand-report"}, *lines[1:]], "not an archive of reports"),
        (
            lambda lines: [lines[0] | {"schema_version": 2}, *lines[1:]],
            "is an archive of version 2, this evenhand reads version 1",
        ),
        (lambda lines: lines[:-1], "holds 7 reports of 8; it was cut short or edited"),
        (lambda lines: [*lines, lines[4]], "line 10: the key key6 comes twice"),
        (lambda lines: [*lines[:2], "{\n", *lines[2:]], r"line 3: not JSON"),
        (lambda lines: [*lines[:2], [1, 2]], "line 3: not a key and its report"),
        (lambda lines: [*lines[:2], {"key": "a"}], "line 3: not a key and its report"),
        (lambda lines: [*lines[:2], {"key": "a", "report": {}}], "line 3: not a report"),
        (_without_effect_size, "line 4: .*measures"),
    ],
)
def test_what_is_no_whole_archive_is_one_line_with_the_place(archive, change, line):
    with pytest.raises(ValueError, match=line) as error:
        read_archive(rewritten(archive, change))
    assert "\n" not in str(error.value) and str(archive) in str(error.value)


def test_damage_is_one_line(archive, tmp_path):
    whole = archive.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    for content in (whole[: len(whole) // 2], bytes(damaged), b"", b"not xz at all", lzma.compress(b"\xff\xfe\n")):
        archive.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be read as xz-compressed text|not an archive") as error:
            read_archive(archive)
        assert "\n" not in str(error.value) and str(archive) in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"none\.xz: does not exist"):
        read_archive(tmp_path / "none.xz")
    with pytest.raises(ValueError, match="cannot be read"):
        read_archive(tmp_path)
