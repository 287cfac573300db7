"""Rows of different lengths give the numbers of one whole pass, whatever is done to them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import float64
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    FalconH1Config,
    FalconH1ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
    StableLmConfig,
    StableLmForCausalLM,
)

from agentprm_lite.fast.kvbatch import CALL, KVBatch, _blocks
from agentprm_lite.fast.rows import Rows
from agentprm_lite.forward import context_limit, split_model
from agentprm_lite.hub import load_policy, new_reward_model
from agentprm_lite.models import Lora

V = 60
SHAPE: dict[str, Any] = {
    "vocab_size": V,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


@pytest.fixture(scope="module", params=["causal", "causal+lora", "reward", "grouped heads"])
def model(request: pytest.FixtureRequest, folder: Path) -> Any:
    """Float64 models: a policy, one with adapters that do something, a reward model, a Qwen2."""
    torch.manual_seed(0)
    if request.param == "causal":
        return float64(load_policy(folder))
    if request.param == "grouped heads":  # two heads share a key: H differs from the query's heads
        return float64(Qwen2ForCausalLM(Qwen2Config(**SHAPE)))
    lora = Lora(r=4, alpha=8)
    net = (
        new_reward_model(folder, lora, 0)
        if request.param == "reward"
        else load_policy(folder, lora)
    )
    with torch.no_grad():
        for p in net.parameters():
            if p.requires_grad:
                p += 0.3 * torch.randn_like(p)
    return float64(net)


@torch.no_grad()
def whole(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """Logits [S, ·] by the model's own forward, one row, no cache."""
    out: torch.Tensor = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    return out


@torch.no_grad()
def logits(batch: KVBatch, hidden: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = batch.head(hidden)
    return out


def append(batch: KVBatch, tokens: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Logits [·, V] of each row's new tokens."""
    return list(logits(batch, batch.append(tokens)).split([len(t) for t in tokens]))


def equal(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def words(rng: random.Random, n: int) -> list[int]:
    return [rng.randrange(V) for _ in range(n)]


def test_pieces_of_any_length_equal_one_pass(model: Any):
    rng = random.Random(0)
    lengths = [[5, 0, 1, 7], [1, 9, 0, 3], [3, 3, 3, 0], [2, 0, 0, 11]]  # a row's pieces
    pieces = [[words(rng, n) for n in row] for row in lengths]
    batch = KVBatch(model)
    got: list[list[torch.Tensor]] = [[] for _ in pieces]
    for k in range(4):
        out = append(batch, [row[k] for row in pieces])
        for b in range(len(pieces)):
            got[b].append(out[b])
    assert batch.lengths.tolist() == [13, 13, 9, 13]
    for b, row in enumerate(pieces):
        equal(torch.cat(got[b]), whole(model, [i for piece in row for i in piece]))


def test_one_token_at_a_time_equals_one_pass(model: Any):
    ids = words(random.Random(1), 12)
    batch = KVBatch(model)
    got = torch.cat([append(batch, [[i]])[0] for i in ids])
    equal(got, whole(model, ids))


def test_an_empty_list_leaves_its_row_unchanged(model: Any):
    rng = random.Random(2)
    a, b, more, last = words(rng, 6), words(rng, 4), words(rng, 9), words(rng, 3)
    batch = KVBatch(model)
    batch.append([a, b])
    for _ in range(3):  # what is written beside row 0 must not be seen later
        batch.append([[], more])
    assert batch.lengths.tolist() == [6, 31]
    out = append(batch, [last, []])
    equal(out[0], whole(model, a + last)[6:])


def test_blocks_take_in_padding_only_while_it_is_cheaper_than_a_call():
    def found(counts: Sequence[int], lengths: Sequence[int], call: int) -> list[tuple[int, ...]]:
        blocks = _blocks(counts, lengths, call)
        return [(b.first, b.end, b.width, b.columns) for b in blocks]

    # one token each: three rows padded by 10 columns cost 30, two more of 40 cost 80 more
    assert found([1] * 5, [90, 90, 90, 100, 100], 30) == [(0, 5, 1, 101)]
    assert found([1] * 5, [90, 90, 90, 100, 100], 29) == [(0, 3, 1, 91), (3, 5, 1, 101)]
    # a row with nothing to read is passed over, at either end for nothing
    assert found([0, 1, 0, 1, 0], [9, 9, 9, 9, 9], 509) == [(1, 2, 1, 10), (3, 4, 1, 10)]
    assert found([0, 1, 0, 1, 0], [9, 9, 9, 9, 9], 510) == [(1, 4, 1, 10)]
    # and one that reads much is a block of its own
    assert found([1, 20, 1], [9, 9, 9], 2000) == [(0, 1, 1, 10), (1, 2, 20, 29), (2, 3, 1, 10)]
    assert found([0, 0], [3, 4], 5) == []


@pytest.mark.parametrize("call", [0, 11_000, 10**9])  # a block a row, some, one for all
def test_blocks_of_any_size_equal_one_pass(model: Any, monkeypatch: pytest.MonkeyPatch, call: int):
    monkeypatch.setitem(CALL, "cpu", call)
    rng = random.Random(5)
    past = [words(rng, n) for n in (4, 40, 21, 2, 20, 3)]
    new = [words(rng, n) for n in (2, 0, 30, 16, 0, 7)]
    batch = KVBatch(model)
    shapes = counted(model, monkeypatch)
    batch.append(past)
    out = append(batch, new)
    assert (
        shapes
        == {  # real tokens with little or no padding, or the longest in every row
            0: [(1, 90), (1, 55)],
            11_000: [(1, 4 + 2 * 40 + 3 * 20), (1, 2 + 2 * 30 + 7)],
            10**9: [(1, 6 * 40), (1, 6 * 30)],
        }[call]
    )
    monkeypatch.undo()
    for b in (0, 2, 3, 5):
        equal(out[b], whole(model, past[b] + new[b])[len(past[b]) :])
    assert out[1].shape == out[4].shape == (0, batch.head.out_features)
    monkeypatch.setitem(CALL, "cpu", call)
    out = append(batch, [[7]] * 6)
    monkeypatch.undo()
    for b in range(6):
        equal(out[b], whole(model, past[b] + new[b] + [7])[-1:])


def test_the_model_has_its_attention_back(model: Any, monkeypatch: pytest.MonkeyPatch):
    batch = KVBatch(model)
    batch.append([[1, 2]])
    assert batch.body.config._attn_implementation == "sdpa"
    with pytest.raises(IndexError):
        batch.append([[10**6]])
    assert batch.body.config._attn_implementation == "sdpa"


def test_attention_that_is_not_ours_cannot_read_the_cache(
    model: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agentprm_lite.fast.kvbatch.ATTENTION", "sdpa")
    with pytest.raises(AttributeError):
        KVBatch(model).append([[1, 2]])


def test_an_empty_prompt_is_refused(model: Any):
    with pytest.raises(ValueError, match="read got an empty history"):
        Rows(model).read([[1, 2], []])


def test_rows_repeat_drop_reorder_and_shrink(model: Any):
    rng = random.Random(3)
    a, b, c = words(rng, 8), words(rng, 5), words(rng, 11)
    batch = KVBatch(model)
    batch.append([a, b, c])
    batch.select([2, 0, 2, 2], [11, 3, 0, 7])  # c whole, a cut, c from nothing, c cut; b dropped
    assert len(batch) == 4
    histories = [c, a[:3], [], c[:7]]
    for _ in range(2):
        new = [words(rng, n) for n in (2, 6, 1, 4)]
        out = append(batch, new)
        for k, (past, tail) in enumerate(zip(histories, new, strict=True)):
            equal(out[k], whole(model, past + tail)[len(past) :])
        histories = [past + tail for past, tail in zip(histories, new, strict=True)]


def test_select_nothing_leaves_no_row(model: Any):
    batch = KVBatch(model)
    batch.append([[1, 2]])
    batch.select([])
    assert len(batch) == 0


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_operations_equals_one_pass(folder: Path, seed: int):
    model = float64(load_policy(folder))
    rng = random.Random(seed)
    histories = [words(rng, rng.randint(1, 9)) for _ in range(4)]
    batch = KVBatch(model)
    batch.append(histories)
    for _ in range(12):
        kind = rng.choice(["append", "append", "select", "cut"])
        if kind == "append":
            new = [words(rng, rng.choice([0, 1, 1, 6])) for _ in histories]
            new[0] = new[0] or [7]
            batch.append(new)
            histories = [h + n for h, n in zip(histories, new, strict=True)]
        else:
            rows = [rng.randrange(len(histories)) for _ in range(rng.randint(1, 6))]
            lengths = [rng.randint(0, len(histories[r])) for r in rows] if kind == "cut" else None
            batch.select(rows, lengths)
            histories = [histories[r] for r in rows]
            if lengths is not None:
                histories = [h[:n] for h, n in zip(histories, lengths, strict=True)]
        assert batch.lengths.tolist() == [len(h) for h in histories]
    out = append(batch, [[5]] * len(histories))
    for k, past in enumerate(histories):
        equal(out[k][0], whole(model, [*past, 5])[-1])


def test_float32_is_close(folder: Path):
    model = load_policy(folder)
    ids = words(random.Random(6), 30)
    batch = KVBatch(model)
    batch.append([ids[:20], ids])
    out = append(batch, [ids[20:], [1]])
    torch.testing.assert_close(out[0], whole(model, ids)[20:], rtol=0, atol=1e-4)


def test_wrong_calls_are_refused(folder: Path):
    batch = KVBatch(load_policy(folder))
    for tokens in ([], [[]], [[], []]):
        with pytest.raises(ValueError, match="expected one list a row and at least one token"):
            KVBatch(load_policy(folder)).append(tokens)
    batch.append([[1], [2, 3]])
    with pytest.raises(ValueError, match="got 1 lists with 1 tokens in all for 2 rows"):
        batch.append([[1]])
    for rows in ([2], [-1, 0]):
        with pytest.raises(ValueError, match="the batch has 2"):
            batch.select(rows)
    with pytest.raises(ValueError, match="not lengthen"):
        batch.select([0, 1], [2, 2])


# --- prefill --------------------------------------------------------------------------------------


def counted(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """[rows, columns] of every forward pass of the model's body."""
    body = split_model(model)[0]
    shapes: list[tuple[int, int]] = []
    forward = body.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(body, "forward", counting)
    return shapes


def test_prefill_computes_a_prefix_with_what_it_begins(model: Any, monkeypatch: pytest.MonkeyPatch):
    rng = random.Random(7)
    a, b = words(rng, 9), words(rng, 6)
    sequences = [a[:4], b, a, a[:4], a[:7], [*a[:4], 59, 58], b, b[:1]]
    shapes = counted(model, monkeypatch)
    rows = Rows(model)
    last, computed = rows.read(sequences)
    batch = rows.batch
    # a (9), b (6) and the branch at a[:4] (6) are computed; the other five begin one of them. a[:4]
    # comes first: a finds these four known; the branch is a row of its own and computes all six
    assert computed == [4, 6, 5, 0, 0, 6, 0, 0]
    assert sum(computed) == 9 + 6 + 6
    assert shapes == [(1, 9 + 6 + 6)]
    monkeypatch.undo()
    assert batch.lengths.tolist() == [len(s) for s in sequences]
    for k, sequence in enumerate(sequences):
        equal(logits(batch, last[k]), whole(model, sequence)[-1])
    new = [words(rng, 1 + k % 3) for k in range(len(sequences))]
    out = append(batch, new)
    for k, (past, tail) in enumerate(zip(sequences, new, strict=True)):
        equal(out[k], whole(model, past + tail)[len(past) :])


def test_prefill_of_equal_prompts_computes_one(folder: Path):
    prompt = words(random.Random(8), 20)
    rows = Rows(load_policy(folder))
    last, computed = rows.read([prompt] * 5)
    assert computed == [20, 0, 0, 0, 0]
    assert len(rows.batch) == len(rows.held) == 5
    assert torch.equal(last[0], last[4])


def test_prefill_of_a_chain_computes_the_longest(folder: Path):
    # Monte Carlo rollouts start at every state of one history
    history = words(random.Random(9), 30)
    model = load_policy(folder)
    assert Rows(model).read([history[:n] for n in (30, 5, 17, 29, 1)])[1] == [30, 0, 0, 0, 0]
    # each is charged with what the ones before it left to compute, never with more than its length
    assert Rows(model).read([history[:n] for n in (5, 17, 1, 30, 29)])[1] == [5, 12, 0, 13, 0]


def test_reading_again_computes_what_no_row_begins_with(
    model: Any, monkeypatch: pytest.MonkeyPatch
):
    """Rows of 9 and 6 tokens. Asked for: the first and 3 more, twice; its beginning, whose last
    token's state isn't kept; the second whole, and without its end; something new."""
    rng = random.Random(12)
    a, b, more, other = words(rng, 9), words(rng, 6), words(rng, 3), words(rng, 5)
    rows = Rows(model)
    rows.read([a, b])
    shapes = counted(model, monkeypatch)
    monkeypatch.setitem(CALL, "cpu", 0)  # nothing is padded
    histories = [[*a, *more], a[:4], b, other, [*a, *more], b[:5]]
    last, computed = rows.read(histories)
    # the row of b begins with b[:5], but b's own begins at its last token
    assert computed == [3, 4, 1, 5, 0, 5]
    assert shapes == [(1, 3 + 4 + 1 + 5 + 5)]
    monkeypatch.undo()
    assert rows.batch.lengths.tolist() == [12, 4, 6, 5, 12, 5]
    for k, history in enumerate(histories):
        equal(logits(rows.batch, last[k]), whole(model, history)[-1])


# --- weights that change --------------------------------------------------------------------------


def test_a_new_batch_sees_new_weights_and_an_old_one_does_not(folder: Path):
    model = float64(load_policy(folder))
    ids = words(random.Random(10), 10)
    old = KVBatch(model)
    old.append([ids[:6]])
    before = whole(model, ids)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05 * torch.randn_like(p)
    after = whole(model, ids)
    assert not torch.allclose(before, after, atol=1e-3)
    new = KVBatch(model)
    new.append([ids[:6]])
    equal(append(new, [ids[6:]])[0], after[6:])
    # the stale batch mixes old keys with new weights: it equals neither
    stale = append(old, [ids[6:]])[0]
    assert not torch.allclose(stale, after[6:], atol=1e-3)
    assert not torch.allclose(stale, before[6:], atol=1e-3)


# --- models that it would compute wrongly ---------------------------------------------------------


def test_sliding_windows_are_refused():
    layers = Qwen2Config(**SHAPE, use_sliding_window=True, sliding_window=8, max_window_layers=1)
    with pytest.raises(ValueError, match=r"qwen2 has layers .*sliding_attention"):
        KVBatch(Qwen2ForCausalLM(layers))
    # Mistral names no layer types; a cache that ignored its window would be wrong from token 9 on
    with pytest.raises(ValueError, match=r"mistral has layers .*sliding_attention"):
        KVBatch(MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=8)))
    KVBatch(MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=None)))


def test_attention_that_misreads_the_mask_is_refused():
    config = LlamaConfig(**SHAPE)
    config._attn_implementation = "eager"
    with pytest.raises(ValueError, match="load it with attn_implementation='sdpa'"):
        KVBatch(LlamaForCausalLM(config))


def test_longrope_reads_its_first_length_only():
    shape = {**SHAPE, "num_key_value_heads": 4, "max_position_embeddings": 64}
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    rope = {"rope_type": "longrope", "rope_theta": 1e4, **factors}
    config = Phi3Config(**shape, original_max_position_embeddings=16, rope_parameters=rope)
    assert context_limit(config) == 16
    assert context_limit(Phi3Config(**shape)) == context_limit(LlamaConfig(**shape)) == 64
    # why: beyond that length a history's beginning changes with its end
    net = float64(Phi3ForCausalLM(config))
    ids = words(random.Random(11), 17)
    equal(whole(net, ids[:16])[:9], whole(net, ids[:9]))
    assert not torch.allclose(whole(net, ids)[:9], whole(net, ids[:9]), atol=1e-6)
    # and within it the cache computes as the model does
    batch = KVBatch(net)
    batch.append([ids[:9], ids[:3]])
    equal(append(batch, [ids[9:16], []])[0], whole(net, ids[:16])[9:])


@pytest.mark.parametrize("family", ["gpt2", "phi3"])
def test_padding_has_no_position_beyond_the_models(family: str, monkeypatch: pytest.MonkeyPatch):
    """GPT-2 has no such position, and Phi-3 would turn all keys of the pass otherwise."""
    if family == "gpt2":
        config = GPT2Config(vocab_size=V, n_positions=16, n_embd=32, n_layer=2, n_head=4)
        net = float64(GPT2LMHeadModel(config))
    else:
        factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
        shape = {**SHAPE, "num_key_value_heads": 4, "max_position_embeddings": 64}
        rope = {"rope_type": "longrope", "rope_theta": 1e4, **factors}
        net = float64(Phi3ForCausalLM(
            Phi3Config(**shape, original_max_position_embeddings=16, rope_parameters=rope)
        ))  # fmt: skip
    monkeypatch.setitem(CALL, "cpu", 10**9)  # all rows in one block
    long, short = words(random.Random(12), 16), words(random.Random(13), 12)
    batch = KVBatch(net)
    batch.append([long[:14], short[:5]])
    out = append(batch, [long[14:], short[5:]])  # 7 wide: the first row is padded to 21
    equal(out[0], whole(net, long)[14:])
    equal(out[1], whole(net, short)[5:])


def test_models_that_take_no_other_attention_are_refused():
    with pytest.raises(ValueError, match="StableLmModel computes attention by itself"):
        KVBatch(StableLmForCausalLM(StableLmConfig(**SHAPE)))


MAMBA = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8}


@pytest.mark.parametrize(
    "net",
    [
        GraniteForCausalLM(GraniteConfig(**SHAPE, logits_scaling=8.0)),
        CohereForCausalLM(CohereConfig(**SHAPE, logit_scale=0.06)),
        Gemma2ForCausalLM(Gemma2Config(**SHAPE, head_dim=8, final_logit_softcapping=0.1)),
        FalconH1ForCausalLM(
            FalconH1Config(
                **SHAPE, lm_head_multiplier=0.3, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8
            )
        ),
    ],
    ids=lambda net: net.config.model_type,
)
def test_logits_that_are_changed_after_the_head_are_the_models(net: Any):
    ids = words(random.Random(13), 9)
    body, head = split_model(net.eval())
    with torch.no_grad():
        found = head(body(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0])
    torch.testing.assert_close(found, whole(net, ids), rtol=0, atol=1e-6)


def test_a_model_without_a_head_is_refused():
    with pytest.raises(ValueError, match="no language-model head and no score head"):
        split_model(Qwen2Model(Qwen2Config(**SHAPE)))
