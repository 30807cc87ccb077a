"""What the Hub's client raises, as one line that says what to do. No line holds a token or an address."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

NO_LOGIN = "no login to the Hub: run 'hf auth login' or set HF_TOKEN, or look at the folder with --dry-run"

# How hf_xet, through which the client uploads large files, says in its ConnectionErrors that the Hub refused.
_XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})\b")


@contextmanager
def one_line_errors(what: str, repo_id: str) -> Iterator[None]:
    """Turn errors of the client in the ``with`` block into RuntimeErrors of one line.

    Args:
        what: what did not happen, such as ``"ada/student was not published"``.
        repo_id: what the user must have rights for.

    Raises:
        RuntimeError: no login, a refusal, or the Hub cannot be reached. A ValueError stays one: the front matter that the Hub does
            not accept, and what callers find wrong themselves.
    """
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except LocalTokenNotFoundError:
        raise RuntimeError(NO_LOGIN) from None
    except OfflineModeIsEnabled:
        raise RuntimeError(f"{what}: offline mode is on; unset HF_HUB_OFFLINE, or use --dry-run") from None
    except (HTTPError, OSError, RuntimeError) as error:
        # The client wraps what ended an upload or a download.
        fault = error if isinstance(error, HTTPError) else error.__cause__ or error
        if isinstance(fault, HfHubHTTPError):
            raise RuntimeError(f"{what}: {refusal(fault, repo_id)}") from error
        if isinstance(fault, ConnectionError) and (status := _XET_STATUS.search(str(fault))):
            raise RuntimeError(f"{what}: {_refused(int(status[1]), '', repo_id)}") from error
        if isinstance(fault, PermissionError) and fault.filename is None:  # hf_xet's, of the storage's own token
            raise RuntimeError(f"{what}: {_refused(403, '', repo_id)}") from error
        if isinstance(fault, (HTTPError, OSError)):
            raise RuntimeError(f"{what}: {_unreachable(fault)}") from error
        raise RuntimeError(f"{what}: {' '.join(str(error).split())}") from error
    except json.JSONDecodeError as error:
        raise RuntimeError(f"{what}: the Hub's answer cannot be read; run the same command again") from error
    except ValueError as error:
        raise ValueError(" ".join(str(error).split())) from error


def refusal(error: Exception, repo_id: str) -> str:
    """Why the Hub refused, and what to do, for an `HfHubHTTPError`."""
    return _refused(error.response.status_code, error.server_message or "", repo_id)


def _refused(status: int, message: str, repo_id: str) -> str:
    advice = {
        401: "the token is not valid: log in again with 'hf auth login'",
        402: "the account must be paid for this: see the billing page of the Hub",
        403: f"the token may not write to {repo_id}: use one with write access, and a name of yours",
        404: f"it knows no {repo_id} that this token may see: check the name, or log in as somebody who may",
        409: "it was changed meanwhile: run the same command again",
        412: "it was changed meanwhile: run the same command again",
        429: "too many requests: run the same command again in some minutes",
    }
    said = " ".join(message.split())[:200]
    passing = "a fault of the server: run the same command again" if status >= 500 else None
    return f"the Hub answered {status}; {advice.get(status) or passing or said or 'see its status page'}"


def _unreachable(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror}: {error.filename}"
    return f"the Hub cannot be reached ({type(error).__name__}): check the network and run the same command again"
