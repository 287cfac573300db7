"""What is asked of a server, and which answers are believed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from agentprm_lite.episode import SamplingConfig
from agentprm_lite.hub import ChatFormat
from agentprm_lite.serve.completions import InexactAnswer, OddAnswer, read_turn, request

CONFIG = SamplingConfig(max_new_tokens=4)
PROMPT = [3, 7, 4]


@pytest.fixture
def answer(chat: ChatFormat) -> dict[str, Any]:
    """vLLM's answer: "get 2" and the end-of-turn token."""
    ids = chat.turn_ids("get 2")
    assert len(ids) == 3
    logprobs = {"tokens": [f"token_id:{i}" for i in ids], "token_logprobs": [-0.5, -1.5, 0.0]}
    choice = {"index": 0, "text": "get 2", "finish_reason": "stop", "stop_reason": None}
    choice |= {"token_ids": ids, "prompt_token_ids": PROMPT, "logprobs": logprobs}
    usage = {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    return {"choices": [choice], "usage": usage}


def changed(answer: dict[str, Any], **choice: Any) -> dict[str, Any]:
    answer = copy.deepcopy(answer)
    answer["choices"][0].update(choice)
    return answer


def test_the_request(chat: ChatFormat):
    config = SamplingConfig(temperature=0.7, max_new_tokens=9)
    assert request([5, 6], 11, chat, config) == {
        "prompt": [5, 6],
        "max_tokens": 9,
        "temperature": 0.7,
        "seed": 11,
        "stop_token_ids": [chat.end_id],
        # left out, these would come from the model's generation_config.json
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


def test_a_whole_answer(chat: ChatFormat, answer: dict[str, Any]):
    turn = read_turn(answer, PROMPT, chat, CONFIG)
    assert turn.ids == chat.turn_ids("get 2")
    assert turn.logprobs == [-0.5, -1.5, 0.0]
    assert turn.cached == 0


def test_ids_from_logprobs_alone(chat: ChatFormat, answer: dict[str, Any]):
    del answer["choices"][0]["token_ids"]
    assert read_turn(answer, PROMPT, chat, CONFIG).ids == chat.turn_ids("get 2")


def test_what_a_server_may_leave_out(chat: ChatFormat, answer: dict[str, Any]):
    bare = {"choices": [{k: answer["choices"][0][k] for k in ("finish_reason", "token_ids")}]}
    turn = read_turn(bare, PROMPT, chat, CONFIG)
    assert (turn.ids, turn.logprobs, turn.cached) == (chat.turn_ids("get 2"), [], 0)


def test_logprobs_are_kept_at_temperature_1_only(chat: ChatFormat, answer: dict[str, Any]):
    config = SamplingConfig(temperature=0.7, max_new_tokens=4)
    assert read_turn(answer, PROMPT, chat, config).logprobs == []


@pytest.mark.parametrize(("told", "cached"), [(2, 2), (0, 0), (None, 0), (4, 0), ("2", 0)])
def test_cached_tokens_as_the_server_tells(
    chat: ChatFormat, answer: dict[str, Any], told: Any, cached: int
):
    answer["usage"]["prompt_tokens_details"] = {"cached_tokens": told}
    assert read_turn(answer, PROMPT, chat, CONFIG).cached == cached


def test_a_turn_that_was_cut_at_the_limit(chat: ChatFormat, answer: dict[str, Any]):
    ids = chat.encode("get 2 stick get")
    cut = changed(answer, token_ids=ids, text="get 2 stick get", finish_reason="length")
    cut["choices"][0]["logprobs"] = None
    cut["usage"] = None
    assert read_turn(cut, PROMPT, chat, CONFIG).ids == ids


def test_another_end_token_ends_a_turn_too(chat: ChatFormat, answer: dict[str, Any]):
    ids = [*chat.encode("get 2"), chat.tokenizer.convert_tokens_to_ids("<|system|>")]
    other = changed(answer, token_ids=ids, logprobs=None)  # the text is without the last token
    assert read_turn(other, PROMPT, chat, CONFIG).ids == ids


@pytest.mark.parametrize(
    ("text", "good"),
    # spaces and signs for half a character differ between ways to decode; letters don't
    [("get 2", True), (" get2", True), ("get\ufffd 2", True), ("get 2<|end|>", True), ("", True),
     ("get 3", False), ("get", True), ("get 2 2", False)],
)  # fmt: skip
def test_the_text_must_be_that_of_the_ids(
    chat: ChatFormat, answer: dict[str, Any], text: str, good: bool
):
    if text == "get":  # all but the last id, where no end-of-turn token was sampled
        answer = changed(answer, token_ids=chat.encode("get 2"), logprobs=None)
        answer["usage"]["completion_tokens"] = 2
    answer = changed(answer, text=text)
    if good:
        read_turn(answer, PROMPT, chat, CONFIG)
    else:
        with pytest.raises(InexactAnswer, match="the server's tokenizer isn't the policy's"):
            read_turn(answer, PROMPT, chat, CONFIG)


def test_text_alone_is_refused(chat: ChatFormat, answer: dict[str, Any]):
    for tokens in ([], ["get", " 2", "<|end|>"], ["token_id:9", "token_id:x", "token_id:2"]):
        alone = changed(answer, token_ids=None, logprobs={"tokens": tokens})
        with pytest.raises(InexactAnswer, match=r"no token ids, expected.*return_token_ids"):
            read_turn(alone, PROMPT, chat, CONFIG)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"token_ids": []}, "expected token ids, at least one"),
        ({"token_ids": [1.0, 2]}, "expected token ids"),
        ({"token_ids": [True]}, "expected token ids"),
        ({"token_ids": "12"}, "expected token ids"),
        ({"token_ids": [-1]}, "token id -1 isn't in the policy's vocabulary"),
        ({"token_ids": [99_999]}, "token id 99999 isn't in the policy's vocabulary"),
        ({"token_ids": [9] * 5}, "5 tokens came, expected at most 4"),
        ({"token_ids": [2, 9, 9]}, "goes on after its end-of-turn token 2"),
        ({"token_ids": [9, 9], "finish_reason": "length"}, "cut after 2 tokens of 4"),
        ({"prompt_token_ids": [7, 4]}, "prompt_token_ids aren't the prompt"),
    ],
)
def test_ids_that_cannot_be(
    chat: ChatFormat, answer: dict[str, Any], choice: dict[str, Any], message: str
):
    assert chat.end_id == 2
    answer = changed(answer, **{"logprobs": None, "text": None} | choice)
    answer["usage"] = {}
    with pytest.raises(InexactAnswer, match=message):
        read_turn(answer, PROMPT, chat, CONFIG)


def test_the_two_forms_of_ids_must_agree(chat: ChatFormat, answer: dict[str, Any]):
    answer["choices"][0]["logprobs"]["tokens"][1] = "token_id:9"
    with pytest.raises(InexactAnswer, match=r"logprobs.tokens say \[\d+, 9, 2\]"):
        read_turn(answer, PROMPT, chat, CONFIG)


def test_a_stop_token_that_was_left_out_is_noticed(chat: ChatFormat, answer: dict[str, Any]):
    trimmed = changed(answer, token_ids=chat.encode("get 2"), logprobs=None)
    with pytest.raises(InexactAnswer, match=r"2 token ids came.*completion_tokens is 3"):
        read_turn(trimmed, PROMPT, chat, CONFIG)
    trimmed["usage"] = None  # and where nothing was counted it isn't believed
    with pytest.raises(InexactAnswer, match="completion_tokens is None: the token that ended"):
        read_turn(trimmed, PROMPT, chat, CONFIG)


@pytest.mark.parametrize(
    "values", [[-1.0, -1.0], [-1.0, None, -1.0], [-1.0, float("nan"), 0.0], [-1.0, 0.5, 0.0], "x"]
)
def test_logprobs_that_cannot_be(chat: ChatFormat, answer: dict[str, Any], values: Any):
    answer["choices"][0]["logprobs"]["token_logprobs"] = values
    with pytest.raises(OddAnswer, match="expected 3 log-probabilities"):
        read_turn(answer, PROMPT, chat, CONFIG)


@pytest.mark.parametrize("reason", ["abort", "error", "content_filter", 3])
def test_a_turn_that_the_server_gave_up(chat: ChatFormat, answer: dict[str, Any], reason: Any):
    with pytest.raises(OddAnswer, match="expected 'stop' or 'length'"):
        read_turn(changed(answer, finish_reason=reason), PROMPT, chat, CONFIG)


def test_without_a_reason_the_tokens_tell(chat: ChatFormat, answer: dict[str, Any]):
    whole = changed(answer, finish_reason=None)
    assert read_turn(whole, PROMPT, chat, CONFIG).ids == chat.turn_ids("get 2")
    four = chat.encode("get 2 stick get")
    cut = changed(answer, finish_reason=None, token_ids=four, logprobs=None, text=None)
    cut["usage"] = None
    assert read_turn(cut, PROMPT, chat, CONFIG).ids == four
    with pytest.raises(OddAnswer, match="2 tokens have no end"):
        read_turn(changed(cut, token_ids=four[:2]), PROMPT, chat, CONFIG)


@pytest.mark.parametrize("other", [None, [], "x", {}, {"choices": []}, {"choices": [1]}])
def test_no_answer_at_all(chat: ChatFormat, other: Any):
    with pytest.raises(OddAnswer, match="expected an object with one choice"):
        read_turn(other, PROMPT, chat, CONFIG)


def test_fields_of_other_types(chat: ChatFormat, answer: dict[str, Any]):
    for text in (5, 2.5, True, [1], {"a": 1}):
        with pytest.raises(OddAnswer, match="expected a text"):
            read_turn(changed(answer, text=text), PROMPT, chat, CONFIG)
    for tokens in (5, 2.5, True, "x", {}):
        odd = changed(answer, token_ids=None, logprobs={"tokens": tokens})
        with pytest.raises(InexactAnswer, match="the answer has no token ids"):
            read_turn(odd, PROMPT, chat, CONFIG)
