"""A Hub with one Space, on localhost."""

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub(ThreadingHTTPServer):
    """One Space on localhost, speaking the routes that huggingface_hub and `evaluate` use."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.commits, self.created, self.tokens = {".gitattributes": b""}, [], [], set()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def sha(self):
        return f"{len(self.commits):040d}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def reply(self, content, status=200):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", self.server.sha)
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/api/whoami-v2":
            self.server.tokens.add(self.headers.get("Authorization"))
            return self.reply({"type": "user", "name": "ada"})
        if path in ("/api/spaces/ada/seat", "/api/spaces/ada/seat/revision/main"):
            siblings = [{"rfilename": file} for file in self.server.files]
            return self.reply({"id": "ada/seat", "sha": self.server.sha, "siblings": siblings})
        start = "/spaces/ada/seat/resolve/main/"
        if path.startswith(start) and path.removeprefix(start) in self.server.files:
            return self.reply(self.server.files[path.removeprefix(start)])
        return self.reply({"error": "not found"}, 404)

    do_HEAD = do_GET

    def do_POST(self):
        body = (
            self.rfile.read(int(self.headers["Content-Length"])) if "Content-Length" in self.headers else self.chunks()
        )
        path = self.path.split("?")[0]
        if path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            return self.reply({"url": f"{self.server.address}/spaces/ada/seat"})
        if path == "/api/validate-yaml":
            return self.reply({"warnings": [], "errors": []})
        if path.endswith("/preupload/main"):
            asked = [file["path"] for file in json.loads(body)["files"]]
            return self.reply({"files": [self.known(file) for file in asked]})
        if path.endswith("/commit/main"):
            return self.commit([json.loads(line) for line in body.splitlines()])
        return self.reply({"error": "not found"}, 404)

    def chunks(self):
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def known(self, file):
        answer = {"path": file, "uploadMode": "regular", "shouldIgnore": False}
        if file in self.server.files:
            content = self.server.files[file]
            answer["oid"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return answer

    def commit(self, operations):
        header = operations[0]["value"]
        if header["parentCommit"] != self.server.sha:
            return self.reply({"error": "the branch has moved"}, 412)
        for operation in operations[1:]:
            value = operation["value"]
            if operation["key"] == "deletedFile":
                del self.server.files[value["path"]]
            else:
                self.server.files[value["path"]] = base64.b64decode(value["content"])
        self.server.commits.append(header["summary"])
        url = f"{self.server.address}/spaces/ada/seat/commit/{self.server.sha}"
        return self.reply({"success": True, "commitOid": self.server.sha, "commitUrl": url})
