"""Sampling from servers: any number of them, slow, overloaded or dead now and then.

A server has ``in_flight`` places, each a thread that asks for one turn at a time; so a slow server
gets less of the work. What a server can't answer is asked of whichever has a place next. After a
failure the places of a server try one by one, with growing pauses, until an answer comes.

A request can be sent again safely: it carries the seed of its turn, drawn from the episode's own
random stream. Where the servers sample by the seed alone, the same run gives the same trajectories
from any number of servers, whatever goes wrong on the way.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import openai

from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.hub import ChatFormat
from agentprm_lite.sampling import Player
from agentprm_lite.serve.address import check_url, pause
from agentprm_lite.serve.calls import Refused, TooLong, Unavailable, call, only_model
from agentprm_lite.serve.completions import Completion, OddAnswer, read_turn, request
from agentprm_lite.types import Trajectory, Usage

logger = logging.getLogger(__name__)

KEY_VARIABLE = "OPENAI_API_KEY"
_STOP = -1  # number of a job that ends a place
_NEEDED = (
    "Sampling needs a server whose POST /completions takes the prompt as token ids and returns the "
    "produced token ids (return_token_ids): vLLM 0.10.2 or later, or a recent SGLang; the url "
    "normally ends in /v1"
)


class AllServersDown(RuntimeError):
    """No server answers; names each and its last error."""


class ServerRefused(AllServersDown):
    """No server answers, and at least one gives answers that can't be used."""


@dataclass
class _Job:
    """A turn to be sampled."""

    number: int
    """Place of the episode among those of the run; the first ones go first."""
    episode: Episode
    body: dict[str, Any]
    odd: int = 0
    """How often it was answered with what can't be used."""
    others: int = 0
    """How many turns had been answered when that happened first, or when it was sent, if late."""
    asked: int = 0
    """How many turns had been answered when it was sent."""

    def __lt__(self, other: _Job) -> bool:
        return self.number < other.number


class _Server:
    """A server, and what is known about it."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        self.url = url
        self.client = openai.OpenAI(base_url=url, api_key=key, timeout=timeout, max_retries=0)
        self.one = threading.Lock()  # held by the place that tries whether it is back
        self.failures = 0
        """In a row; those of requests that were under way together count once."""
        self.failed_at = self.rest_until = -1.0
        self.error = ""
        self.answered = 0
        self.refused = False

    def succeeded(self, sent: float) -> None:
        self.answered += 1
        if self.failures and sent > self.failed_at:  # not an answer from before the failure
            logger.warning("%s answers again", self.url)
            self.failures = 0

    def failed(self, sent: float, error: str, wait: float) -> None:
        self.error = error
        now = time.monotonic()
        self.rest_until = max(self.rest_until, now + wait)
        if sent > self.failed_at:
            if not self.failures:
                then = "not used any more" if self.refused else "tried again after a pause"
                logger.warning("%s: %s; %s", self.url, error, then)
            self.rest_until = max(self.rest_until, now + pause(self.failures))
            self.failed_at = now
            self.failures += 1


class ServerPlayer(Player):
    """A policy on OpenAI-compatible servers that return token ids: vLLM, SGLang.

    ``transformers serve`` takes and returns text only, so it is refused; sample such a model in
    this process.

    Args:
        urls: one a server, such as ``"http://localhost:8000/v1"``. All must serve the same model.
        chat: the policy's chat format; its tokenizer must be the servers'.
        config: how to sample.
        policy: name that the trajectories carry.
        model: the model's name on the servers; by default the only one that they list.
        api_key: sent to every server; by default what the variable OPENAI_API_KEY holds.
        in_flight: most requests at once, per server.
        timeout: seconds to wait for one turn.
        retries: how often in a row a server may fail, after the first time, before it counts as
            dead, and how often a turn is asked for again after an answer that can't be used. Dead
            servers are still tried while another one lives.

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
        api_key: str | None = None,
        in_flight: int = 16,
        timeout: float = 120.0,
        retries: int = 6,
    ) -> None:
        if isinstance(urls, str) or not urls or len(set(urls)) < len(urls):
            raise ValueError("urls: expected a list of different addresses")
        if in_flight < 1 or not timeout > 0 or retries < 0:
            raise ValueError(
                f"expected in_flight >= 1, timeout > 0 and retries >= 0, got {in_flight}, "
                f"{timeout} and {retries}"
            )
        self.chat: ChatFormat = chat
        self.config, self.policy, self.model = config, policy, model
        self.in_flight, self.retries = in_flight, retries
        key = api_key or os.environ.get(KEY_VARIABLE) or "none"
        self._servers = [_Server(check_url(url), key, timeout) for url in urls]
        self._answered: _Job | None = None  # the last one that was

    def act(self, episodes: Sequence[Episode]) -> None:
        """Play one turn of every episode; one that is done, or without room, is left alone."""
        self._play(episodes, to_the_end=False)

    def run(self, episodes: Sequence[Episode]) -> list[Trajectory]:
        """Play episodes at any state to their end; trajectories in the same order.

        Raises ServerRefused or AllServersDown when no server is left.
        """
        self._play(episodes, to_the_end=True)
        return [episode.trajectory(self.policy) for episode in episodes]

    def _play(self, episodes: Sequence[Episode], to_the_end: bool) -> None:
        jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        answers: queue.SimpleQueue[tuple[_Job, Any]] = queue.SimpleQueue()
        going = [episode for episode in episodes if episode.goes_on(self.config)]
        for number, episode in enumerate(going):
            jobs.put(self._job(number, episode))
        for server in self._servers:  # those that were dead get another chance
            server.failures = min(server.failures, self.retries)
        self._check_alive()
        places = [s for s in self._servers for _ in range(min(self.in_flight, len(going)))]
        for server in places:
            threading.Thread(target=self._place, args=(server, jobs, answers), daemon=True).start()
        unanswered: list[Episode] = []  # given up since the last answer
        try:
            under_way = len(going)
            while under_way:
                job, answer = answers.get()
                if isinstance(answer, Completion):
                    unanswered.clear()
                    self._answered = job
                    goes_on = self._step(job.episode, answer) and to_the_end
                    job = self._job(job.number, job.episode) if goes_on else job
                else:
                    goes_on = self._once_more(job, answer)
                    unanswered += [job.episode] * (not goes_on)
                if goes_on:
                    jobs.put(job)
                under_way -= not goes_on
            # one episode alone may well be too long for servers that have answered nothing yet
            if unanswered and (self._answered or len(going) > 1) and not self._answers():
                raise ServerRefused(f"no server answers anything any more; the last said: {answer}")
        except AllServersDown:  # then it wasn't the episodes: the next run asks for them again
            for episode in unanswered:
                episode.truncated_by = ""
            raise
        finally:
            for _ in places:
                jobs.put(_Job(_STOP, going[0], {}))

    def _job(self, number: int, episode: Episode) -> _Job:
        seed = int(episode.rng.integers(2**31))
        return _Job(number, episode, request(list(episode.ids), seed, self.chat, self.config))

    def _step(self, episode: Episode, turn: Completion) -> bool:
        """Take a turn in the environment; whether there is a next one."""
        prompt = len(episode.ids)
        episode.usage += Usage(prefilled=prompt - turn.cached, cached=turn.cached)
        episode.step(turn.ids, turn.logprobs, self.chat)
        return episode.goes_on(self.config)

    def _once_more(self, job: _Job, problem: Exception) -> bool:
        """Whether a turn that got no answer is asked for again; else its episode ends here."""
        if isinstance(problem, TooLong):
            logger.warning("%s ends here as truncated: %s", job.episode.key, problem)
            job.episode.truncated_by = "tokens"
            return False
        if not isinstance(problem, (Unavailable, Refused, OddAnswer)):
            raise problem
        answered = sum(server.answered for server in self._servers)
        if not isinstance(problem, Unavailable) or problem.failed:
            before = job.asked if getattr(problem, "late", False) else answered
            job.others = job.others if job.odd else before
            job.odd += 1
            # a server that fails with every turn is down; one that fails with this one isn't
            own = isinstance(problem, OddAnswer) or getattr(problem, "own", False)
            alive = answered > (0 if own else job.others)
            if job.odd > self.retries and alive:
                logger.warning("%s is given up: %s", job.episode.key, problem)
                job.episode.truncated_by = "server"
                return False
        self._check_alive()
        return True

    def _answers(self) -> bool:
        """Whether a server still answers what was answered before."""
        job = self._answered
        return job is not None and any(
            isinstance(self._ask(server, job), Completion) for server in self._servers
        )

    def _check_alive(self) -> None:
        if all(s.refused or s.failures > self.retries for s in self._servers):
            refused = any(server.refused for server in self._servers)
            errors = "\n".join(f"  {server.url}: {server.error}" for server in self._servers)
            raise (ServerRefused if refused else AllServersDown)(
                "no server answers any more; what was collected is in the file; the same command "
                f"goes on after it. Last errors:\n{errors}" + (f"\n{_NEEDED}" if refused else "")
            )

    def _place(
        self,
        server: _Server,
        jobs: queue.PriorityQueue[_Job],
        answers: queue.SimpleQueue[tuple[_Job, Any]],
    ) -> None:
        """A place at a server, a thread: one turn at a time."""
        while not server.refused:
            job = jobs.get()
            if job.number == _STOP:
                return
            if not server.failures:
                answers.put((job, self._ask(server, job)))
                continue
            jobs.put(job)  # for another server; this one is tried by one place at a time
            with server.one:
                if server.failures and not server.refused:
                    time.sleep(max(0.0, server.rest_until - time.monotonic()))
                    job = jobs.get()
                    if job.number == _STOP:
                        return
                    answers.put((job, self._ask(server, job)))

    def _ask(self, server: _Server, job: _Job) -> Completion | Exception:
        """The turn that a server gives, or what went wrong."""
        sent, job.asked = time.monotonic(), sum(s.answered for s in self._servers)
        try:
            if self.model is None:
                self.model = only_model(server.client)
            answer = call(server.client, "POST", "/completions", {"model": self.model, **job.body})
            turn = read_turn(answer, job.body["prompt"], self.chat, self.config)
        except Refused as err:
            server.refused = not server.answered
            server.failed(sent, str(err), 0.0)
            return err
        except (Unavailable, OddAnswer) as err:
            server.failed(sent, str(err), getattr(err, "wait", 0.0))
            return err
        except Exception as err:  # raised again by the thread that waits, or the episode's end
            return err
        server.succeeded(sent)
        return turn
