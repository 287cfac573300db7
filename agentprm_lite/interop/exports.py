"""A trained reward model as one ordinary folder, read without peft and without this library.

Where transformers has a token classifier for the family, it is one of these; elsewhere the trunk
with the head in a file of its own, see whole.py. The card's program reads either.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from agentprm_lite.chat import BOUNDARY_RULE
from agentprm_lite.forward import is_linear
from agentprm_lite.hub import (
    ChatFormat,
    default_device,
    default_dtype,
    load_chat,
    load_reward_model,
)
from agentprm_lite.interop.outputs import new_folder
from agentprm_lite.interop.whole import HEAD, read_whole, save_whole
from agentprm_lite.models import count_parameters

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

```python
import torch
{imports}

folder = "{folder}"
tokenizer = AutoTokenizer.from_pretrained(folder)
{load}
messages = [
    {{"role": "user", "content": "{asked}"}},
    {{"role": "assistant", "content": "{said}"}},
]
texts = [tokenizer.apply_chat_template(messages, tokenize=False)]  # one or many
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
batch = tokenizer(
    texts, add_special_tokens=False, padding=True, padding_side="right", return_tensors="pt"
)
ends = (batch.input_ids == {end_id}) & batch.attention_mask.bool()  # a pad may look like an end
with torch.no_grad():
    m = {logits}.sigmoid()
print([float(row[at][-1]) for row, at in zip(m, ends)])  # after the last turn of each
```

`pipeline("token-classification")` can't do this: it takes a softmax over the labels, and of one
label that is 1.0 for every token.

{serve}## Put it on the hub

```bash
hf upload OWNER/NAME {folder}
```
"""

_SERVE = """\
## Serve it

vLLM runs it as a pooling model; the answer holds one number a token, M is the sigmoid of the one at
the boundary:

```bash
vllm serve {folder} --runner pooling --convert classify
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


def export(
    model: PeftModel,
    chat: ChatFormat,
    folder: str | Path,
    *,
    kind: str,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Merge a reward model's adapters and write it with tokenizer and model card.

    What the card's program computes is compared with what this library does.

    Args:
        model: from :func:`agentprm_lite.hub.checkpoints.load_reward_model`. Its weights are
            changed, and those of a policy that shares them: do this last.
        chat: its chat format.
        folder: where to write; new or empty.
        kind: which labels it was trained on, for the card.
        dtype: of the file; half precision halves it and rounds the scores.

    Raises:
        ValueError: the folder isn't new or empty, the head is linear, or the card's program would
            give other scores.
    """
    if is_linear(model.get_base_model().score):
        raise ValueError("the card's program squashes the head's output, and this head is linear")
    folder = new_folder(folder)
    whole = model.float().merge_and_unload().to(dtype)  # merged before it is rounded
    _check_recipe(whole, chat)
    save_whole(whole, folder)
    trunk_alone = (folder / HEAD).exists()
    chat.tokenizer.save_pretrained(folder)
    chat.save(folder)
    card = _CARD.format(
        name=folder.name,
        architecture=f"{whole.config.model_type} with one output",
        billions=count_parameters(whole) / 1e9,
        dtype=str(dtype).removeprefix("torch."),
        kind=kind,
        rule=BOUNDARY_RULE,
        chat=chat.fingerprint,
        end=chat.pieces.end,
        end_id=chat.end_id,
        folder=folder,
        asked=_ASKED,
        said=_SAID,
        serve="" if trunk_alone else _SERVE.format(folder=folder),
        **(_TRUNK if trunk_alone else _CLASSIFIER),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


@torch.no_grad()
def _check_recipe(model: Any, chat: ChatFormat) -> None:
    """The card's program and the library have to give the same M."""
    messages = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _SAID}]
    text = chat.tokenizer.apply_chat_template(messages, tokenize=False)
    ids = chat.tokenizer(text, add_special_tokens=False)["input_ids"]
    last = max((i for i, token in enumerate(ids) if token == chat.end_id), default=-1)
    ours = chat.opening_ids(_ASKED) + chat.turn_ids(_SAID)

    def m(ids: list[int], at: int) -> float:
        batch = torch.tensor([ids], device=next(model.parameters()).device)
        return float(model.eval()(input_ids=batch).logits[0, at, 0].float().sigmoid())

    card, library = m(ids, last), m(ours, -1)
    if last < 0 or abs(card - library) > 1e-3:
        raise ValueError(
            f"a program that renders a conversation by the chat template would read M = {card:.4f} "
            f"where this library reads {library:.4f}: the template shows a last turn otherwise "
            "than the ids that the model was trained on; set tokenizer.chat_template to one that "
            "doesn't"
        )


def load_exported(folder: str | Path) -> tuple[Any, ChatFormat]:
    """Read a reward model with its tokenizer: what :func:`export` wrote, or adapters.

    Args:
        folder: of :func:`export`, or of :func:`agentprm_lite.hub.checkpoints.save_adapter`.

    Returns:
        The model in eval mode on the default device, and its chat format.

    Raises:
        ValueError: the folder holds no reward model of this library.
    """
    folder = Path(folder)
    if (folder / "adapter_config.json").exists():
        said = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        base = said.get("base_model_name_or_path") if isinstance(said, dict) else None
        if not isinstance(base, str):
            raise ValueError(f"{folder}/adapter_config.json names no base_model_name_or_path")
        chat = load_chat(base)
        return load_reward_model(base, folder, chat), chat
    if not (folder / "config.json").exists():
        raise ValueError(f"{folder} holds no model: there is no config.json")
    chat = load_chat(folder)
    chat.verify(folder)
    model = read_whole(folder, default_dtype())
    return model.to(default_device()).eval(), chat
