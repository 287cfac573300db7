"""One turn from an OpenAI-compatible server: what is asked for, and what is believed.

The prompt goes out as token ids, POST /completions with ``prompt: [ids]``. What the model produced
must come back as token ids too, in one of two forms:

    choices[0].token_ids         asked for by ``return_token_ids`` (vLLM 0.10.2 and later; SGLang
                                 since July 2026)
    choices[0].logprobs.tokens   "token_id:123", asked for by ``return_tokens_as_token_ids``
                                 (vLLM)

Text alone is refused: the same text has many tokenizations, and nothing tells which was sampled.

Every setting that changes the distribution is sent, since servers take what is left out from the
model's generation_config.json. A server also ends a turn at the model's other end tokens; such a
turn has no end-of-turn token at its end, as one that was cut.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from agentprm_lite.episode import SamplingConfig
from agentprm_lite.hub import ChatFormat
from agentprm_lite.serve.address import short
from agentprm_lite.serve.calls import Refused

_ENDS = {
    "stop": ("stop", "eos", "eos_token", "stop_sequence", "end_turn"),
    "length": ("length", "max_tokens"),
}


class InexactAnswer(Refused):
    """An answer that doesn't tell exactly which tokens were sampled."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, own=True)


class OddAnswer(Exception):
    """An answer that can't be used, or a turn given up before its end; another may be better."""


@dataclass(frozen=True)
class Completion:
    """What a server answered."""

    ids: list[int]
    """The tokens of the turn, end-of-turn token included."""
    logprobs: list[float]
    """Log-probability of each at temperature 1; empty if unknown."""
    cached: int
    """Tokens of the prompt that the server had computed before, as far as it tells."""


def request(
    prompt: list[int], seed: int, chat: ChatFormat, config: SamplingConfig
) -> dict[str, Any]:
    """The body of a POST /completions for one turn, but for the model's name."""
    return {
        "prompt": prompt,
        "max_tokens": config.max_new_tokens,
        "temperature": config.temperature,
        "seed": seed,
        "stop_token_ids": sorted(chat.end_ids),
        "top_p": 1.0,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "logprobs": 0,
        "skip_special_tokens": False,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }


def read_turn(
    answer: Any, prompt: list[int], chat: ChatFormat, config: SamplingConfig
) -> Completion:
    """The turn in an answer, if the answer proves it; raises InexactAnswer or OddAnswer.

    Log-probabilities are kept at temperature 1 only: at others, servers differ in what they mean.
    """
    choices = _object(answer).get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise OddAnswer(f"expected an object with one choice, got {short(answer)}")
    choice = choices[0]
    said = choice.get("finish_reason")
    reason = next((reason for reason, words in _ENDS.items() if said in words), said)
    if reason not in ("stop", "length", None):
        raise OddAnswer(f"the turn ended by {said!r}, expected 'stop' or 'length'")
    ids = _ids(choice)
    if reason is None:  # then the tokens tell: it is whole by its end token or by its length
        if ids[-1] not in chat.end_ids and len(ids) < config.max_new_tokens:
            raise OddAnswer(f"finish_reason is null, and {len(ids)} tokens have no end")
        reason = "stop" if ids[-1] in chat.end_ids else "length"
    _check(ids, choice, reason, chat, config)
    if choice.get("prompt_token_ids") not in (None, prompt):
        raise InexactAnswer("prompt_token_ids aren't the prompt that was sent")
    usage = _object(answer.get("usage"))
    # a turn that ended by another end token is whole only if that token was counted and came
    count = usage.get("completion_tokens", len(ids) if ids[-1] in chat.end_ids else None)
    if count != len(ids) and (count is not None or reason == "stop"):
        raise InexactAnswer(
            f"{len(ids)} token ids came, usage.completion_tokens is {count}: the token that ended "
            "the turn may be missing"
        )
    cached = _object(usage.get("prompt_tokens_details")).get("cached_tokens")
    if type(cached) is not int or not 0 <= cached <= len(prompt):
        cached = 0
    return Completion(ids, _logprobs(choice, ids, config), cached)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _ids(choice: dict[str, Any]) -> list[int]:
    """The produced ids, in either form; if both came, they must agree."""
    given = choice.get("token_ids")
    tokens = _object(choice.get("logprobs")).get("tokens")
    named = None
    if (
        isinstance(tokens, list)
        and tokens
        and all(isinstance(t, str) and re.fullmatch(r"token_id:\d+", t) for t in tokens)
    ):
        named = [int(t.removeprefix("token_id:")) for t in tokens]
    ids = named if given is None else given
    if ids is None:
        raise InexactAnswer(
            "the answer has no token ids, expected choices[0].token_ids or logprobs.tokens of the "
            "form 'token_id:123'; text alone doesn't tell which tokens were sampled. Serve the "
            "model with a vLLM or SGLang that knows return_token_ids, or sample it in this process "
            "with agentprm_lite.fast.player"
        )
    if not isinstance(ids, list) or not ids or any(type(i) is not int for i in ids):
        raise InexactAnswer(f"expected token ids, at least one, got {short(ids)}")
    if named is not None and named != ids:
        raise InexactAnswer(f"token_ids are {short(ids)}, logprobs.tokens say {short(named)}")
    return ids


def _check(
    ids: list[int], choice: dict[str, Any], reason: str, chat: ChatFormat, config: SamplingConfig
) -> None:
    """Whether the ids are this tokenizer's, and the turn that was asked for."""
    size = len(chat.tokenizer)
    if not all(0 <= i < size for i in ids):
        other = next(i for i in ids if not 0 <= i < size)
        raise InexactAnswer(
            f"token id {other} isn't in the policy's vocabulary of {size}: another model is served"
        )
    if len(ids) > config.max_new_tokens:
        raise InexactAnswer(
            f"{len(ids)} tokens came, expected at most {config.max_new_tokens}: the server ignores "
            "max_tokens"
        )
    if early := chat.end_ids.intersection(ids[:-1]):
        raise InexactAnswer(
            f"the turn goes on after its end-of-turn token {min(early)}: the server ignores "
            "stop_token_ids"
        )
    if reason == "length" and len(ids) < config.max_new_tokens and ids[-1] not in chat.end_ids:
        raise InexactAnswer(
            f"the turn was cut after {len(ids)} tokens of {config.max_new_tokens} asked for: the "
            "server's limit of context or output is too small"
        )
    text = choice.get("text")
    if text and not isinstance(text, str):
        raise OddAnswer(f"the text is {short(text)}, expected a text")
    # a server may leave the last token out of the text
    shown = {_bare(chat.decode([*part, chat.end_id])) for part in (ids, ids[:-1])}
    if text and _bare(text) not in shown:
        raise InexactAnswer(
            f"the text {short(text)} isn't what the token ids say, {short(chat.decode(ids))}: the "
            "server's tokenizer isn't the policy's"
        )


def _bare(text: str) -> str:
    """What every way to decode ids agrees on: no spaces, no signs for parts of a character."""
    return "".join(text.replace("\ufffd", "").split())


def _logprobs(choice: dict[str, Any], ids: list[int], config: SamplingConfig) -> list[float]:
    values = _object(choice.get("logprobs")).get("token_logprobs")
    if values is None or config.temperature != 1.0:
        return []
    good = isinstance(values, list) and all(
        type(v) in (int, float) and math.isfinite(v) and v <= 1e-6 for v in values
    )
    if not good or len(values) != len(ids):
        raise OddAnswer(f"expected {len(ids)} log-probabilities, got {short(values)}")
    return [min(0.0, float(v)) for v in values]
