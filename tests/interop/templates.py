"""Chat templates of our own in the ways of real families, on a tokenizer of whole words."""

from __future__ import annotations

import re
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from agentprm_lite.hub import ChatFormat

#: Roles and texts, whatever they are; nothing about tools. `{S}`, `{E}` begin and end a turn.
PLAIN = (
    "{%- for m in messages %}{{ '<s>' + m.role + '\n' + m.content + '<e>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<s>assistant\n' }}{%- endif %}"
)
#: Schemas and calls as JSON, replies side by side in one user's turn, like Qwen.
TOOLS = (
    "{%- if tools %}{{ '<s>system\n' }}{%- for t in tools %}{{ t | tojson }}{%- endfor %}"
    "{{ '<e>\n' }}{%- endif %}"
    "{%- for m in messages %}{%- if m.role == 'tool' %}"
    "{%- if messages[loop.index0 - 1].role != 'tool' %}{{ '<s>user' }}{%- endif %}"
    "{{ '\n[' + m.content + ']' }}"
    "{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<e>\n' }}{%- endif %}"
    "{%- else %}{{ '<s>' + m.role }}{%- if m.content %}{{ '\n' + m.content }}{%- endif %}"
    "{%- for c in m.tool_calls or [] %}{{ '\n(' + c.function.name + ' ' }}"
    "{{ c.function.arguments | tojson }}{{ ')' }}{%- endfor %}{{ '<e>\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<s>assistant\n' }}{%- endif %}"
)
#: Roles have to alternate, there is no system, texts are trimmed, like Gemma.
ALTERNATE = (
    "{%- if messages[0].role == 'system' %}{{ raise_exception('no system') }}{%- endif %}"
    "{%- for m in messages %}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{%- endif %}"
    "{{ '<s>' + m.role + '\n' + m.content | trim + '<e>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<s>assistant\n' }}{%- endif %}"
)
#: No mark before a turn but the end of the user's, nine-letter ids, like Mistral.
BARE = (
    "{%- set ns = namespace(i=0) %}{%- for m in messages %}{%- if m.role == 'user' or "
    "(m.role == 'assistant' and not m.tool_calls) %}{%- if (m.role == 'user') != (ns.i % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{%- endif %}{%- set ns.i = ns.i + 1 %}"
    "{%- endif %}{%- endfor %}{%- for m in messages %}"
    "{%- if m.role == 'user' %}{{ '<s>' + m.content + '<u>' }}"
    "{%- elif m.tool_calls %}{{ '<c>' }}{%- for c in m.tool_calls %}{%- if c.id|length != 9 %}"
    "{{ raise_exception('ids have nine letters') }}{%- endif %}{{ c.function | tojson }}"
    "{%- endfor %}{{ '<e>' }}"
    "{%- elif m.role == 'tool' %}{{ '<r>' + m.content + ' ' + m.tool_call_id + '</r>' }}"
    "{%- elif m.role == 'assistant' %}{{ ' ' + m.content + '<e>' }}{%- endif %}{%- endfor %}"
)
#: Thoughts before the last user are dropped, the prompt opens them, like Qwen3's thinking models.
THINKING = (
    "{%- set ns = namespace(last=-1) %}{%- for m in messages %}{%- if m.role == 'user' %}"
    "{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}{%- for m in messages %}"
    "{{ '<s>' + m.role + '\n' }}{%- set c = m.content %}{%- set r = m.reasoning_content or '' %}"
    "{%- if '</think>' in c %}{%- set r = c.split('</think>')[0].split('<think>')[-1] | trim %}"
    "{%- set c = c.split('</think>')[-1] | trim %}{%- endif %}"
    "{%- if m.role == 'assistant' and loop.index0 > ns.last %}"
    "{{ '<think>\n' + r + '\n</think>\n' }}{%- endif %}{{ c + '<e>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<s>assistant\n<think>\n' }}{%- endif %}"
)
#: A call ends with a token of its own, arguments have to be a text, one call a turn is shown.
CHANNELS = (
    "{%- for m in messages %}{%- if m.role == 'tool' %}{{ '<s>tool<m>' + m.content + '<e>' }}"
    "{%- elif m.tool_calls %}{%- set c = m.tool_calls[0].function %}"
    "{%- if m.thinking %}{{ '<s>assistant<m>' + m.thinking + '<e>' }}{%- endif %}"
    "{{ '<s>assistant' + '<m>' + c.name + ' ' + c.arguments + '<c>' }}"
    "{%- elif m.role == 'assistant' and loop.last %}{{ '<s>assistant<m>' + m.content + '<r>' }}"
    "{%- else %}{{ '<s>' + m.role + '<m>' + m.content + '<e>' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<s>assistant' }}{%- endif %}"
)
SPECIAL = ["<s>", "<e>", "<u>", "<c>", "<r>", "</r>", "<m>"]
_WORDS = r"</?think>|[A-Za-z]+|\s|[^\sA-Za-z]"
_MORE = "zulu alpha whisky xerox tango lima continue tool_call tool_response tools <think></think>"


def words_chat(template: str, *texts: str, end: str = "<e>") -> ChatFormat:
    """A chat format whose tokens are the words, signs and spaces of some texts."""
    known = [
        *texts,
        "".join(map(chr, range(32, 127))),
        template,
        f"{_MORE} name arguments id call_id",
    ]
    words = {w for text in known for w in re.findall(_WORDS, text)} | {"\n"}
    vocab = {w: i for i, w in enumerate([*SPECIAL, "?unknown?", *sorted(words - set(SPECIAL))])}
    core = Tokenizer(models.WordLevel(vocab, unk_token="?unknown?"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    core.decoder = decoders.Fuse()
    core.add_special_tokens(SPECIAL)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="?unknown?",
        eos_token=end,
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )
    return Words(tokenizer)


class Words(ChatFormat):
    """Only what the rendering of whole conversations uses: these templates have no pieces."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.end_id = tokenizer.eos_token_id
