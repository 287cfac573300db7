"""Sampling from servers: any number of them, slow, overloaded or dead now and then.

Every episode goes on by itself: as soon as its environment has answered, its next turn is asked of
a server with a free place. A server has ``in_flight`` places, so that a slow one gets less of the
work; after an error it has one place until an answer comes, and half as many as before from then
on, one more for every round of answers.

A request can be sent again safely: it carries the seed of its turn, drawn from the episode's own
random stream. Where the servers sample by the seed alone, the same run gives the same trajectories
from any number of servers, whatever goes wrong on the way.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentprm_lite.chat import ChatFormat
from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.serve.completions import (
    InexactAnswer,
    Turn,
    UnfinishedAnswer,
    read_turn,
    request,
)
from agentprm_lite.serve.http_client import (
    Address,
    AnswerTimeout,
    ConnectionLost,
    NotHTTP,
    pause,
    short,
)
from agentprm_lite.types import Task, Trajectory, Usage

logger = logging.getLogger(__name__)


class ServerRefused(RuntimeError):
    """A server whose answers can't be used, and what it would have to return."""


class AllServersDown(RuntimeError):
    """No server answers; names each and its last error."""


class _Unavailable(Exception):
    """No answer this time: connection lost, too slow, HTTP 429 or 5xx."""


@dataclass
class _Server:
    """What is known about a server."""

    address: Address
    places: int
    """Most requests in flight."""
    limit: float
    """Requests in flight that it seems to bear, 1 to ``places``."""
    busy: int = 0
    answering: bool = False
    """The last request that came back was answered."""
    failures: int = 0
    """Failures in a row; those of requests that were under way together count once."""
    failed_at: float = -1.0
    rest_until: float = 0.0
    error: str = ""

    def free(self, now: float) -> int:
        if now < self.rest_until:
            return 0
        return (int(self.limit) if self.answering else 1) - self.busy

    def answered(self, sent: float) -> None:
        if sent > self.failed_at:  # an answer to an older request doesn't show that it is back
            if self.failures:
                logger.warning("%s answers again", self.address.url)
            self.answering, self.failures = True, 0
            self.limit = min(self.places, self.limit + 1 / self.limit)

    def failed(self, sent: float, now: float, error: str) -> None:
        self.error = error
        if sent > self.failed_at:
            self.rest_until = now + pause(self.failures)
            if not self.failures:
                logger.warning("%s: %s; tried again after a pause", self.address.url, error)
            self.failed_at, self.answering = now, False
            self.failures += 1
            self.limit = max(1.0, self.limit / 2)


@dataclass
class _Job:
    """A turn to be sampled."""

    episode: Episode
    body: dict[str, Any]
    sent: float = 0.0
    """When it was sent last."""


_Answers = queue.SimpleQueue[tuple[_Server, _Job, Any]]


class OpenAIBackend:
    """A policy on OpenAI-compatible servers that return token ids: vLLM, SGLang.

    ``transformers serve`` takes and returns text only, so it is refused; for such a model use
    :func:`agentprm_lite.fast.player`.

    Args:
        urls: one a server, such as ``"http://localhost:8000/v1"``. All must serve the same model.
        chat: the policy's chat format; its tokenizer must be the servers'.
        config: how to sample.
        policy: name that the trajectories carry.
        model: the model's name on the servers; by default the only one that they list.
        in_flight: most requests at once, per server.
        timeout: seconds to wait for one turn.
        retries: how often in a row a server may fail, after the first time, before it counts as
            dead. Dead servers are still tried, every 5 seconds, while another one lives.

    Raises:
        ValueError: no url, one of another form, or a number out of range.
    """

    def __init__(
        self,
        urls: Sequence[str],
        chat: ChatFormat,
        config: SamplingConfig,
        policy: str = "policy",
        *,
        model: str | None = None,
        in_flight: int = 16,
        timeout: float = 120.0,
        retries: int = 6,
    ) -> None:
        if isinstance(urls, str) or not urls or len(set(urls)) < len(urls):
            raise ValueError(f"urls: expected a list of different addresses, got {urls!r}")
        if in_flight < 1 or not timeout > 0 or retries < 0:
            raise ValueError(
                f"expected in_flight >= 1, timeout > 0 and retries >= 0, got {in_flight}, "
                f"{timeout} and {retries}"
            )
        self.chat, self.config, self.policy, self.model = chat, config, policy, model
        self.in_flight, self.timeout, self.retries = in_flight, timeout, retries
        self.addresses = [Address(url) for url in urls]

    def start(self, task: Task, sample: int, seed: int) -> Episode:
        """An episode of a task, in this policy's format.

        Args:
            task: what to do.
            sample: number of the sample.
            seed: of the run.

        Returns:
            The episode, without steps.
        """
        return Episode.start(task, sample, seed, self.chat, self.config)

    def run(self, episodes: Sequence[Episode]) -> list[Trajectory]:
        """Play episodes to their end.

        Args:
            episodes: B episodes at any state.

        Returns:
            Their trajectories, in the same order.

        Raises:
            ServerRefused: a server answers, but not with exact token ids.
            AllServersDown: every server failed ``retries`` times more in a row.
        """
        self._play(episodes, once=False)
        return [episode.trajectory(self.policy) for episode in episodes]

    def act(self, episodes: Sequence[Episode]) -> None:
        """Play one turn of every episode; one that is done, or without room, is left alone."""
        self._play(episodes, once=True)

    def _play(self, episodes: Sequence[Episode], once: bool) -> None:
        waiting = deque(self._job(e) for e in episodes if e.goes_on(self.config))
        answers: _Answers = queue.SimpleQueue()
        servers = [_Server(a, self.in_flight, float(self.in_flight)) for a in self.addresses]
        while waiting or any(server.busy for server in servers):
            try:
                server, job, answer = answers.get(timeout=self._send(servers, waiting, answers))
            except queue.Empty:  # a server has rested long enough
                continue
            server.busy -= 1
            try:
                turn = self._turn(server, job, answer)
            except _Unavailable as err:
                server.failed(job.sent, time.monotonic(), str(err))
                self._check_alive(servers)
                waiting.appendleft(job)
                continue
            server.answered(job.sent)
            prompt, episode = len(job.episode.ids), job.episode
            episode.usage += Usage(prefilled=prompt - turn.cached, cached=turn.cached)
            episode.step(turn.ids, turn.logprobs, self.chat)
            if not once and episode.goes_on(self.config):
                waiting.append(self._job(episode))

    def _job(self, episode: Episode) -> _Job:
        seed = int(episode.rng.integers(2**31))
        return _Job(episode, request(list(episode.ids), seed, self.chat, self.config))

    def _send(
        self, servers: list[_Server], waiting: deque[_Job], answers: _Answers
    ) -> float | None:
        """Fill the free places; each request waits in a thread of its own.

        Returns the seconds after which there may be a place without an answer.
        """
        now = time.monotonic()
        while waiting:
            free = [s for s in servers if s.free(now) > 0]
            if not free:
                rests = [s.rest_until - now for s in servers if s.rest_until > now]
                return min(rests, default=None)
            server = min(free, key=lambda s: (not s.answering, s.busy / s.limit))
            job = waiting.popleft()
            job.sent = now
            server.busy += 1
            arguments = (server, job, answers)
            threading.Thread(target=self._ask, args=arguments, daemon=True).start()
        return None

    def _check_alive(self, servers: list[_Server]) -> None:
        if all(server.failures > self.retries for server in servers):
            errors = "\n".join(f"  {s.address.url}: {s.error}" for s in servers)
            raise AllServersDown(
                "no server answers any more; start one and run again, whole blocks of trajectories "
                f"are in the file. Last errors:\n{errors}"
            )

    def _turn(self, server: _Server, job: _Job, answer: Any) -> Turn:
        """The turn in what a thread brought back."""
        if isinstance(answer, Exception):
            raise answer
        try:
            return read_turn(answer, job.body["prompt"], self.chat, self.config)
        except UnfinishedAnswer as err:
            raise _Unavailable(f"POST /completions: {err}") from err
        except InexactAnswer as err:
            raise _refusal(server.address, str(err)) from err

    def _ask(self, server: _Server, job: _Job, answers: _Answers) -> None:
        """Send a job and put what came of it into the queue; runs in a thread."""
        try:
            if self.model is None:
                self.model = self._only_model(server.address)
            body = {"model": self.model, **job.body}
            answers.put((server, job, self._call(server.address, "POST", "/completions", body)))
        except Exception as err:  # raised again by the thread that waits
            answers.put((server, job, err))

    def _only_model(self, address: Address) -> str:
        listed = self._call(address, "GET", "/models", None)
        try:
            names = [str(entry["id"]) for entry in listed["data"]]
        except (KeyError, TypeError) as err:
            problem = f"GET /models: expected a list of models, got {short(listed)}"
            raise _refusal(address, problem) from err
        if len(names) != 1:
            raise _refusal(address, f"lists the models {names}; name one by the argument model")
        return names[0]

    def _call(self, address: Address, method: str, path: str, body: Any) -> Any:
        """One request; returns the answer's JSON."""
        data = None if body is None else json.dumps(body).encode()
        call = f"{method} {path}"
        try:
            status, raw = address.exchange(method, path, data, self.timeout)
        except (ConnectionLost, AnswerTimeout) as err:
            raise _Unavailable(f"{call}: {err}") from err
        except NotHTTP as err:
            raise _refusal(address, f"{call}: {err}") from err
        text = raw.decode(errors="replace")
        if status == 429 or status >= 500:
            raise _Unavailable(f"{call}: HTTP {status}: {short(text)}")
        if status != 200:
            raise _refusal(address, f"{call}: HTTP {status}: {short(text)}")
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as err:
            raise _refusal(address, f"{call}: not JSON ({err}): {short(text)}") from err


def _refusal(address: Address, problem: str) -> ServerRefused:
    return ServerRefused(
        f"{address.url}: {problem}\nOpenAIBackend needs a server whose POST /completions takes the "
        "prompt as token ids and returns the produced token ids (return_token_ids): vLLM 0.10.2 or "
        "later, or a recent SGLang; the url normally ends in /v1"
    )
