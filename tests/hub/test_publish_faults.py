"""Publishing while the Hub or the way to it fails: a complete publish or one clear line, and nothing half-visible."""

import os
import signal
import time

import pytest
from huggingface_hub import HfApi

from evenhand.model_cards import publish
from evenhand.model_cards.hub.target import HubRepository

HERE = HubRepository("ada/student")
ROUTES = [
    *("whoami", "info", "create", "tree", "validate", "preupload", "lfs_batch", "lfs_upload", "lfs_verify", "commit"),
    "settings",
]
pytestmark = pytest.mark.usefixtures("quick")


def nothing_half_visible(hub, staged):
    """At every moment the public saw no repository, or one with every file."""
    return all(state.get("ada/student", frozenset(staged)) == frozenset(staged) for state in hub.shown)


def whole(hub, published):
    repository = hub.repository("ada/student")
    there = repository.files()
    assert there == {name: (published.folder / name).read_bytes() for name in published.files}
    assert repository.commits == ["student, from evenhand"] and not repository.private
    return nothing_half_visible(hub, published.files)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("status", [429, 500, None])
def test_one_fault_of_every_request_ends_in_a_complete_publish(hub, api, run, facts, pauses, status, when):
    for route in ROUTES:
        if status is None:
            hub.cut(route, when=when)
        else:
            hub.fail(route, status, when=when)
    published = publish(run, HERE, facts, api=api)
    assert published.changed and whole(hub, published)
    once = {"commit"} if when == "after" else set()  # the branch was read again, and held it
    assert {route for route in ROUTES if hub.calls(route) == 1} == once
    assert pauses and max(pauses) <= 8
    requests = len(hub.requests)
    again = publish(run, HERE, facts, api=api)
    assert not again.changed and again.commit == published.commit and whole(hub, again)
    assert {request.route for request in hub.requests[requests:]} == {"whoami", "info", "tree", "resolve"}


@pytest.mark.parametrize("route", ["resolve", "info", "tree"])
def test_one_fault_while_an_earlier_student_is_read_is_nothing(hub, api, run, facts, pauses, route):
    publish(run, HERE, facts, api=api)
    hub.fail(route, 500)
    hub.cut(route)
    assert not publish(run, HERE, facts, api=api).changed and not any(fault.times for fault in hub.faults)


@pytest.mark.parametrize(
    ("route", "status"), [*((route, 500) for route in ROUTES), ("whoami", None), ("lfs_upload", None), ("commit", None)]
)
def test_a_fault_that_stays_is_one_line_and_nothing_half_visible_and_the_next_run_completes(
    hub, api, run, facts, pauses, route, status
):
    hub.cut(route, times=50) if status is None else hub.fail(route, status, times=50)
    with pytest.raises(RuntimeError) as failed:
        publish(run, HERE, facts, api=api)
    line = str(failed.value)
    assert line.startswith("ada/student") and "\n" not in line and hub.token not in line and hub.address not in line
    assert ("500" in line) if status else ("cannot be reached" in line)
    assert "run the same command again" in line
    repository = hub.repositories.get(("model", "ada/student"))
    assert repository is None or repository.private
    assert all(state.keys() <= {"ada/elsewhere"} for state in hub.shown)
    # not the client's six tries, five times over
    assert sum(request.route == route for request in hub.requests) <= 12
    for fault in hub.faults:
        fault.times = 0
    assert whole(hub, publish(run, HERE, facts, api=api))


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry-After": "17"}, 17),
        ({"RateLimit": '"api";r=0;t=55', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}, 56),
        ({}, 1),
    ],
)
def test_too_many_requests_waits_as_long_as_the_hub_asks(hub, api, run, facts, pauses, headers, pause):
    hub.fail("commit", 429, headers=headers)
    assert whole(hub, publish(run, HERE, facts, api=api))
    assert pauses == [pause]


def test_a_date_to_come_back_at_is_understood(hub, api, run, facts, pauses):
    from datetime import UTC, datetime, timedelta
    from email.utils import format_datetime

    later = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    hub.fail("settings", 503, headers={"Retry-After": later})
    assert whole(hub, publish(run, HERE, facts, api=api))
    assert len(pauses) == 1 and 30 < pauses[0] <= 40


def test_a_hub_that_asks_for_an_hour_is_not_waited_for(hub, api, run, facts, pauses):
    hub.fail("commit", 429, headers={"Retry-After": "3600"})
    with pytest.raises(RuntimeError, match="asks to wait 3,600 seconds; run the same command then"):
        publish(run, HERE, facts, api=api)
    assert pauses == [] and hub.repository("ada/student").private


@pytest.mark.parametrize("part_size", [2**30, 20_000])
def test_a_connection_cut_amid_an_upload_is_resumed_without_sending_what_arrived(
    hub, api, run, facts, pauses, part_size
):
    hub.part_size = part_size
    hub.cut("lfs_upload", when="middle")
    published = publish(run, HERE, facts, api=api)
    assert whole(hub, published) and pauses == [1]
    large = [size for name, size in published.files.items() if name.endswith((".safetensors", ".png"))]
    parts = sum(-(-size // part_size) for size in large)
    assert hub.calls("lfs_upload") == parts + 1


@pytest.mark.parametrize("status", [None, 504, 502])
def test_a_lost_answer_after_the_commit_was_made_is_seen_and_no_second_commit_made(
    hub, api, run, facts, pauses, status
):
    hub.cut("commit", when="after") if status is None else hub.fail("commit", status, when="after", body=b"<html>")
    published = publish(run, HERE, facts, api=api)
    assert published.changed and whole(hub, published) and hub.calls("commit") == 1
    assert published.commit == hub.repository("ada/student").head.oid


def test_the_last_try_whose_answer_is_lost_counts_too(hub, api, run, facts, pauses):
    hub.fail("commit", 500, times=4)
    hub.cut("commit", when="after")
    assert whole(hub, publish(run, HERE, facts, api=api)) and hub.calls("commit") == 5
    assert pauses == [1, 2, 4, 8]


def test_a_page_of_a_proxy_in_place_of_the_hubs_answer_is_tried_again(hub, api, run, facts, pauses):
    hub.fail("validate", 502, body=b"<html>Bad Gateway</html>")
    assert whole(hub, publish(run, HERE, facts, api=api)) and pauses == [1]


def test_a_commit_of_somebody_else_in_between_stays_and_ours_lands_on_it(hub, api, run, facts, pauses):
    hub.meanwhile("commit", lambda: hub.repository("ada/student").edit("notes.txt", "mine", "by hand"))
    published = publish(run, HERE, facts, api=api)
    repository = hub.repository("ada/student")
    assert repository.commits == ["by hand", "student, from evenhand"] and hub.calls("commit") == 2
    assert repository.files().keys() == {*published.files, "notes.txt"} and pauses == []
    # whoever put it there into a private repository was not asked
    assert repository.private and "stays private, as it holds notes.txt" in published.summary()
    assert "is private and stays so" in publish(run, HERE, facts, api=api).summary() and repository.private


def test_somebody_who_commits_each_time_ends_it_in_one_line(hub, api, run, facts, pauses):
    for number in range(10):
        text = str(number)
        hub.meanwhile("commit", lambda text=text: hub.repository("ada/student").edit("notes.txt", text))
    with pytest.raises(RuntimeError, match="answered 412; it was changed meanwhile: run the same command again"):
        publish(run, HERE, facts, api=api)
    assert hub.calls("commit") == 5 and hub.repository("ada/student").private


def test_a_repository_deleted_meanwhile_is_one_line(hub, api, run, facts, pauses):
    hub.meanwhile("commit", hub.repositories.clear)
    with pytest.raises(RuntimeError, match="answered 404; it knows no ada/student"):
        publish(run, HERE, facts, api=api)


def killed_at(hub, route, run, facts):
    """Publish in another process, which the Hub's request ``route`` does not survive."""
    process = os.fork()
    if not process:
        try:
            publish(run, HERE, facts, api=HfApi(endpoint=hub.address, token=hub.token))
        finally:
            os._exit(0)
    hub.meanwhile(route, lambda: os.kill(process, signal.SIGKILL))
    deadline = time.monotonic() + 60
    while os.waitpid(process, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            pytest.fail(f"the publishing process neither came to {route} nor ended")
        time.sleep(0.01)
    if not hub.arrived(route):
        pytest.fail(f"the publishing process ended before {route}")
    while not hub.calls(route):  # it is served, though nobody waits for the answer
        time.sleep(0.01)


def test_a_process_that_ends_before_the_request_is_a_failure_and_no_endless_wait(hub, run, facts):
    (run / "report.json").unlink()
    with pytest.raises(pytest.fail.Exception, match="ended before commit"):
        killed_at(hub, "commit", run, facts)


@pytest.mark.parametrize("route", ["create", "lfs_batch", "commit", "settings"])
def test_a_killed_publish_shows_nothing_and_the_next_one_completes_it(hub, api, run, facts, route):
    killed_at(hub, route, run, facts)
    assert (run / "publishing.json").exists()
    uploads = hub.calls("lfs_upload")
    published = publish(run, HERE, facts, api=api)
    assert published.changed and whole(hub, published)
    assert not (run / "publishing.json").exists()
    if route in ("commit", "settings"):
        assert uploads > 0 and hub.calls("lfs_upload") == uploads


def test_a_killed_publish_that_is_then_wanted_private_stays_so(hub, api, run, facts):
    killed_at(hub, "commit", run, facts)
    publish(run, HERE, facts, private=True, api=api)
    later = publish(run, HERE, facts, api=api)
    assert hub.repository("ada/student").private and "is private and stays so" in later.summary()
