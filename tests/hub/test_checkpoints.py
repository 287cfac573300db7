"""Checkpoints: ordinary Hugging Face folders, adapters that come back as they were saved."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import SIZE, TASKS, TEXTS, random_trajectories, tiny_folder
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from agentprm_lite.chat import react
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.forward import split_model
from agentprm_lite.hub import (
    ChatFormat,
    load_chat,
    load_policy,
    load_reward_model,
    new_reward_model,
    save_adapter,
    save_policy,
    weights_fingerprint,
)
from agentprm_lite.models import Lora
from agentprm_lite.ppo import PPOConfig, train_ppo
from agentprm_lite.prm import RewardModel, check_ids
from agentprm_lite.sampling import PlainPlayer
from agentprm_lite.search import beam_search, halving
from agentprm_lite.tutorial.smollm2 import resolve
from agentprm_lite.tutorial.templates import STYLES, small_tokenizer
from agentprm_lite.tutorial.tiny import make_tiny, tiny_tokenizer, vocabulary
from agentprm_lite.worlds.textcraft import TextCraft

LORA = Lora(r=4, alpha=8)
IDS = torch.arange(40).reshape(2, 20)


def shaken(model: Any, seed: int = 0) -> Any:
    """Noise on everything that is trained, so that adapters and head do something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p += 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(input_ids=IDS).logits


# --- the tiny model -------------------------------------------------------------------------------


def test_tiny_is_a_normal_folder(folder: Path):
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert isinstance(model, LlamaForCausalLM)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.is_fast
    assert tokenizer.chat_template
    assert len(tokenizer) == model.config.vocab_size
    assert tokenizer.eos_token_id == model.config.eos_token_id
    names = {p.name for p in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "agentprm.json"} <= names
    assert {p.suffix for p in folder.iterdir()} <= {".json", ".jinja", ".safetensors"}
    load_chat(folder).verify(folder)


def test_transformers_own_generate_runs_it(folder: Path):
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    out = model.generate(IDS[:1], max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert out.shape == (1, 23)


def test_tiny_has_the_parameters_of_its_shape(folder: Path):
    # E = 32, I = 32·8//3 = 85 → 64 (a multiple of 32), 2 layers, head tied to the embedding:
    # V·E + 2·(4·E² + 3·E·I + 2·E) + E
    vocab = len(load_chat(folder).tokenizer)
    assert load_policy(folder).num_parameters() == (
        vocab * 32 + 2 * (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32) + 32
    )


def test_tiny_weights_follow_from_the_seed_and_leave_the_global_stream_alone(tmp_path: Path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
        make_tiny(tmp_path / name, TEXTS, SIZE, seed)
    assert torch.equal(torch.rand(3), expected)
    a, b, c = (logits(load_policy(tmp_path / name)) for name in "abc")
    assert torch.equal(a, b)
    assert not torch.allclose(a, c)


def test_tokenizer_is_lossless_on_textcraft():
    tasks = TextCraft.tasks("train")[::11] + TextCraft.tasks("test")[::10]
    assert len(tasks) >= 50
    tokenizer = tiny_tokenizer(vocabulary(tasks))
    assert len(tokenizer) < 800
    count = 0
    for task in tasks:
        env = TextCraft(max_rounds=200)
        text, _ = env.reset(options={"index": task.index, "variant": task.variant})
        done = False
        while not done:
            turn = react(*env.expert_action())
            reply, _, terminated, truncated, _ = env.step(env.expert_action()[1])
            done = terminated or truncated
            held = "" if done else env.step("inventory")[0]
            for piece in (text, turn, reply, held):
                ids = tokenizer.encode(piece, add_special_tokens=False)
                assert tokenizer.unk_token_id not in ids, piece
                assert tokenizer.decode(ids) == piece
                count += 1
    assert count > 200


@pytest.mark.parametrize(
    "text",
    [
        "get 1234567890 stick",  # numbers that no text shows: digit by digit
        "Inventory: [string] (64) [stick] (108) ",
        "Could not execute get the stick",
        "Could not find enough items to craft minecraft:string",
        "Could not find a valid recipe for ItemTagWithCount(item_tag=ItemTag(tag=None, "
        "item_id='minecraft:stick'), count=12)",
        "Wrong item format: stick",
    ],
)
def test_tokenizer_knows_the_replies_to_mistakes(text: str):
    tokenizer = tiny_tokenizer([*vocabulary(TASKS), "the stick"])
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids) == text


def test_an_unknown_word_is_one_unknown_token():
    tokenizer = tiny_tokenizer(["get 1 stick"])
    ids = tokenizer.encode("get 1 zebra", add_special_tokens=False)
    assert [i == tokenizer.unk_token_id for i in ids] == [False, False, True]


# --- names ----------------------------------------------------------------------------------------


def test_resolve(folder: Path):
    assert resolve(folder) == str(folder)
    assert resolve("Qwen/Qwen2.5-0.5B-Instruct") == "Qwen/Qwen2.5-0.5B-Instruct"


@pytest.mark.parametrize("name", ["tiny", "smollm", "a/b/c", "", "../x/y", "/nowhere/at/all"])
def test_resolve_refuses_what_is_no_model(name: str):
    with pytest.raises(ValueError, match=r"neither a folder with a config\.json"):
        resolve(name)


def test_resolve_refuses_a_folder_without_a_model(tmp_path: Path):
    with pytest.raises(ValueError, match=r"neither a folder with a config\.json"):
        resolve(tmp_path)


def test_another_architecture_goes_the_same_way(tmp_path: Path):
    tokenizer = tiny_tokenizer(TEXTS)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    policy = load_policy(tmp_path)
    assert isinstance(policy, Qwen2ForCausalLM)
    assert not policy.training
    torch.testing.assert_close(logits(policy), logits(model.eval()))
    chat = load_chat(tmp_path)
    scores = RewardModel(new_reward_model(tmp_path, LORA, 0)).score(random_trajectories(chat, 3, 0))
    assert all(np.all(s.q == 0.5) for s in scores)


# --- policies -------------------------------------------------------------------------------------


def test_fresh_adapters_change_nothing_and_are_all_that_is_trained(folder: Path):
    plain, model = load_policy(folder), load_policy(folder, LORA)
    assert isinstance(model, PeftModel)
    torch.testing.assert_close(logits(model), logits(plain))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    # q, k, v, o, gate, up, down in each of 2 layers; the head is left out
    assert len(trained) == 2 * 7 * 2
    assert not torch.allclose(logits(shaken(model)), logits(plain))
    with model.disable_adapter():  # the reference policy
        torch.testing.assert_close(logits(model), logits(plain))
    assert [name for name, p in model.named_parameters() if p.requires_grad] == trained


def test_save_policy_merges_the_adapters(folder: Path, tmp_path: Path):
    model = shaken(load_policy(folder, LORA)).double()
    expected = logits(model)
    chat = load_chat(folder)
    save_policy(model, chat, tmp_path)
    saved = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64)
    assert isinstance(saved, LlamaForCausalLM)
    torch.testing.assert_close(logits(saved), expected, rtol=0, atol=1e-9)
    assert not torch.allclose(expected, logits(load_policy(folder).double()))
    load_chat(tmp_path).verify(tmp_path)
    assert not (tmp_path / "adapter_config.json").exists()


def test_save_policy_without_adapters(folder: Path, tmp_path: Path):
    save_policy(load_policy(folder), load_chat(folder), tmp_path)
    assert torch.equal(logits(load_policy(tmp_path)), logits(load_policy(folder)))


# --- reward models --------------------------------------------------------------------------------


def test_a_new_reward_model_says_one_half_everywhere(folder: Path, chat: ChatFormat):
    model = new_reward_model(folder, LORA, 0)
    for scores in RewardModel(model).score(random_trajectories(chat, 10, 0)):
        assert scores.root == 0.5
        assert np.all(scores.q == 0.5)


def test_a_reward_model_starts_from_what_a_base_says(folder: Path, chat: ChatFormat):
    policy, words = load_policy(folder), (7, 9)
    model = new_reward_model(folder, Lora(), 0, words=words)
    (t,) = random_trajectories(chat, 1, seed=4)
    value = RewardModel(model).score([t])[0].q
    with torch.no_grad():
        logits = policy(torch.tensor([t.ids])).logits[0].float()
    said = logits[[end - 1 for _, end in t.spans]][:, list(words)].softmax(-1)[:, 0]
    np.testing.assert_allclose(value, said, rtol=1e-4)
    assert np.ptp(value) > 1e-4
    shared = new_reward_model(policy, Lora(), 0, words=words)
    np.testing.assert_array_equal(RewardModel(shared).score([t])[0].q, value)


def test_a_reward_model_trains_adapters_and_one_whole_head(folder: Path):
    model = new_reward_model(folder, LORA, 0)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    head = {name for name in trained if "lora_" not in name}
    assert [tuple(trained[name].shape) for name in head] == [(1, 32)]
    assert all(".score.modules_to_save." in name for name in head)
    assert not any("score" in name and "lora_" in name for name in trained)
    # the head that split_model gives is the one that is trained
    assert {id(p) for p in split_model(model)[1].parameters()} >= {id(trained[n]) for n in head}
    assert not any(m.p for m in model.modules() if isinstance(m, torch.nn.Dropout))


def test_reward_models_seed_fixes_adapters(folder: Path):
    def weights(seed: int) -> torch.Tensor:
        model = new_reward_model(folder, LORA, seed)
        return torch.cat([p.flatten() for p in model.parameters() if p.requires_grad])

    torch.manual_seed(1)
    first = weights(3)
    torch.manual_seed(2)
    assert torch.equal(weights(3), first)
    assert not torch.equal(weights(4), first)


def test_the_trunk_is_the_policys(folder: Path):
    policy, reward = load_policy(folder), new_reward_model(folder, LORA, 0)
    with torch.no_grad():
        mine = split_model(reward)[0](input_ids=IDS).last_hidden_state
        theirs = split_model(policy)[0](input_ids=IDS).last_hidden_state
    torch.testing.assert_close(mine, theirs)


def test_adapter_round_trip(folder: Path, chat: ChatFormat, tmp_path: Path):
    trajectories = random_trajectories(chat, 8, 1)
    model = shaken(new_reward_model(folder, LORA, 0))
    before = RewardModel(model).score(trajectories)
    assert np.std(np.concatenate([s.q for s in before])) > 0.01
    save_adapter(model, chat, tmp_path)
    torch.manual_seed(123)  # the throw-away head under the adapters is random
    after = RewardModel(load_reward_model(folder, tmp_path, chat)).score(trajectories)
    for a, b in zip(before, after, strict=True):
        assert a.root == b.root
        assert np.array_equal(a.q, b.q)
    with safe_open(tmp_path / "adapter_model.safetensors", "pt") as f:
        names = list(f.keys())
    assert len(names) == 2 * 7 * 2 + 1  # no copy of the trunk
    assert not [p for p in tmp_path.iterdir() if p.suffix in (".bin", ".pt", ".pkl", ".pth")]


def test_a_reward_model_of_another_chat_is_refused(folder: Path, chat: ChatFormat, tmp_path: Path):
    save_adapter(new_reward_model(folder, LORA, 0), chat, tmp_path / "rm")
    other = load_chat(folder)
    other.tokenizer.chat_template = other.tokenizer.chat_template.replace("'|>'", "'|> '")
    with pytest.raises(ValueError, match="this tokenizer and library give"):
        load_reward_model(folder, tmp_path / "rm", ChatFormat(other.tokenizer))
    make_tiny(tmp_path / "other", [*TEXTS, "zebra"], SIZE, 0)
    with pytest.raises(ValueError, match="this tokenizer and library give"):
        load_reward_model(tmp_path / "other", tmp_path / "rm", load_chat(tmp_path / "other"))


def test_stand_in_folders_differ_by_seed(tmp_path: Path):
    a, b = tiny_folder(tmp_path / "a"), tiny_folder(tmp_path / "b", seed=1)
    assert not torch.allclose(logits(load_policy(a)), logits(load_policy(b)))


# --- what a reward model belongs to


def token_classifier(folder: Path) -> Any:
    """transformers' own, with a head of its own."""
    config = AutoConfig.from_pretrained(folder)
    config.update({"num_labels": 1, "token_classification_bias": False, "classifier_dropout": 0.0})
    model = AutoModelForTokenClassification.from_pretrained(folder, config=config)
    model.score = torch.nn.Linear(model.config.hidden_size, 1, bias=False)
    return model.eval()


def first_release(folder: Path) -> Any:
    """A reward model as version 0.1.0 made it: a token classifier under peft."""
    config = LoraConfig(
        task_type="TOKEN_CLS", r=4, lora_alpha=8, target_modules="all-linear",
        exclude_modules=["score"], modules_to_save=["score"],
    )  # fmt: skip
    return shaken(get_peft_model(token_classifier(folder), config).eval())


def test_adapters_of_the_first_release_load(folder: Path, chat: ChatFormat, tmp_path: Path):
    model = first_release(folder)
    model.save_pretrained(tmp_path)
    record = {"boundary_rule": "last-sampled-token", "chat": chat.fingerprint}
    (tmp_path / "agentprm.json").write_text(json.dumps(record))
    with torch.no_grad():
        expected = model(input_ids=IDS).logits
        ours = load_reward_model(folder, tmp_path, chat)
        assert torch.equal(ours(input_ids=IDS).logits, expected)
    assert expected.std() > 0.01
    # and what we write, that release reads
    save_adapter(ours, chat, tmp_path / "ours")
    again = PeftModel.from_pretrained(token_classifier(folder), tmp_path / "ours")
    with torch.no_grad():
        assert torch.equal(again(input_ids=IDS).logits, expected)


def test_a_reward_model_of_another_base_is_refused(folder: Path, chat: ChatFormat, tmp_path: Path):
    save_adapter(new_reward_model(folder, LORA, 0), chat, tmp_path / "rm")
    load_reward_model(folder, tmp_path / "rm", chat)
    tiny_folder(tmp_path / "other", seed=1)  # same shape and tokenizer, other weights
    with pytest.raises(ValueError, match=r"was trained on another base than .*other"):
        load_reward_model(tmp_path / "other", tmp_path / "rm", chat)
    # one merged adapter is another base, too: every layer's output moves
    merged = load_policy(folder, LORA)
    save_policy(shaken(merged), chat, tmp_path / "merged")
    with pytest.raises(ValueError, match="was trained on another base"):
        load_reward_model(tmp_path / "merged", tmp_path / "rm", chat)


def test_a_base_is_known_again_in_another_precision(folder: Path):
    trunk = load_policy(folder).model
    whole = weights_fingerprint(trunk)
    assert list(whole) == ["float32", "float16", "bfloat16"]
    assert weights_fingerprint(trunk.double()) == whole
    half = weights_fingerprint(load_policy(folder).bfloat16().model)
    assert half == {"bfloat16": whole["bfloat16"]}
    # adapters are not the base
    policy = shaken(load_policy(folder, LORA))
    assert weights_fingerprint(policy.get_base_model().model) == whole


def test_a_reward_model_and_a_policy_have_to_share_their_ids(
    folder: Path, chat: ChatFormat, tmp_path: Path
):
    save_adapter(new_reward_model(folder, LORA, 0), chat, tmp_path)
    check_ids(RewardModel(load_reward_model(folder, tmp_path, chat)), chat)
    check_ids(RewardModel(new_reward_model(folder, LORA, 0)), chat)  # fresh: it has not met any ids
    other = ChatFormat(tiny_tokenizer([*TEXTS, "zebra"]))
    with pytest.raises(ValueError, match="ids of one mean nothing to the other"):
        check_ids(RewardModel(load_reward_model(folder, tmp_path, chat)), other)
    # and so search and PPO refuse it, before a token is sampled
    judge = RewardModel(load_reward_model(folder, tmp_path, chat))
    player = PlainPlayer(load_policy(folder), other, SamplingConfig(rules=False))
    with pytest.raises(ValueError, match="ids of one mean nothing to the other"):
        beam_search(player, judge, TASKS[:1], 1, 1)
    with pytest.raises(ValueError, match="ids of one mean nothing to the other"):
        halving(player, judge, TASKS[:1], 2)
    config = PPOConfig(iterations=1, tasks=1, samples=1, lr=1e-3)
    with pytest.raises(ValueError, match="ids of one mean nothing to the other"):
        train_ppo(load_policy(folder, LORA), other, TASKS[:1], config, SamplingConfig(), judge)


def test_saved_policies_stop_where_their_turns_end(tmp_path: Path):
    style = STYLES["phi3"]  # eos_token is <|endoftext|>, a turn ends with <|end|>
    tokenizer = small_tokenizer(style)
    make_tiny(tmp_path / "phi", TEXTS, SIZE, 0)
    model = load_policy(tmp_path / "phi")
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    save_policy(model, ChatFormat(tokenizer), tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert config["eos_token_id"] == sorted(
        tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|end|>"])
    )
    assert load_chat(tmp_path / "saved").end_ids == {*config["eos_token_id"]}


OLD_TORCHAO = """
import importlib.metadata, sys
assert importlib.metadata.version("torchao") == "0.10.0"
from agentprm_lite.models import Lora
from agentprm_lite.hub import load_policy, new_reward_model
load_policy(sys.argv[1], Lora(r=2)); new_reward_model(sys.argv[1], Lora(r=2), 0)
print("works")
"""


def test_an_old_torchao_is_left_alone(folder: Path, tmp_path: Path):
    """Colab's image has torchao 0.10.0, with which peft refuses every LoRA."""
    (tmp_path / "torchao").mkdir()
    (tmp_path / "torchao" / "__init__.py").write_text("")
    # peft 0.18 takes that release, and reads two names of it
    (tmp_path / "torchao" / "dtypes.py").write_text("class AffineQuantizedTensor: ...")
    quantization = "class LinearActivationQuantizedTensor: ..."
    (tmp_path / "torchao" / "quantization.py").write_text(quantization)
    (tmp_path / "torchao-0.10.0.dist-info").mkdir()
    (tmp_path / "torchao-0.10.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchao\nVersion: 0.10.0\n"
    )
    (tmp_path / "torchao-0.10.0.dist-info" / "top_level.txt").write_text("torchao\n")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])}
    done = subprocess.run(
        [sys.executable, "-c", OLD_TORCHAO, str(folder)], env=env, capture_output=True, text=True
    )
    assert done.stdout == "works\n", done.stderr


def test_files_that_are_cut_are_named(folder: Path, tmp_path: Path) -> None:
    for name, kind in (("model.safetensors", "weights"), ("tokenizer.json", "JSON")):
        cut = tmp_path / f"cut-{kind}"
        shutil.copytree(folder, cut)
        (cut / name).write_bytes((cut / name).read_bytes()[:100])
        with pytest.raises(ValueError, match=f"cut-{kind}: a file of {kind} is cut or garbled"):
            load_chat(cut) if kind == "JSON" else load_policy(cut)


@pytest.mark.parametrize("held", ["[]", "3", "null", '{"a"'])
@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
)
def test_json_that_holds_something_else_is_an_error(
    folder: Path, tmp_path: Path, name: str, held: str
) -> None:
    """It was a traceback; garbled end tokens were taken for none."""
    odd = tmp_path / "odd"
    shutil.copytree(folder, odd)
    (odd / name).write_text(held)
    with pytest.raises((ValueError, OSError), match=r"odd"):
        load_policy(odd) if name == "config.json" else load_chat(odd)


def test_adapters_that_are_damaged_are_named(folder: Path, tmp_path: Path) -> None:
    """A byte in the middle, or another model's file, gave wrong numbers without a word."""
    chat = load_chat(folder)
    save_adapter(new_reward_model(folder, LORA, 0), chat, tmp_path / "adapters")
    path = tmp_path / "adapters" / "adapter_model.safetensors"
    whole = path.read_bytes()
    damaged = (whole[:100], whole * 2, whole[:-9] + b"\x01" + whole[-8:], None)
    for data in damaged:
        path.write_bytes(data) if data is not None else path.unlink()
        with pytest.raises(ValueError, match=r"adapter_model\.safetensors isn't the file that was"):
            load_reward_model(folder, tmp_path / "adapters", chat)
    path.write_bytes(whole)
    assert load_reward_model(folder, tmp_path / "adapters", chat)
    config = path.with_name("adapter_config.json")
    config.write_text(config.read_text()[:-3])
    with pytest.raises(ValueError, match="adapters: a file of adapters is cut or garbled"):
        load_reward_model(folder, tmp_path / "adapters", chat)
