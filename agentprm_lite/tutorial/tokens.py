"""One tokenizer for the text of all worlds: words, single digits, single letters of numbers.

Text is cut into pieces first: whole phrases that the worlds repeat ("steps in front of you and"),
words, single digits, single capital letters of product numbers, single signs. Pieces that are
frequent are one token; others are several, down to bytes, so any text comes back as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from string import ascii_uppercase, digits

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, END = "<|pad|>", "<|end|>"
ROLES = ("<|user|>", "<|assistant|>", "<|system|>")
TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
LEAST = 20
"""Pieces that are rarer are no tokens of their own."""
PHRASES = (
    *("Thought:\n", "\n\nAction:\n", "Crafting commands:\n", "\ncraft", "\n\nGoal: craft"),
    *("I have everything for", "I need", " using", "Crafted", " minecraft:"),
    *("Could not find enough items to craft", "Could not find a valid recipe for"),
    *("Your goal:", "In front of you in this room, you can see several objects:"),
    *(
        " There is a",
        ".  There is a",
        " right in front of you",
        " steps in front of you and",
        " steps to your",
    ),
    *(" steps away.  There is a", " steps away.  The room has walls around you."),
    *(" steps away.", ".  The room has walls around you.", " You are facing a"),
    *(" You are not carrying anything.", " You are carrying a", "\n The task is"),
    *('", "pickup', '", "go to', '", "go through', '", "toggle and go through'),
    *('\nAvailable actions: ["turn left", "turn right', '", "move forward'),
    *('", "check available actions"]', '", "drop'),
    *("WebShop [SEP] Instruction:", "Instruction:", " [SEP]", " [SEP] Back to Search"),
    *(" [SEP] Page", " (Total results:", ") [SEP] Next > [SEP]", ", and price lower than"),
    *(" [SEP] Rating: N.A. [SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now",),
    *("Thank you for shopping with us! [SEP] Your code: [SEP] None [SEP]",),
    *(" [SEP] < Prev [SEP]", " [SEP] Price: $", " is as wanted. I buy it.", "click["),
)


def _literal(text: str) -> str:
    return "".join(c if c.isalnum() or c in " ,:'\"" else f"\\x{{{ord(c):02x}}}" for c in text)


_PIECES = "|".join(
    [
        *sorted(map(_literal, PHRASES), key=len, reverse=True),
        *(r" ?[A-Za-z]?[a-z]+", r" ?[A-Z]", r" ?[0-9]", r" ?[^\sA-Za-z0-9]", r"\s"),
    ]
)


def _twin(piece: str) -> str:
    """A word with a space before it for one without, and the other way round."""
    return piece[1:] if piece.startswith("Ġ") else f"Ġ{piece}"


def make_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A tokenizer that knows the frequent pieces of some texts, and any text by its bytes.

    Args:
        texts: what to read most.
        size: most tokens.

    Returns:
        A fast tokenizer with a chat template; its ``eos_token`` ends a turn.

    Example:
        >>> tok = make_tokenizer(["get 12 stick"] * 99, 400)
        >>> tok.tokenize("get 12 stick")
        ['get', 'Ġ1', '2', 'Ġstick']
    """
    cut = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    counts = Counter(piece for text in texts for piece, _ in cut.pre_tokenize_str(text))
    always = [f"{space}{sign}" for space in ("", "Ġ") for sign in ascii_uppercase + digits]
    frequent = [p for p, n in counts.most_common() if n >= LEAST or counts[_twin(p)] >= LEAST]
    first = [PAD, END, *ROLES, *sorted(pre_tokenizers.ByteLevel.alphabet()), *always]
    vocab = {piece: i for i, piece in enumerate(list(dict.fromkeys([*first, *frequent]))[:size])}
    core = Tokenizer(models.BPE(vocab, [], ignore_merges=True))
    core.pre_tokenizer, core.decoder = cut, decoders.ByteLevel()
    core.add_special_tokens([PAD, END, *ROLES])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
