"""Ids are those of the model's own chat template, for every way of writing and splitting."""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import transformers.utils.chat_template_utils as rendering
from helpers import TEXTS
from test_format import chatml_tokenizer

from agentprm_lite.chat import last_action, parse_action
from agentprm_lite.hub import ChatFormat
from agentprm_lite.tutorial.templates import STYLES, small_tokenizer
from agentprm_lite.tutorial.tiny import episode_ids, tiny_tokenizer

SPLITTINGS = ("bytes", "first", "always", "prepend", "spaces")
LOG = ["Open the vault.", "turn 3 left", " 1. nothing (0.5)\n", "turn 2\n\nright!", "\nDone?"]


@cache
def chat_of(family: str, splitting: Any = "bytes") -> ChatFormat:
    style = STYLES[family]
    tokenizer = small_tokenizer(style, splitting)
    return ChatFormat(tokenizer, tokenizer.convert_tokens_to_ids(style.stops.split()))


def shown(chat: ChatFormat, texts: list[str], *, prompt: bool) -> str:
    roles = ("user", "assistant") * len(texts)
    log = [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)]
    return chat.tokenizer.apply_chat_template(log, tokenize=False, add_generation_prompt=prompt)


def whole(chat: ChatFormat, texts: list[str], *, prompt: bool) -> list[int]:
    return chat.tokenizer.encode(shown(chat, texts, prompt=prompt), add_special_tokens=False)


@pytest.mark.parametrize("splitting", SPLITTINGS)
@pytest.mark.parametrize(
    "family", [f for f in STYLES if f not in ("qwen3-thinking", "deepseek-r1")]
)
def test_every_prompt_is_the_templates(family: str, splitting: str) -> None:
    chat = chat_of(family, splitting)
    ids, spans = episode_ids(chat, LOG[::2], LOG[1::2])
    if family == "gpt-oss":  # where a past turn ends, the template writes another token
        returned, end = chat.tokenizer.convert_tokens_to_ids(["<|return|>", "<|end|>"])
        ids = [end if i == returned else i for i in ids]
    for t, (start, stop) in enumerate(spans):
        assert ids[:start] == whole(chat, LOG[: 2 * t + 1], prompt=True)
        assert chat.decode([*ids[start : stop - 1], chat.end_id]) == LOG[2 * t + 1]
    after = ids + chat.observation_ids(LOG[4])
    assert after == whole(chat, LOG, prompt=True)
    rules = chat.opening_ids(LOG[2], (LOG[0], LOG[1]))
    assert rules == whole(chat, LOG[:3], prompt=True)


@pytest.mark.parametrize("splitting", SPLITTINGS)
@pytest.mark.parametrize("family", ["zephyr", "phi3", "qwen2.5"])
def test_sentencepiece_puts_a_space_before_pieces_apart(family: str, splitting: str) -> None:
    """The contrast: the first releases tokenized every piece by itself."""
    chat, encode = chat_of(family, splitting), chat_of(family, splitting).tokenizer.encode
    pieces = chat.pieces.head, LOG[0], chat.pieces.tail
    apart = [i for text in pieces for i in encode(text, add_special_tokens=False)]
    assert (apart == whole(chat, LOG[:1], prompt=True)) == (splitting in ("bytes", "spaces"))


@pytest.mark.parametrize(
    ("family", "end", "also"),
    [
        ("qwen2.5-base", "<|im_end|>", ["<|endoftext|>"]),
        ("gemma", "<end_of_turn>", ["<eos>"]),
        ("phi3", "<|end|>", ["<|endoftext|>"]),
        ("llama3", "<|eot_id|>", ["<|end_of_text|>", "<|eom_id|>"]),
        ("gpt-oss", "<|return|>", ["<|call|>"]),
        ("glm4", "<|user|>", ["<|endoftext|>"]),
        ("zephyr", "</s>", []),
    ],
)
def test_the_end_of_a_turn_is_found_from_the_template(
    family: str, end: str, also: list[str]
) -> None:
    chat = chat_of(family)
    token = chat.tokenizer.convert_tokens_to_ids
    assert chat.end_id == token(end) == chat.turn_ids("x")[-1]
    assert chat.end_ids == {chat.end_id, *token(also)}
    for stop in chat.end_ids:  # each is left out of the text
        assert chat.decode([*chat.turn_ids("turn 3")[:-1], stop]) == "turn 3"


def test_a_template_without_an_end_token_is_refused() -> None:
    tokenizer = small_tokenizer(STYLES["olmo2"])
    tokenizer.chat_template = tokenizer.chat_template.replace("+ eos_token +", "+ ' END' +")
    with pytest.raises(
        ValueError, match=r"ends a turn with ' END.*tokenizer\.chat_template to one"
    ):
        ChatFormat(tokenizer)
    # GLM-4's turns end with the next role's mark, which only generation_config.json tells
    with pytest.raises(ValueError, match=r"ends a turn with '<\|user\|>"):
        ChatFormat(small_tokenizer(STYLES["glm4"]))


def test_a_template_that_refuses_the_conversation_says_so() -> None:
    tokenizer = small_tokenizer(STYLES["zephyr"])
    tokenizer.chat_template = "{{ raise_exception('tools only') }}" + tokenizer.chat_template
    with pytest.raises(ValueError, match="refuses user and assistant in turn: tools only; use"):
        ChatFormat(tokenizer)


def test_ids_that_join_across_a_piece_are_refused() -> None:
    # "Assistant:" and " yes" as one token ":▁yes", as BPE over a whole text without words makes it
    tokenizer = small_tokenizer(
        STYLES["llama2"], "spaces", ("a: Thought:\nI see: Thought:\nNo.",) * 9
    )
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'user' %}{{ 'U: ' + m['content'] + ' A:' }}"
        "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
    )
    with pytest.raises(ValueError, match=r"have other ids than the whole text.*special tokens aro"):
        ChatFormat(tokenizer)


# --- white space, thoughts, marks in a text


@pytest.mark.parametrize("family", ["llama3", "gemma"])
def test_what_the_template_trims_is_trimmed(family: str) -> None:
    chat = chat_of(family)
    assert chat.opening_ids(" Got 2. \n") == chat.opening_ids("Got 2.")
    assert chat.turn_ids("\n turn 3 ") == chat.turn_ids("turn 3")
    kept = chat_of("qwen2.5")
    assert kept.opening_ids(" Got 2. \n") != kept.opening_ids("Got 2.")


@pytest.mark.parametrize("family", ["qwen3-thinking", "deepseek-r1"])
def test_an_open_thought_is_closed_in_a_written_turn_and_stays(family: str) -> None:
    chat = chat_of(family)
    ids, spans = episode_ids(chat, LOG[:3:2], LOG[1:4:2])
    text = chat.tokenizer.decode(ids)
    assert ids[: spans[0][0]] == whole(chat, LOG[:1], prompt=True)
    assert text.count("<think>\n\n</think>\n\nturn") == 2
    if family == "qwen3-thinking":  # its last turn is written so by the template, too
        assert shown(chat, LOG[:2], prompt=False).startswith(
            chat.tokenizer.decode(ids[: spans[0][1]])
        )
    # what was thought is kept in the record, and no action is read from it
    thought = chat.encode("Action:\nopen\n</think>\n\nAction:\nturn 3")
    assert parse_action(chat.decode([*thought, chat.end_id])) == "turn 3"
    assert last_action(chat.decode(thought)) == "turn 3"


def test_no_ids_depend_on_what_comes_later() -> None:
    chat = chat_of("qwen3")  # its template shows a last turn with an empty thought, others without
    ids, spans = episode_ids(chat, LOG[::2], LOG[1::2])
    first, _ = episode_ids(chat, LOG[:1], LOG[1:2])
    assert ids[: spans[0][1]] == first
    assert "<think>" in shown(chat, LOG[:2], prompt=False)
    assert "<think>" not in chat.tokenizer.decode(first)


@pytest.mark.parametrize("splitting", SPLITTINGS)
@pytest.mark.parametrize("family", ["zephyr", "mistral", "gemma", "llama3"])
def test_a_mark_in_a_text_is_only_text(family: str, splitting: str) -> None:
    chat = chat_of(family, splitting)
    special = {
        i for t, i in chat.tokenizer.get_vocab().items() if t in chat.tokenizer.all_special_tokens
    }
    name = chat.pieces.end
    text = f"Got {name} 2."
    for ids, glue in (
        (chat.opening_ids(text), chat.opening_ids("x")),
        (chat.observation_ids(text), chat.observation_ids("x")),
        (chat.turn_ids(text), chat.turn_ids("x")),
    ):
        assert [i for i in ids if i in special] == [i for i in glue if i in special]
    assert name in chat.decode(chat.turn_ids(text))


# --- dates


class Day(datetime.datetime):
    """A clock that tests set."""

    today_is = datetime.datetime(2026, 11, 27)

    @classmethod
    def now(cls, tz: Any = None) -> datetime.datetime:
        return cls.today_is


@pytest.mark.parametrize(
    ("family", "printed"),
    [("llama3", "26 Jul 2024"), ("smollm3", "26 July 2024"), ("gpt-oss", "2024-07-26")],
)
def test_a_template_that_prints_the_date_is_the_same_every_day(
    family: str, printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "datetime", Day)
    style = STYLES[family]
    tokenizer = small_tokenizer(style)
    assert printed not in tokenizer.apply_chat_template(
        [{"role": "user", "content": "x"}], tokenize=False
    )
    before = tokenizer.chat_template
    monday = ChatFormat(tokenizer)
    monday.save(tmp_path)
    monkeypatch.setattr(Day, "today_is", datetime.datetime(2026, 12, 1))
    tuesday = ChatFormat(small_tokenizer(style))
    tuesday.verify(tmp_path)
    assert tuesday.opening_ids("Got 2.") == monday.opening_ids("Got 2.")
    assert printed in shown(tuesday, ["Got 2."], prompt=True)
    assert tokenizer.chat_template == before  # the caller's own stays as it was
    # what is saved with a checkpoint prints the same date in every other program
    monday.tokenizer.save_pretrained(tmp_path)
    assert "strftime_now(" not in (tmp_path / "chat_template.jinja").read_text()


def test_a_date_that_cannot_be_fixed_is_refused() -> None:
    tokenizer = small_tokenizer(STYLES["zephyr"])
    tokenizer.chat_template = "{% set f = '%Y' %}{{ strftime_now(f) }}" + tokenizer.chat_template
    with pytest.raises(ValueError, match=r"prints today's date.*chat_template to one without strf"):
        ChatFormat(tokenizer)


# --- fingerprints


def test_fingerprints_of_the_first_releases_stay_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as version 0.1.0 wrote them, whose tiny model split words so
    words = r"Thought:\n|\n\nAction:\n| ?[A-Za-z]+| ?[0-9]{1,2}(?![0-9])| ?[0-9]|\s|[^\sA-Za-z0-9]"
    monkeypatch.setattr("agentprm_lite.tutorial.tiny.WORDS", words)
    for tokenizer, written in (
        (tiny_tokenizer(["get 2 stick"]), "d6cf954c32dcc7a3"),
        (tiny_tokenizer(TEXTS), "dde22c0145fea198"),
        (chatml_tokenizer(), "768d514b8d5e0944"),
    ):
        record = f'{{"boundary_rule": "last-sampled-token", "chat": "{written}"}}'
        (tmp_path / "agentprm.json").write_text(record)
        ChatFormat(tokenizer).verify(tmp_path)


def test_smollm2s_fingerprint_stays_valid(smollm2: str) -> None:
    from agentprm_lite.hub import load_chat

    assert load_chat(smollm2).fingerprint == "059be2299066af6b"


def test_families_and_splittings_have_fingerprints_of_their_own() -> None:
    seen = {chat_of(f, s).fingerprint for f in ("llama2", "gemma", "zephyr") for s in SPLITTINGS}
    assert len(seen) == 15


def test_the_same_vocabulary_split_otherwise_is_refused(tmp_path: Path) -> None:
    # the fingerprint names the vocabulary; how a text is cut into it shows in the ids of probes
    from tokenizers import pre_tokenizers

    tokenizer = chatml_tokenizer()
    ChatFormat(tokenizer).save(tmp_path)
    ours = ChatFormat(chatml_tokenizer())
    ours.verify(tmp_path)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    with pytest.raises(ValueError, match="load the tokenizer that the checkpoint was made with"):
        ChatFormat(tokenizer).verify(tmp_path)
