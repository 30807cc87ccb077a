"""The Hub of these tests refuses what the real one refuses, as the real client reports it."""

import itertools
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


def commit(api, content=b"text", path="notes.txt", **kwargs):
    return api.create_commit("ada/x", [CommitOperationAdd(path, content)], commit_message="m", **kwargs)


@pytest.fixture
def there(hub):
    return hub.add_repository("ada/x")


@pytest.fixture
def eves(hub):
    return HfApi(endpoint=hub.address, token=hub.add_user("eve"))


def refused(status, call, *args, error=HfHubHTTPError, **kwargs):
    with pytest.raises(error) as raised:
        call(*args, **kwargs)
    assert raised.value.response.status_code == status


def test_names_owners_and_tokens(hub, api, there, eves):
    refused(409, api.create_repo, "ada/x")
    assert api.create_repo("ada/x", exist_ok=True).repo_id == "ada/x"
    refused(403, api.create_repo, "eve/x")
    refused(403, commit, eves)
    refused(401, HfApi(endpoint=hub.address, token="hf_nobodys").whoami)
    refused(404, api.model_info, "ada/y", error=RepositoryNotFoundError)
    there.private = True
    refused(404, eves.model_info, "ada/x", error=RepositoryNotFoundError)
    refused(401, HfApi(endpoint=hub.address, token=False).model_info, "ada/x", error=RepositoryNotFoundError)
    assert api.model_info("ada/x").private
    api.update_repo_settings("ada/x", private=False)
    assert not eves.model_info("ada/x").private
    refused(403, eves.update_repo_settings, "ada/x", private=True)


def test_commits_are_atomic_and_need_the_parent_that_they_name(api, there):
    head = api.model_info("ada/x").sha
    first = commit(api, parent_commit=head)
    assert api.model_info("ada/x").sha == first.oid != head
    refused(412, commit, api, b"other", parent_commit=head)
    operations = [CommitOperationAdd("new.txt", b"x"), CommitOperationDelete("not-there.txt")]
    refused(404, api.create_commit, "ada/x", operations, commit_message="m", error=RemoteEntryNotFoundError)
    assert there.files() == {"notes.txt": b"text"}
    refused(404, commit, api, b"x", revision="no-branch", error=RevisionNotFoundError)


def test_front_matters_are_read(api, there):
    for text in ("---\nlicense: none of them\n---\n", "---\ntags: [1]\n---\n", "---\nlanguage: English\n---\n"):
        with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
            commit(api, text.encode(), "README.md")
    index = (
        "---\nmodel-index:\n- name: x\n  results:\n  - task: {type: t}\n    dataset: {type: d, name: d}\n    metrics:\n"
    )
    with pytest.raises(ValueError, match="needs a type and a finite value"):
        commit(api, f"{index}    - {{type: m, value: .nan}}\n---\n".encode(), "README.md")
    commit(api, f"{index}    - {{type: m, value: 1.5}}\n---\n".encode(), "README.md")


@pytest.mark.parametrize("part_size", [2**30, 100])
def test_large_and_binary_files_go_through_large_file_storage(hub, api, there, tmp_path, part_size):
    hub.part_size = part_size
    content = bytes(range(256)) * 4
    commit(api, content, "figures/a.png")
    assert hub.calls("lfs_upload") == -(-len(content) // part_size)
    (entry,) = [e for e in api.list_repo_tree("ada/x", recursive=True) if e.path == "figures/a.png"]
    assert entry.lfs.size == len(content)
    assert b"figures/a.png filter=lfs" in there.head.files[".gitattributes"].content
    path = api.hf_hub_download("ada/x", "figures/a.png", local_dir=tmp_path)
    assert Path(path).read_bytes() == content
    sent = {"key": "file", "value": {"path": "b.safetensors", "content": "AAAA", "encoding": "base64"}}
    header = {"key": "header", "value": {"summary": "m"}}
    with pytest.raises(Exception, match="must be uploaded through large file storage"):
        there.commit([header, sent], "main", "ada")


def test_what_earlier_tests_downloaded_is_never_taken_for_what_is_here_now(hub, api, there, monkeypatch):
    others, kept = hub.add_repository("ada/y"), Path(api.hf_hub_download("ada/x", ".gitattributes"))
    assert kept.is_relative_to(constants.HF_HUB_CACHE) and not kept.is_relative_to(Path.home() / ".cache")
    monkeypatch.setattr("hub_repositories._NUMBERS", itertools.repeat(1))  # as in another session of tests
    for repository, content in ((there, "one"), (others, "two")):
        repository.edit("README.md", content, "m")
    assert there.head.oid != others.head.oid


def test_pull_requests_and_branches(api, there, eves):
    proposed = commit(eves, create_pr=True)
    assert proposed.pr_url.endswith("/ada/x/discussions/1") and there.files() == {}
    assert there.files("refs/pr/1") == {"notes.txt": b"text"}
    (discussion,) = api.get_repo_discussions("ada/x", author="eve", discussion_status="open")
    assert (discussion.num, discussion.title) == (1, "m") and not list(api.get_repo_discussions("ada/x", author="ada"))
    api.create_branch("ada/x", branch="dev")
    refused(409, api.create_branch, "ada/x", branch="dev")
    commit(api, revision="dev")
    assert there.files("dev") and not there.files()


def test_collections(hub, api, there, eves):
    collection = api.create_collection("Two students", description="d" * 150)
    assert api.create_collection("Two students", exists_ok=True).slug == collection.slug
    refused(400, api.create_collection, "Another", description="d" * 151)
    refused(404, api.add_collection_item, collection.slug, "ada/y", "model")
    assert [i.item_id for i in api.add_collection_item(collection.slug, "ada/x", "model", note="n").items] == ["ada/x"]
    refused(409, api.add_collection_item, collection.slug, "ada/x", "model")
    refused(403, eves.add_collection_item, collection.slug, "ada/x", "model")
    assert [c.slug for c in eves.list_collections(owner="ada")] == [collection.slug]
    api.update_collection_metadata(collection.slug, private=True)
    assert list(eves.list_collections(owner="ada")) == []
