"""Multi-turn sampling, four ways to play the same episodes, in one run.

- ours: `FastPlayer`, all episodes together, keys and values kept from the first token to the last
- one at a time: a loop over episodes, `model.generate` on the whole history every turn
- left-padded batch: all episodes together, `model.generate` on the whole histories every turn
- continuous batching: transformers' `generate_batch` on the whole histories every turn; its
  manager is made before the clock starts and lives through all turns, so that it can share blocks

Environment, history and limits are the same code for all; only who makes a turn's tokens differs.
At temperature 1 every way draws its own random numbers, so that texts differ and speeds are per
environment step; the tokens of each are in the file. Greedily all ways have to write the same texts
in float32; of the first episodes, how many have two equal turns is printed and stored.

Run: python benchmarks/sampling_speed.py --out results/sampling_speed.json
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from side_by_side import Row, check, interleaved, options, ratios, settings, show, spread, write
from transformers import ContinuousBatchingConfig, GenerationConfig

from agentprm_lite.episode import Episode
from agentprm_lite.fast import FastPlayer
from agentprm_lite.hub import load_chat, load_policy
from agentprm_lite.tutorial.tasks import sampling_config, train_tasks
from agentprm_lite.types import Task, Trajectory

ONE, PADDED, CONTINUOUS = "one at a time", "left-padded batch", "continuous batching"
TARGETS = {ONE: {64: 10.0, 16: 4.0}, PADDED: {64: 2.0, 16: 2.0}, CONTINUOUS: {64: 1.0, 16: 1.0}}
GREEDY = 8  # episodes that are compared
PAGE = 32  # tokens; smaller pages let generate_batch share more of a history
Turn = Callable[[list[list[int]]], list[list[int]]]


def play(backend: FastPlayer, episodes: Sequence[Episode], turn: Turn) -> list[Trajectory]:
    """Play episodes to their end; `turn` gets the histories and gives the tokens of the turns."""
    config, active = backend.config, list(episodes)
    while active:
        for episode in active:
            if len(episode.ids) + config.max_new_tokens > config.max_context:
                episode.truncated_by = "tokens"
        active = [e for e in active if not e.done]
        if not active:
            break
        turns = turn([e.ids for e in active])
        for episode, tokens in zip(active, turns, strict=True):
            episode.step(tokens, [], backend.chat)
        active = [e for e in active if not e.done]
    return [e.trajectory(backend.policy) for e in episodes]


def generation(backend: FastPlayer) -> GenerationConfig:
    """The backend's sampling in transformers' words."""
    config, end = backend.config, backend.chat.end_id
    greedy = config.temperature == 0
    how = {} if greedy else {"temperature": config.temperature, "top_k": 0, "top_p": 1.0}
    return GenerationConfig(
        do_sample=not greedy,
        max_new_tokens=config.max_new_tokens,
        eos_token_id=end,
        pad_token_id=end,
        **how,
    )


def generate_turns(backend: FastPlayer) -> Turn:
    """A turn by `model.generate`, left-padded to the longest history."""
    config = generation(backend)

    def turn(histories: list[list[int]]) -> list[list[int]]:
        width = max(map(len, histories))
        ids = torch.tensor([[0] * (width - len(h)) + h for h in histories])
        mask = torch.tensor([[0] * (width - len(h)) + [1] * len(h) for h in histories])
        out = backend.model.generate(
            input_ids=ids.to(backend.model.device),
            attention_mask=mask.to(backend.model.device),
            generation_config=config,
        )
        new = out[:, width:].tolist()
        end = backend.chat.end_id
        return [row[: row.index(end) + 1] if end in row else row for row in new]

    return turn


def continuous_turns(backend: FastPlayer, episodes: int) -> Turn:
    """A turn by `generate_batch`; blocks for as many histories as play at once."""
    config = generation(backend)
    pages = -(-backend.config.max_context // PAGE)
    batching = ContinuousBatchingConfig(
        page_size=PAGE,
        num_blocks=episodes * pages,
        max_batch_tokens=max(512, episodes),
        max_requests_per_batch=episodes,
    )

    def turn(histories: list[list[int]]) -> list[list[int]]:
        out = backend.model.generate_batch(
            histories,
            generation_config=config,
            continuous_batching_config=batching,
            persistent_manager=True,
        )
        return [list(o.generated_tokens) for o in out.values()]

    return turn


def ways(
    backends: dict[str, FastPlayer], tasks: Sequence[Task], most: int
) -> dict[str, Callable[[int], Any]]:
    """The four ways; the number of the repeat is the seed, `most` episodes have room at once."""

    def start(name: str, seed: int) -> list[Episode]:
        torch.manual_seed(seed)
        return [backends[name].start(t, k, seed) for k, t in enumerate(tasks)]

    def one_at_a_time(seed: int) -> list[Trajectory]:
        turn = generate_turns(backends[ONE])
        return [play(backends[ONE], [e], turn)[0] for e in start(ONE, seed)]

    def together(name: str, turn: Turn) -> Callable[[int], list[Trajectory]]:
        return lambda seed: play(backends[name], start(name, seed), turn)

    return {
        "ours": lambda seed: backends["ours"].run(start("ours", seed)),
        ONE: one_at_a_time,
        PADDED: together(PADDED, generate_turns(backends[PADDED])),
        CONTINUOUS: together(CONTINUOUS, continuous_turns(backends[CONTINUOUS], most)),
    }


def greedily_equal(backends: dict[str, FastPlayer], tasks: Sequence[Task]) -> dict[str, int]:
    """Episodes of each way whose two turns are, greedily, those of ours."""
    greedy = {
        name: FastPlayer(b.model, b.chat, replace(b.config, temperature=0.0, max_rounds=2))
        for name, b in backends.items()
    }
    backends[CONTINUOUS].model.destroy_cached_continuous_batching_manager()  # it samples
    played = {name: way(0) for name, way in ways(greedy, tasks, len(tasks)).items()}
    backends[CONTINUOUS].model.destroy_cached_continuous_batching_manager()
    return {
        name: sum(a.actions == b.actions for a, b in zip(found, played["ours"], strict=True))
        for name, found in played.items()
        if name != "ours"
    }


def rows_of(
    seconds: dict[str, list[float]], played: dict[str, list[list[Trajectory]]]
) -> list[Row]:
    """One line of the table a way."""
    rows = []
    for name, runs in played.items():
        steps = [sum(t.num_steps for t in run) for run in runs]
        tokens = [sum(t.usage.generated for t in run) for run in runs]
        rows.append({
            "way": name,
            "seconds": seconds[name],
            "env_steps": steps,
            "tokens_generated": tokens,
            "steps_per_s": spread([n / s for n, s in zip(steps, seconds[name], strict=True)]),
            "tokens_per_s": spread([n / s for n, s in zip(tokens, seconds[name], strict=True)]),
        })  # fmt: skip
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write, check."""
    parser = options(__doc__)
    parser.add_argument("--episodes", type=int, default=64, help="that play at once")
    parser.add_argument("--rounds", type=int, help="most turns of an episode")
    parser.add_argument("--new-tokens", type=int, help="most tokens of a turn")
    args = parser.parse_args(argv)
    profile, folder = settings(args)
    if args.smoke:
        args.episodes, args.rounds, args.new_tokens, args.repeats = 4, 2, 6, 1
    config = sampling_config(profile)
    config = replace(
        config,
        max_rounds=args.rounds or config.max_rounds,
        max_new_tokens=args.new_tokens or config.max_new_tokens,
    )
    tasks = train_tasks(profile)[1][: args.episodes]
    if len(tasks) < args.episodes:
        raise SystemExit(f"profile {profile.name} has {len(tasks)} tasks, not {args.episodes}")
    chat = load_chat(folder)
    # generate_batch changes the model that it runs on, so every way has a model of its own
    backends = {
        name: FastPlayer(load_policy(folder), chat, config)
        for name in ("ours", ONE, PADDED, CONTINUOUS)
    }
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.ERROR)  # warns at every call
    once = replace(config, max_rounds=1)
    warm = {k: FastPlayer(b.model, chat, once) for k, b in backends.items()}
    # what is made once is made before the clock starts
    for way in ways(warm, tasks[:1], len(tasks)).values():
        way(0)
    seconds, played = interleaved(ways(backends, tasks, len(tasks)), args.repeats)
    rows = rows_of(seconds, played)
    rates = {r["way"]: [n / s for n, s in zip(r["env_steps"], r["seconds"], strict=True)]
             for r in rows}  # fmt: skip
    found = [
        {
            "what": f"environment steps/s against {name}",
            "ratio": ratios(rates["ours"], rates[name]),
            "target": None if args.smoke else targets.get(args.episodes),
        }
        for name, targets in TARGETS.items()
    ]
    compared = tasks[:GREEDY]
    equal = greedily_equal(backends, compared)
    print(f"{'way':22} {'steps/s':>9} {'tokens/s':>9} {'steps':>7} {'tokens':>8} {'equal':>6}")
    for r in rows:
        same = f"{equal.get(r['way'], len(compared))}/{len(compared)}"
        rate = f"{r['steps_per_s']['median']:9.1f} {r['tokens_per_s']['median']:9.0f}"
        sizes = f"{sum(r['env_steps']):7} {sum(r['tokens_generated']):8}"
        print(f"{r['way']:22} {rate} {sizes} {same:>6}")
    show(found)
    write(
        args,
        __file__,
        argv,
        {
            "model": folder.name,
            "profile": profile.name,
            "parameters": backends["ours"].model.num_parameters(),
            "dtype": str(backends["ours"].model.dtype).removeprefix("torch."),
            "episodes": len(tasks),
            "sampling": asdict(config),
            "rows": rows,
            "ratios": found,
            "compared": len(compared),
            "greedily_equal": equal,
        },
    )
    check(found)


if __name__ == "__main__":
    main()
