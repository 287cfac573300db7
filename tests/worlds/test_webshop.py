"""WebShop against recordings of AgentGym's server, and by hand on a shop of three products."""

import collections
import gzip
import itertools
import json
import os
import random
import re
import statistics
import time
from pathlib import Path

import pytest

from agentprm_lite.tutorial.tiny import tiny_tokenizer, vocabulary
from agentprm_lite.worlds.webshop import WebShop, alike, as_wanted
from agentprm_lite.worlds.webshop import pages as pages
from agentprm_lite.worlds.webshop.catalogue import Catalogue, Goal, catalogue, made_shop
from agentprm_lite.worlds.webshop.env import _parsed
from agentprm_lite.worlds.webshop.reward import reward, similar, type_factor
from agentprm_lite.worlds.webshop.search import SearchIndex, words
from agentprm_lite.worlds.webshop.synthetic import GOALS, SHOPS

REPOSITORY = Path(__file__).resolve().parents[2]
ASIN = re.compile(r"[A-Z0-9]{10}")
CAP = re.compile(r", and price lower than ([\d.]+) dollars")
DETAILS = "Rating: N.A. [SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now"

MUG, CUP, LAMP = (
    {
        "asin": "B000000MUG",
        "title": "Big <script>alert(1)</script> Mug",
        "description": "A mug that is dishwasher safe.",
        "bullet_points": ["Heavy", "Easy Clean glaze"],
        "pricing": [12.5],
        "query": "mugs",
        "product_category": "Home › Kitchen › Mugs",
        "options": {"size": ["small", "large"], "color": ["red", "deep blue"]},
        "attributes": ["hand made"],
        "instruction": "Find me hand made, easy clean mugs",
        "instruction_attributes": ["hand made", "easy clean"],
    },
    {
        "asin": "B000000CUP",
        "title": "Tea cup",
        "description": "",
        "bullet_points": ["Light"],
        "pricing": [10.0, 20.0],
        "query": "cups",
        "product_category": "Home › Kitchen › Cups",
        "options": {},
        "attributes": ["hand made"],
        "instruction": "Find me hand made cups",
        "instruction_attributes": ["hand made"],
    },
    {
        "asin": "B00000LAMP",
        "title": "Lamp",
        "description": "",
        "bullet_points": [""],
        "pricing": [995.0],
        "query": "lamps",
        "product_category": "Light › Lamps",
        "options": {},
        "attributes": ["bright"],
        "instruction": "Find me bright lamps",
        "instruction_attributes": ["bright"],
    },
)
# the same shop in the fields of WebShop's own files
ITEMS = [
    {
        "asin": "B000000MUG",
        "name": MUG["title"],
        "full_description": MUG["description"],
        "small_description": MUG["bullet_points"],
        "pricing": "$12.50",
        "query": "Mugs ",
        "product_category": MUG["product_category"],
        "customization_options": {
            "Size": [{"value": " Small "}, {"value": "Large"}],
            "Color": [{"value": "Red", "image": "x"}, {"value": "Deep Blue"}],
            "Style": None,
        },
    },
    {"asin": "B000000CUPS", "name": "its number is too long"},
    {
        "asin": "B000000CUP",
        "name": "Tea cup",
        "full_description": "",
        "small_description": "Light",
        "pricing": "$10.00$20.00$30.00",
        "query": "cups",
        "product_category": "Home › Kitchen › Cups",
        "customization_options": "",
    },
    {
        "asin": "B00000LAMP",
        "name": "Lamp",
        "full_description": "",
        "small_description": [""],
        "pricing": "$995.00",
        "query": "lamps",
        "product_category": "Light › Lamps",
        "customization_options": {},
    },
    {"asin": "B000000CUP", "name": "a second record of a product is not read"},
]
NOTES = {
    record["asin"]: {
        name: record[name] for name in ("attributes", "instruction", "instruction_attributes")
    }
    for record in (MUG, CUP, LAMP)
}


def reference(path: str) -> Path:
    """A file of the reference data; skips the test where it is absent."""
    folder = Path(os.environ.get("AGENTPRM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / path).exists():
        pytest.skip(f"reference data {path} not found (set AGENTPRM_DATA)")
    return folder / path


@pytest.fixture(autouse=True)
def no_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTPRM_WEBSHOP", raising=False)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    lines = [json.dumps(record) for record in (MUG, CUP, LAMP)]
    (tmp_path / "products_1000.jsonl").write_text("\n".join(lines))
    return tmp_path


def goal_index(env: WebShop, asin: str, **options: str) -> int:
    for index, goal in enumerate(env._shop.goals):
        if (
            env._shop.products[goal.place].asin == asin
            and options.items() <= dict(goal.options).items()
        ):
            return index
    raise LookupError(asin)


def mug_env(shop: Path) -> tuple[WebShop, str]:
    """The task to buy a large red mug, and its instruction."""
    env = WebShop(catalogue=shop)
    index = goal_index(env, "B000000MUG", size="large", color="red")
    _, info = env.reset(options={"index": index})
    return env, info["goal"]


# --- against the recordings ---------------------------------------------------------------------


def real_env() -> WebShop:
    reference("webshop/products_1000.jsonl.gz")
    return WebShop(max_rounds=1_000, catalogue=reference("webshop"))


def recorded_action(turn: str) -> str:
    """What AgentGym's client made of a turn."""
    if "Action:" in turn:
        return turn.rpartition("Action:")[2].strip()
    return turn.strip() if "search[" in turn or "click[" in turn else ""


def shown(page: str) -> list[str]:
    return [field for field in page.split(" [SEP] ") if ASIN.fullmatch(field)]


def with_hits_of(env: WebShop, page: str) -> str:
    """Put the recorded products on the present page of results; the page that this gives."""
    kept = env.snapshot()
    state = kept["state"]
    first = 10 * (state["number"] - 1)
    places = [env._shop.places[asin] for asin in shown(page)]
    before = state["hits"][:first]
    after = [hit for hit in state["hits"] if hit not in before and hit not in places]
    state["hits"] = [*before, *places, *after][: len(state["hits"])]
    env.restore(kept)
    return env.step("no action")[0]


def kind_of(page: str) -> str:
    fields = page.split(" [SEP] ")
    if fields[0] == "WebShop":
        return "start"
    if fields[0].startswith("Thank you"):
        return "done"
    if fields[3].startswith("Page "):
        return "results"
    return "item" if fields[-1] == "Buy Now" else "detail"


def test_live_runs():
    env = real_env()
    by_text = {CAP.sub("", goal.instruction): i for i, goal in enumerate(env._shop.goals)}
    seen: collections.Counter[str] = collections.Counter()
    overlaps, other_rewards = [], 0
    with gzip.open(reference("live_runs/webshop.jsonl.gz"), "rt") as lines:
        runs = [json.loads(line) for line in lines]
    for run in runs:
        told = [turn["content"] for turn in run["conversations"]][2:]
        instruction = told[0].split(" [SEP] ")[2]
        cap = CAP.search(instruction)
        options = {"index": by_text[CAP.sub("", instruction)]}
        # a server draws the prices of some products anew, and with them caps
        page, _ = env.reset(options=options | ({"price_cap": float(cap[1])} if cap else {}))
        assert page == told[0]
        for turn, expected in zip(told[1::2], told[2::2], strict=True):
            action = recorded_action(turn)
            page, got, terminated, _, info = env.step(action)
            kind = kind_of(expected)
            seen[kind] += 1
            if kind == "results":
                if action.startswith("search["):
                    wanted = shown(expected)
                    overlaps.append(len({*wanted} & {*shown(page)}) / max(1, len(wanted)))
                assert with_hits_of(env, expected) == expected
            elif kind == "done":
                assert terminated
                end = " [SEP] options [SEP] "
                assert page.partition(end)[0] == expected.partition(end)[0]
                other_rewards += abs(got - run["reward"]) > 1e-9
                assert info["success"] == (got == 1.0)
                assert page == expected or got != run["reward"]  # all the rest is equal as well
            else:
                assert page == expected
    assert len(runs) == 46
    assert seen == {"start": 13, "results": 272, "item": 138, "detail": 39, "done": 25}
    assert other_rewards <= 2
    assert len(overlaps) == 257
    assert statistics.mean(overlaps) >= 0.98


def test_recorded_episode():
    vector = json.loads(reference("vectors/webshop_session0_r0.json").read_text())
    env = real_env()
    cap = float(CAP.search(vector["goal_instruction_seen"])[1])
    page, _ = env.reset(options={"index": vector["session_idx"], "price_cap": cap})
    assert page == vector["initial_observation"]
    for step in vector["steps"]:
        page, got, terminated, _, _ = env.step(step["action"])
        if kind_of(step["observation"]) == "results":
            page = with_hits_of(env, step["observation"])
        assert (page, got, terminated) == (step["observation"], step["reward"], step["done"])


def test_goals_of_the_real_catalogue():
    shop = real_env()._shop
    with gzip.open(reference("webshop/goals_6910_shuffled.json.gz")) as file:
        recorded = json.load(file)
    assert len(shop.goals) == len(recorded) == 6910
    other_caps = 0
    for goal, expected in zip(shop.goals, recorded, strict=True):
        product = shop.products[goal.place]
        assert product.asin == expected["asin"]
        assert dict(goal.options) == expected["goal_options"]
        assert list(goal.attributes) == expected["attributes"]
        assert CAP.sub("", goal.instruction) == CAP.sub("", expected["instruction_text"])
        same = (goal.cap, goal.instruction) == (
            expected["price_upper"],
            expected["instruction_text"],
        )
        assert same or " to " in product.tag  # only those with a price range differ
        other_caps += not same
    assert other_caps == 497


def test_splits_of_the_real_catalogue(monkeypatch):
    lists = [
        {int(row["item_id"].removeprefix("webshop_")) for row in json.loads(path.read_text())}
        for path in (
            reference("agentgym_ids/webshop_train_ids.json"),
            reference("agentgym_ids/webshop_test.json"),
        )
    ]
    monkeypatch.setenv("AGENTPRM_WEBSHOP", str(reference("webshop")))
    for split, expected in zip(("train", "test"), lists, strict=True):
        assert {task.index for task in WebShop.tasks(split)} == expected
    assert len(WebShop()._shop.products) == 1000


def test_expert_in_the_real_catalogue():
    env = WebShop(catalogue=reference("webshop"))
    won = sum(finished(env, index)[0] for index in range(0, 6910, 35))
    assert won >= 0.9 * len(range(0, 6910, 35))


# --- made-up shops -------------------------------------------------------------------------------

SOME = range(0, SHOPS * GOALS, 401)


def finished(env: WebShop, index: int, variant: int = 0) -> tuple[bool, int]:
    """Whether the expert succeeds from where a reset leads, and in how many rounds."""
    env.reset(options={"index": index, "variant": variant})
    return played_on(env)


def played_on(env: WebShop) -> tuple[bool, int]:
    for count in range(1, env.max_rounds + 1):
        thought, action = env.expert_action()
        assert len(thought.split()) <= 130
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            return info["success"], count
    raise AssertionError("the episode ought to be over")


def test_a_shop_is_the_same_on_every_machine():
    shop = made_shop(0, 0)
    assert (len(shop.products), len(shop.goals), shop.key) == (18, 12, "18-7d9a7e75")
    goal = shop.goals[0]
    assert (goal.instruction, shop.products[goal.place].asin) == (
        "Find me light weight, foldable charging cables, and price lower than 60.00 dollars",
        "B020KIDQIL",
    )
    assert made_shop(0, 1).key != shop.key != made_shop(1, 0).key


def test_products_are_varied_and_told_in_few_words():
    shops = [made_shop(number, 0) for number in range(0, SHOPS, 40)]
    for shop in shops:
        assert len({product.asin for product in shop.products}) == len(shop.products)
        assert all(ASIN.fullmatch(product.asin) for product in shop.products)
        assert all(len(product.title.split()) <= 8 for product in shop.products)
        assert len({product.query for product in shop.products}) == 2
        assert {len(product.options) for product in shop.products} == {0, 1, 2}
    numbers = [product.asin for shop in shops for product in shop.products]
    assert len(set(numbers)) == len(numbers)
    assert len({number[2:] for number in numbers}) == len(numbers)  # "B0" stands before all
    assert len({product.query for shop in shops for product in shop.products}) > 25


def best_reward(shop: Catalogue, goal: Goal, place: int) -> float:
    """Reward for a product with the best choice of options."""
    product, names = shop.products[place], [name for name, _ in shop.products[place].options]
    wanted = shop.products[goal.place]
    return max(
        reward(product, dict(zip(names, values, strict=True)), goal, wanted, goal.cap)
        for values in itertools.product(*(values for _, values in product.options))
    )


def test_one_product_and_one_choice_is_right_and_many_are_near():
    near, first = 0, 0
    for index in SOME:
        shop = made_shop(index // GOALS, 0)
        goal = shop.goals[index % GOALS]
        places = range(len(shop.products))
        assert [p for p in places if best_reward(shop, goal, p) > 1 - 1e-9] == [goal.place]
        env = WebShop()
        env.reset(options={"index": index})
        env.step(env.expert_action()[1])
        hits = env.snapshot()["state"]["hits"][:10]
        near += sum(0.5 <= best_reward(shop, goal, place) < 1 for place in hits)
        first += hits[0] == goal.place
        product = shop.products[goal.place]
        chosen = [
            dict(zip((name for name, _ in product.options), values, strict=True))
            for values in itertools.product(*(values for _, values in product.options))
        ]
        right = [c for c in chosen if reward(product, c, goal, product, goal.cap) > 1 - 1e-9]
        assert right == [dict(goal.options)]
    assert near / len(SOME) > 3  # of ten hits earn at least half
    assert first / len(SOME) < 0.4


def test_splits_share_no_shop():
    shops = [{task.index // GOALS for task in WebShop.tasks(split)} for split in ("train", "test")]
    assert (len(shops[0]), len(shops[1]), shops[0] & shops[1]) == (896, 128, set())
    assert [len(WebShop.tasks("train", levels=(k,))) for k in (1, 2, 3)] == [3584] * 3
    assert [len(WebShop.tasks("test", levels=(k,))) for k in (1, 2, 3)] == [512] * 3
    for level in (1, 2, 3):
        task = WebShop.tasks("test", levels=(level,))[0]
        info = WebShop().reset(options={"index": task.index})[1]
        goal = made_shop(task.index // GOALS, 0).goals[task.index % GOALS]
        assert info["level"] == level == 1 + len(goal.options)
    with pytest.raises(ValueError, match="expected"):
        WebShop.tasks("train", levels=(4,))
    with pytest.raises(ValueError, match="split"):
        WebShop.tasks("dev")


def test_variants_are_other_shops_and_open_the_instruction_otherwise():
    env = WebShop()
    told = [env.reset(options={"index": 5, "variant": k})[1]["goal"] for k in range(5)]
    openings = ("Find me ", "I am looking for ", "Please buy ", "I want to order ")
    for text, opening in zip(told, (*openings, openings[1]), strict=True):
        assert text.startswith(opening)
    assert len({text.partition(", and price")[0] for text in told}) == 5
    assert all(finished(env, 5, variant)[0] for variant in range(4))


def test_expert_within_six_rounds():
    env = WebShop(max_rounds=6)  # the paper's number
    results = [finished(env, index) for index in range(0, SHOPS * GOALS, 29)]
    assert all(success for success, _ in results)
    assert {rounds for _, rounds in results} == {3, 4, 5, 6}


def test_expert_after_detours():
    rng = random.Random(3)
    for index in SOME:
        env = WebShop(max_rounds=60)
        env.reset(options={"index": index})
        for _ in range(12):
            texts = [*pages.clickables(env._parts()), env.expert_action()[1], "desk lamps"]
            text = rng.choice([text for text in texts if text != "buy now"])
            bought = text == "click[Buy Now]"
            env.step(text if text.endswith("]") and not bought else f"click[{text}]")
            if rng.random() < 0.2:
                env.step("search[small gentle things]")
        assert played_on(env)[0]


def test_nothing_is_wrong_until_a_wrong_product_or_value_is_clicked():
    env = WebShop()
    env.reset(options={"index": 4})

    def after(action):
        env.step(action)
        return as_wanted(env.snapshot())

    goal, shop = env._goal, env._shop
    wanted = shop.products[goal.place]
    (name, value), *_ = goal.options
    other = next(v for v in dict(wanted.options)[name] if v != value)
    unlike = next(
        p for p in shop.products if p.query == wanted.query and p.attributes != wanted.attributes
    )
    dear = env.snapshot()
    assert as_wanted(dear)
    assert after(f"search[{unlike.title}]")
    assert not after(f"click[{unlike.asin}]")
    assert not after("click[Features]")
    assert not after("click[< Prev]")  # its page again
    assert after("click[< Prev]")
    assert after(f"search[{wanted.title}]")
    assert after(f"click[{wanted.asin}]")
    assert not after(f"click[{other}]")
    assert after(f"click[{value}]")
    env.reset(options={"index": 4, "price_cap": wanted.price - 1})
    assert after(f"search[{wanted.title}]")
    assert not after(f"click[{wanted.asin}]")  # too dear
    env.restore(dear)
    assert after(f"search[{wanted.title}]")
    assert after(f"click[{wanted.asin}]")
    assert not after("click[Buy Now]")  # without the value that is wanted


def test_expert_turns():
    env = WebShop()
    env.reset(options={"index": 4})
    turns = []
    done = False
    while not done:
        turns.append(env.expert_action())
        done = env.step(turns[-1][1])[2]
    assert turns == [
        ("I look for shock absorbing charging cables.", "search[shock absorbing charging cables]"),
        (
            "B0NWOGZ23F [SEP] Lumora foldable shock absorbing charging cables [SEP] $85.0 too "
            "dear. B0PM1VRRWU [SEP] Kestra foldable shock absorbing charging cables [SEP] $35.0 "
            "fits.",
            "click[B0PM1VRRWU]",
        ),
        ("I choose color: blue.", "click[blue]"),
        ("B0PM1VRRWU is as wanted. I buy it.", "click[Buy Now]"),
    ]


def test_a_word_level_tokenizer_reads_product_numbers_by_letters():
    tok = tiny_tokenizer(vocabulary(WebShop.tasks("train")[::25]))
    texts = vocabulary(WebShop.tasks("test")[::16])
    assert len(tok) < 1_500
    assert not [text for text in texts if tok.unk_token_id in tok.encode(text)]
    assert tok.tokenize("click[B0LUQ7KO8X]") == [*("click", "["), *"B0LUQ7KO8X", "]"]


def test_loading_and_steps_are_fast():
    start = time.process_time()
    made_shop.__wrapped__(3, 4)
    assert time.process_time() - start < 0.5
    env, took = WebShop(), []
    for index in range(40):
        env.reset(options={"index": index})
        done = False
        while not done:
            action = env.expert_action()[1]
            start = time.perf_counter()
            done = env.step(action)[2]
            took.append(time.perf_counter() - start)
    assert statistics.median(took) < 1e-3


# --- pages and actions --------------------------------------------------------------------------


def test_pages_by_hand(shop):
    env, told = mug_env(shop)
    assert re.fullmatch(
        r"Find me hand made, easy clean mugs with color: red, and size: large, "
        r"and price lower than [345]0\.00 dollars",
        told,
    )
    head = f"Instruction: [SEP] {told} [SEP] Back to Search"
    assert env.step("nonsense")[0] == f"WebShop [SEP] Instruction: [SEP] {told} [SEP] Search"
    assert env.step("search[MUG tea]")[0] == (
        f"{head} [SEP] Page 1 (Total results: 2) [SEP] Next > [SEP] "
        "B000000CUP [SEP] Tea cup [SEP] $10.0 to $20.0 [SEP] "
        "B000000MUG [SEP] Big <script>alert(1)</script> Mug [SEP] $12.5"
    )
    item = (
        f"{head} [SEP] < Prev [SEP] size [SEP] small [SEP] large [SEP] color [SEP] red [SEP] "
        f"deep blue [SEP] Big <script>alert(1)</script> Mug [SEP] Price: $12.5 [SEP] {DETAILS}"
    )
    assert env.step("click[b000000mug]")[0] == item
    assert env.step("click[LARGE]")[0] == item  # hidden
    assert env.step("click[Description]")[0] == (
        f"{head} [SEP] < Prev [SEP] A mug that is dishwasher safe."
    )
    assert env.step("click[Buy Now]")[0].endswith("dishwasher safe.")  # not on this page
    assert env.step("click[< Prev]")[0] == item
    features = env.step("click[features]")[0]
    assert features == f"{head} [SEP] < Prev [SEP] Heavy [SEP] Easy Clean glaze"
    env.restore({**env.snapshot(), "rounds": 0})
    env.step("click[< Prev]")
    assert env.step("click[Reviews]")[0] == f"{head} [SEP] < Prev"
    env.step("click[< Prev]")
    env.step("click[red]")
    assert env.step("click[Buy Now]")[:4] == (
        "Thank you for shopping with us! [SEP] Your code: [SEP] None [SEP] "
        "(Paste it in your MTurk interface.) [SEP] Purchased [SEP] asin [SEP] B000000MUG [SEP] "
        'options [SEP] {"color": "red", "size": "large"} [SEP] attrs [SEP] None [SEP] category '
        "[SEP] None [SEP] query [SEP] None [SEP] product category [SEP] None [SEP] Target [SEP] "
        "asin [SEP] options [SEP] attrs [SEP] price upper [SEP] instuction text [SEP] category "
        "[SEP] product category [SEP] query [SEP] Goal [SEP] None [SEP] Reward [SEP] "
        "Your score (min 0.0, max 1.0) [SEP] 1.0 [SEP] Reward Details [SEP] None",
        1.0,
        True,
        False,
    )


def chosen(env: WebShop) -> dict[str, str]:
    return dict(env.snapshot()["state"]["chosen"])


def test_chosen_options_are_kept_on_details_and_forgotten_on_the_way_back(shop):
    env, _ = mug_env(shop)
    env.step("search[mug]")
    for action in ("click[B000000MUG]", "click[small]", "click[large]"):
        env.step(action)
    assert chosen(env) == {"size": "large"}
    env.step("click[Features]")
    env.step("click[< Prev]")
    assert chosen(env) == {"size": "large"}
    assert kind_of(env.step("click[< Prev]")[0]) == "results"
    assert chosen(env) == {}
    env.step("click[B000000MUG]")
    env.step("click[red]")
    assert kind_of(env.step("search[mug]")[0]) == "results"  # a search works on every page
    assert chosen(env) == {}


def test_buttons_lead_only_from_pages_that_show_them(shop):
    env, _ = mug_env(shop)
    start = env.step("")[0]
    for action in (
        "click[Search]", "click[B000000MUG]", "click[Back to Search]", "click[Next >]",
        "click[Buy Now]", "search[]", "Search[mug]", "search [mug]", " search[mug]",
        "\nsearch[mug]", "search", "search[mug", "searchmug]", "[mug]", "buy[mug]",
    ):  # fmt: skip
        assert env.step(action)[:2] == (start, 0.0)
        env.reset()
        env, _ = mug_env(shop)
    first = env.step("search[mug]now")[0]
    second = env.step("click[Next >]")[0]
    assert " Page 2 (Total results: 1) [SEP] < Prev [SEP] Next >" in second
    assert shown(second) == []
    assert env.step("click[B000000MUG]")[0] == second
    assert env.step("click[< Prev]")[0] == first
    assert env.step("click[< Prev]")[0] == first
    assert env.step("click[Back to Search]")[0] == start
    nothing = env.step("search[zzz]")[0]
    assert nothing.endswith("Page 1 (Total results: 0) [SEP] Next >")


def test_actions_are_read_as_by_webshops_pattern():
    pattern = re.compile(r"(.+)\[(.+)\]")
    rng = random.Random(8)
    for _ in range(5_000):
        action = "".join(rng.choice("ab[]]\n A") for _ in range(rng.randrange(9)))
        match = pattern.match(action)
        assert _parsed(action) == ((match[1], match[2].lower()) if match else ("", "")), action


def test_html_shows_the_page_and_escapes_it(shop):
    env, _ = mug_env(shop)
    assert "Find me hand made" in env.html()
    env.step("search[mug]")
    assert "<b>B000000MUG</b>" in env.html()
    env.step("click[B000000MUG]")
    env.step("click[deep blue]")
    view = env.html()
    assert "<script" not in view
    assert "Big &lt;script&gt;alert(1)&lt;/script&gt; Mug" in view
    assert '<input type="radio" disabled checked>deep blue' in view
    assert view.count("checked") == 1
    assert "<button disabled>&lt; Prev</button>" in view
    assert "checked" not in env.step("click[red]")[0]


# --- search and reward --------------------------------------------------------------------------


def test_search_words():
    assert words("Lucene's the Running_shoes, don’t 1,000.5 x.y b.") == [
        "lucen", "running_sho", "don’t", "1,000.5", "x.y", "b",
    ]  # fmt: skip
    assert words("x" * 256 + " it") == []


def test_search_scores_by_hand():
    # BM25 with k1 0.9 and b 0.4, two texts of lengths 2 and 4, mean 3. "red" is in both with
    # tf 1: the shorter one first. "lamp": only the second has it.
    index = SearchIndex(["red kettle", "red lamp for small desks"])
    assert index.search("red") == [0, 1]
    assert index.search("lamp") == [1]
    assert index.search("red lamps") == [1, 0]
    assert index.search("of the") == []
    many = SearchIndex([f"lamp {i}" for i in range(60)])
    assert many.search("lamp") == list(range(50))  # at most fifty, ties in order


def products(shop: Path) -> tuple:
    return catalogue(shop).products


def test_reward_by_hand(shop):
    mug, cup, lamp = products(shop)
    pair = ("hand made", "easy clean")
    goal = Goal(0, "", pair, (("color", "red"), ("size", "large")), 20.0)

    def paid(bought, options, cap=20.0):
        return reward(bought, options, goal, mug, cap)

    assert paid(mug, {"color": "red", "size": "large"}) == 1.0  # (2 + 2 + 1) / 5
    assert paid(mug, {"color": "red", "size": "large"}, cap=12.5) == 1.0
    assert paid(mug, {"color": "red", "size": "large"}, cap=12.0) == pytest.approx(4 / 5)
    assert paid(mug, {"color": "red", "size": "small"}) == pytest.approx(4 / 5)
    assert paid(mug, {"color": "red", "size": "x large"}) == pytest.approx(4 / 5)
    assert paid(mug, {"color": "red"}) == pytest.approx(4 / 5)
    assert paid(mug, {}) == pytest.approx(3 / 5)
    # "large" is the only word of the value that the wanted pair "('size', 'large')" must hold
    assert paid(mug, {"size": "large", "color": "dark red wine"}) == 1.0  # its colour is red
    # the cup shares two parts of the category path with the mug, but no word of the title
    assert paid(cup, {}) == 0.0
    assert paid(lamp, {"size": "large"}) == 0.0
    own = Goal(1, "", ("hand made",), (), 15.0)
    assert reward(cup, {}, own, cup, 15.0) == 1.0  # the middle of its price range is 15
    assert reward(cup, {}, own, cup, 14.99) == pytest.approx(1 / 2)


def test_type_factor_by_hand(shop):
    mug, cup, lamp = products(shop)

    def titled(product, title, **fields):
        return type(product)(**{**product.__dict__, "title": title, **fields})

    ten = titled(lamp, "one two three four five six seven eight nine lamp")
    assert type_factor(lamp, lamp) == 1.0
    assert type_factor(titled(lamp, "vase"), lamp) == 0.0
    # one word of ten: not above 0.2; nothing else is the same
    assert type_factor(titled(cup, "lamp"), ten) == 0.5
    assert type_factor(titled(cup, "lamp", query="lamps"), ten) == 1.0
    assert type_factor(titled(cup, "lamp", path="Lamps › Light"), ten) == 1.0
    assert type_factor(titled(cup, "one two lamp"), ten) == 1.0  # 0.3 > 0.2
    eleven = titled(lamp, f"{ten.title} ten")
    assert type_factor(titled(lamp, "lamp"), eleven) == 0.1  # 1/11, even with the same query
    assert type_factor(mug, titled(lamp, "")) == 0.5  # no words count as a share of 0.2


def test_similar():
    assert similar("easy clean", "clean easy")
    assert similar("red", "('color', 'red')")
    assert not similar("x large", "('size', 'large')")
    assert similar("large", "('size', 'x large')")  # WebShop is that lenient
    assert not similar("", "")
    assert not similar("é", "ü")


# --- files --------------------------------------------------------------------------------------


def test_webshops_own_files_give_the_same_catalogue(shop, tmp_path_factory):
    own = tmp_path_factory.mktemp("own")
    (own / "items_shuffle_1000.json").write_text(json.dumps(ITEMS))
    (own / "items_ins_v2_1000.json").write_text(json.dumps(NOTES))
    assert catalogue(own).products == catalogue(shop).products
    assert catalogue(own).goals == catalogue(shop).goals
    packed = tmp_path_factory.mktemp("packed")
    packed.joinpath("products_1000.jsonl.gz").write_bytes(
        gzip.compress((shop / "products_1000.jsonl").read_bytes())
    )
    assert catalogue(packed).key == catalogue(shop).key
    assert catalogue(shop) is catalogue(str(shop))  # read once


def test_goals_by_hand(shop):
    goals = catalogue(shop).goals
    assert sorted(len(goal.options) for goal in goals) == [0, 0, 2, 2, 2, 2]
    assert {goal.cap for goal in goals if goal.place == 0} <= {30.0, 40.0, 50.0}
    lamp = next(goal for goal in goals if goal.place == 2)
    assert lamp.instruction == "Find me bright lamps"  # dearer than any cap
    assert lamp.cap == 1_000_000
    shop_of_six = catalogue(shop)
    assert (shop_of_six.test, shop_of_six.train) == ((0, 1, 2), (3, 4, 5))


@pytest.mark.parametrize("as_file", [False, True])
def test_a_missing_folder_says_where_to_get_it(tmp_path, monkeypatch, as_file):
    missing = tmp_path / "nothing"
    if as_file:
        missing.mkdir()
        (missing / "items_shuffle_1000.json").write_text("[]")  # its partner is missing
    with pytest.raises(FileNotFoundError, match=r"github\.com/princeton-nlp/WebShop"):
        WebShop(catalogue=missing)
    monkeypatch.setenv("AGENTPRM_WEBSHOP", str(missing))
    with pytest.raises(FileNotFoundError, match=r"items_ins_v2_1000\.json"):
        WebShop.tasks("train")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "3",
        '{"asin": "B000000MUG"}',
        json.dumps({**MUG, "pricing": []}),
        json.dumps({**MUG, "title": None}),
        json.dumps({**MUG, "options": [1]}),
        f"{json.dumps(CUP)}\n{json.dumps(CUP)}",
        "\ud800",
    ],
)
def test_a_broken_file_says_where_to_get_it(tmp_path, text):
    (tmp_path / "products_1000.jsonl").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"is broken .*github\.com/princeton-nlp/WebShop"):
        WebShop(catalogue=tmp_path)


def test_broken_archive_and_ids(tmp_path, shop):
    (tmp_path / "webshop_test.json").write_text('[{"item_id": "webshop_99"}]')
    (tmp_path / "webshop_train_ids.json").write_text('[{"item_id": "webshop_0"}]')
    with pytest.raises(ValueError, match="expected indices from 0 to 5"):
        WebShop(catalogue=shop)
    (shop / "products_1000.jsonl").unlink()
    (shop / "products_1000.jsonl.gz").write_bytes(gzip.compress(b"{}" * 99)[:-9])
    with pytest.raises((ValueError, OSError), match=r"github\.com/princeton-nlp/WebShop"):
        WebShop(catalogue=shop)


def test_reset_options_and_snapshots_of_another_catalogue(shop):
    env, _ = mug_env(shop)
    _, info = env.reset(options={"index": 0, "price_cap": 77})
    assert info["price_cap"] == 77
    assert info["goal"].endswith(", and price lower than 77.00 dollars")
    assert env.reset(options={"index": 0})[1]["price_cap"] != 77
    kept = env.snapshot()
    for bad in ({"variant": -1}, {"price_cap": 0}, {"price_cap": float("nan")}, {"index": -1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            env.reset(options={"index": 0} | bad)
    with pytest.raises(ValueError, match="expected catalogue made-up shops"):
        WebShop().restore(kept)


def test_the_list_in_chapter_1_forgets_one_option() -> None:
    chapter = (REPOSITORY / "notebooks" / "01_environments.py").read_text(encoding="utf-8")
    cell = next(c for c in chapter.split("# %%") if 'make_env("webshop")' in c)
    found = re.search(r'"index": (\d+)', cell)
    assert found
    env = WebShop()
    env.reset(options={"index": int(found[1])})
    *_, (_, paid, over, _, _) = map(
        env.step, [*re.findall(r'^    "(.+)",$', cell, re.M), "click[Buy Now]"]
    )
    # two attributes, one of two options and the price, of five things
    assert (paid, over) == (pytest.approx(4 / 5), True)


def test_products_alike_are_wrong_and_have_the_same_options():
    env = WebShop()
    for index in (4, 5, 6):
        env.reset(options={"index": index})
        goal, shop = env._goal, env._shop
        wanted = shop.products[goal.place]
        found = alike(env.snapshot())
        assert found and wanted.asin not in found
        for asin in found:
            other = shop.products[shop.places[asin]]
            assert dict(other.options).keys() == dict(wanted.options).keys()
            env.reset(options={"index": index})
            env.step(f"search[{other.title}]")
            env.step(f"click[{asin}]")
            for _, value in goal.options:
                env.step(f"click[{value}]")
            assert not env.step("click[Buy Now]")[4]["success"]
