"""The estimate against known parameter counts and against what PyTorch really saves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import TEXTS, random_trajectories
from safetensors.torch import load_file

from agentprm_lite.forward import pad_ids
from agentprm_lite.hub import checkpoints, load_chat, load_policy, new_reward_model
from agentprm_lite.kinds import RewardExample, RewardLoss
from agentprm_lite.models import Lora
from agentprm_lite.train import TrainConfig, spare_activations
from agentprm_lite.tutorial.memory import GPUS, QWEN, Shape, memory_estimate, memory_table
from agentprm_lite.tutorial.tiny import TinySize, make_tiny


@pytest.mark.parametrize(
    ("name", "count"),
    # as published on the models' pages, to the last parameter
    [("0.5B", 494_032_768), ("3B", 3_085_938_688), ("7B", 7_615_616_512)],
)
def test_parameters_of_qwen(name: str, count: int) -> None:
    assert QWEN[f"Qwen2.5-{name}"].parameters == count


def test_a_shape_read_from_a_configuration_counts_what_is_there(folder: Path) -> None:
    model = load_policy(folder, Lora(r=4, alpha=8))
    shape = Shape.of(model.config)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert shape.adapters(4) == trained
    assert shape.parameters == model.num_parameters() - trained
    estimate = memory_estimate(shape, "sft", dtype=torch.float32, rank=4)
    file = load_file(folder / "model.safetensors")
    assert estimate.weights == sum(t.nbytes for t in file.values())
    assert estimate.adapters == 16 * trained  # weight, gradient and two moments


def saved_bytes(loss: RewardLoss, examples: list[RewardExample]) -> int:
    """Bytes of all distinct tensors that the graph keeps, parameters left out."""
    known = {p.untyped_storage().data_ptr() for p in loss.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss(examples, loss.sizes(examples))
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_what_pytorch_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, checkpointing: bool
) -> None:
    make_tiny(tmp_path, TEXTS, TinySize(hidden=64, layers=6, heads=4), 0)
    monkeypatch.setattr(checkpoints, "default_dtype", lambda: dtype)
    model = new_reward_model(tmp_path, Lora(r=4, alpha=8), 0).train()
    spare_activations(model, TrainConfig(lr=1e-3, epochs=1, checkpointing=checkpointing))
    examples = [RewardExample(t) for t in random_trajectories(load_chat(tmp_path), 6, 0)]
    tokens = pad_ids([e.trajectory.ids for e in examples], torch.device("cpu")).numel()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        measured = saved_bytes(RewardLoss(model, "pvm"), examples)
    shape = Shape.of(model.config)
    estimate = memory_estimate(
        shape, "reward", dtype=dtype, rank=4, tokens=tokens, checkpointing=checkpointing
    ).activations
    if checkpointing:  # the layer that is being computed again comes on top, in the backward pass
        whole = memory_estimate(shape, "reward", dtype=dtype, rank=4, tokens=tokens).activations
        estimate -= whole // shape.layers
        assert measured < whole / 5
    assert estimate == pytest.approx(measured, rel=0.1 if not checkpointing else 0.5)


def test_parts_of_an_estimate() -> None:
    shape = QWEN["Qwen2.5-0.5B"]
    sampling = memory_estimate(shape, "sampling", tokens=1000, rows=2)
    # keys and values, 24 layers of 128 numbers each, 2 bytes, room for half as many again
    assert sampling.cache == 1000 * 2 * 24 * 128 * 2 * 3 // 2
    assert sampling.total == (
        sampling.weights + sampling.adapters + sampling.cache + sampling.activations
    )
    sft, reward = (memory_estimate(shape, use) for use in ("sft", "reward"))
    assert sft.cache == reward.cache == 0
    assert sft.total > reward.total  # logits over 151,936 tokens
    big = QWEN["Qwen2.5-7B"]
    head = big.vocab * big.hidden * 2
    assert memory_estimate(big, "reward").weights == memory_estimate(big, "sft").weights - head
    with pytest.raises(ValueError, match="use is 'ppo', expected 'sampling', 'sft' or 'reward'"):
        memory_estimate(shape, "ppo")


def test_the_table_says_what_fits() -> None:
    table = {(row["gpu"], row["model"]): row for row in memory_table()}
    assert len(table) == len(GPUS) * len(QWEN) == 12
    assert table["T4", "Qwen2.5-0.5B"]["dtype"] == "float16"
    assert table["H100", "Qwen2.5-7B"]["weights"] == 14.2
    assert table["T4", "Qwen2.5-7B"]["batch"] == 0  # 14.2 of 15 GiB are weights
    for row in table.values():
        assert row["batch_checkpointing"] >= row["batch"]
    for model in QWEN:
        episodes = [table[gpu, model]["episodes"] for gpu in ("T4", "L4", "A100", "H100")]
        assert episodes == sorted(episodes)
        assert episodes[0] < episodes[-1]
