"""Can a judge help here at all? What logs say before any model is trained.

Best-of-N needs attempts of one task that end differently. If the number of turns or the words of
the last turn already tell which attempt won, a judge of the last turn has nothing to add.

Shape legend: E runs.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from agentprm_lite.interop.logs import Log
from agentprm_lite.interop.render import said
from agentprm_lite.metrics import best_of_n_curve
from agentprm_lite.prm import StepValues

#: With fewer tasks that have both outcomes, hardly any difference between judges can be seen.
FEW = 20
ONE_ATTEMPT = (
    "each task has one attempt. If some are attempts at the same task, name it in a field task_id, "
    "and they count together."
)
_TURNS = (1, 2, 4, 8, 16, 32, 64)


def diagnose(logs: Sequence[Log], values: Sequence[StepValues] | None = None) -> dict[str, Any]:
    """What can be known of a judge's use.

    Args:
        logs: E runs; those without a reward are counted and left out of everything else.
        values: M along each run, of a judge.

    Returns:
        Numbers, as JSON has them; see :func:`in_words` for what they say.

    Raises:
        ValueError: no run has a reward, or there is not one value a run.
    """
    if values is not None and len(values) != len(logs):
        raise ValueError(f"{len(values)} values for {len(logs)} runs, expected one each")
    kept = [i for i, log in enumerate(logs) if log.reward is not None]
    if not kept:
        raise ValueError("no run has a reward: without outcomes nothing can be said of a judge")
    runs = [logs[i] for i in kept]
    outcome = np.array([log.reward for log in runs], dtype=float)
    groups: dict[str, list[int]] = {}
    for i, log in enumerate(runs):
        groups.setdefault(log.task, []).append(i)
    tasks = [np.array(g) for g in groups.values()]
    mixed = [g for g in tasks if np.ptp(outcome[g]) > 0]
    sizes = [len(g) for g in tasks]
    turns = np.array([len(log.steps) for log in runs])
    ns = [2**k for k in range(int(math.log2(max(sizes))) + 1)]
    ns += [max(sizes)] if ns[-1] < max(sizes) else []
    out: dict[str, Any] = {
        "runs": len(logs),
        "without_reward": len(logs) - len(runs),
        "tasks": len(tasks),
        "attempts": {"fewest": min(sizes), "median": median(sizes), "most": max(sizes)},
        "turns": {"fewest": int(turns.min()), "median": median(turns.tolist()),
                  "most": int(turns.max())},
        "mean_reward": float(outcome.mean()),
        "both_outcomes": len(mixed),
        "perfect_judge": {n: _best_of(outcome, outcome, tasks, n) for n in ns},
        "fewest_turns": {n: _best_of(-turns, outcome, tasks, n) for n in ns},
        "ranking": {
            "fewest_turns": _ranking(-turns, outcome, mixed),
            "last_turn_words": _ranking(_words_scores(runs, outcome), outcome, mixed),
        },
    }  # fmt: skip
    if values is not None:
        mine = [values[i] for i in kept]
        scores = np.array([v.q[-1] for v in mine])
        out["judge"] = {
            "best_of": {n: _best_of(scores, outcome, tasks, n) for n in ns},
            "by_turn": _by_turn(mine, outcome, [log.task for log in runs]),
        }
    return out


def both_outcomes(logs: Sequence[Log]) -> str:
    """How many tasks of runs with rewards have attempts that end differently."""
    rewards: dict[str, list[float | None]] = {}
    for log in logs:
        rewards.setdefault(log.task, []).append(log.reward)
    mixed = sum(len(set(found)) > 1 for found in rewards.values())
    alone = f": {ONE_ATTEMPT}" * (len(rewards) == len(logs))
    return f"{mixed} of {len(rewards)} tasks have attempts that end differently{alone}"


def _best_of(scores: Any, outcome: Any, tasks: Sequence[Any], n: int) -> float:
    """Mean reward of the best-scored of N attempts; a task with fewer takes part with all."""
    curves = [best_of_n_curve(scores[g], outcome[g], [min(n, len(g))])[0] for g in tasks]
    return float(np.mean(curves))


def _ranking(scores: Any, outcome: Any, tasks: Sequence[Any]) -> dict[str, Any] | None:
    """Within-task AUROC: pairs of attempts of one task that are put in the right order.

    The mean over tasks that have both outcomes, a tie counting half, and 1.96 standard errors.
    """
    each = []
    for g in tasks:
        above = outcome[g][:, None] > outcome[g]
        order = np.sign(scores[g][:, None] - scores[g])
        if above.any():
            each.append(float(((1 + order) / 2)[above].mean()))
    if not each:
        return None
    error = 1.96 * float(np.std(each, ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else None
    return {"auroc": float(np.mean(each)), "error": error, "tasks": len(each)}


def _words_scores(runs: Sequence[Log], outcome: Any) -> Any:
    """How much the words of the last turn, and of what came after it, speak for success.

    Naive Bayes over words, learned from the runs of all other tasks.
    """
    words = [set(re.findall(r"[^\W\d_]+|\d", _end_of(log).lower())) for log in runs]
    won = outcome > outcome.mean()
    counts = [Counter(w for i in np.flatnonzero(side) for w in words[i]) for side in (won, ~won)]
    totals = [int(won.sum()), int((~won).sum())]
    groups: dict[str, list[int]] = {}
    for i, log in enumerate(runs):
        groups.setdefault(log.task, []).append(i)
    scores = np.zeros(len(runs))
    for group in groups.values():
        own = [Counter(w for i in group if won[i] == side for w in words[i]) for side in (1, 0)]
        sizes = [
            t - sum(bool(won[i]) == bool(s) for i in group)
            for t, s in zip(totals, (1, 0), strict=True)
        ]
        for i in group:
            scores[i] = sum(
                math.log((counts[0][w] - own[0][w] + 1) / (sizes[0] + 2))
                - math.log((counts[1][w] - own[1][w] + 1) / (sizes[1] + 2))
                for w in words[i]
            )
    return scores


def _end_of(log: Log) -> str:
    last = max(k for k, m in enumerate(log.messages) if m.step)
    return " ".join(said(m) for m in log.messages[last:])


def _by_turn(
    values: Sequence[StepValues], outcome: Any, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Explained variance, 1 - Brier / Brier of the constant, and ranking, at some turns."""
    rows = []
    longest = max(len(v.q) for v in values)
    for turn in [0, *(t for t in _TURNS if t <= longest), -1]:
        alive = [i for i, v in enumerate(values) if len(v.q) >= turn]
        m = np.array(
            [values[i].root if turn == 0 else values[i].q[turn - (turn > 0)] for i in alive]
        )
        r = outcome[alive]
        groups: dict[str, list[int]] = {}
        for k, i in enumerate(alive):
            groups.setdefault(names[i], []).append(k)
        tasks = [np.array(g) for g in groups.values()]
        spread = float(np.mean((r - r.mean()) ** 2))
        rows.append({
            "turn": "last" if turn < 0 else turn,
            "runs": len(alive),
            "explained_variance": 1 - float(np.mean((m - r) ** 2)) / spread if spread else None,
            "ranking": _ranking(m, r, tasks),
        })  # fmt: skip
    return rows


def in_words(found: dict[str, Any]) -> str:
    """The report of :func:`diagnose` for a reader."""
    a, t, ns = found["attempts"], found["turns"], list(found["perfect_judge"])
    lines = [
        f"{found['runs']} runs of {found['tasks']} tasks, {_range(a)} attempts a task, "
        f"{_range(t)} turns a run",
        f"mean reward {found['mean_reward']:.2f}"
        + f"; {found['without_reward']} runs have none and are left out"
        * bool(found["without_reward"]),
        f"{found['both_outcomes']} of {found['tasks']} tasks have attempts that end differently",
        "",
        "chosen among N attempts" + "".join(f"{f'N = {n}':>10}" for n in ns),
        *_rows(found, ns),
    ]
    lines += ["", "which attempt of a task won, told from (0.5 is chance):"]
    names = {"fewest_turns": "fewest turns", "last_turn_words": "words of the last turn"}
    lines += [f"  {names[k]:24}{_auroc(v)}" for k, v in found["ranking"].items()]
    if "judge" in found:
        lines += ["", "the judge, after turn    runs  explained variance  which attempt won"]
        for row in found["judge"]["by_turn"]:
            ev = row["explained_variance"]
            shown = "-" if ev is None else f"{round(ev, 2) + 0.0:.2f}"  # no -0.00
            lines.append(
                f"  {row['turn']!s:>22} {row['runs']:>6} {shown:>19}  {_auroc(row['ranking'])}"
            )
    return "\n".join([*lines, "", *(f"- {v}" for v in verdicts(found))])


def _range(x: dict[str, Any]) -> str:
    if x["fewest"] == x["most"]:
        return str(x["most"])
    return f"{x['fewest']} to {x['most']} (median {x['median']:g})"


def _rows(found: dict[str, Any], ns: Sequence[int]) -> list[str]:
    curves = {"a perfect judge": found["perfect_judge"], "fewest turns": found["fewest_turns"]}
    if "judge" in found:
        curves["this judge, last turn"] = found["judge"]["best_of"]
    return [f"  {name:21}" + "".join(f"{c[n]:>10.2f}" for n in ns) for name, c in curves.items()]


def _auroc(x: dict[str, Any] | None) -> str:
    if x is None:
        return "no task has both outcomes"
    error = "" if x["error"] is None else f" ± {x['error']:.2f}"
    return f"{x['auroc']:.2f}{error} ({x['tasks']} task{'s' * (x['tasks'] != 1)})"


def verdicts(found: dict[str, Any]) -> list[str]:
    """What the numbers say, a sentence each."""
    mean, mixed = found["perfect_judge"][1], found["both_outcomes"]
    most = max(found["perfect_judge"])
    if not mixed:
        why = ONE_ATTEMPT if most == 1 else "all attempts of a task end alike."
        return [f"No judge can choose here: {why} Sample more, or a more varied agent."]
    best = found["perfect_judge"][most]
    out = [
        f"A judge can help: among {most} attempts a perfect one gets {best:.2f} instead of "
        f"{mean:.2f}."
    ]
    if mixed < FEW:
        out.append(
            f"Only {mixed} tasks can show it: differences between judges will hardly be seen. "
            f"Collect {FEW} such tasks at least."
        )
    gain = found["fewest_turns"][most] - mean
    if best > mean and gain > 0.5 * (best - mean):
        out.append(
            f"The fewest turns alone reach {found['fewest_turns'][most]:.2f}: whatever a judge "
            "gains has to be compared with that."
        )
    few = found["ranking"]["fewest_turns"]
    if few and 1 - few["auroc"] - (few["error"] or 0) > 0.75:
        out.append("The longer attempts win: the number of turns alone tells most of it.")
    words = found["ranking"]["last_turn_words"]
    if words and words["auroc"] - (words["error"] or 0) > 0.75:
        out.append(
            "The words of the last turn give the outcome away: judge earlier turns, or there is "
            "nothing to learn but reading them."
        )
    if "judge" in found:
        last = found["judge"]["by_turn"][-1]
        start = found["judge"]["by_turn"][0]
        if round(last["explained_variance"] or 0.0, 2) <= 0:
            out.append("The judge predicts the outcome no better than its mean would.")
        elif last["ranking"] and last["ranking"]["auroc"] - (last["ranking"]["error"] or 0) <= 0.5:
            out.append("The judge knows which tasks are hard, not which attempt is good.")
        elif (start["explained_variance"] or 0) > 0.8 * last["explained_variance"]:
            out.append("Most of what the judge knows it knows before the first turn.")
    return out
