"""The small base: its text, its tokenizer, its loop, its card, and what the package ships."""

import itertools
import json
import random
import re
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentprm_lite.env import make_env
from agentprm_lite.hub import load_chat, load_policy
from agentprm_lite.metrics import auroc
from agentprm_lite.tutorial import base
from agentprm_lite.tutorial import graded as graded_module
from agentprm_lite.tutorial.cli import main
from agentprm_lite.tutorial.corpus import (
    FIRST_VARIANT,
    WORLDS,
    WRONG,
    drill,
    episode,
    part_of,
    part_tasks,
)
from agentprm_lite.tutorial.graded import graded, graded_purchase
from agentprm_lite.tutorial.mistakes import slip
from agentprm_lite.tutorial.pretrain import PretrainConfig, losses_of, new_base, pretrain
from agentprm_lite.tutorial.rows import (
    SHAPES,
    WEIGHT_READ,
    WEIGHT_VERDICT,
    Rows,
    copying,
    encoded,
    episodes,
    verdicts,
)
from agentprm_lite.tutorial.tiny import episode_ids
from agentprm_lite.worlds.math.problems import templates
from agentprm_lite.worlds.textcraft.recipes import recipe_table

TOY = PretrainConfig(
    hidden=48, layers=2, heads=3, sample=30, size=0.2, copy_steps=10, steps=40, warmup=5, decay=10
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    pretrain(TOY, folder, until=25)
    return folder


def test_a_toy_learns_stops_and_goes_on(toy, tmp_path):
    state = torch.load(toy / "state.pt", weights_only=True)
    assert (state["number"], len(state["curve"])) == (25, 25)
    shutil.copytree(toy, tmp_path, dirs_exist_ok=True)
    pretrain(TOY, tmp_path)
    whole = torch.load(tmp_path / "state.pt", weights_only=True)
    assert whole["curve"][:25] == state["curve"]
    turns = [row[0] for row in whole["curve"]]
    assert sum(turns[-5:]) / 5 < sum(turns[10:15]) / 5 - 0.5
    assert [session["step"] for session in whole["sessions"]] == [0, 25]
    base.check(tmp_path)
    assert load_policy(tmp_path).config.hidden_size == 48
    with pytest.raises(ValueError, match="this run is"):
        pretrain(replace(TOY, seed=1), tmp_path)
    pretrain(TOY, tmp_path)  # nothing is left to do: no session, no other date on the card
    again = torch.load(tmp_path / "state.pt", weights_only=True)
    assert again["sessions"] == whole["sessions"]


def test_going_on_gives_what_one_go_gives(toy, tmp_path):
    pretrain(replace(TOY, steps=40), tmp_path, until=12)
    pretrain(replace(TOY, steps=40), tmp_path, until=25)
    one, two = (torch.load(f / "state.pt", weights_only=True) for f in (toy, tmp_path))
    assert [row[0] for row in one["curve"]] == pytest.approx([r[0] for r in two["curve"]], abs=2e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cpu_that_would_emulate_bfloat16_computes_in_float32(dtype, toy, tmp_path, monkeypatch):
    seen = set()

    def losses(model, batch):
        seen.add(torch.is_autocast_enabled("cpu"))
        return losses_of(model, batch)

    shutil.copytree(toy, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr("agentprm_lite.tutorial.pretrain.half_dtype", lambda: dtype)
    monkeypatch.setattr("agentprm_lite.tutorial.pretrain.losses_of", losses)
    pretrain(TOY, tmp_path, until=26)
    assert seen == {dtype == torch.bfloat16}


def test_a_fresh_model_copies_and_one_without_the_heads_does_not(toy):
    chat = load_chat(toy)
    model = new_base(PretrainConfig(), chat)
    batch = copying(0, 0, len(chat.tokenizer), 5, 32, 64)
    with torch.no_grad():
        losses, weights = losses_of(model, batch)
        taught = float((losses * weights).sum() / weights.sum())
        torch.nn.init.normal_(model.model.layers[1].self_attn.o_proj.weight, std=0.02)
        losses, _ = losses_of(model, batch)
    assert taught < 3.0 < 6.0 < float((losses * weights).sum() / weights.sum())


def test_rows_are_a_function_of_their_number_and_weigh_turns(toy):
    chat = load_chat(toy)
    rows = Rows(chat, 0, 2, 0.5)
    assert len(rows[0]) == 1
    first, again = rows[5], rows[5]
    assert len(first) == 1 + len(SHAPES)
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one.ids, two.ids)
    known = [{round(w, 6) for w in one.weights.unique().tolist()} for one in first]
    assert all(found <= {0.0, WEIGHT_READ, 1.0} for found in known[:-1])
    assert known[-1] == {0.0, WEIGHT_VERDICT}
    text = episode("math", 1)
    ids, weights = encoded(chat, text)
    turns = [i for i, w in zip(ids, weights, strict=True) if w == 1]
    assert turns == [i for turn in text.turns for i in chat.turn_ids(turn)]


# --- text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
def test_parts_share_nothing_and_all_have_tasks(world):
    found = {part: {t.index for t in part_tasks(world, part)} for part in PARTS}
    assert all(len(found[part]) >= 50 for part in PARTS)
    assert not found["practice"] & found["judge"]
    assert not (found["practice"] | found["judge"]) & found["test"]


PARTS = ("practice", "judge", "test")


def test_parts_by_hand():
    assert [part_of("math", 40 * k) for k in range(4)] == ["practice", "practice", "judge", "test"]
    assert [part_of("webshop", 12 * k) for k in (0, 2, 6, 7, 15)] == (
        ["practice", "judge", "judge", "test", "test"]
    )
    assert [part_of("textcraft", k) for k in (0, 30, 31, 34)] == (
        ["test", "test", "practice", "judge"]
    )
    assert [part_of("babyai", 40 * k) for k in (0, 2, 46)] == ["practice", "judge", "test"]


def test_no_goal_template_or_shop_of_judges_or_tests_is_in_the_text():
    hidden = {
        g for k, g in enumerate(recipe_table().goals) if part_of("textcraft", k) != "practice"
    }
    goals = {
        episode("textcraft", seed).observations[0].rpartition("Goal: craft ")[2].rstrip(".")
        for seed in range(400)
    }
    assert len(goals) > 150
    assert not goals & hidden
    shown = set()
    for task in [*part_tasks("webshop", "judge"), *part_tasks("webshop", "test")][::12]:
        env = make_env("webshop")
        env.reset(options={"index": task.index})
        shown |= set(re.findall(r"B0\w{8}", env.step(env.expert_action()[1])[0]))
    told = " ".join(" ".join(episode("webshop", seed).observations) for seed in range(200))
    assert len(shown) > 2000
    assert not shown & set(re.findall(r"B0\w{8}", told))
    # the text of a problem gives its events and ending away; see free_problem's own test
    assert {t.level for t in templates()} >= {2, 3, 4}


@pytest.mark.parametrize("world", WORLDS)
def test_most_episodes_succeed_and_some_have_slips(world):
    texts = [episode(world, seed) for seed in range(60)]
    assert texts[7] == episode(world, 7)
    assert 0.75 < sum(text.success for text in texts) / 60 <= 1
    assert all(len(text.observations) == len(text.turns) for text in texts)
    assert all(turn.startswith("Thought:\n") for text in texts for turn in text.turns)


def test_slips_by_hand():
    rng = random.Random(0)
    page = "x [SEP] B012345678 [SEP] Ay red big cups [SEP] $5.0 [SEP] B087654321 [SEP] Be big cups"
    page += " [SEP] $6.0"
    turn = ("B012345678 [SEP] Ay red big cups [SEP] $5.0 fits.", "click[B012345678]")
    assert slip("webshop", ["", page], turn, rng) == (
        "B012345678 [SEP] Ay red big cups [SEP] $5.0 too dear. "
        "B087654321 [SEP] Be big cups [SEP] $6.0 fits.",
        "click[B087654321]",
    )
    wrong = {slip("math", ["Ann has 5 eggs."], ("t", "5 + 2 = 7"), rng) for _ in range(60)}
    lines = {"5 + 2 = 6", "5 + 2 = 8", "5 + 2 = 9", "5 + 2 = 17"}  # false, by 1, 2 or 10
    lines |= {"5 + 5 = 10", "5 - 2 = 3", "5 * 2 = 10"}  # true and beside the point
    assert wrong == {("t", line) for line in lines}
    seen = ['x\nAvailable actions: ["turn left", "go to red ball 1"]']
    moves = {slip("babyai", seen, ("I need it. So.", "turn left"), rng) for _ in range(30)}
    assert ("I need it. It is red ball 1.", "go to red ball 1") in moves
    assert all(thought.startswith("I need it. It is ") for thought, _ in moves)
    task = ["Crafting commands:\ncraft 4 stick using 2 planks\n\nGoal: craft stick."]
    got = {slip("textcraft", task, ("I need 2 planks.", "get 2 planks"), rng) for _ in range(60)}
    assert got == {
        ("I need 1 planks.", "get 1 planks"),
        ("I need 3 planks.", "get 3 planks"),
        ("I need 4 planks.", "get 4 planks"),
        ("I have everything for stick.", "craft 4 stick using 2 planks"),
        ("craft 4 stick using 2 planks. I need 2 planks.", "get 2 planks"),
        ("I look at what I carry.", "inventory"),
    }


def _is_false(turn):
    """Is the sum of a turn false, or None where there is none?"""
    found = re.search(r"(\d+) ([-+*/]) (\d+) = (\d+)$", turn)
    if found is None:
        return None
    a, b, c = (int(found[k]) for k in (1, 3, 4))
    return c != {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[found[2]]


def test_in_a_drill_a_false_sum_and_no_other_is_called_wrong():
    pairs = [two for seed in range(200) for two in itertools.pairwise(drill(seed).turns)]
    told = [(_is_false(first), second.startswith(f"Thought:\n{WRONG}")) for first, second in pairs]
    assert all(false == wrong for false, wrong in told)
    assert 0.4 < sum(false for false, _ in told) / len(told) < 0.6


def test_a_graded_turn_is_right_as_long_as_nothing_wrong_stands(monkeypatch):
    drawn = []
    draw = graded_module.free_problem
    monkeypatch.setattr(
        graded_module, "free_problem", lambda *args: drawn.append(draw(*args)) or drawn[-1]
    )
    kinds, ends, turns = Counter(), [], []
    for seed in range(600):
        drawn.clear()
        text, right = graded(seed)
        if text.observations[0].startswith("Do these sums"):  # mended at once
            assert [not fine for fine in right] == [
                _is_false(turn) is not False for turn in text.turns
            ]
            continue
        lines, at = [*(line for _, line in drawn[0].steps), f"#### {drawn[0].answer}"], 0
        for turn, fine in zip(text.turns, right, strict=True):
            thought, action = turn.removeprefix("Thought:\n").split("\n\nAction:\n")
            assert (action == lines[at]) is fine
            if not fine:
                kinds[_mistake(thought, action, lines, at, drawn[0].steps)] += 1
            if not fine and action not in lines[:at]:
                break  # what follows is carried on with it
            at += fine
        ends.append(text.success)
        turns += right
        assert text.success == right[-1]
    assert 320 < len(ends) < 420
    assert min(kinds[k] for k in ("again", "on", "false", "left out", "sign")) > 10, kinds
    assert kinds["other"] > 20  # other numbers, and what is not told
    assert 0.5 < sum(turns) / len(turns) < 0.8
    assert 0.3 < sum(ends) / len(ends) < 0.7


def _mistake(thought, action, lines, at, steps):
    """The kind of a turn that is not the solution's next one."""
    if action in lines[:at]:
        return "again"
    if _is_false(action):
        return "false"
    words, before, now = action.split(), lines[at - 1].split(), lines[at].split()
    if at and words[:3] == [before[-1], *before[1:3]]:
        return "on"
    if at + 1 < len(lines) and words[0] == "####":
        return "left out"
    if at + 1 < len(steps) and thought.endswith(steps[at + 1][0].split(". ", 1)[-1]):
        return "left out"
    return "sign" if words[:3:2] == now[:3:2] and words[0] != "####" else "other"


def _price(text):
    return float(re.search(r"Price: \$([\d.]+)", text.observations[-1])[1])


def _cap(text):
    return float(re.search(r"lower than ([\d.]+)", text.observations[-1])[1])


def test_about_half_of_the_graded_purchases_are_right():
    made = [graded_purchase(seed) for seed in range(300)]
    assert made[:5] == [graded_purchase(seed) for seed in range(5)]
    ends = [text.success for text, _ in made]
    assert 0.4 < sum(ends) / len(ends) < 0.6
    bought = [(t, r) for t, r in made if t.turns[-1].endswith("click[Buy Now]")]
    assert len(bought) > 250
    assert [text.success for text, _ in bought] == [right[-1] for _, right in bought]
    seconds = [right[1] for text, right in made if "click[B0" in text.turns[1]]
    assert 0.3 < sum(seconds) / len(seconds) < 0.6  # whichever place the product has, too:
    firsts = [r[1] for t, r in made if t.turns[1].count("[SEP]") == 2 and "click[B0" in t.turns[1]]
    assert 0.2 < sum(firsts) / len(firsts) < 0.8
    fits = [r[-1] for t, r in bought if _price(t) <= _cap(t)]  # the price alone doesn't tell
    assert 0.4 < sum(fits) / len(fits) < 0.65
    for text, right in made:
        for before, after in itertools.pairwise(right):
            assert before or after or "Buy Now" in text.turns[-1] or len(right) == 6


def test_graded_purchases_are_of_shops_for_practice(monkeypatch):
    indices = []

    def make(name, rounds):
        env = make_env(name, rounds)
        reset = env.reset
        env.reset = lambda options: indices.append(options) or reset(options=options)
        return env

    monkeypatch.setattr("agentprm_lite.tutorial.graded.make_env", make)
    for seed in range(60):
        graded_purchase(seed)
    assert len({some["index"] for some in indices}) > 40
    assert {part_of("webshop", some["index"]) for some in indices} == {"practice"}
    assert min(some["variant"] for some in indices) >= FIRST_VARIANT


def test_a_verdict_stands_in_the_place_of_what_follows_a_turn(toy):
    chat = load_chat(toy)
    text, right = graded(3)
    ids, weights, targets = verdicts(chat, text, right)
    played, spans = episode_ids(chat, text.observations, text.turns)
    assert ids == [*played, *chat.observation_ids("")]
    said = {
        end: chat.ids(" right" if fine else " no")[0]
        for (_, end), fine in zip(spans, right, strict=True)
    }
    assert {k: i for k, (i, w) in enumerate(zip(targets, weights, strict=True)) if w} == said
    assert all(targets[k] == i for k, i in enumerate(ids) if k not in said)


def test_a_drill_of_purchases_goes_on_from_the_shipped_base(tmp_path):
    config = PretrainConfig(size=0.13, steps=4, decay=1, drill="purchases")
    pretrain(config, tmp_path, until=2)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["curve"][0][0] > 10  # of a verdict: the base never says that
    shipped = load_policy(base.folder()).state_dict()
    moved = [(w - shipped[name]).norm() / w.norm() for name, w in state["model"].items()]
    assert 0 < max(moved) < 0.1
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["data"].startswith("Purchases in made-up shops")
    assert (tmp_path / "README.md").read_text().startswith("# The shop checker\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / name).read_bytes() == (base.folder() / name).read_bytes()
    pretrain(config, tmp_path)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["number"] == 4
    (batch,) = Rows(load_chat(tmp_path), 0, 0, 0.5, "purchases")[7]
    assert batch.ids.shape == (4, 1024)
    assert set(batch.weights.unique().tolist()) == {0.0, WEIGHT_VERDICT}
    with pytest.raises(ValueError, match="this run is"):
        pretrain(replace(config, drill=None), tmp_path)


def test_a_drill_of_solutions_goes_on_from_the_checker_at_a_lower_rate():
    config = PretrainConfig(steps=4, warmup=1, decay=1, drill="solutions")
    assert config.rate(1) == 0.3 and replace(config, drill=None).rate(1) == 1
    start = new_base(config, load_chat(base.folder())).state_dict()
    for name, w in load_policy(base.folder("checker")).state_dict().items():
        assert torch.equal(start[name], w.float())


def test_the_loss_asks_for_the_targets_not_for_what_follows(toy):
    model, batch = load_policy(toy), episodes(load_chat(toy), "graded", "x", 1, 256)
    at = batch.weights[:, 1:].flatten() > 0
    with torch.no_grad():
        losses, _ = losses_of(model, batch)
        logits = model(batch.ids).logits[0, :-1].float()
    asked = batch.targets[0, 1:]
    assert at.any() and (asked[at] != batch.ids[0, 1:][at]).all()
    expected = logits.logsumexp(-1) - logits.gather(1, asked[:, None])[:, 0]
    torch.testing.assert_close(losses, expected)


def test_in_math_nothing_true_is_called_wrong_but_some_slips():
    pairs = [two for seed in range(800) for two in itertools.pairwise(episode("math", seed).turns)]
    wrong = [_is_false(first) for first, second in pairs if second.startswith(f"Thought:\n{WRONG}")]
    passed = [first for first, second in pairs if not second.startswith(f"Thought:\n{WRONG}")]
    assert len(wrong) > 250 and sum(wrong) / len(wrong) > 0.9  # the others: another sum, and true
    assert sum(_is_false(turn) is True for turn in passed) < 0.2 * len(wrong)


# --- tokenizer ----------------------------------------------------------------------------------


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_the_tokenizer_loses_nothing(text):
    chat = load_chat(base.folder())
    assert chat.tokenizer.decode(chat.encode(text), clean_up_tokenization_spaces=False) == text


def test_digits_and_product_numbers_are_single_tokens():
    tok = load_chat(base.folder()).tokenizer
    assert 1000 <= len(tok) <= 2000
    assert tok.tokenize("12 + 345") == ["1", "2", "Ġ+", "Ġ3", "4", "5"]
    assert tok.tokenize("B0QK7ZZX12") == list("B0QK7ZZX12")
    pieces = tok.get_vocab()
    assert not [p for p in pieces if re.search(r"[0-9]", p.removeprefix("Ġ")) and len(p) > 2]
    assert not [
        p for p in pieces if re.search(r"[A-Z]{2}", p) and "SEP" not in p and "N.A" not in p
    ]


# --- what the package ships -----------------------------------------------------------------------


def test_the_shipped_base_is_as_its_card_says(tmp_path):
    folder = base.folder()
    card = json.loads((folder / "card.json").read_text())
    assert sum((folder / name).stat().st_size for name in card["files"]) < 16e6
    assert card["steps"] > 2000
    assert card["tokens"] == card["curve"]["rows"][-1][1]
    assert str(f"{card['tokens']:,}") in (folder / "README.md").read_text()
    model, chat = load_policy(folder), load_chat(folder)
    assert sum(p.numel() for p in model.parameters()) == card["parameters"]
    chat.verify(folder)
    for world in WORLDS:
        ids, weights = encoded(chat, episode(world, 10**9))
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
        said = torch.tensor(weights[1:]) == 1
        assert losses[said].mean() < 0.5
    shutil.copytree(folder, tmp_path / "b")
    (tmp_path / "b" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"config\.json: expected SHA-256 [0-9a-f]{64}, found"):
        base.check(tmp_path / "b")
    (tmp_path / "b" / "config.json").unlink()
    with pytest.raises(ValueError, match="found no file"):
        base.check(tmp_path / "b")


@pytest.mark.parametrize(
    ("name", "drill"), [("checker", graded), ("shop_checker", graded_purchase)]
)
def test_a_checker_tells_what_is_right_so_far(name, drill):
    """On exercises that it can't have met: draws of pretraining are below 2**40."""
    folder = base.folder(name)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (folder / file).read_bytes() == (base.folder() / file).read_bytes()
    model, chat = load_policy(folder), load_chat(folder)
    said, fine, ends = [], [], []
    for seed in range(2**40, 2**40 + 60):
        text, marks = drill(seed)
        ids, weights, targets = verdicts(chat, text, marks)
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].float()
        at = [k for k, w in enumerate(weights) if w]
        right, wrong = (chat.ids(word)[0] for word in base.VERDICTS)
        said += (logits[[k - 1 for k in at], right] - logits[[k - 1 for k in at], wrong]).tolist()
        fine += [float(targets[k] == right) for k in at]
        ends += [k == at[-1] for k in at]
    assert auroc(np.array(said), np.array(fine)) > 0.85
    last = np.flatnonzero(ends)  # what a purchase is like at its end can't be told from its length
    assert auroc(np.array(said)[last], np.array(fine)[last]) > 0.85


def test_the_command_and_bad_sizes(tmp_path, monkeypatch, capsys):
    asked = {}
    monkeypatch.setattr(
        "agentprm_lite.tutorial.pretrain.pretrain",
        lambda config, folder, **more: asked.update(config=config, folder=folder, **more),
    )
    assert main(["pretrain", str(tmp_path), "--steps", "7", "--until", "3"]) == 0
    assert (asked["config"].steps, asked["until"], asked["folder"]) == (7, 3, tmp_path)
    assert asked["command"] == f"agentprm pretrain {tmp_path} --steps 7 --until 3"
    assert capsys.readouterr().out == f"{tmp_path}\n"
    with pytest.raises(ValueError, match="sizes must be positive"):
        PretrainConfig(layers=1)
    with pytest.raises(ValueError, match="multiple of 2 heads"):
        PretrainConfig(hidden=100)
