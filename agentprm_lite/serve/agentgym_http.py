"""What AgentGym's servers speak: five calls, three dialects, and every way they can go wrong.

TextCraft and BabyAI (BabyAI's reward is read from "score", as AgentGym's own client does):

    POST /create        {}                ->  {"id": 0, ...}
    POST /reset         {id, data_idx}    ->  {"observation": "...", ...}
    POST /step          {id, action}      ->  {"observation": "...", "reward": 0, "done": false}
    GET  /observation   ?id=              ->  "...", BabyAI: {"observation": "...", ...}
    POST /close         {id}              ->  true

WebShop, which has no /close:

    POST /create        {}                      ->  0
    POST /reset         {env_idx, session_id}   ->  ["...", null]
    POST /step          {env_idx, action}       ->  {"state": "...", "reward": 0.0, "done": false}
    GET  /observation   ?env_idx=               ->  "..."

Errors come as {"error": "..."} with HTTP 200, or as HTTP 500.
"""

from __future__ import annotations

import http.client
import json
import math
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from agentprm_lite.serve.address import check_url, pause, short


class AgentGymError(RuntimeError):
    """A call that a server did not answer as it should: method, address, instance, problem."""

    def __init__(self, call: str, problem: str) -> None:
        super().__init__(f"{call}: {problem}")
        self.call = call


class ConnectionLost(AgentGymError):
    """No connection, or it ended before the whole answer was there. Only this is tried again."""


class AgentGymTimeout(AgentGymError):
    """No whole answer in time."""


@dataclass(frozen=True)
class Dialect:
    """The words in which a server says the same things."""

    instance: str
    """The number of an instance, in requests."""
    index: str
    """The index of a task, in /reset."""
    text: str
    """The observation, in the answer to /step."""
    reward: str
    """The reward that AgentGym's own client reports, in the answer to /step."""
    can_close: bool
    """Whether the server has /close."""


DIALECTS = {
    "textcraft": Dialect("id", "data_idx", "observation", "reward", True),
    "babyai": Dialect("id", "data_idx", "observation", "score", True),
    "webshop": Dialect("env_idx", "session_id", "state", "reward", False),
}
"""World -> its server's dialect."""


class Server:
    """One of AgentGym's servers; every call raises AgentGymError."""

    def __init__(self, world: str, url: str, timeout: float, retries: int) -> None:
        if world not in DIALECTS:
            raise ValueError(f"world: expected one of {sorted(DIALECTS)}, got {world!r}")
        if not (timeout > 0 and retries >= 0):
            raise ValueError(
                f"expected timeout > 0 and retries >= 0, got timeout={timeout}, retries={retries}"
            )
        self.world, self.url = world, check_url(url)
        self.timeout, self.retries = timeout, retries
        self.dialect = DIALECTS[world]

    def create(self) -> int:
        """Make an instance; gives its number."""
        call, answer = self._call("POST", "/create", None, {})
        number = answer if self.world == "webshop" else _part(call, answer, "id")
        if type(number) is not int:
            raise AgentGymError(call, f"expected a number of an instance, got {short(number)}")
        return number

    def reset(self, number: int, index: int) -> str:
        """Begin an episode of a task on an instance; gives the first observation."""
        call, answer = self._call("POST", "/reset", number, {self.dialect.index: index})
        if self.world != "webshop":
            return _text(call, _part(call, answer, "observation"))
        if not isinstance(answer, list) or not answer:
            raise AgentGymError(call, f"expected a list [observation, null], got {short(answer)}")
        return _text(call, answer[0])

    def step(self, number: int, action: str) -> tuple[str, float, bool]:
        """Play one action: observation, reward, done.

        It is never sent twice: after a lost connection nobody knows whether it has been played.
        """
        call, answer = self._call("POST", "/step", number, {"action": action})
        text = _text(call, _part(call, answer, self.dialect.text))
        reward, done = _part(call, answer, self.dialect.reward), _part(call, answer, "done")
        if isinstance(reward, bool) or not isinstance(reward, int | float):
            raise AgentGymError(
                call, f"expected a number as {self.dialect.reward!r}, got {short(reward)}"
            )
        if not math.isfinite(reward):
            raise AgentGymError(call, f"{self.dialect.reward!r} is {reward}")
        if not isinstance(done, bool):
            raise AgentGymError(call, f"expected true or false as 'done', got {short(done)}")
        return text, float(reward), done

    def observation(self, number: int) -> str:
        """What an instance shows at present; BabyAI puts the goal before it."""
        call, answer = self._call("GET", "/observation", number, {})
        if self.world == "babyai":
            answer = _part(call, answer, "observation")
        return _text(call, answer)

    def close(self, number: int) -> bool:
        """Give an instance up; whether the server knew it. WebShop's server has no such call."""
        call, answer = self._call("POST", "/close", number, {})
        if not isinstance(answer, bool):
            raise AgentGymError(call, f"expected true or false, got {short(answer)}")
        return answer

    def _call(
        self, method: str, what: str, number: int | None, words: dict[str, Any]
    ) -> tuple[str, Any]:
        """Send a request, again after a lost connection; returns its name and the answer."""
        call = f"{method} {self.url}{what}"
        if number is not None:
            call += f" ({self.dialect.instance} {number})"
            words = {self.dialect.instance: number, **words}
        path, body = what, None
        if method == "GET":
            path += f"?{self.dialect.instance}={number}"
        else:
            body = json.dumps(words).encode()
        tries = 1 if what == "/step" else 1 + self.retries
        for again in range(tries):
            try:
                status, data = self._exchange(call, method, path, body)
                break
            except ConnectionLost:
                if again + 1 == tries:
                    raise
                time.sleep(pause(again))
        if status != 200:
            raise AgentGymError(call, f"HTTP {status}: {short(data.decode(errors='replace'))}")
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError) as err:
            raise AgentGymError(
                call, f"not JSON ({err}): {short(data.decode(errors='replace'))}"
            ) from err
        if isinstance(answer, dict) and "error" in answer:
            raise AgentGymError(call, f"the server says {answer['error']!r}")
        return call, answer

    def _exchange(self, call: str, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """One request on a connection of its own, past proxies; returns status and body."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline, body = time.monotonic() + self.timeout, b""
        try:
            try:
                response = opener.open(request, timeout=self.timeout)
            except urllib.error.HTTPError as err:
                response = err
            with response:
                while chunk := response.read1(65536):
                    body += chunk
                    if time.monotonic() > deadline:  # a byte now and then: no read times out
                        raise TimeoutError
                if response.length:
                    raise ConnectionResetError(f"{response.length} bytes of the answer are missing")
                return response.status, body
        except (OSError, http.client.IncompleteRead) as err:
            reason = err.reason if isinstance(err, urllib.error.URLError) else err
            if isinstance(reason, TimeoutError):
                raise AgentGymTimeout(call, f"no answer within {self.timeout:g} s") from err
            raise ConnectionLost(call, f"{type(reason).__name__}: {reason}") from err
        except http.client.HTTPException as err:
            raise AgentGymError(call, f"not HTTP ({type(err).__name__}: {err})") from err


def _part(call: str, answer: Any, key: str) -> Any:
    if not isinstance(answer, dict) or key not in answer:
        raise AgentGymError(call, f"expected an object with {key!r}, got {short(answer)}")
    return answer[key]


def _text(call: str, value: Any) -> str:
    if not isinstance(value, str):
        raise AgentGymError(call, f"expected a text as the observation, got {short(value)}")
    return value
