"""The model card of an exported reward model, and its programs, which give the library's M.

The first uses the library, the second transformers alone. The second renders a conversation by the
chat template. Most templates show a last turn as the policy produced it. Some put an empty thought
before it (Qwen3) or no end after it (GLM-4): there it is another one, and of the three below that
is written whose ids are the library's.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentprm_lite.chat import BOUNDARY_RULE
from agentprm_lite.hub import ChatFormat
from agentprm_lite.interop.files import read_log
from agentprm_lite.interop.render import rendered
from agentprm_lite.interop.whole import HEAD

_CARD = """\
---
library_name: transformers
inference: false
tags: [process-reward-model, agent]
---
# {name}

A process reward model for an agent that acts in turns, trained with agentprm-lite. After every turn
it says how promising the state is: M between 0 and 1, the sigmoid of its one output.

| | |
|---|---|
| architecture | {architecture}, {billions:.2f} billion parameters, {dtype} |
| kind | {kind} |
| boundary rule | `{rule}` |
| chat template and vocabulary | `{chat}` |

**Boundary rule.** The score of an action is read at the last token that the policy produced in its
turn, normally the end-of-turn token `{end}` (id {end_id}). The value before any action is read at
the last token of the prompt, the generation prompt included. Other positions mean nothing: they
were never trained. The scores belong to this tokenizer and this chat template only;
`agentprm.json` holds the fingerprint of both. Where you have the ids that the policy sampled,
score these ids, and never tokenize its text again.

## Score a conversation

{library}Without the library: this program doesn't show tool calls, every `content` has to be a
text, and `messages` have to end with the assistant's turn. It takes the name of a special token in
a message for that token; the library takes it for text.

```python
import torch
{imports}

folder = {name_in_code}
tokenizer = AutoTokenizer.from_pretrained(folder)
{load}
messages = [
    {{"role": "user", "content": "{asked}"}},
    {{"role": "assistant", "content": "{said}"}},
]
{texts}
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
batch = tokenizer(
    texts, add_special_tokens=False, padding=True, padding_side="right", return_tensors="pt"
)
{ends}
with torch.no_grad():
    m = {logits}.sigmoid()
print([float(row[at][-1]) for row, at in zip(m, ends)])  # after the last turn of each
```

`pipeline("token-classification")` can't do this: it takes a softmax over the labels, and of one
label that is 1.0 for every token.

{serve}## Put it on the hub

```bash
hf upload OWNER/NAME {name_in_shell}
```
"""

_LIBRARY = """\
With [agentprm-lite](https://github.com/agentprm-lite/agentprm-lite), while the agent is running or
after it. `messages` may have tool calls:

```python
from agentprm_lite import RewardModel, Task
from agentprm_lite.interop import from_messages, load_exported

model, chat = load_exported({name_in_code})
messages = [
    {{"role": "user", "content": "{asked}"}},
    {{"role": "assistant", "content": "{said}"}},
]
tools = []  # schemas of the agent's tools
run = from_messages(chat, messages, None, Task("live", 0), tools=tools)
print(RewardModel(model).score([run])[0].q[-1])  # after the last turn; q has one M a turn
```

"""
_SERVE = """\
## Serve it

vLLM runs it as a pooling model; the answer holds one number a token, M is the sigmoid of the one at
the boundary:

```bash
vllm serve {name_in_shell} --runner pooling --convert classify
curl http://localhost:8000/pooling -H 'Content-Type: application/json' -d \\
  '{{"model": "{folder}", "task": "token_classify", "use_activation": false, "input": [[1, 2, 3]]}}'
```

"""
_CLASSIFIER = {
    "imports": "from transformers import AutoModelForTokenClassification, AutoTokenizer",
    "load": "model = AutoModelForTokenClassification.from_pretrained(folder).eval()",
    "logits": "model(batch.input_ids, batch.attention_mask).logits[..., 0]",
}
_TRUNK = {
    "imports": "from safetensors.torch import load_file\n"
    "from transformers import AutoModel, AutoTokenizer",
    "load": "model = AutoModel.from_pretrained(folder).eval()\n"
    f'head = load_file(folder + "/{HEAD}")["weight"]',
    "logits": "(model(batch.input_ids, batch.attention_mask)[0].to(head.dtype) @ head.T)[..., 0]",
}


_ASKED, _SAID = "Goal: craft stick.", "Planks first: get 2 planks"
_ALL = ("user", "assistant", "user", "assistant")
#: Conversations whose ids the card's program and the library have to share.
_PROBES = ((_ASKED, _SAID), (_ASKED, _SAID, "Got 2.", "Now: craft stick"))
_Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Program:
    """How the card's program makes ids of a conversation and where it reads M."""

    texts: str
    """Its line that makes texts of messages."""
    ends: str
    """Its line that finds where M is read."""
    library: bool
    """``from_messages`` makes these ids, too."""


def program(chat: ChatFormat, *, recorded: bool) -> Program:
    """The program whose ids are those that a reward model was trained on.

    Args:
        chat: chat format.
        recorded: the model learned from logs, rendered whole; else from ids of a policy.

    Returns:
        Lines of the program.

    Raises:
        ValueError: no program gives the library's ids; says what to do.
    """
    p = chat.pieces
    close = p.lead, p.trail + p.end
    by_end = (
        f"ends = (batch.input_ids == {chat.end_id}) & batch.attention_mask.bool()"
        "  # a pad may look like an end"
    )
    last = "ends = batch.attention_mask.bool()  # M is read at the last token"
    shown = "tokenizer.apply_chat_template(messages, tokenize=False"
    before = f" + {close[0]!r}" * bool(close[0])
    ways = (
        (f"texts = [{shown})]  # one or many", by_end),
        (f"texts = [{shown}).rstrip()]  # one or many", last),
        (
            f'said = messages.pop()["content"]{".strip()" * p.strips[1]}\n'
            f"texts = [  # one or many; the last turn as the policy produced it\n"
            f"    {shown}, add_generation_prompt=True)\n"
            f"    {before[1:]}{' ' * bool(before)}+ said + {close[1]!r}\n]",
            last,
        ),
    )
    probes = [[{"role": r, "content": t} for r, t in zip(_ALL, texts, strict=False)]
              for texts in _PROBES]  # fmt: skip
    ours = [_ids(chat, messages, recorded=recorded) for messages in probes]
    for k, (texts, ends) in enumerate(ways):
        if [_read(chat, messages, k, close) for messages in probes] == ours:
            return Program(texts, ends, recorded or ours == _from_messages(chat, probes))
    raise ValueError(
        "no program that renders a conversation by the chat template has the ids that the model "
        "was trained on: the template shows turns otherwise than the policy produced them; save "
        "the adapters (save_adapter), or set tokenizer.chat_template to one that doesn't"
    )


def _from_messages(chat: ChatFormat, probes: Sequence[_Messages]) -> list[list[int]]:
    try:
        return [_ids(chat, messages, recorded=True) for messages in probes]
    except ValueError:  # the template can't be taken apart
        return []


def _read(chat: ChatFormat, messages: _Messages, way: int, close: tuple[str, str]) -> list[int]:
    """Ids that the card's program reads, up to where M is."""
    show = chat.tokenizer.apply_chat_template
    if way == 2:
        text = show(messages[:-1], tokenize=False, add_generation_prompt=True)
        text += close[0] + messages[-1]["content"] + close[1]
    else:
        text = show(messages, tokenize=False)
        text = text.rstrip() if way == 1 else text
    ids: list[int] = chat.tokenizer(text, add_special_tokens=False)["input_ids"]
    while way == 0 and ids and ids[-1] != chat.end_id:
        ids.pop()
    return ids


def _ids(chat: ChatFormat, messages: _Messages, *, recorded: bool) -> list[int]:
    """The library's ids, up to where M is read; turns of the past as the template shows them."""
    if recorded:
        return list(rendered(chat, read_log({"messages": messages}, "a probe")).ids)
    first, said, *more = (m["content"] for m in messages)
    ids = chat.opening_ids(first) + chat.turn_ids(said)
    if more:
        past = [chat.special[chat.pieces.past_end]] if chat.pieces.past_end else []
        ids = [*ids[:-1], *past, *chat.observation_ids(more[0]), *chat.turn_ids(more[1])]
    return ids


def card(chat: ChatFormat, lines: Program, folder: Path, *, trunk_alone: bool, **facts: Any) -> str:
    """The card.

    Args:
        chat: chat format.
        lines: from :func:`program`.
        folder: of the model.
        trunk_alone: the head lies in a file of its own.
        **facts: ``architecture``, ``billions``, ``dtype`` and ``kind``.

    Returns:
        Markdown.
    """
    names = {"folder": folder, "name_in_code": json.dumps(str(folder)),
             "name_in_shell": shlex.quote(str(folder)), "asked": _ASKED, "said": _SAID}  # fmt: skip
    return _CARD.format(
        name=folder.name,
        rule=BOUNDARY_RULE,
        chat=chat.fingerprint,
        end=chat.pieces.end,
        end_id=chat.end_id,
        texts=lines.texts,
        ends=lines.ends,
        library=_LIBRARY.format(**names) * lines.library,
        serve="" if trunk_alone else _SERVE.format(**names),
        **names,
        **facts,
        **(_TRUNK if trunk_alone else _CLASSIFIER),
    )
