"""A trained reward model as one ordinary folder, read without peft and without this library.

``AutoModelForTokenClassification.from_pretrained(folder)`` gives the scores of the adapters on
their base. The model card beside it says where the scores are to be read.
"""

from __future__ import annotations

from pathlib import Path

import torch
from peft import PeftModel

from agentprm_lite.chat import BOUNDARY_RULE, ChatFormat
from agentprm_lite.interop.whole import save_whole
from agentprm_lite.models import count_parameters

_CARD = """\
---
library_name: transformers
pipeline_tag: token-classification
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
from transformers import AutoModelForTokenClassification, AutoTokenizer

folder = "{folder}"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForTokenClassification.from_pretrained(folder).eval()
messages = [
    {{"role": "user", "content": "Goal: craft stick."}},
    {{"role": "assistant", "content": "Thought:\\nPlanks first.\\n\\nAction:\\nget 2 planks"}},
]
text = tokenizer.apply_chat_template(messages, tokenize=False)
ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
last = (ids[0] == {end_id}).nonzero()[-1]  # the end of the last turn
with torch.no_grad():
    print(float(model(ids).logits[0, last, 0].sigmoid()))
```

## Serve it

vLLM runs it as a pooling model; the answer holds one number a token, M is the sigmoid of the one at
the boundary:

```bash
vllm serve {folder} --runner pooling --convert classify
curl http://localhost:8000/pooling -H 'Content-Type: application/json' -d \\
  '{{"model": "{folder}", "task": "token_classify", "use_activation": false, "input": [[1, 2, 3]]}}'
```

## Put it on the hub

```bash
hf upload OWNER/NAME {folder}
```
"""


def export(
    model: PeftModel,
    chat: ChatFormat,
    folder: str | Path,
    *,
    kind: str,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Merge a reward model's adapters and write it with tokenizer and model card.

    Args:
        model: from :func:`agentprm_lite.models.load_reward_model`. Its weights are changed, and
            those of a policy that shares them: do this last.
        chat: its chat format.
        folder: where to write.
        kind: which labels it was trained on, for the card.
        dtype: of the file; half precision halves it and rounds the scores.
    """
    folder = Path(folder)
    whole = model.float().merge_and_unload().to(dtype)  # merged before it is rounded
    save_whole(whole, folder)
    chat.tokenizer.save_pretrained(folder)
    chat.save(folder)
    card = _CARD.format(
        name=folder.name,
        architecture=f"{whole.config.model_type} with a token classifier's head",
        billions=count_parameters(whole) / 1e9,
        dtype=str(dtype).removeprefix("torch."),
        kind=kind,
        rule=BOUNDARY_RULE,
        chat=chat.fingerprint,
        end=chat.pieces.end,
        end_id=chat.end_id,
        folder=folder,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
