"""The tiny model: a Llama with a word-level tokenizer, made from nothing, for a laptop."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from agentprm_lite.chat import TOO_MANY_ACTIONS, react
from agentprm_lite.env import make_env
from agentprm_lite.hub import ChatFormat
from agentprm_lite.types import Task
from agentprm_lite.worlds import TextEnv

WORDS = (
    r"Thought:\n|\n\nAction:\n| ?[A-Z](?=[A-Z0-9])|(?<=[A-Z0-9])[A-Z]"  # product numbers by letters
    r"| ?[A-Za-z]+| ?[0-9]{1,2}(?![0-9])| ?[0-9]|\s|[^\sA-Za-z0-9]"
)
PAD, UNKNOWN, END = "<|pad|>", "<|unknown|>", "<|end|>"
TINY_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class TinySize:
    """Shape of the tiny model."""

    hidden: int = 192
    """Hidden size E."""
    layers: int = 4
    """Decoder layers."""
    heads: int = 6
    """Attention heads."""
    context: int = 2048
    """Most tokens in a history."""


def tiny_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer that knows the words of some texts, and decodes without loss.

    Every word is known with and without a space before it. Numbers below 100 are words, longer
    ones are read digit by digit.

    Args:
        texts: every text of the task.

    Returns:
        A fast tokenizer with a chat template.

    Example:
        >>> tok = tiny_tokenizer(["get 2 stick"])
        >>> tok.decode(tok.encode("get 2 stick"))
        'get 2 stick'
    """
    numbers = {form for n in range(100) for form in (f"{n}", f"{n:02}")}
    words = {word for text in [*texts, *numbers] for word in re.findall(WORDS, text)}
    bare = {word.removeprefix(" ") for word in words}
    words |= {form for word in bare if word.isalnum() for form in (word, f" {word}")}
    special = [PAD, UNKNOWN, END, "<|user|>", "<|assistant|>", "<|system|>"]
    vocab = {word: i for i, word in enumerate([*special, *sorted(words - set(special))])}
    core = Tokenizer(models.WordLevel(vocab, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "isolated")
    core.decoder = decoders.Fuse()
    core.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        chat_template=TINY_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def make_tiny(folder: str | Path, texts: Iterable[str], size: TinySize, seed: int) -> None:
    """Write an untrained tiny model as a normal Hugging Face folder.

    Args:
        folder: where to write.
        texts: every text of the task, for the vocabulary.
        size: shape of the model.
        seed: of the initial weights.
    """
    tokenizer = tiny_tokenizer(texts)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=size.hidden * 8 // 3 // 32 * 32,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=size.context,
        initializer_range=size.hidden**-0.5,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ChatFormat(tokenizer).save(folder)


def episode_ids(
    chat: ChatFormat,
    observations: Sequence[str],
    actions: Sequence[str],
    rules: tuple[str, str] | None = None,
) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids of a whole episode to the end of its last turn, and begin and end of every turn."""
    ids = chat.opening_ids(observations[0], rules)
    spans: list[tuple[int, int]] = []
    for t, action in enumerate(actions):
        ids += chat.observation_ids(observations[t]) if t else []
        turn = chat.turn_ids(action)
        spans.append((len(ids), len(ids) + len(turn)))
        ids += turn
    return ids, spans


def vocabulary(tasks: Sequence[Task]) -> list[str]:
    """Texts that together hold every word of some tasks, for the tiny model's tokenizer.

    Args:
        tasks: the tasks.

    Returns:
        First observations, the turns and replies of the expert, and the replies to mistakes.
    """
    texts = [TOO_MANY_ACTIONS]
    for task in {task.env: task for task in tasks}.values():
        env = make_env(task.env)
        env.reset(options={"index": task.index})
        if isinstance(env, TextEnv):
            texts += [*(env.step(a)[0] for a in env.clumsy_actions), *env.rare_replies]
    for task in tasks:
        env = make_env(task.env)
        observation, _ = env.reset(options={"index": task.index, "variant": task.variant})
        texts.append(observation)
        ended = False
        while not ended:
            thought, action = env.expert_action()
            observation, _, terminated, truncated, _ = env.step(action)
            texts += [react(thought, action), observation]
            ended = terminated or truncated
    return texts
