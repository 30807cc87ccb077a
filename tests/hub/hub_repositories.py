"""What the Hub holds: repositories with branches and commits, and the large files that were uploaded to them."""

import base64
import hashlib
import itertools
from dataclasses import dataclass, field

from hub_rules import GITATTRIBUTES, Refused, front_matter_faults, is_binary, tracked_by_lfs

_NUMBERS = itertools.count(1)
SPACE_CARD = b"---\ntitle: A Space\nemoji: x\nsdk: gradio\ncolorFrom: red\ncolorTo: blue\n---\n"


@dataclass(frozen=True)
class File:
    """Content, and whether git holds only a pointer to it."""

    content: bytes
    lfs: bool = False

    @property
    def sha256(self):
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self):
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.content)}\n"
        return text.encode()

    @property
    def blob_id(self):
        blob = self.pointer if self.lfs else self.content
        return hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()

    def entry(self, path):
        """As the tree API has it."""
        entry = {"type": "file", "oid": self.blob_id, "size": len(self.content), "path": path}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": len(self.pointer)}
        return entry


@dataclass(frozen=True)
class Commit:
    title: str
    author: str
    files: dict
    description: str = ""
    oid: str = ""

    def __post_init__(self):
        # of the content too: clients keep what a commit held, and never ask for it again
        held = sorted((path, file.sha256) for path, file in self.files.items())
        digest = hashlib.sha1(f"{next(_NUMBERS)}{self.title}{held}".encode()).hexdigest()
        object.__setattr__(self, "oid", digest)


@dataclass
class PullRequest:
    num: int
    title: str
    author: str
    status: str = "open"


@dataclass
class Repository:
    """One repository; `branches` maps `main`, other branches and `refs/pr/N` to their commits, oldest first."""

    repo_id: str
    repo_type: str
    private: bool = False
    sdk: str | None = None
    tags: list = field(default_factory=list)
    branches: dict = field(default_factory=dict)
    pull_requests: list = field(default_factory=list)
    large_files: dict = field(default_factory=dict)
    regular_limit: int = 10 * 2**20
    number: int = field(default_factory=_NUMBERS.__next__)

    def __post_init__(self):
        files = {".gitattributes": File(GITATTRIBUTES)}
        if self.repo_type == "space":
            files["README.md"] = File(SPACE_CARD)
        self.branches["main"] = [Commit("initial commit", self.owner, files)]

    @property
    def owner(self):
        return self.repo_id.split("/")[0]

    @property
    def head(self):
        return self.branches["main"][-1]

    @property
    def commits(self):
        """Titles of the default branch's commits after the first."""
        return [commit.title for commit in self.branches["main"][1:]]

    def files(self, revision="main"):
        """Bytes by path, without `.gitattributes`."""
        files = self.commit_of(revision).files
        return {path: file.content for path, file in files.items() if path != ".gitattributes"}

    def commit_of(self, revision):
        revision = revision.removeprefix("refs/heads/")
        if revision in self.branches:
            return self.branches[revision][-1]
        for commit in itertools.chain.from_iterable(self.branches.values()):
            if commit.oid == revision:
                return commit
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def edit(self, path, content, title="edited on the Hub", branch="main"):
        """A commit of somebody else: ``content`` (None: delete) at ``path``."""
        files = dict(self.branches[branch][-1].files)
        files.pop(path, None)
        if content is not None:
            content = content if isinstance(content, bytes) else content.encode()
            files[path] = File(content, tracked_by_lfs(path, GITATTRIBUTES))
        self.branches[branch].append(Commit(title, self.owner, files))

    def upload_mode(self, path, size, sample, revision):
        attributes = self.commit_of(revision).files.get(".gitattributes", File(b"")).content
        large = size > self.regular_limit or is_binary(sample) or tracked_by_lfs(path, attributes)
        return "lfs" if large else "regular"

    def commit(self, lines, revision, author, create_pr=False):
        """Apply the lines of the commit API as one commit, or refuse them all."""
        header = lines[0]["value"] if lines and lines[0]["key"] == "header" else {}
        if not header.get("summary"):
            raise Refused(400, "A commit needs a summary")
        branch = revision.removeprefix("refs/heads/")
        if branch not in self.branches:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        head, parent = self.branches[branch][-1], header.get("parentCommit")
        if create_pr:
            head = self.commit_of(parent) if parent else head
        elif parent is not None and not head.oid.startswith(parent):
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for line in lines[1:]:
            self._apply(line["key"], line["value"], files)
        self._check(files)
        commit = Commit(header["summary"], author, files, header.get("description", ""))
        if not create_pr:
            self.branches[branch].append(commit)
            return commit, None
        pull_request = PullRequest(len(self.pull_requests) + 1, header["summary"], author)
        self.pull_requests.append(pull_request)
        self.branches[f"refs/pr/{pull_request.num}"] = [head, commit]
        return commit, pull_request

    def _apply(self, key, value, files):
        path = value["path"]
        if path.startswith("/") or ".." in path.split("/") or ".git" in path.split("/"):
            raise Refused(400, f"Invalid path {path}")
        if key == "file":
            files[path] = File(base64.b64decode(value["content"], validate=True))
        elif key == "lfsFile":
            if value["oid"] not in self.large_files:
                raise Refused(400, f"LFS pointer pointed to a file that does not exist: {path}")
            files[path] = File(self.large_files[value["oid"]], lfs=True)
            if not tracked_by_lfs(path, files[".gitattributes"].content):
                line = f"{path} filter=lfs diff=lfs merge=lfs -text\n".encode()
                files[".gitattributes"] = File(files[".gitattributes"].content + line)
        elif key == "deletedFile":
            if path not in files:
                raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
            del files[path]
        elif key == "deletedFolder":
            for name in [name for name in files if name.startswith(f"{path.rstrip('/')}/")]:
                del files[name]
        else:
            raise Refused(400, f"Unknown operation {key}")

    def _check(self, files):
        attributes = files.get(".gitattributes", File(b"")).content
        for path, file in files.items():
            if file.lfs:
                continue
            large = len(file.content) > self.regular_limit or is_binary(file.content[:512])
            if path != ".gitattributes" and (large or tracked_by_lfs(path, attributes)):
                raise Refused(400, f"{path} must be uploaded through large file storage")
        if "README.md" in files:
            _, errors = front_matter_faults(files["README.md"].content.decode(), self.repo_type)
            if errors:
                raise Refused(400, f"Invalid metadata in README.md: {errors[0]}")

    def info(self, revision, blobs=False):
        """As /api/models/{id} has it."""
        commit = self.commit_of(revision)
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        if blobs:
            for sibling in siblings:
                entry = commit.files[sibling["rfilename"]].entry("")
                sibling |= {"blobId": entry["oid"], "size": entry["size"]}
                if "lfs" in entry:
                    sibling["lfs"] = {**entry["lfs"], "sha256": entry["lfs"]["oid"]}
        return {
            "_id": hashlib.sha1(self.repo_id.encode()).hexdigest()[:24],
            "id": self.repo_id,
            "author": self.owner,
            "sha": commit.oid,
            "createdAt": f"2026-01-01T00:00:{self.number % 60_000 / 1000:06.3f}Z",
            "lastModified": "2026-01-01T00:00:00.000Z",
            "private": self.private,
            "gated": False,
            "disabled": False,
            "tags": self.tags,
            "downloads": 0,
            "likes": 0,
            "siblings": siblings,
            **({"sdk": self.sdk} if self.sdk else {}),
        }

    def tree(self, revision, folder, recursive):
        """As /api/models/{id}/tree has it."""
        files = self.commit_of(revision).files
        start = f"{folder}/" if folder else ""
        below = {path: file for path, file in files.items() if path.startswith(start)}
        if folder and not below:
            raise Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        folders = {
            start + path.removeprefix(start).rsplit("/", 1)[0] for path in below if "/" in path.removeprefix(start)
        }
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": name} for name in sorted(folders)]
        entries += [file.entry(path) for path, file in sorted(below.items())]
        return [e for e in entries if recursive or "/" not in e["path"].removeprefix(start)]
