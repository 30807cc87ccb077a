"""Calls to the Hub that its client makes once, made again after a fault that passes by.

The client itself repeats what is safe to repeat blindly: asking how a file is to be uploaded, the uploads, listing a
tree, and a download, but for a connection cut at its first request. It does not repeat who the user is, what a repository
is, making one, committing, or its settings. Those go through `retried`, or, where an answer that is lost may hide a
success, through a loop of the caller's own with `pause_before`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

TRIES = 5
LONGEST_PAUSE = 300.0
"""Seconds. A Hub that asks for more gets an error that says so instead of a silent hour."""

_PASSING_STATUSES = (408, 429, 500, 502, 503, 504)
_FIRST_PAUSE, _USUAL_LONGEST = 1.0, 8.0
_logger = logging.getLogger(__name__)
Value = TypeVar("Value")


def retried(call: Callable[..., Value], *args: Any, tries: int = TRIES, **kwargs: Any) -> Value:
    """What ``call(*args, **kwargs)`` returns, called again after a fault that may pass; for calls that may be repeated.

    Args:
        tries: calls altogether.

    Raises:
        What the last call raised, or at once what will not pass: a refusal, a wrong token, offline mode.
    """
    for number in range(1, tries):
        try:
            return call(*args, **kwargs)
        except Exception as error:
            if not passing(error):
                raise
            pause_before(number, error)
    return call(*args, **kwargs)


def passing(error: BaseException) -> bool:
    """Whether the same call may succeed later: a cut connection, a time-out, too many requests, a fault of the server."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _PASSING_STATUSES
    # A proxy's page in the place of the Hub's answer cannot be read as JSON; the client hands that on as it is.
    return isinstance(error, (HTTPError, json.JSONDecodeError))


def pause_before(number: int, error: BaseException) -> None:
    """Wait before the next call: as long as the Hub asks, else twice as long each time, from 1 to 8 seconds.

    Args:
        number: how many calls have failed, from 1.
        error: how the last one did.

    Raises:
        RuntimeError: the Hub asks for more than `LONGEST_PAUSE`.
    """
    asked = _asked_pause(error)
    if asked is not None and asked > LONGEST_PAUSE:
        raise RuntimeError(f"the Hub asks to wait {asked:,.0f} seconds; run the same command then") from None
    seconds = min(_USUAL_LONGEST, _FIRST_PAUSE * 2 ** (number - 1)) if asked is None else asked
    _logger.warning("%s; again in %.0f s", describe(error), seconds)
    time.sleep(seconds)


def describe(error: BaseException) -> str:
    """The fault in a few words, without addresses."""
    response = getattr(error, "response", None)
    return (
        f"The Hub answered {response.status_code}" if response is not None else f"{type(error).__name__} from the Hub"
    )


def _asked_pause(error: BaseException) -> float | None:
    """Seconds after which the Hub's answer says to come back; None where it says nothing."""
    from huggingface_hub.utils import parse_ratelimit_headers

    response = getattr(error, "response", None)
    if response is None:
        return None
    limit = parse_ratelimit_headers(response.headers)
    if response.status_code == 429 and limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds + 1.0
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except ValueError:
        return None
