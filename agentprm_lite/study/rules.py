"""What the paper claims, and the rule that gives a verdict (results/PLAN.md).

A test is an estimate with a 95 % interval and a bar. It holds if the whole interval is above the
bar. It fails if the interval reaches neither above the bar nor an effect worth having above it. A
claim holds if all its tests hold, and fails if one of them fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentprm_lite.metrics import Interval

Verdict = Literal["holds", "fails", "undecided"]
WORTH = 0.02  # the smallest effect worth having: two points of reward, or 0.02 of AUROC
WORLDS = ("textcraft", "babyai", "webshop", "math")


@dataclass(frozen=True)
class Claim:
    """A claim of the paper."""

    short: str
    """What is claimed, in two or three words."""
    says: str
    """What is claimed, in our words."""
    paper: str
    """The paper's numbers for it."""
    worlds: tuple[str, ...] = WORLDS
    """Where it is tested."""
    unit: str = "points"
    """What its tests count in: ``points`` of reward, ``times`` or ``AUROC``."""


CLAIMS: dict[str, Claim] = {
    "C1": Claim(
        "beats greedy",
        "Choosing by AgentPRM beats greedy SFT and greedy RFT.",
        "Qwen2.5-3B, beam 8×8: WebShop 76.0 against 46.0 and 48.0, BabyAI 89.8 against 67.4 and "
        "64.5, TextCraft 56.7 against 29.8 and 36.0",
    ),
    "C2": Claim(
        "8× fewer samples",
        "AgentPRM reaches the Best-of-N score of ORM and PVM with less than an eighth of the "
        "samples.",
        "more than 8 times fewer",
        unit="times",
    ),
    "C3": Claim(
        "goes on with N",
        "AgentPRM goes on improving with N where ORM and PVM flatten or fall.",
        "Qwen2.5-0.5B on WebShop, beam 2×2, 4×4, 8×8: ORM 19.5, 18.5, 8.0; PVM 30.0, 50.0, 57.5; "
        "AgentPRM 30.5, 51.5, 62.5",
    ),
    "C4": Claim(
        "needs L_A",
        "Without the advantage loss L_A AgentPRM is worse under every sampling strategy.",
        "worse under each, in a figure",
    ),
    "C5": Claim(
        "better PPO",
        "As a reward of PPO AgentPRM ends higher than the outcome, ORM and PVM, and more steadily.",
        "higher and steadier, in a figure",
        ("textcraft",),
    ),
    "C6": Claim(
        "math, too",
        "AgentPRM beats ORM and PVM in math, too.",
        "GSM8K, Qwen2.5-3B, beam 8×8: 73.4 against 72.9 and 71.2",
        ("math",),
    ),
    "C7": Claim(
        "TD beats MC",
        "TD labels with GAE beat Monte Carlo labels at no more sampled tokens.",
        "Best-of-64 with 1.9, 2.8 and 1.5 times fewer tokens: WebShop 74.0 against 72.0, BabyAI "
        "94.4 against 93.1, GSM8K 74.7 against 65.0",
    ),
    "C8": Claim(
        "values tell",
        "AgentPRM's values tell steps of successful trajectories from steps of failed ones.",
        "apart, in a figure of their distributions",
        unit="AUROC",
    ),
    "C9": Claim(
        "beats ORM, PVM",
        "AgentPRM beats ORM and PVM with larger and other models, too.",
        "Qwen2.5-7B and Llama-3.1-8B beside 0.5B and 3B",
    ),
}


@dataclass(frozen=True)
class Estimate:
    """One estimate and the bar that it has to clear."""

    name: str
    """What is estimated."""
    interval: Interval
    """Mean and 95 % interval, rounded to four digits."""
    tasks: int
    """Tasks, or what else was resampled beside the seeds."""
    seeds: int
    """Seeds of the reward model or run."""
    bar: float = 0.0
    """The claim says that the estimate is above it."""
    worth: float = WORTH
    """How far above the bar an effect is worth having."""
    by_family: Interval | None = None
    """The same with whole families of tasks resampled instead of tasks, where some belong together:
    draws of one goal, problems of one template. It decides nothing."""

    def __post_init__(self) -> None:
        # what is stored is what is judged
        for name in ("interval", "by_family"):
            if (interval := getattr(self, name)) is not None:
                rounded = Interval(*(round(float(x), 4) for x in interval))
                object.__setattr__(self, name, rounded)

    @property
    def verdict(self) -> Verdict:
        """The verdict of this test alone."""
        return decide(self.interval, self.bar, self.worth)

    def to_json(self) -> dict[str, Any]:
        """Plain data.

        Returns:
            All fields and the verdict.
        """
        return {
            "name": self.name,
            "interval": list(self.interval),
            "bar": self.bar,
            "worth": self.worth,
            "verdict": self.verdict,
            "tasks": self.tasks,
            "seeds": self.seeds,
            **({"by_family": list(self.by_family)} if self.by_family else {}),
        }


def decide(interval: Interval, bar: float = 0.0, worth: float = WORTH) -> Verdict:
    """Verdict on one estimate.

    Args:
        interval: mean and ends.
        bar: the claim says that the estimate is above it.
        worth: how far above the bar an effect is worth having.

    Returns:
        ``holds`` if the interval lies above the bar; ``fails`` if it doesn't and lies below bar +
        worth; otherwise ``undecided``.

    Raises:
        ValueError: the interval isn't finite or isn't in order.

    Example:
        >>> decide(Interval(0.1, 0.05, 0.15)), decide(Interval(0.0, -0.05, 0.01))
        ('holds', 'fails')
    """
    _, low, high = interval
    if not -float("inf") < low <= high < float("inf"):
        raise ValueError(f"interval is {tuple(interval)}, expected finite ends, low <= high")
    if low > bar:
        return "holds"
    return "fails" if high < bar + worth or high <= bar else "undecided"


def overall(tests: Sequence[Estimate]) -> tuple[Verdict, Estimate]:
    """Verdict on a claim in one world, and the test that it rests on.

    Args:
        tests: all of the claim's tests there.

    Returns:
        ``fails`` if a test fails, else ``undecided`` if one is, else ``holds``; and of the tests
        with that verdict the one with the smallest estimate.

    Raises:
        ValueError: there is no test.
    """
    if not tests:
        raise ValueError("tests is empty, expected at least one")
    order: tuple[Verdict, ...] = ("fails", "undecided", "holds")
    verdict = min((t.verdict for t in tests), key=order.index)
    return verdict, min(
        (t for t in tests if t.verdict == verdict), key=lambda t: t.interval.mean - t.bar
    )
