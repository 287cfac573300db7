"""Tables of the performance page, from the files that benchmarks/ wrote to results/."""

from __future__ import annotations

import json
from collections.abc import Callable
from statistics import median
from typing import Any

from results_page import ROOT, table

RESULTS = ROOT / "results"
TINY, SMOLLM2 = "The tiny policy", "SmolLM2-135M"
LLM = "--model smollm2-135m"
#: What makes each file, without --out.
COMMANDS = {
    "sampling_speed": "sampling_speed.py --repeats 3",
    "sampling_speed_smollm2": f"sampling_speed.py {LLM} --episodes 16 --rounds 5 --new-tokens 16 "
    "--repeats 1",
    "shared_prefix": "shared_prefix.py --repeats 3",
    "shared_prefix_smollm2": f"shared_prefix.py {LLM} --tasks 1 --new-tokens 4 --repeats 1",
    "training_speed": "training_speed.py --trl-python ENV/bin/python --repeats 3",
    "training_speed_smollm2": f"training_speed.py --trl-python ENV/bin/python {LLM} --size 12 "
    "--batch-tokens 2048 --repeats 2",
    "training_speed_smollm2_rules": "training_speed.py --trl-python ENV/bin/python --profile gpu "
    f"{LLM} --size 12 --batch-tokens 4096 --repeats 2",
    "where_time_goes": "where_time_goes.py --repeats 3",
}
Record = dict[str, Any]


def stored(name: str) -> Record | None:
    """A file of results/, if it is there."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def model_of(name: str) -> str:
    rules = ", rules in the prompt" if name.endswith("rules") else ""
    return SMOLLM2 + rules if "smollm2" in name else TINY


def verdict(ratio: Record) -> str:
    """Whether the median reaches the target."""
    if ratio["target"] is None:
        return "–"
    return "met" if ratio["ratio"]["median"] >= ratio["target"] else "missed"


def ratio_cells(ratio: Record) -> list[str]:
    low, middle, high = (f"{ratio['ratio'][k]:.2f}" for k in ("min", "median", "max"))
    target = "–" if ratio["target"] is None else f"{ratio['target']:g}"
    return [ratio["what"], middle, f"{low} to {high}", target, verdict(ratio)]


def targets() -> str:
    """All ratios that have a target, from all files."""
    rows = [
        [model_of(name), *ratio_cells(ratio)]
        for name in COMMANDS
        for ratio in (stored(name) or {}).get("ratios", [])
        if ratio["target"] is not None
    ]
    if not rows:
        return "No ratio with a target is stored yet.\n"
    missed = [f"{row[1]} ({row[0]})" for row in rows if row[-1] == "missed"]
    said = f"Missed: {'; '.join(missed)}." if missed else "None is missed."
    return "\n".join([
        f"{len(rows) - len(missed)} of {len(rows)} targets are met. {said}\n",
        table(["model", "ratio", "median", "from, to", "target", ""], rows),
    ])  # fmt: skip


def made(name: str, record: Record) -> str:
    """Which model, and where the numbers come from."""
    again = "once" if record["repeats"] == 1 else f"{record['repeats']} times"
    return (
        f"**{model_of(name)}** (`{record['model']}`, sizes of the profile {record['profile']}). "
        f"Made by `{record['command']}` at commit `{record['commit']}` on {record['date']}, "
        f"{record['machine']}, {record['threads']} threads, Python {record['python']}, torch "
        f"{record['torch']}, transformers {record['transformers']}; every way {again}.\n"
    )


def ratio_table(record: Record) -> str:
    return table(["ratio", "median", "from, to", "target", ""], [
        ratio_cells(r) for r in record["ratios"]
    ])  # fmt: skip


def sampling(record: Record) -> str:
    """Environment steps and tokens a second of each way."""
    compared, equal = record["compared"], record["greedily_equal"]
    rows = [
        [
            r["way"],
            f"{r['steps_per_s']['median']:.1f}",
            f"{r['tokens_per_s']['median']:,.0f}",
            f"{sum(r['env_steps']):,}",
            f"{sum(r['tokens_generated']):,}",
            f"{equal.get(r['way'], compared)} of {compared}",
        ]
        for r in record["rows"]
    ]
    head = ["way", "environment steps/s", "tokens/s", "steps", "tokens", "equal greedily"]
    limits = record["sampling"]
    return (
        f"{record['episodes']} episodes at once, at most {limits['max_rounds']} turns of at most "
        f"{limits['max_new_tokens']} tokens, {record['parameters']:,} parameters in "
        f"{record['dtype']}.\n\n{table(head, rows)}\n{ratio_table(record)}"
    )


def shared_prefix(record: Record) -> str:
    """Tokens, positions and seconds with and without caches."""
    rows = [
        [
            r["work"],
            r["way"],
            f"{r['tokens']:,}",
            f"{r['positions']:,}",
            f"{r['calls']:,}",
            f"{median(r['seconds']):.2f}",
        ]
        for r in record["rows"]
    ]
    search, rolled = record["beam_search"], record["rollouts"]
    apart = search["largest_score_difference"]
    scores = "" if apart is None else f", scores apart by at most {apart:.1e}"
    head = ["work", "way", "tokens", "with padding", "calls of the model", "seconds"]
    return (
        f"{record['shape']}, turns of at most {record['sampling']['max_new_tokens']} tokens. The "
        f"same answer as by re-encoding in {search['equal_answers']} of {search['tasks']} "
        f"searches{scores}; the same text in {rolled['equal_re-encoding']} of "
        f"{rolled['rollouts']} rollouts.\n\n{table(head, rows)}\n{ratio_table(record)}"
    )


def training(record: Record) -> str:
    """Trajectories a second and memory of each way."""
    rows = [
        [
            r["way"],
            f"{r['trajectories_per_s']['median']:.2f}",
            f"{median(r['peak_mb']):,.0f}",
            f"{median(r['training_mb']):,.0f}",
        ]
        for r in record["rows"]
    ]
    head = ["way", "trajectories/s", "peak, MB", "of training, MB"]
    versions = record["versions"]["trl"] if record["versions"] else {}
    other = f"; TRL {versions['trl']}" if versions else ""
    return (
        f"{record['trajectories']} trajectories, {record['tokens']:,} tokens, LoRA of rank "
        f"{record['lora']['r']}; at most {record['batch_tokens']:,} padded tokens a step, which "
        f"is {record['batch']} trajectories on average{other}.\n\n{table(head, rows)}\n"
        f"{ratio_table(record)}"
    )


def stages(record: Record) -> str:
    """The picture, the shares of each stage, and its floor."""
    kinds = list(record["rows"][0]["share"])
    speeds = record["speeds"]
    floors = [
        [
            r["stage"],
            f"{r['seconds']['median']:.2f}",
            f"{r['tokens'] / r['seconds']['median']:,.0f}",
            f"{r['flops'] / 1e9:,.1f}",
            f"{r['floor_seconds']['flops']:.3f}",
            "–" if r["bytes"] is None else f"{r['floor_seconds']['bytes']:.3f}",
            f"{100 * r['floor_share']:.1f}",
        ]
        for r in record["rows"]
    ]
    shares = [[r["stage"], *[f"{100 * r['share'][k]:.1f}" for k in kinds]] for r in record["rows"]]
    by_floor = sorted(record["rows"], key=lambda r: r["floor_share"])
    near, far = by_floor[-1], by_floor[0]
    said = {
        "nearest": f"{near['stage']} ({100 * near['floor_share']:.1f} %)",
        "farthest": f"{far['stage']} ({100 * far['floor_share']:.1f} %)",
    }
    picture = (
        "```{figure} ../results/where_time_goes.png\n"
        f":alt: For each of {len(by_floor)} stages a bar split into {', '.join(kinds[:-1])} and "
        f"{kinds[-1]}, with a thin black bar beneath it for the floor\n\n"
        "The share of each kind of work; the thin bar beneath is the floor. Nearest to its floor "
        f"is {said['nearest']}, farthest {said['farthest']}.\n```\n\n"
    )
    head = [
        "stage", "seconds", "tokens/s", "10⁹ operations", "their floor, s", "floor of bytes, s",
        "floor, % of the time",
    ]  # fmt: skip
    return (
        f"{picture if (RESULTS / 'where_time_goes.png').exists() else ''}"
        f"{record['size']} episodes a stage. A large matrix product runs at "
        f"{speeds['torch.float32'] / 1e9:,.0f}·10⁹ operations a second in float32 and "
        f"{speeds['torch.bfloat16'] / 1e9:,.0f}·10⁹ in bfloat16, a large copy at "
        f"{speeds['bytes'] / 1e9:,.1f} GB/s.\n\n{table(head, floors)}\n"
        f"Of the time, in %:\n\n{table(['stage', *kinds], shares)}"
    )


SECTIONS: dict[str, tuple[Callable[[Record], str], list[str]]] = {
    "sampling": (sampling, ["sampling_speed", "sampling_speed_smollm2"]),
    "shared_prefix": (shared_prefix, ["shared_prefix", "shared_prefix_smollm2"]),
    "training": (
        training,
        ["training_speed", "training_speed_smollm2", "training_speed_smollm2_rules"],
    ),
    "stages": (stages, ["where_time_goes"]),
}


def command(name: str) -> str:
    """What makes a file of results/."""
    return f"python benchmarks/{COMMANDS[name]} --out results/{name}.json"


def section(shown: Callable[[Record], str], names: list[str]) -> str:
    """The tables of one section; a line that says so where a file isn't stored yet."""
    parts = []
    for name in names:
        record = stored(name)
        parts.append(
            f"**{model_of(name)}**: not measured yet; `{command(name)}` does it.\n"
            if record is None
            else f"{made(name, record)}\n{shown(record)}"
        )
    return "\n".join(parts)


def parts() -> dict[str, str]:
    """What the performance page includes, by name."""
    return {"targets": targets(), **{k: section(*v) for k, v in SECTIONS.items()}}
