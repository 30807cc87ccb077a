"""A Hub on localhost: the routes that the real clients speak, the rules that the real Hub enforces, and faults on demand.

    api = HfApi(endpoint=hub.address, token=hub.token)          # ada's; hub.add_user("eve") for somebody else
    hub.fail("commit", 500, times=2, headers={...})              # the next two commits are refused so
    hub.fail("commit", 504, when="after")                        # … takes effect, but the answer is an error
    hub.cut("lfs_upload", when="middle")                         # the connection ends amid the upload
    hub.meanwhile("commit", lambda: hub.repository("ada/x").edit("README.md", "…"))   # just before it is served
    hub.add_repository("eve/data", "dataset", tags=["benchmark:official"])

`hub.calls("commit")` counts requests; `hub.shown` holds what the public could see after every change, oldest first.
Names of routes: the second column of `ROUTES`.
"""

import json
import os
import re
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, unquote, urlsplit

from hub_answers import ROUTES, Answer, Answers
from hub_collections import Collections
from hub_repositories import Repository
from hub_rules import Refused

TOKEN = "hf_TheTokenOfAdaInTests0123456789"


@dataclass(frozen=True)
class User:
    name: str
    role: str = "write"
    organisations: tuple = ()

    @property
    def namespaces(self):
        return (self.name, *self.organisations)


@dataclass(frozen=True)
class Request:
    route: str
    method: str
    path: str
    status: int | None


@dataclass
class Fault:
    """``status`` None cuts the connection."""

    route: str
    status: int | None
    when: str
    times: int
    headers: dict
    body: bytes | dict


class LocalHub(ThreadingHTTPServer):
    """Starts with the user `ada`, whose token is `hub.token`, and no repository."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token, self.users, self.repositories = TOKEN, {TOKEN: User("ada")}, {}
        self.requests, self.tokens, self.shown, self.part_size = [], set(), [], 5 * 2**30
        self.regular_limit = 10 * 2**20
        self.collections = Collections(self._exists)
        self.faults, self._meanwhile, self.lock = [], [], threading.RLock()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def add_user(self, name, role="write", organisations=(), token=None):
        """A token of a new or known user; ``role`` "read" is a token that may not write."""
        token = token or f"hf_TheTokenOf{name.title()}With{role.title()}0123456789"
        self.users[token] = User(name, role, tuple(organisations))
        return token

    def add_repository(self, repo_id, repo_type="model", files=None, **fields):
        """A repository that stands there already, with one commit of ``files`` (bytes or text by path)."""
        repository = Repository(repo_id, repo_type, regular_limit=self.regular_limit, **fields)
        self.repositories[repo_type, repo_id] = repository
        for path, content in (files or {}).items():
            repository.edit(path, content, "by hand")
        self.show()
        return repository

    def repository(self, repo_id, repo_type="model"):
        return self.repositories[repo_type, repo_id]

    def fail(self, route, status, *, times=1, when="before", headers=None, body=None):
        """Answer the next ``times`` requests of ``route`` with ``status``; ``when`` "after": they take effect first."""
        assert route in ROUTES.values(), route
        body = {"error": f"the fault {status} that was asked for"} if body is None else body
        self.faults.append(Fault(route, status, when, times, headers or {}, body))

    def cut(self, route, *, when="before", times=1):
        """End the connection without an answer: "before" it takes effect, in the "middle" of the body, or "after"."""
        assert route in ROUTES.values(), route
        self.faults.append(Fault(route, None, when, times, {}, b""))

    def meanwhile(self, route, action):
        """Call ``action`` once, when the next request of ``route`` has arrived and before it is served."""
        assert route in ROUTES.values(), route
        self._meanwhile.append((route, action))

    def calls(self, route):
        return sum(request.route == route for request in self.requests)

    def take_fault(self, route):
        with self.lock:
            for fault in self.faults:
                if fault.route == route and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def arrived(self, route):
        """Whether the request that `meanwhile` waited for has come."""
        with self.lock:
            return all(name != route for name, _ in self._meanwhile)

    def take_action(self, route):
        with self.lock:
            for entry in self._meanwhile:
                if entry[0] == route:
                    self._meanwhile.remove(entry)
                    return entry[1]
        return None

    def show(self):
        """Note what anybody can see: the files of every public repository's default branch."""
        public = {
            repo_id: frozenset(repository.files())
            for (_, repo_id), repository in self.repositories.items()
            if not repository.private
        }
        if not self.shown or self.shown[-1] != public:
            self.shown.append(public)

    def _exists(self, user, repo_type, repo_id):
        repository = self.repositories.get((repo_type, repo_id))
        return repository is not None and (not repository.private or repository.owner in user.namespaces)


@contextmanager
def running_hub(monkeypatch):
    """A `LocalHub` that answers, and a client that may reach it without proxy, Xet, or the token and the cache of whoever runs the tests."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"])))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with TemporaryDirectory() as cache, LocalHub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", cache)
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield hub
        hub.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # head and body in one packet, or the client's machine waits 40 ms to acknowledge the first
    wbufsize, disable_nagle_algorithm = -1, True

    def log_message(self, *args):
        pass

    def handle(self):
        with suppress(ConnectionError, ValueError):  # a client that has gone, or a connection that was cut here
            super().handle()

    def _serve(self):
        url = urlsplit(self.path)
        route, match = self._route(url.path)
        fault, action = self.server.take_fault(route), self.server.take_action(route)
        if fault and fault.when == "middle":
            self.rfile.read(int(self.headers["Content-Length"]) // 2)
            return self._cut(route)
        body = self._body()
        if action:
            action()
        if fault and fault.when == "before":
            return self._faulty(route, fault)
        try:
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            with self.server.lock:
                user = self._user()
                answers = Answers(self.server, user, query, self.headers, body)
                parts = [unquote(part) if part is not None else None for part in match.groups()]
                answer = getattr(answers, route)(*parts)
                self.server.show()
        except Refused as refused:
            code = {"X-Error-Code": refused.code} if refused.code else {}
            headers = {**code, "X-Error-Message": " ".join(refused.message.split())}
            answer = Answer({"error": refused.message, **refused.body}, refused.status, headers)
        if fault:
            return self._faulty(route, fault)
        return self._reply(route, answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _route(self, path):
        method = "GET" if self.command == "HEAD" else self.command
        for pattern, name in ROUTES.items():
            verb, _, shape = pattern.partition(" ")
            if verb == method and (match := re.fullmatch(shape, path)):
                return name, match
        return "unknown", re.fullmatch("(.*)", path)

    def _user(self):
        authorization = self.headers.get("Authorization")
        if authorization is None:
            return None
        self.server.tokens.add(authorization)
        user = self.server.users.get(authorization.removeprefix("Bearer "))
        if user is None:
            raise Refused(401, "Invalid credentials in Authorization header")
        return user

    def _body(self):
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Transfer-Encoding") != "chunked":
            return b""
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _faulty(self, route, fault):
        if fault.status is None:
            return self._cut(route)
        return self._reply(route, Answer(fault.body, fault.status, fault.headers))

    def _cut(self, route):
        self._note(route, None)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reply(self, route, answer):
        self._note(route, answer.status)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _note(self, route, status):
        self.server.requests.append(Request(route, self.command, self.path, status))
