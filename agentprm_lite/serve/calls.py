"""One request to an OpenAI-compatible server, and every way it can go wrong."""

from __future__ import annotations

import email.utils
import json
import re
import time
from typing import Any

import openai

from agentprm_lite.serve.address import short

LONGEST_WAIT = 300.0
"""Seconds; a longer Retry-After is cut to this."""
_TOO_LONG = re.compile(
    r"context.{0,8}(length|window|size|limit)|max_model_len|maximum.{0,20}(tokens|length)"
    r"|(prompt|input).{0,30}too long|longer than the (model|maximum)|max_total_tokens"
    r"|tokens\W{0,3}must be <= *[0-9]+",
    re.IGNORECASE | re.DOTALL,
)


class Unavailable(Exception):
    """No answer this time: connection lost, too slow, overloaded, a failure of the server."""

    def __init__(
        self, problem: str, wait: float = 0.0, failed: bool = False, late: bool = False
    ) -> None:
        super().__init__(problem)
        self.wait = wait
        """Seconds that the server wants to be left alone."""
        self.failed = failed
        """The server was reached, and failed with this request; perhaps with no other."""
        self.late = late
        """It took too long; meanwhile others may have been answered."""


class Refused(Exception):
    """An answer that another try of the same won't better."""

    def __init__(self, problem: str, own: bool = False) -> None:
        super().__init__(problem)
        self.own = own
        """It may be about this request alone."""


class TooLong(Exception):
    """The server's context is too short for this history."""


def call(client: openai.OpenAI, method: str, path: str, body: dict[str, Any] | None) -> Any:
    """The JSON of an answer; raises Unavailable, Refused or TooLong, never with the key in it."""
    try:
        if method == "GET":
            answer = client.get(path, cast_to=object)
        else:
            answer = client.post(path, body=body, cast_to=object)
    except openai.APIStatusError as err:
        said, code = f"HTTP {err.status_code}: {_said(err.response.text)}", err.status_code
        problem = _hidden(f"{method} {path}: {said}", client)
        if code == 401:
            problem += "; give the server's key by the argument api_key or OPENAI_API_KEY"
        if code in (408, 409, 425, 429) or code >= 500:
            wait = _retry_after(err.response.headers)
            raise Unavailable(problem, wait, code in (500, 501)) from None
        if code in (400, 413, 422) and _TOO_LONG.search(said):
            raise TooLong(problem) from None
        raise Refused(problem, own=code in (400, 413, 422)) from None
    except openai.APITimeoutError as err:
        problem = f"{method} {path}: no answer within {client.timeout:g} s"
        raise Unavailable(problem, failed=_reached(err), late=True) from None
    except openai.APIConnectionError as err:
        cause: BaseException = err
        while cause.__cause__ is not None:
            cause = cause.__cause__
        problem = f"{method} {path}: {type(cause).__name__}: {cause}"
        raise Unavailable(_hidden(problem, client), failed=_reached(err)) from None
    except (ValueError, RecursionError) as err:
        raise Unavailable(f"{method} {path}: not JSON ({err})", failed=True) from None
    if isinstance(answer, str):  # a server that calls it by another type, or something else
        try:
            answer = json.loads(answer)
        except ValueError:
            problem = _hidden(f"{method} {path}: not JSON: {short(answer)}", client)
            raise Refused(problem) from None
    if isinstance(answer, dict) and answer.get("error") and "choices" not in answer:
        said = short(answer["error"])
        problem = _hidden(f"{method} {path}: {said}", client)
        raise (TooLong(problem) if _TOO_LONG.search(said) else Unavailable(problem, failed=True))
    return answer


def only_model(client: openai.OpenAI) -> str:
    """The name of the one model that a server lists; raises as :func:`call`."""
    listed = call(client, "GET", "/models", None)
    try:
        names = [str(entry["id"]) for entry in listed["data"]]
    except (KeyError, TypeError):
        raise Refused(f"GET /models: expected a list of models, got {short(listed)}") from None
    if len(names) != 1:
        raise Refused(f"lists the models {names}; name one by the argument model")
    return names[0]


def _reached(err: openai.APIConnectionError) -> bool:
    """Whether the connection was there, and then no answer or half of one, or none that is HTTP.

    Told by the name, as openai takes httpx or its successor.
    """
    return not type(err.__cause__).__name__.startswith("Connect")  # ConnectError, ConnectTimeout


def _said(text: str) -> str:
    """The message in an error's body, or the body."""
    try:
        found = json.loads(text)
        while isinstance(found, dict):
            found = next(found[k] for k in ("error", "message", "detail", "object") if k in found)
    except (ValueError, StopIteration, RecursionError):
        found = text
    return short(found if isinstance(found, str) else text)


def _retry_after(headers: Any) -> float:
    """Seconds that a server asks to wait; 0 where it doesn't say."""
    value = headers.get("retry-after") or ""
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = email.utils.parsedate_tz(value)
            seconds = email.utils.mktime_tz(moment) - time.time() if moment else 0.0
        except (ValueError, OverflowError):  # a day that no calendar has
            seconds = 0.0
    return min(max(0.0, seconds), LONGEST_WAIT) if seconds == seconds else 0.0


def _hidden(text: str, client: openai.OpenAI) -> str:
    return text.replace(client.api_key, "***") if len(client.api_key) > 4 else text
