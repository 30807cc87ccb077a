"""What each route of the Hub answers."""

import base64
import fnmatch
import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from hub_repositories import Commit, Repository
from hub_rules import Refused, check_name, front_matter_faults

_TYPE, _ID, _SLUG = "(models|datasets|spaces)", "([^/]+/[^/]+)", "([^/]+/[^/]+)"
_GIT = "/(?:(datasets|spaces)/)?([^/]+/[^/]+)"
ROUTES = {
    "GET /api/whoami-v2": "whoami",
    "POST /api/repos/create": "create",
    "DELETE /api/repos/delete": "delete",
    "POST /api/validate-yaml": "validate",
    f"POST /api/{_TYPE}/{_ID}/preupload/([^/]+)": "preupload",
    f"POST /api/{_TYPE}/{_ID}/commit/([^/]+)": "commit",
    f"PUT /api/{_TYPE}/{_ID}/settings": "settings",
    f"POST /api/{_TYPE}/{_ID}/branch/([^/]+)": "branch",
    f"GET /api/{_TYPE}/{_ID}/refs": "refs",
    f"GET /api/{_TYPE}/{_ID}/discussions": "discussions",
    f"GET /api/{_TYPE}/{_ID}/tree/([^/]+)(?:/(.*))?": "tree",
    f"POST /api/{_TYPE}/{_ID}/paths-info/([^/]+)": "paths",
    f"GET /api/{_TYPE}/{_ID}(?:/revision/([^/]+))?": "info",
    f"GET /api/{_TYPE}/{_ID}/xet-write-token/([^/]+)": "xet_token",
    f"POST {_GIT}\\.git/info/lfs/objects/batch": "lfs_batch",
    f"PUT /lfs/{_TYPE}/{_ID}/([0-9a-f]{{64}})(?:/([0-9]+))?": "lfs_upload",
    f"POST /lfs/{_TYPE}/{_ID}/([0-9a-f]{{64}})/complete": "lfs_complete",
    f"POST /lfs/{_TYPE}/{_ID}/([0-9a-f]{{64}})/verify": "lfs_verify",
    f"GET {_GIT}/resolve/([^/]+)/(.+)": "resolve",
    f"GET /cdn/{_TYPE}/{_ID}/([0-9a-f]{{64}})": "download",
    "GET /api/collections": "list_collections",
    "POST /api/collections": "create_collection",
    f"GET /api/collections/{_SLUG}": "collection",
    f"PATCH /api/collections/{_SLUG}": "update_collection",
    f"DELETE /api/collections/{_SLUG}": "delete_collection",
    f"POST /api/collections/{_SLUG}/items": "add_item",
    f"PATCH /api/collections/{_SLUG}/items/([^/]+)": "update_item",
    f"DELETE /api/collections/{_SLUG}/items/([^/]+)": "delete_item",
}
HIDDEN = "Repository not found"


@dataclass(frozen=True)
class Answer:
    """A body (bytes, or data for JSON) and its status and headers."""

    body: object
    status: int = 200
    headers: dict = field(default_factory=dict)


class Answers:
    """The answer to one request, by the route's name.

    Args:
        hub: the server, which holds all state.
        user: whose token came with the request, or None.
    """

    def __init__(self, hub, user, query, headers, body):
        self.hub, self.user, self.query, self.headers, self.body = hub, user, query, headers, body

    @property
    def data(self):
        return json.loads(self.body)

    def unknown(self, path):
        raise Refused(404, f"Sorry, we can't find the page you are looking for: {path}")

    def whoami(self):
        if self.user is None:
            raise Refused(401, "Invalid username or password.")
        organisations = [{"name": name, "roleInOrg": "admin"} for name in self.user.organisations]
        token = {"displayName": "tests", "role": self.user.role}
        auth = {"type": "access_token", "accessToken": token}
        return Answer({"type": "user", "name": self.user.name, "orgs": organisations, "auth": auth})

    # --- repositories ----------------------------------------------------------------------------------------------

    def create(self):
        data = self.data
        if self.user is None:
            raise Refused(401, "Invalid username or password.")
        check_name(data["name"])
        owner, repo_type = data.get("organization") or self.user.name, data.get("type") or "model"
        repo_id = f"{owner}/{data['name']}"
        if owner not in self.user.namespaces or self.user.role != "write":
            raise Refused(403, f'You don\'t have the rights to create a {repo_type} under the namespace "{owner}"')
        if repo_type == "space" and data.get("sdk") not in ("gradio", "docker", "static"):
            raise Refused(400, '"sdk" must be one of [gradio, docker, static]')
        url = f"{self.hub.address}/{'' if repo_type == 'model' else repo_type + 's/'}{repo_id}"
        if (repo_type, repo_id) in self.hub.repositories:
            raise Refused(409, f"You already created this {repo_type} repo", url=url)
        private = data.get("private") or data.get("visibility") == "private"
        limit = self.hub.regular_limit
        repository = Repository(repo_id, repo_type, bool(private), data.get("sdk"), regular_limit=limit)
        self.hub.repositories[repo_type, repo_id] = repository
        return Answer({"url": url, "name": repo_id, "id": repo_id})

    def delete(self):
        data = self.data
        repo_type, repo_id = data.get("type") or "model", f"{data['organization']}/{data['name']}"
        self._writable(repo_type + "s", repo_id)
        del self.hub.repositories[repo_type, repo_id]
        return Answer({"success": True})

    def validate(self):
        data = self.data
        warnings, errors = front_matter_faults(data["content"], data["repoType"])
        messages = [{"message": text} for text in warnings], [{"message": text} for text in errors]
        return Answer({"warnings": messages[0], "errors": messages[1]}, 400 if errors else 200)

    def info(self, kind, repo_id, revision):
        repository = self._readable(kind, repo_id)
        return Answer(repository.info(revision or "main", blobs="blobs" in self.query))

    def settings(self, kind, repo_id):
        repository = self._writable(kind, repo_id)
        if "visibility" in self.data or "private" in self.data:
            repository.private = self.data.get("visibility") == "private" or bool(self.data.get("private"))
        return Answer({"private": repository.private})

    def branch(self, kind, repo_id, name):
        repository = self._writable(kind, repo_id)
        if name in repository.branches:
            raise Refused(409, f"Reference already exists: refs/heads/{name}")
        if name.startswith("refs/") or ".." in name:
            raise Refused(400, f"Invalid branch name {name}")
        start = repository.commit_of(self.data.get("startingPoint") or "main")
        repository.branches[name] = [Commit(start.title, start.author, start.files), start]
        return Answer({"success": True})

    def refs(self, kind, repo_id):
        branches = self._readable(kind, repo_id).branches
        entries = {
            name: {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commits[-1].oid}
            for name, commits in branches.items()
        }
        heads = [entry for name, entry in entries.items() if not name.startswith("refs/")]
        pulls = [{**entry, "ref": name} for name, entry in entries.items() if name.startswith("refs/pr/")]
        return Answer({"branches": heads, "converts": [], "tags": [], "pullRequests": pulls})

    def discussions(self, kind, repo_id):
        repository = self._readable(kind, repo_id)
        author, status = self.query.get("author"), self.query.get("status")
        found = [
            {
                "num": pull.num,
                "title": pull.title,
                "author": {"name": pull.author},
                "status": pull.status,
                "isPullRequest": True,
                "createdAt": "2026-01-01T00:00:00.000Z",
                "repo": {"name": repo_id, "type": repository.repo_type},
            }
            for pull in repository.pull_requests
            if author in (None, pull.author) and status in (None, "all", pull.status)
        ]
        page = int(self.query.get("p", 0))
        return Answer({"count": len(found), "start": 10 * page, "discussions": found[10 * page : 10 * page + 10]})

    def tree(self, kind, repo_id, revision, folder):
        repository = self._readable(kind, repo_id)
        recursive = self.query.get("recursive", "").lower() in ("1", "true")
        return Answer(repository.tree(revision, folder or "", recursive))

    def paths(self, kind, repo_id, revision):
        files = self._readable(kind, repo_id).commit_of(revision).files
        asked = parse_qs(self.body.decode()).get("paths", [])
        return Answer([files[path].entry(path) for path in asked if path in files])

    # --- uploads ---------------------------------------------------------------------------------------------------

    def preupload(self, kind, repo_id, revision):
        repository = self._readable(kind, repo_id)
        if "create_pr" not in self.query:
            self._writable(kind, repo_id)
        files = repository.commit_of(revision).files
        answers, ignored = [], files[".gitignore"].content.decode().split() if ".gitignore" in files else []
        for asked in self.data["files"]:
            sample, path = base64.b64decode(asked["sample"]), asked["path"]
            mode = repository.upload_mode(path, asked["size"], sample, revision)
            ignore = any(fnmatch.fnmatch(path, pattern) for pattern in ignored)
            answer = {"path": path, "uploadMode": mode, "shouldIgnore": ignore}
            if path in files:
                answer["oid"] = files[path].sha256 if files[path].lfs else files[path].blob_id
            answers.append(answer)
        return Answer({"commitOid": repository.commit_of(revision).oid, "files": answers})

    def xet_token(self, kind, repo_id, revision):
        """Where large files go and with which token; that storage itself is not here."""
        self._writable(kind, repo_id)
        return Answer({"casUrl": f"{self.hub.address}/cas", "accessToken": "of-the-storage", "exp": 4_000_000_000})

    def lfs_batch(self, kind, repo_id):
        kind = kind or "models"
        repository = self._readable(kind, repo_id)
        if self.user is None:
            raise Refused(401, "Invalid username or password.")
        if "ref" in self.data:
            self._writable(kind, repo_id)
        objects = [self._lfs_object(repository, kind, entry) for entry in self.data["objects"]]
        return Answer({"transfer": "basic", "objects": objects})

    def _lfs_object(self, repository, kind, entry):
        oid, size = entry["oid"], entry["size"]
        if oid in repository.large_files:
            return {"oid": oid, "size": size}
        base = f"{self.hub.address}/lfs/{kind}/{repository.repo_id}/{oid}"
        verify = {"href": f"{base}/verify"}
        if size <= self.hub.part_size:
            return {"oid": oid, "size": size, "actions": {"upload": {"href": base}, "verify": verify}}
        parts = {str(n): f"{base}/{n}" for n in range(1, math.ceil(size / self.hub.part_size) + 1)}
        header = {"chunk_size": str(self.hub.part_size), **parts}
        upload = {"href": f"{base}/complete", "header": header}
        return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}}

    def lfs_upload(self, kind, repo_id, oid, part):
        repository = self._repository(kind, repo_id)
        etag = hashlib.md5(self.body).hexdigest()
        if part is not None:
            repository.large_files[oid, int(part)] = self.body
        elif hashlib.sha256(self.body).hexdigest() != oid:
            raise Refused(400, "The content does not have the hash that was announced")
        else:
            repository.large_files[oid] = self.body
        return Answer(b"", headers={"ETag": f'"{etag}"'})

    def lfs_complete(self, kind, repo_id, oid):
        repository, numbers = self._repository(kind, repo_id), [p["partNumber"] for p in self.data["parts"]]
        content = b"".join(repository.large_files.pop((oid, number), b"") for number in numbers)
        if hashlib.sha256(content).hexdigest() != oid:
            raise Refused(400, "The parts do not have the hash that was announced")
        repository.large_files[oid] = content
        return Answer({"success": True})

    def lfs_verify(self, kind, repo_id, oid):
        content = self._repository(kind, repo_id).large_files.get(oid)
        if content is None or len(content) != self.data["size"]:
            raise Refused(404, "Object was not uploaded")
        return Answer({"success": True})

    def commit(self, kind, repo_id, revision):
        create_pr = "create_pr" in self.query
        repository = self._readable(kind, repo_id) if create_pr else self._writable(kind, repo_id)
        if self.user is None:
            raise Refused(401, "Invalid username or password.")
        lines = [json.loads(line) for line in self.body.splitlines()]
        commit, pull = repository.commit(lines, revision, self.user.name, create_pr)
        url = f"{self.hub.address}/{'' if kind == 'models' else kind + '/'}{repo_id}"
        answer = {"success": True, "commitOid": commit.oid, "commitUrl": f"{url}/commit/{commit.oid}", "hookOutput": ""}
        if pull:
            answer["pullRequestUrl"] = f"{url}/discussions/{pull.num}"
        return Answer(answer)

    # --- downloads -------------------------------------------------------------------------------------------------

    def resolve(self, kind, repo_id, revision, path):
        kind = kind or "models"
        commit = self._readable(kind, repo_id).commit_of(revision)
        if path not in commit.files:
            raise Refused(404, f"{path} does not exist on {revision}", "EntryNotFound")
        file = commit.files[path]
        headers = {"X-Repo-Commit": commit.oid}
        if not file.lfs:
            return self._content(file.content, {**headers, "ETag": f'"{file.blob_id}"'})
        headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(len(file.content))}
        # Large files come from another host; the client follows such a redirect only to download, without the token.
        location = f"http://localhost:{self.hub.server_port}/cdn/{kind}/{repo_id}/{file.sha256}"
        return Answer(b"", 302, {**headers, "Location": location})

    def download(self, kind, repo_id, oid):
        repository = self._repository(kind, repo_id)
        for commits in repository.branches.values():
            for file in commits[-1].files.values():
                if file.sha256 == oid:
                    return self._content(file.content, {"ETag": f'"{oid}"'})
        raise Refused(404, "Object not found")

    def _content(self, content, headers):
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            return Answer(content, 200, headers)
        start, end = int(match[1]), min(int(match[2] or len(content)), len(content) - 1)
        where = f"bytes {start}-{end}/{len(content)}"
        return Answer(content[start : end + 1], 206, {**headers, "Content-Range": where})

    # --- collections -----------------------------------------------------------------------------------------------

    def list_collections(self):
        return Answer(self.hub.collections.all(self.user, self.query.get("owner")))

    def create_collection(self):
        return Answer(self.hub.collections.create(self.user, self.data))

    def collection(self, slug):
        return Answer(self.hub.collections.get(self.user, slug))

    def update_collection(self, slug):
        return Answer(self.hub.collections.update(self.user, slug, self.data))

    def delete_collection(self, slug):
        return Answer(self.hub.collections.delete(self.user, slug))

    def add_item(self, slug):
        return Answer(self.hub.collections.add_item(self.user, slug, self.data))

    def update_item(self, slug, item_id):
        return Answer(self.hub.collections.update_item(self.user, slug, item_id, self.data))

    def delete_item(self, slug, item_id):
        return Answer(self.hub.collections.delete_item(self.user, slug, item_id))

    # --- who may what ----------------------------------------------------------------------------------------------

    def _repository(self, kind, repo_id):
        repository = self.hub.repositories.get((kind[:-1], repo_id))
        if repository is None:
            # as the Hub: a stranger must not learn whether a private repository exists
            raise Refused(404 if self.user else 401, HIDDEN, "RepoNotFound")
        return repository

    def _readable(self, kind, repo_id):
        repository = self._repository(kind, repo_id)
        if repository.private and (self.user is None or repository.owner not in self.user.namespaces):
            raise Refused(404 if self.user else 401, HIDDEN, "RepoNotFound")
        return repository

    def _writable(self, kind, repo_id):
        repository = self._readable(kind, repo_id)
        if self.user is None:
            raise Refused(401, "Invalid username or password.")
        if repository.owner not in self.user.namespaces or self.user.role != "write":
            raise Refused(403, "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")
        return repository
