"""Ids of a chat format, against the tokenizers' own rendering."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import TEXTS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from agentprm_lite.chat import react
from agentprm_lite.hub import ChatFormat
from agentprm_lite.tutorial.tiny import tiny_tokenizer

CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe good.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chatml_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with Qwen's ChatML template, default system message included."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", chat_template=CHATML
    )


@pytest.fixture(params=["tiny", "chatml"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    return tiny_tokenizer(TEXTS) if request.param == "tiny" else chatml_tokenizer()


# --- ids ----------------------------------------------------------------------------------------


def rendered(tokenizer: Any, turns: list[str], roles: str, prompt: bool = True) -> list[int]:
    names = {"u": "user", "a": "assistant"}
    messages = [{"role": names[r], "content": t} for r, t in zip(roles, turns, strict=True)]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    return tokenizer.encode(text, add_special_tokens=False)


def test_pieces_put_together_are_the_tokenizers_own_rendering(tokenizer: Any):
    chat = ChatFormat(tokenizer)
    obs, act = TEXTS[-5], react("I need 1 string.", "get 1 string")
    reply = "Got 1 string"
    ids = chat.opening_ids(obs)
    assert ids == rendered(tokenizer, [obs], "u")
    ids += chat.turn_ids(act)
    assert ids[-1] == tokenizer.eos_token_id
    ids += chat.observation_ids(reply)
    assert ids == rendered(tokenizer, [obs, act, reply], "uau")
    ids += chat.turn_ids(act) + chat.observation_ids("")
    assert ids == rendered(tokenizer, [obs, act, reply, act, ""], "uauau")


def test_rules_are_a_turn_of_their_own(tokenizer: Any):
    chat = ChatFormat(tokenizer)
    rules, ack, obs = "You are given crafting commands.", "OK.", "Goal: craft string."
    ids = chat.opening_ids(obs, (rules, ack))
    assert ids == rendered(tokenizer, [rules, ack, obs], "uau")


def test_an_unended_turn_gets_the_end_token_once(tokenizer: Any):
    chat = ChatFormat(tokenizer)
    ended = chat.turn_ids("get 1") + chat.observation_ids("Got 1")
    cut = chat.turn_ids("get 1")[:-1] + chat.observation_ids("Got 1", ended=False)
    assert cut == ended
    assert chat.observation_ids("x", ended=False).count(chat.end_id) == 2  # the turn's, the user's


def test_tiny_pieces_by_hand():
    # <|user|>a<|end|><|assistant|> b<|end|> <|user|>a<|end|><|assistant|>
    chat = ChatFormat(tiny_tokenizer(["a b"]))
    token = chat.tokenizer.convert_tokens_to_ids
    user, end, assistant = token("<|user|>"), token("<|end|>"), token("<|assistant|>")
    a, b = token("a"), token(" b")
    assert chat.opening_ids("a") == [user, a, end, assistant]
    assert chat.turn_ids(" b") == [b, end]
    assert chat.observation_ids("a") == [user, a, end, assistant]
    assert chat.observation_ids("a", ended=False) == [end, user, a, end, assistant]


def test_special_tokens_names_are_only_text(tokenizer: Any):
    chat = ChatFormat(tokenizer)
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    # the tiny tokenizer has no word for <, | and >: an unknown word is no mark of a turn either
    special -= {tokenizer.unk_token_id}
    text = "".join(t.content for t in tokenizer.added_tokens_decoder.values())
    for name in text, f"Got 1 {text}":
        assert not special & set(chat.encode(name))
        glue = chat.observation_ids("")
        between = [i for i in chat.observation_ids(name) if i in special]
        assert between == [i for i in glue if i in special]
    # the contrast: the plain call would end the turn in the middle of an observation
    assert special & set(tokenizer.encode(text, add_special_tokens=False))


def test_encode_leaves_no_setting_behind(tokenizer: Any):
    chat = ChatFormat(tokenizer)
    before = ChatFormat(tokenizer).opening_ids("Got 1")
    chat.encode("<|end|><|im_end|>")
    assert ChatFormat(tokenizer).opening_ids("Got 1") == before
    assert tokenizer.encode(tokenizer.eos_token, add_special_tokens=False) == [chat.end_id]


def test_decode_gives_the_text_and_drops_one_end(tokenizer: Any):
    chat = ChatFormat(tokenizer)
    text = react("I need 1 string.", "get 1 string")
    assert chat.decode(chat.turn_ids(text)) == text
    assert chat.decode(chat.turn_ids(text)[:-1]) == text
    assert chat.decode([]) == ""
    assert chat.decode([chat.end_id]) == ""


def test_decode_cleans_nothing_up():
    text = "craft 1 a using 2 b , 1 c . do n't"
    tokenizer = tiny_tokenizer([text])
    tokenizer.clean_up_tokenization_spaces = True
    chat = ChatFormat(tokenizer)
    assert chat.decode(chat.turn_ids(text)) == text
    # the contrast: with this flag, the plain call turns " ," into "," and " n't" into "n't"
    assert tokenizer.decode(chat.encode(text)) == "craft 1 a using 2 b, 1 c. don't"


# --- what can't be used ---------------------------------------------------------------------------


def test_a_tokenizer_without_template_is_refused(tokenizer: Any):
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="no chat template; use an instruct model or set"):
        ChatFormat(tokenizer)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[0]['content'] }}", "doesn't show every message once, in order"),
        (CHATML.replace("{{ m['content'] }}", "{{ m['content'] * 2 }}"), "once, in order"),
        (CHATML.replace("{{ m['content'] }}<|im_end|>", "{{ m['content'] }};"), "ends a turn with"),
    ],
)
def test_a_template_that_cannot_be_taken_apart_is_refused(template: str, message: str):
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(ValueError, match=message):
        ChatFormat(tokenizer)


# --- the record beside a checkpoint ---------------------------------------------------------------


def test_fingerprint_names_template_and_vocabulary(tokenizer: Any):
    before = ChatFormat(tokenizer).fingerprint
    assert ChatFormat(tokenizer).fingerprint == before
    prompt = "{% if add_generation_prompt %}"
    tokenizer.chat_template = tokenizer.chat_template.replace(prompt, prompt + "!")
    changed = ChatFormat(tokenizer).fingerprint
    assert changed != before
    assert ChatFormat(tiny_tokenizer([*TEXTS, "another"])).fingerprint not in (before, changed)


def test_verify_accepts_its_own_record_only(tmp_path: Path, tokenizer: Any):
    chat = ChatFormat(tokenizer)
    with pytest.raises(ValueError, match=r"agentprm\.json is missing"):
        chat.verify(tmp_path)
    chat.save(tmp_path)
    chat.verify(tmp_path)
    record = json.loads((tmp_path / "agentprm.json").read_text())
    assert record == chat.record
    with pytest.raises(ValueError, match=r"has .*, this tokenizer and library give"):
        ChatFormat(tiny_tokenizer(["something else"])).verify(tmp_path)
    record["boundary_rule"] = "first-token-of-observation"
    (tmp_path / "agentprm.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="first-token-of-observation"):
        chat.verify(tmp_path)
