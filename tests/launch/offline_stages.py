"""Every stage in one process without a network: ``python offline_stages.py RECIPE RUN FOLDER``.

An attempt to reach any host is kept and refused. Prints one JSON object: exit codes by stage, and the attempts.
"""

import json
import socket
import sys

ATTEMPTS: list[str] = []


def refuse(address: object) -> None:
    ATTEMPTS.append(repr(address))
    raise OSError(f"this test has no network: {address!r}")


class GuardedSocket(socket.socket):
    def connect(self, address):
        if self.family != socket.AF_UNIX:
            refuse(address)
        return super().connect(address)

    def connect_ex(self, address):
        if self.family != socket.AF_UNIX:
            refuse(address)
        return super().connect_ex(address)


def main(recipe: str, run: str, folder: str) -> None:
    socket.socket = GuardedSocket
    socket.getaddrinfo = lambda host, *args, **kwargs: refuse(host)
    from evenhand.launch.command import main as evenhand

    stages = {
        "doctor": ["doctor", recipe],
        "distill": ["distill", recipe, "--output-dir", run],
        "evaluate": ["evaluate", run],
        "card": ["card", run],
        "publish": ["publish", run, folder],
        "verify": ["verify", folder],
    }
    codes = {name: evenhand(words) for name, words in stages.items()}
    print(json.dumps({"codes": codes, "attempts": ATTEMPTS}))


if __name__ == "__main__":
    main(*sys.argv[1:])
