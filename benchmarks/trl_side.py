"""TRL's side of `training_speed.py`: runs in an environment that has TRL 1.13 and not this package.

python trl_side.py FOLDER SETTINGS    prints seconds and memory as JSON in its last line
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer
from trl.experimental.prm import PRMConfig, PRMTrainer


def token_classifier(data: dict[str, Any]) -> Any:
    """Base, adapters of our shape, and TRL's head of two classes."""
    base = data["model"]
    config = AutoConfig.from_pretrained(base, num_labels=2)
    model = AutoModelForTokenClassification.from_pretrained(
        base, config=config, dtype=torch.float32
    )
    lora = LoraConfig(
        task_type="TOKEN_CLS",
        r=data["lora"]["r"],
        lora_alpha=data["lora"]["alpha"],
        lora_dropout=0.0,
        target_modules="all-linear",
        exclude_modules=["score"],
        modules_to_save=["score"],
    )
    return get_peft_model(model, lora)


def trainer(
    data: dict[str, Any], how: dict[str, Any], model: Any, rows: list[Any], folder: str
) -> PRMTrainer:
    """A trainer with our settings wherever it has them."""
    settings = PRMConfig(
        output_dir=folder,
        per_device_train_batch_size=how["batch"],
        gradient_checkpointing=how["checkpointing"],
        train_sampling_strategy="group_by_length" if how["by_length"] else "random",
        step_separator=data["separator"],
        max_length=None,
        learning_rate=data["lr"],
        num_train_epochs=1,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    tokenizer = AutoTokenizer.from_pretrained(data["model"])
    return PRMTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )


def check(made: Any, data: dict[str, Any]) -> None:
    """TRL's ids and labelled positions are ours."""
    for ids, labels, ours, positions in zip(
        made["input_ids"], made["labels"], data["ids"], data["positions"], strict=True
    ):
        if list(ids) != ours or [k for k, x in enumerate(labels) if x != -100] != positions:
            raise SystemExit("TRL's ids or labelled positions are not ours")


def main() -> None:
    folder, how = Path(sys.argv[1]), json.loads(sys.argv[2])
    data = json.loads((folder / "data.json").read_text())
    torch.set_num_threads(data["threads"])
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as out:
        model = token_classifier(data)
        whole = trainer(data, how, model, data["rows"], out)
        held = psutil.Process().memory_info().rss / 2**20
        trainer(data, how, model, data["rows"][: data["warm_up"]], out).train()
        check(whole.train_dataset, data)
        start = time.perf_counter()
        whole.train()
        seconds = time.perf_counter() - start
    names = ("trl", "transformers", "torch", "peft", "datasets", "accelerate")
    versions = {name: version(name) for name in names}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"seconds": seconds, "peak_mb": peak, "held_mb": held, "versions": versions}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
