"""Where the time goes: every stage's seconds by kind of work, and the floor beside them.

Kinds of work, each without what another kind does within it:

- forward: bodies and heads of the models
- backward: gradients, clipping, optimizer
- cache: keys and values selected, copied, masked; the batches put together for them
- choose: from logits to tokens
- environment: reset, step, copies
- tokenizer: text to ids and back
- rest: losses, labels, batches, records

The floor is the time that the machine needs at least: the floating-point operations of the stage
(counted in a run of their own, padding included) at the speed of a large matrix product; and where
tokens are decoded, the bytes of weights and cache that every call has to read, at the speed of a
large copy. Both speeds are measured in the same run. With --out a picture is drawn beside the file.

Run: python benchmarks/where_time_goes.py --out results/where_time_goes.json
"""

from __future__ import annotations

import inspect
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from side_by_side import Row, Tokens, options, settings, spread, write
from torch.utils.flop_counter import FlopCounterMode

from agentprm_lite import episode, fast, sampling
from agentprm_lite.env import env_class
from agentprm_lite.fast import FastJudge, FastPlayer
from agentprm_lite.fast.kvbatch import KVBatch
from agentprm_lite.forward import split_model
from agentprm_lite.hub import ChatFormat, default_device, load_chat, load_policy, new_reward_model
from agentprm_lite.kinds import RewardExample
from agentprm_lite.models import half_dtype
from agentprm_lite.ppo import train_ppo
from agentprm_lite.prm import RewardModel
from agentprm_lite.search import beam_search
from agentprm_lite.train import TrainConfig, sft, train_reward_model
from agentprm_lite.tutorial import looks
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.tutorial.tasks import sampling_config, train_tasks
from agentprm_lite.worlds import demonstrate

KINDS = ("forward", "backward", "cache", "choose", "environment", "tokenizer", "rest")


@dataclass
class Clock:
    """Seconds of every kind of work; a call within a call stops the outer one's clock."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    read_bytes: int = 0
    _running: list[str] = field(default_factory=lambda: ["rest"])
    _since: float = field(default_factory=lambda: time.perf_counter())

    def mark(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def begin(self, kind: str) -> None:
        self.mark()
        self._running.append(kind)

    def end(self) -> None:
        self.mark()
        self._running.pop()

    def timed(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            self.begin(kind)
            try:
                return call(*args, **kwargs)
            finally:
                self.end()

        return run


def weight_bytes(model: Any) -> int:
    """Bytes of weights that a forward pass reads: all but the rows of the embedding it leaves."""
    body, head = split_model(model)
    table = body.get_input_embeddings().weight
    parts = [*body.parameters(), *head.parameters()]
    return sum(p.numel() * p.element_size() for p in {id(p): p for p in parts}.values()) - (
        0 if any(p is table for p in head.parameters()) else table.numel() * table.element_size()
    )


def cache_bytes(batch: KVBatch, tokens: Sequence[Sequence[int]]) -> int:
    """Bytes of the keys and values of the rows that got tokens."""
    layers = batch.cache.layers
    _, heads, _, size = layers[0].keys.shape
    columns = sum(n for n, new in zip(batch.lengths.tolist(), tokens, strict=True) if new)
    numbers = 2 * len(layers) * heads * size * columns
    return numbers * layers[0].keys.element_size()


@contextmanager
def measured(models: Sequence[Any], world: type) -> Iterator[Clock]:
    """Clocks in all the places where a stage does a kind of work."""
    places = [
        (KVBatch, "select", "cache"),
        (sampling, "choose", "choose"), (episode, "make_env", "environment"),
        (world, "reset", "environment"), (world, "step", "environment"),
        (world, "parse", "environment"), (world, "snapshot", "environment"),
        (world, "restore", "environment"),
        (ChatFormat, "encode", "tokenizer"), (ChatFormat, "decode", "tokenizer"),
        (torch.Tensor, "backward", "backward"), (torch.optim.AdamW, "step", "backward"),
        (torch.optim.AdamW, "zero_grad", "backward"),
        (torch.nn.utils, "clip_grad_norm_", "backward"),
    ]  # fmt: skip
    clock = Clock()
    append = clock.timed("cache", KVBatch.append)
    weights = {id(split_model(m)[0]): weight_bytes(m) for m in models}

    def counted(batch: KVBatch, tokens: Any) -> Any:
        out = append(batch, tokens)
        clock.read_bytes += weights[id(batch.body)] + cache_bytes(batch, tokens)
        return out

    with ExitStack() as stack:
        for owner, name, kind in places:
            call = clock.timed(kind, getattr(owner, name))
            static = isinstance(inspect.getattr_static(owner, name), staticmethod)
            stack.enter_context(
                mock.patch.object(owner, name, staticmethod(call) if static else call)
            )
        stack.enter_context(mock.patch.object(KVBatch, "append", counted))
        for module in {id(p): p for m in models for p in split_model(m)}.values():
            stack.callback(
                module.register_forward_pre_hook(lambda *_: clock.begin("forward")).remove
            )
            stack.callback(module.register_forward_hook(lambda *_: clock.end()).remove)
        yield clock
        clock.mark()


@dataclass(frozen=True)
class Stage:
    """One stage: what to set up every time anew, and the work."""

    name: str
    make: Callable[[], tuple[list[Any], Callable[[], Any]]]
    """Gives the models that it runs and the call to measure."""
    dtype: torch.dtype = torch.float32
    """Of its matrix products."""
    decodes: bool = False
    """It computes tokens one by one, so that memory may be its floor."""


def stages(profile: Profile, folder: Path, size: int) -> list[Stage]:
    """All stages, on `size` episodes; a beam search of 4x4 on a sixteenth of the tasks."""
    chat, config = load_chat(folder), sampling_config(profile)
    tasks = train_tasks(profile)[1][:size]
    few = tasks[: max(1, size // 16)]
    backend = FastPlayer(load_policy(folder), chat, config)
    demos = demonstrate(chat, tasks, config)
    played = [t for t in backend.run([backend.start(t, 0, 0) for t in tasks]) if t.spans]

    def scorer() -> Any:
        return new_reward_model(folder, profile.lora, 0)

    def cloning() -> tuple[list[Any], Callable[[], Any]]:
        model = load_policy(folder, profile.lora)
        return [model], lambda: sft(model, demos, replace(profile.sft, epochs=1))

    def sampled() -> tuple[list[Any], Callable[[], Any]]:
        backend = FastPlayer(load_policy(folder), chat, config)
        return [backend.model], lambda: backend.run([backend.start(t, 0, 0) for t in tasks])

    def reward() -> tuple[list[Any], Callable[[], Any]]:
        model, examples = scorer(), [RewardExample(t) for t in played]
        settings = replace(profile.reward, epochs=1)
        train = partial(train_reward_model, held_out=0)
        return [model], lambda: train(model, examples, "agentprm", settings)

    def scored() -> tuple[list[Any], Callable[[], Any]]:
        judge = RewardModel(scorer())
        return [judge.model], lambda: judge.score(played)

    def searched() -> tuple[list[Any], Callable[[], Any]]:
        backend = FastPlayer(load_policy(folder), chat, config)
        judge = FastJudge(scorer())
        return [backend.model, judge.model], lambda: beam_search(backend, judge, few, 4, 4)

    def reinforced() -> tuple[list[Any], Callable[[], Any]]:
        model, judge = load_policy(folder, profile.lora), RewardModel(scorer())
        samples = profile.ppo.samples
        settings = replace(
            profile.ppo, iterations=1, tasks=max(1, size // samples), reward="shaping"
        )
        return [model, judge.model], lambda: train_ppo(
            model, chat, tasks, settings, config, judge, fast.player
        )

    def dtype(trained: TrainConfig) -> torch.dtype:
        return half_dtype() if trained.bf16 else torch.float32

    return [
        Stage("SFT", cloning, dtype(profile.sft)),
        Stage("sampling", sampled, decodes=True),
        Stage("reward-model training", reward, dtype(profile.reward)),
        Stage("scoring", scored),
        Stage("beam search 4x4", searched, decodes=True),
        Stage("PPO, one round", reinforced, decodes=True),
    ]


def attention_flops(
    q: Sequence[int], k: Sequence[int], v: Sequence[int], *_: Any, **__: Any
) -> int:
    """Of scaled dot products on the CPU, which PyTorch's counter doesn't know."""
    return 2 * q[0] * q[1] * q[2] * k[2] * (q[3] + v[3])


def attention_flops_back(_: Any, *shapes: Any, **__: Any) -> int:
    """Backward: five matrix products for two."""
    return attention_flops(*shapes[:3]) * 5 // 2


def count_flops(call: Callable[[], Any]) -> int:
    """Floating-point operations of a call."""
    aten = torch.ops.aten
    mapping = {
        aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_flops_back,
    }
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        call()
    return int(counter.get_total_flops())


def best(call: Callable[[], Any], repeats: int = 7) -> float:
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def machine(smoke: bool) -> dict[str, float]:
    """Speed of large matrix products (FLOP/s by dtype) and of a large copy (bytes/s)."""
    device, n, big = default_device(), 256 if smoke else 2048, 2**20 if smoke else 2**26
    speeds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(n, n, dtype=dtype, device=device)
        speeds[str(dtype)] = 2 * n**3 / best(lambda a=a: a @ a)
    x, y = torch.ones(big, device=device), torch.ones(big, device=device)
    speeds["bytes"] = 2 * x.numel() * x.element_size() / best(lambda: x.copy_(y))
    return speeds


def profiled(stage: Stage, world: type, speeds: dict[str, float], repeats: int) -> Row:
    """One line of the table: the stage counted once, then timed."""
    models, call = stage.make()
    with ExitStack() as stack:
        counts = [stack.enter_context(Tokens(model)) for model in models]
        flops = count_flops(call)
    totals, seconds, read = [], defaultdict(float), 0
    for _ in range(repeats):
        models, call = stage.make()
        with measured(models, world) as clock:
            call()
        totals.append(sum(clock.seconds.values()))
        read = clock.read_bytes
        for kind, spent in clock.seconds.items():
            seconds[kind] += spent
    computing = flops / speeds[str(stage.dtype)]
    reading = read / speeds["bytes"] if stage.decodes else 0.0
    return {
        "stage": stage.name,
        "seconds": spread(totals),
        "share": {kind: seconds[kind] / sum(totals) for kind in KINDS},
        "tokens": sum(c.real for c in counts),
        "positions": sum(c.positions for c in counts),
        "calls": sum(c.calls for c in counts),
        "flops": flops,
        "dtype": str(stage.dtype).removeprefix("torch."),
        "bytes": read if stage.decodes else None,
        "floor_seconds": {"flops": computing, "bytes": reading},
        "floor_share": max(computing, reading) / spread(totals)["median"],
    }


def draw(rows: Sequence[Row]) -> Figure:
    """A bar a stage: the shares of the kinds of work, and the floor as a thin bar beneath."""
    looks.style()
    figure, ax = plt.subplots(figsize=(7.2, 0.75 * len(rows) + 1.3), layout="constrained")
    places, left = range(len(rows)), [0.0] * len(rows)
    colors = [*(look.color for look in looks.SPARE), looks.GREY]
    for kind, color, hatch in zip(KINDS, colors, looks.HATCHES, strict=True):
        widths = [100 * r["share"][kind] for r in rows]
        bars = {"color": color, "hatch": hatch, "edgecolor": "white", "linewidth": 0}
        ax.barh(places, widths, 0.5, left, label=kind, **bars)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    floor = [100 * r["floor_share"] for r in rows]
    ax.barh([k + 0.34 for k in places], floor, 0.12, color="black", label="floor")
    ax.set_yticks(places, [f"{r['stage']}\n{r['seconds']['median']:.2f} s" for r in rows])
    ax.invert_yaxis()
    ax.set(xlabel="% of the stage's time", xlim=(0, 100))
    ax.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=4)
    plt.close(figure)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--size", type=int, default=64, help="episodes of a stage")
    args = parser.parse_args(argv)
    profile, folder = settings(args)
    if args.smoke:
        args.size, args.repeats = 4, 1
    speeds = machine(args.smoke)
    print(", ".join(f"{name}: {speed:.3g}/s" for name, speed in speeds.items()))
    rows = []
    print(f"{'stage':22} {'s':>7} {'floor':>6} " + " ".join(f"{kind:>11}" for kind in KINDS))
    for stage in stages(profile, folder, args.size):
        r = profiled(stage, env_class(profile.env), speeds, args.repeats)
        shares = " ".join(f"{r['share'][kind]:11.1%}" for kind in KINDS)
        print(f"{r['stage']:22} {r['seconds']['median']:7.2f} {r['floor_share']:6.1%} {shares}")
        rows.append(r)
    found = {"model": folder.name, "profile": profile.name, "size": args.size}
    write(args, __file__, argv, {**found, "speeds": speeds, "rows": rows})
    if args.out:
        picture = args.out.with_suffix(".png")
        draw(rows).savefig(picture, dpi=144, facecolor="white", bbox_inches="tight")


if __name__ == "__main__":
    main()
