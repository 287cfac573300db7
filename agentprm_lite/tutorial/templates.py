"""Small tokenizers with chat templates in the manner of the families of models.

Trained on a few sentences, they imitate what matters for ids: which marks stand around a message,
which token ends a turn, what is trimmed, dropped or dated, and how a text becomes tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

Splitting = Literal["bytes", "first", "always", "prepend", "spaces"]


@dataclass(frozen=True)
class Style:
    """How a family writes conversations."""

    template: str
    """Chat template."""
    eos: str
    """``eos_token``, which isn't always the end of a turn."""
    special: str = ""
    """More special tokens."""
    bos: str | None = None
    """``bos_token``."""
    stops: str = ""
    """More tokens after which the model stops (``generation_config.eos_token_id``)."""


def _messages(user: str, assistant: str, prompt: str, *, begin: str = "", last: str = "") -> str:
    """A template of what it shows for each message: ``c`` is the text, ``loop`` jinja's."""
    said = f"{{{{ {assistant} }}}}"
    if last:
        said = f"{{% if loop.last %}}{{{{ {last} }}}}{{% else %}}{said}{{% endif %}}"
    return (
        f"{begin}{{% for m in messages %}}{{% set c = m['content'] %}}"
        "{% if m['role'] == 'user' %}"
        f"{{{{ {user} }}}}{{% else %}}{said}{{% endif %}}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ {prompt} }}}}{{% endif %}}"
    )


def _chatml(prompt: str = "", last: str = "", begin: str = "") -> str:
    open_, close = "'<|im_start|>assistant\\n' + ", " + c.split('</think>')[-1] + '<|im_end|>\\n'"
    return _messages(
        "'<|im_start|>user\\n' + c + '<|im_end|>\\n'",
        f"{open_}''{close}",
        f"{open_}'{prompt}'",
        begin=begin,
        last=f"{open_}'{last}'{close}" if last else "",
    )


_STRICT = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('user and assistant must take turns') }}{% endif %}{% endfor %}"
)
_NO_THOUGHT = r"<think>\n\n</think>\n\n"
_IM = "<|im_start|> <|endoftext|>"
#: Families by name.
STYLES = {
    "qwen2.5": Style(_chatml(begin="<|im_start|>system\nBe good.<|im_end|>\n"), "<|im_end|>", _IM),
    "qwen2.5-base": Style(_chatml(), "<|endoftext|>", "<|im_start|> <|im_end|>"),
    "qwen3": Style(_chatml(last=_NO_THOUGHT), "<|im_end|>", _IM),
    "qwen3-thinking": Style(_chatml(r"<think>\n", _NO_THOUGHT), "<|im_end|>", _IM),
    "smollm3": Style(
        _chatml(
            begin="<|im_start|>system\nToday Date: {{ strftime_now('%d %B %Y') }}<|im_end|>\n",
        ),
        "<|im_end|>",
        _IM,
    ),
    "llama3": Style(
        _messages(
            "'<|start_header_id|>user<|end_header_id|>\\n\\n' + c|trim + '<|eot_id|>'",
            "'<|start_header_id|>assistant<|end_header_id|>\\n\\n' + c|trim + '<|eot_id|>'",
            "'<|start_header_id|>assistant<|end_header_id|>\\n\\n'",
            begin="{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nToday Date: "
            '{{ strftime_now("%d %b %Y") if strftime_now is defined else "" }}\n\n<|eot_id|>',
        ),
        "<|eot_id|>",
        "<|start_header_id|> <|end_header_id|> <|end_of_text|> <|eom_id|>",
        "<|begin_of_text|>",
        "<|end_of_text|> <|eom_id|>",
    ),
    "phi3": Style(
        _messages(
            "'<|user|>\\n' + c + '<|end|>\\n'",
            "'<|assistant|>\\n' + c + '<|end|>\\n'",
            "'<|assistant|>\\n'",
        )
        + "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}",
        "<|endoftext|>",
        "<|user|> <|assistant|> <|end|>",
    ),
    "mistral": Style(
        _messages("'[INST] ' + c + ' [/INST]'", "' ' + c + eos_token", "''", begin="<s>" + _STRICT),
        "</s>",
        "[INST] [/INST]",
        "<s>",
    ),
    "llama2": Style(
        _messages(
            "'<s>[INST] ' + c|trim + ' [/INST]'",
            "' ' + c|trim + ' ' + eos_token",
            "''",
            begin=_STRICT,
        ),
        "</s>",
        "",
        "<s>",
    ),
    "zephyr": Style(
        _messages(
            "'<|user|>\\n' + c + eos_token + '\\n'",
            "'<|assistant|>\\n' + c + eos_token + '\\n'",
            "'<|assistant|>\\n'",
        ),
        "</s>",
        "<|user|> <|assistant|>",
    ),
    "gemma": Style(
        _messages(
            "'<start_of_turn>user\\n' + c|trim + '<end_of_turn>\\n'",
            "'<start_of_turn>model\\n' + c|trim + '<end_of_turn>\\n'",
            "'<start_of_turn>model\\n'",
            begin="{{ bos_token }}" + _STRICT,
        ),
        "<eos>",
        "<start_of_turn> <end_of_turn>",
        "<bos>",
        "<end_of_turn>",
    ),
    "granite": Style(
        _messages(
            "'<|start_of_role|>user<|end_of_role|>' + c + '<|end_of_text|>\\n'",
            "'<|start_of_role|>assistant<|end_of_role|>' + c + '<|end_of_text|>\\n'",
            "'<|start_of_role|>assistant<|end_of_role|>'",
        ),
        "<|end_of_text|>",
        "<|start_of_role|> <|end_of_role|>",
    ),
    "olmo2": Style(
        _messages(
            "'<|user|>\\n' + c + '\\n'",
            "'<|assistant|>\\n' + c + eos_token + ('' if loop.last else '\\n')",
            "'<|assistant|>\\n'",
            begin="{{ bos_token }}",
        ),
        "<|endoftext|>",
        "",
        "<|endoftext|>",
    ),
    "gpt-oss": Style(
        _messages(
            "'<|start|>user<|message|>' + c + '<|end|>'",
            "'<|start|>assistant<|channel|>final<|message|>' + c + '<|end|>'",
            "'<|start|>assistant'",
            begin="<|start|>system<|message|>Date: {{ strftime_now('%Y-%m-%d') }}<|end|>",
            last="'<|start|>assistant<|channel|>final<|message|>' + c + '<|return|>'",
        ),
        "<|return|>",
        "<|start|> <|message|> <|end|> <|channel|> <|call|>",
        stops="<|call|>",
    ),
    "glm4": Style(
        _messages(
            "'<|user|>\\n' + c", "'<|assistant|>\\n' + c", "'<|assistant|>\\n'", begin="[gMASK]"
        ),
        "<|endoftext|>",
        "[gMASK] <|user|> <|assistant|>",
        stops="<|user|>",
    ),
    "deepseek-r1": Style(
        _messages(
            "'<|User|>' + c",
            "'<|Assistant|>' + c.split('</think>')[-1] + eos_token",
            r"'<|Assistant|><think>\n'",
            begin="{{ bos_token }}",
        ),
        "<|eos|>",
        "<|User|> <|Assistant|>",
        "<|bos|>",
    ),
}
_WORDS = r" ?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEXTS = (
    "Goal: craft 2 sticks.\n\nYou see a table, 12 planks (3.50).\n",
    "Thought:\nI need planks first.\n\nAction:\nget 2 planks\n\n",
    "user assistant system model final\n Date: You are a helpful assistant.",
)


def small_tokenizer(
    style: Style, splitting: Splitting = "bytes", texts: tuple[str, ...] = _TEXTS
) -> PreTrainedTokenizerFast:
    """A tokenizer that writes conversations in a family's style.

    Args:
        style: one of :data:`STYLES`.
        splitting: ``bytes`` as GPT-2 and its heirs; or as SentencePiece, with a space put before
            the text (``first``), before it and after every special token (``always``, and
            ``prepend`` by a normalizer), or nowhere (``spaces``, Gemma).
        texts: what its pieces are learned from.

    Returns:
        The tokenizer.
    """
    special = [t for t in [style.bos, style.eos, *style.special.split()] if t]
    if splitting == "bytes":
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_WORDS), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        core.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        special += ["<unk>", *(f"<0x{i:02X}>" for i in range(256))]
        back = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
        replace, alphabet = normalizers.Replace(" ", "\u2581"), []
        if splitting in ("spaces", "prepend"):
            before = [normalizers.Prepend("\u2581")] if splitting == "prepend" else []
            core.normalizer = normalizers.Sequence([*before, replace])
        else:
            core.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", prepend_scheme=splitting)
        strip = [] if splitting == "spaces" else [decoders.Strip(" ", 1, 0)]
        core.decoder = decoders.Sequence([*back, *strip])
    trainer = BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator([t for text in texts for t in text.splitlines(True)], trainer)
    core.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=style.bos,
        eos_token=style.eos,
        chat_template=style.template,
        additional_special_tokens=style.special.split(),
        clean_up_tokenization_spaces=False,
    )
