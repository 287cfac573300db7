"""What a chapter needs, computed once and kept.

Every function makes one artifact of a profile, from the artifacts before it, and stores it in a
folder whose name carries a hash of everything that went in: sizes, seeds, the artifacts used and
the source of the modules that compute it. A notebook opened alone makes what it lacks; one that
runs after the others finds everything. An interrupted artifact is made anew or, where its stage
can, goes on.

Under ``torchrun`` all ranks call the same functions and need one folder that they share. They train
together and share out sampling, Monte Carlo rollouts and beam search; everything else is made by
rank 0 while the others wait.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import linecache
import logging
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock, Timeout

from agentprm_lite.chat import ChatFormat
from agentprm_lite.distributed.ranks import Place, agree, alone, place, wait
from agentprm_lite.env import env_class
from agentprm_lite.models import (
    load_chat,
    load_policy,
    load_reward_model,
    new_reward_model,
    save_adapter,
    save_policy,
)
from agentprm_lite.ppo import ProcessReward, ppo
from agentprm_lite.prm import RewardModel, StepValues
from agentprm_lite.rollout import (
    collect,
    continue_from,
    demonstrate,
    merge,
    translate,
    vocabulary,
)
from agentprm_lite.sampling import HFBackend, SamplingConfig
from agentprm_lite.search import beam_search, best_of_n, by_task
from agentprm_lite.serve.openai import OpenAIBackend
from agentprm_lite.train import (
    Kind,
    RewardExample,
    TrainConfig,
    rft,
    sft,
    train_reward_model,
)
from agentprm_lite.tutorial.profiles import Profile, get_profile
from agentprm_lite.tutorial.smollm2 import resolve
from agentprm_lite.tutorial.tiny import make_tiny
from agentprm_lite.types import Task, Trajectory, append_jsonl, read_jsonl
from agentprm_lite.worlds.math import gsm8k
from agentprm_lite.worlds.textcraft.exchange import exchange
from agentprm_lite.worlds.webshop import env as webshop

logger = logging.getLogger(__name__)
MC_KINDS: tuple[Kind, ...] = ("mc_hard", "mc_soft", "pqm")
_Item = TypeVar("_Item")
_used: ContextVar[list[Path] | None] = ContextVar("artifacts used", default=None)

DATA_FOLDERS = {"webshop": webshop.FOLDER_VARIABLE, "gsm8k": gsm8k.FOLDER_VARIABLE}


@dataclass(frozen=True)
class Policy:
    """A policy of the pipeline."""

    folder: Path
    """Checkpoint, an ordinary Hugging Face folder."""
    chat: ChatFormat
    """Its chat format."""
    profile: Profile
    """The profile that it belongs to."""

    def backend(self, temperature: float) -> HFBackend:
        """The loaded policy, ready to sample.

        Args:
            temperature: softmax temperature; 0 is greedy.

        Returns:
            A backend.
        """
        sampling = replace(sampling_config(self.profile), temperature=temperature)
        return HFBackend(load_policy(self.folder), self.chat, sampling, self.folder.name)

    def remote(self, servers: Sequence[str], temperature: float) -> OpenAIBackend:
        """The policy on servers that serve its folder.

        Args:
            servers: their urls; a batch of the profile is spread over them.
            temperature: softmax temperature; 0 is greedy.

        Returns:
            A backend.
        """
        sampling = replace(sampling_config(self.profile), temperature=temperature)
        places = -(-self.profile.batch // len(servers))
        return OpenAIBackend(servers, self.chat, sampling, self.folder.name, in_flight=places)


@dataclass(frozen=True)
class Variant:
    """How a reward model differs from the usual one of its kind."""

    beta: float = 1.0
    """Weight of L_A."""
    lam: float = 0.95
    """λ of its labels."""
    budget: int | None = None
    """Most tokens sampled for its data, Monte Carlo rollouts included; None: all data there are."""
    levels: tuple[int, ...] | None = None
    """Only rollouts of tasks of these levels; None: all."""
    legs: int = 0
    """It learns on the weights and from the rollouts of :func:`later_policy` after so many legs."""
    cut_is_failure: bool = False
    """Rollouts without a final outcome, such as those that ran out of context, count as over with
    what they earned: its labels don't bootstrap there."""


USUAL = Variant()


def _profile(profile: Profile | str) -> Profile:
    return get_profile(profile) if isinstance(profile, str) else profile


def artifacts_root() -> Path:
    """Folder of all artifacts: ``AGENTPRM_ARTIFACTS``, or ``artifacts`` in the repository.

    Returns:
        The folder; for an installed package it is ``artifacts`` in the working directory.
    """
    named = os.environ.get("AGENTPRM_ARTIFACTS")
    if named:
        return Path(named)
    repository = Path(__file__).resolve().parents[2]
    return (repository if (repository / "pyproject.toml").exists() else Path.cwd()) / "artifacts"


@lru_cache
def _source_hash(modules: tuple[str, ...]) -> str:
    """Hash of some modules of the package and of all that they import from it.

    ``envs/__init__`` imports every world, so it is left out; callers name the world they use.
    """
    here = Path(__file__).resolve().parents[1]
    sources: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = here.joinpath(*module.split(".")).with_suffix(".py")
        if module not in sources and path.exists():
            sources[module] = path.read_text()
            waiting += re.findall(r"^from agentprm_lite\.([\w.]+) import", sources[module], re.M)
            waiting += re.findall(r"^from agentprm_lite import (\w+)", sources[module], re.M)
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()


def _own_source(world: type) -> str:
    """The files that a reader's own world is written in; in a notebook, their cells.

    `inspect.getsource` finds no class of a notebook, but linecache has the cell of every function.
    """
    files = {
        inspect.unwrap(getattr(member, "__func__", member)).__code__.co_filename
        for part in world.__mro__
        if part.__module__ == world.__module__
        for member in vars(part).values()
        if inspect.isroutine(member) and not inspect.isbuiltin(member)
    }
    return "\n".join(sorted("".join(linecache.getlines(name)) for name in files))


def _artifact(
    profile: Profile,
    name: str,
    stage: str,
    inputs: dict[str, Any],
    make: Callable[[Path], None],
    together: bool = False,
) -> Path:
    """Folder of an artifact; ``make(folder)`` fills it if it isn't there yet.

    The stage is the module that computes it. Under ``torchrun`` rank 0 makes it while the others
    wait, or, if ``together``, all ranks call ``make`` and share the work.
    """
    folder = _make_artifact(profile, name, stage, inputs, make, together)
    used = _used.get()
    if used is not None and folder not in used:
        used.append(folder)
    return folder


@contextmanager
def artifacts_used() -> Iterator[list[Path]]:
    """Note which artifacts are made or used, in order of their first use.

    Yields:
        A list that grows while the block runs.
    """
    folders: list[Path] = []
    token = _used.set(folders)
    try:
        yield folders
    finally:
        _used.reset(token)


def seconds_of(folder: Path) -> float:
    """How long an artifact took to make; if it was interrupted, from the last start on.

    Args:
        folder: of the artifact.

    Returns:
        Seconds, without those of the artifacts that it builds on; 0 if nobody noted them.
    """
    noted = folder / "made.json"
    return float(json.loads(noted.read_text())["seconds"]) if noted.exists() else 0.0


def _make_artifact(
    profile: Profile,
    name: str,
    stage: str,
    inputs: dict[str, Any],
    make: Callable[[Path], None],
    together: bool,
) -> Path:
    world = env_class(profile.env)
    module = world.__module__.removeprefix("agentprm_lite.")
    source = _source_hash((stage, module, "env", "worlds.textcraft.exchange"))
    if module == world.__module__:  # a reader's own world
        source += _own_source(world)
    if named := os.environ.get(DATA_FOLDERS.get(profile.env, "")):  # other files, other tasks
        inputs = {**inputs, "folder": str(Path(named).resolve())}
    text = json.dumps([name, profile.name, source, inputs], sort_keys=True)
    root = artifacts_root() / profile.name / profile.env
    folder = root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    if agree(folder.exists()):
        return folder
    here = place()
    partial = root / f"{folder.name}.partial"
    with _lock(folder) if here.first else nullcontext():
        if agree(folder.exists()):  # another process made it meanwhile
            return folder
        partial.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        if together:
            make(partial)
        elif here.first:
            with alone():
                make(partial)
        wait()
        if here.first:
            (partial / "inputs.json").write_text(json.dumps(inputs, indent=1, default=str) + "\n")
            took = {"seconds": round(time.perf_counter() - started, 2)}
            (partial / "made.json").write_text(json.dumps(took) + "\n")
            os.replace(partial, folder)
    wait()
    if not folder.exists():
        raise FileNotFoundError(
            f"rank 0 made {folder}, which rank {here.rank} doesn't see: all ranks need one folder "
            "that they share, see AGENTPRM_ARTIFACTS"
        )
    return folder


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One process at a time makes an artifact; the system frees the lock of one that dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.warning("another process is making %s: waiting for it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
        if folder.exists():  # whoever waits for the lock finds it and makes nothing
            Path(lock.lock_file).unlink(missing_ok=True)


def _join(path: Path, keys: Sequence[str], key: Callable[[Trajectory], str]) -> None:
    """Make one file of what the ranks collected; the files of ranks go."""
    wait()
    here = place()
    if here.first:
        if here.size > 1:
            merge(path, keys, here.size, key)
        for part in path.parent.glob(f"{path.stem}.rank*of*{path.suffix}"):
            part.unlink()


@lru_cache(maxsize=8)
def _read(path: Path) -> tuple[Trajectory, ...]:
    """A finished artifact's trajectories; its path says what they are, so they are kept."""
    return tuple(read_jsonl(path))


def sampling_config(profile: Profile | str) -> SamplingConfig:
    """Sampling at temperature 1 with the profile's limits.

    Args:
        profile: a profile or its name.

    Returns:
        The settings.
    """
    p = _profile(profile)
    return SamplingConfig(
        temperature=1.0,
        max_new_tokens=p.max_new_tokens,
        max_context=p.max_context,
        rules=p.rules,
        max_rounds=p.max_rounds,
    )


def train_tasks(profile: Profile | str) -> tuple[list[Task], list[Task]]:
    """Tasks of the training split: those with demonstrations, and those for rollouts.

    Goals without demonstrations come first among the rollouts, so that reward models see the
    policy where it isn't at its best, as it will be on held-out goals.

    Args:
        profile: a profile or its name.

    Returns:
        One task a goal to demonstrate, and the tasks to roll out.
    """
    p = _profile(profile)
    goals = env_class(p.env).tasks("train", levels=p.levels)
    random.Random(0).shuffle(goals)
    rolled = [replace(t, variant=1_000) for t in reversed(goals)]
    return goals[: p.demo_goals], rolled[: p.rollout_tasks]


def test_tasks(profile: Profile | str) -> list[Task]:
    """Held-out tasks: their goals are never trained on.

    Args:
        profile: a profile or its name.

    Returns:
        The tasks, evenly spread over the split.
    """
    p = _profile(profile)
    goals = env_class(p.env).tasks("test", levels=p.levels)
    tasks = [replace(t, variant=variant) for variant in p.eval_variants for t in goals]
    return _spread(tasks, p.eval_tasks)


def beam_tasks(profile: Profile | str) -> list[Task]:
    """Held-out tasks of beam search, some of :func:`test_tasks`.

    Args:
        profile: a profile or its name.

    Returns:
        The tasks.
    """
    p = _profile(profile)
    return _spread(test_tasks(p), p.beam_tasks)


def _spread(items: list[_Item], count: int) -> list[_Item]:
    step = max(1.0, len(items) / count)
    return [items[int(i * step)] for i in range(min(count, len(items)))]


def base(profile: Profile | str) -> str:
    """The base model: a hub id or a folder; for the tiny one, that of its untrained weights.

    Args:
        profile: a profile or its name.

    Returns:
        What :func:`agentprm_lite.tutorial.smollm2.resolve` takes.
    """
    p = _profile(profile)
    if p.base != "tiny":
        return resolve(p.base)

    def make(folder: Path) -> None:
        env = env_class(p.env)
        make_tiny(folder, vocabulary(env.tasks("train") + env.tasks("test")), p.tiny, seed=0)

    return str(_artifact(p, "base", "rollout", asdict(p.tiny), make))


def demonstrations(profile: Profile | str) -> list[Trajectory]:
    """Trajectories of the expert on training goals.

    For the tiny model, which knows nothing, some of them are translated: colours, woods, stones and
    metals trade places, so that it learns to read the commands.

    Args:
        profile: a profile or its name.

    Returns:
        The demonstrations in the policy's ids.
    """
    return read_jsonl(_demonstrations(_profile(profile)))


def _demonstrations(p: Profile) -> Path:
    start = base(p)
    goals, _ = train_tasks(p)
    tasks = [replace(t, variant=v) for v in range(p.demo_variants) for t in goals]
    sampling = sampling_config(p)

    def make(folder: Path) -> None:
        chat, rng = load_chat(start), random.Random(0)
        demos = demonstrate(chat, tasks, sampling)
        for i, demo in enumerate(demos):
            if rng.random() < p.demo_translated:
                demos[i] = translate(demo, chat, sampling, exchange(i))
        append_jsonl(folder / "demos.jsonl", demos)

    inputs = {
        "base": Path(start).name,
        "tasks": [t.key for t in tasks],
        "translated": p.demo_translated,
        **asdict(sampling),
    }
    return _artifact(p, "demos", "rollout", inputs, make) / "demos.jsonl"


def policy(profile: Profile | str, kind: str = "sft") -> Policy:
    """A policy trained without rewards: ``"sft"``, or ``"rft"`` on its own successes.

    Args:
        profile: a profile or its name.
        kind: ``"sft"`` or ``"rft"``.

    Returns:
        The policy.

    Raises:
        ValueError: the kind is unknown.
    """
    p = _profile(profile)
    if kind not in ("sft", "rft"):
        raise ValueError(f"policy {kind!r} is unknown, expected 'sft' or 'rft'")
    config = p.sft if kind == "sft" else p.rft
    start = base(p) if kind == "sft" else str(policy(p, "sft").folder)
    data = _demonstrations(p) if kind == "sft" else _rollouts(p)
    tiny = p.base == "tiny"

    def make(folder: Path) -> None:
        model = load_policy(start, None if tiny else p.lora)
        train = sft if kind == "sft" else rft
        log = train(model, read_jsonl(data), config, checkpoint=folder / "unfinished")
        if place().first:
            save_policy(model, load_chat(start), folder)
            (folder / "log.json").write_text(json.dumps(log))

    inputs = {
        "start": Path(start).name,
        "config": asdict(config),
        "lora": None if tiny else asdict(p.lora),
        "data": data.parent.name,
    }
    folder = _artifact(p, kind, "train", inputs, make, together=True)
    return Policy(folder, load_chat(folder), p)


def training_log(folder: Path) -> list[dict[str, float]]:
    """Log of the training that made an artifact.

    Args:
        folder: of a policy, a reward model or a PPO run.

    Returns:
        One dict a step or round.
    """
    log: list[dict[str, float]] = json.loads((folder / "log.json").read_text())
    return log


def _sampled(
    p: Profile,
    actor: Policy,
    name: str,
    tasks: list[Task],
    samples: int,
    temperature: float,
    seed: int = 1,
    servers: Sequence[str] = (),
) -> Path:
    """File of trajectories that a policy sampled, here or on servers.

    The servers don't count among the inputs: later stages use what they sampled.
    """

    def make(folder: Path) -> None:
        backend = actor.remote(servers, temperature) if servers else actor.backend(temperature)
        path = folder / f"{name}.jsonl"
        collect(backend, tasks, samples, path, seed=seed, batch=p.batch)
        _join(path, [f"{t.key}/{k}" for t in tasks for k in range(samples)], lambda t: t.key)

    inputs = {
        "policy": actor.folder.name,
        "tasks": [t.key for t in tasks],
        "samples": samples,
        "seed": seed,
        "batch": p.batch,
        **asdict(replace(sampling_config(p), temperature=temperature)),
    }
    return _artifact(p, name, "rollout", inputs, make, together=True) / f"{name}.jsonl"


def rollouts(
    profile: Profile | str, actor: Policy | None = None, *, servers: Sequence[str] = ()
) -> list[Trajectory]:
    """A policy's own trajectories on training goals: what every reward model learns from.

    Args:
        profile: a profile or its name.
        actor: the policy; None: the SFT policy.
        servers: urls of servers that sample; by default this process does.

    Returns:
        ``rollout_samples`` trajectories for each of ``rollout_tasks`` goals.
    """
    return list(_read(_rollouts(_profile(profile), actor, servers)))


def _rollouts(p: Profile, actor: Policy | None = None, servers: Sequence[str] = ()) -> Path:
    goals, actor = train_tasks(p)[1], actor or policy(p)
    return _sampled(p, actor, "rollouts", goals, p.rollout_samples, 1.0, servers=servers)


def pool(
    profile: Profile | str, kind: str = "sft", servers: Sequence[str] = ()
) -> list[Trajectory]:
    """Candidates on held-out goals: what every reward model chooses from.

    Args:
        profile: a profile or its name.
        kind: which policy.
        servers: urls of servers that sample; by default this process does.

    Returns:
        ``eval_samples`` trajectories for each held-out goal.
    """
    return list(_read(_pool(_profile(profile), kind, servers)))


def _pool(p: Profile, kind: str = "sft", servers: Sequence[str] = ()) -> Path:
    actor, tasks = policy(p, kind), test_tasks(p)
    return _sampled(p, actor, "pool", tasks, p.eval_samples, p.eval_temperature, servers=servers)


def greedy_runs(profile: Profile | str, kind: str = "sft") -> list[Trajectory]:
    """Greedy trajectories on held-out goals.

    Args:
        profile: a profile or its name.
        kind: which policy.

    Returns:
        One trajectory a goal.
    """
    p = _profile(profile)
    return read_jsonl(_sampled(p, policy(p, kind), "greedy", test_tasks(p), 1, 0.0))


def mc_rollouts(profile: Profile | str) -> tuple[list[RewardExample], int]:
    """Rollouts from every state of some training trajectories, for Monte Carlo labels.

    The environment is restored to the state after each action and the policy plays on from there.

    Args:
        profile: a profile or its name.

    Returns:
        The examples with their outcomes, and the tokens that the rollouts took.
    """
    p = _profile(profile)
    examples, tokens = _outcomes(_mc_starts(p), _mc(p))
    return examples, sum(tokens)


def truth(profile: Profile | str) -> tuple[list[RewardExample], int]:
    """Q along some held-out trajectories, from many rollouts of every state.

    The trajectories are the first candidates of ``truth_tasks`` tasks of :func:`pool`.

    Args:
        profile: a profile or its name.

    Returns:
        The trajectories with the outcomes of ``truth_samples`` rollouts after each action, and the
        tokens that the rollouts took.
    """
    p = _profile(profile)
    folder = _played_on(p, "truth", _truth_starts, p.truth_samples, _pool(p).parent.name)
    examples, tokens = _outcomes(_truth_starts(p), folder)
    return examples, sum(tokens)


def _outcomes(starts: list[Trajectory], folder: Path) -> tuple[list[RewardExample], list[int]]:
    """Examples with outcomes, and the tokens of each one's rollouts."""
    record = json.loads((folder / "outcomes.json").read_text())
    rows = zip(starts, record, strict=True)
    return [RewardExample(t, np.array(r["outcomes"])) for t, r in rows], [
        r["tokens"] for r in record
    ]


def _mc_starts(p: Profile) -> list[Trajectory]:
    return [t for t in rollouts(p) if t.sample == 0 and t.num_steps][: p.mc_tasks]


def _truth_starts(p: Profile) -> list[Trajectory]:
    first = [t for t in pool(p) if t.sample == 0 and t.num_steps]
    return _spread(first, p.truth_tasks)


def _mc(p: Profile) -> Path:
    return _played_on(p, "mc", _mc_starts, p.mc_samples, _rollouts(p).parent.name)


def _played_on(
    p: Profile, name: str, starts: Callable[[Profile], list[Trajectory]], samples: int, data: str
) -> Path:
    """Outcomes of rollouts from every state of some trajectories, 32 a state at a time."""
    actor = policy(p)

    def make(folder: Path) -> None:
        backend, here = actor.backend(1.0), place()
        record = []
        for trajectory in here.blocks(starts(p), 1):
            played: list[list[Trajectory]] = [[] for _ in trajectory.spans]
            for k in range(0, samples, 32):  # another sample is another random stream
                other = replace(trajectory, sample=trajectory.sample + 1_000 * k)
                some = continue_from(backend, other, min(32, samples - k))
                played = [old + new for old, new in zip(played, some, strict=True)]
            record.append(
                {
                    "outcomes": [[t.outcome for t in row] for row in played],
                    "tokens": sum(t.usage.generated for row in played for t in row),
                }
            )
        path = folder / "outcomes.json"
        here.part(path).write_text(json.dumps(record))
        wait()
        if here.first and here.size > 1:
            parts = [Place(rank, here.size).part(path) for rank in range(here.size)]
            records = [json.loads(part.read_text()) for part in parts]
            count = sum(map(len, records))
            whole = [records[i % here.size][i // here.size] for i in range(count)]
            path.write_text(json.dumps(whole))
            for part in parts:
                part.unlink()

    inputs = {
        "data": data,
        "starts": [t.key for t in starts(p)],
        "samples": samples,
        **asdict(sampling_config(p)),
    }
    return _artifact(p, name, "rollout", inputs, make, together=True)


def reward_data(
    kind: Kind, profile: Profile | str, seed: int = 0, variant: Variant = USUAL
) -> tuple[list[RewardExample], list[int]]:
    """What a reward model learns from, and what it cost.

    Args:
        kind: which labels.
        profile: a profile or its name.
        seed: of the reward model; only a later policy depends on it.
        variant: its budget, levels and policy count here.

    Returns:
        The examples, as many of the first ones as the budget allows, and the tokens sampled for
        each.

    Raises:
        ValueError: the budget is too small for one example, or Monte Carlo labels are asked for on
            some levels, a later policy or with cuts as failures, which they are there anyway.
    """
    p, budget = _profile(profile), variant.budget
    if kind in MC_KINDS:
        if variant.levels or variant.legs or variant.cut_is_failure:
            raise ValueError(f"{variant} of {kind}: expected all rollouts of the SFT policy")
        examples, extra = _outcomes(_mc_starts(p), _mc(p))
    else:
        played = rollouts(p, later_policy(p, variant.legs, seed)) if variant.legs else rollouts(p)
        if variant.levels:
            known = {t.index for t in env_class(p.env).tasks("train", levels=variant.levels)}
            played = [t for t in played if t.task.index in known]
        if variant.cut_is_failure:
            played = [replace(t, final=True) for t in played]
        examples = [RewardExample(t) for t in played if t.num_steps]
        extra = [0] * len(examples)
    own = [e.trajectory.usage.generated for e in examples]
    tokens = [a + b for a, b in zip(own, extra, strict=True)]
    if budget is None:
        return examples, tokens
    count = int(np.searchsorted(np.cumsum(tokens), budget, side="right"))
    if not count:
        raise ValueError(
            f"budget is {budget} tokens, the first example of {kind} takes {tokens[0]}"
        )
    return examples[:count], tokens[:count]


def _data(kind: Kind, p: Profile, actor: Policy | None = None) -> Path:
    return _mc(p) if kind in MC_KINDS else _rollouts(p, actor).parent


def reward_config(kind: Kind, profile: Profile | str, *, beta: float = 1.0) -> TrainConfig:
    """How a reward model is trained: the best of the profile's grid, or ``reward`` without one.

    Every kind gets the same grid. A quarter of the training tasks is held out, and the setting is
    chosen that picks best among all rollouts of each of them (mean outcome of the one with the
    highest score, by the last step and by the first half, averaged), with seed 0.

    Args:
        kind: which labels.
        profile: a profile or its name.
        beta: weight of L_A; with 0 the grid is searched anew, other weights take what β = 1 takes.

    Returns:
        The settings.
    """
    p = _profile(profile)
    if not p.reward_grid:
        return p.reward
    scores = tuning(kind, p, beta=beta)
    lr, epochs = p.reward_grid[int(np.argmax(scores))]
    return replace(p.reward, lr=lr, epochs=epochs)


def tuning(kind: Kind, profile: Profile | str, *, beta: float = 1.0) -> list[float]:
    """What each setting of the profile's grid picks on held-out training tasks.

    Args:
        kind: which labels.
        profile: a profile or its name.
        beta: weight of L_A; only whether it is 0 counts.

    Returns:
        One number for each of ``reward_grid``, see :func:`reward_config`.
    """
    p = _profile(profile)
    actor, beta = policy(p), 1.0 if beta else 0.0
    configs = [replace(p.reward, lr=lr, epochs=epochs) for lr, epochs in p.reward_grid]

    def make(folder: Path) -> None:
        held_out = set(list(dict.fromkeys(t.task for t in rollouts(p)))[3::4])
        judged = [t for t in rollouts(p) if t.task in held_out and t.num_steps]
        most = max(map(len, by_task(judged).values()))
        examples = [e for e in reward_data(kind, p)[0] if e.trajectory.task not in held_out]
        scores = []
        for i, config in enumerate(configs):
            model = new_reward_model(actor.folder, p.lora, 0)
            unfinished = folder / f"unfinished{i}"
            train_reward_model(model, examples, kind, config, beta=beta, checkpoint=unfinished)
            values = RewardModel(model).score(judged)
            halves = [StepValues(v.root, v.q[: -(-len(v.q) // 2)]) for v in values]
            ways = [best_of_n(judged, v, [most]).success.mean() for v in (values, halves)]
            scores.append(float(np.mean(ways)))
        if place().first:
            (folder / "scores.json").write_text(json.dumps(scores))

    inputs = {
        "policy": actor.folder.name,
        "kind": kind,
        "configs": [asdict(c) for c in configs],
        "lora": asdict(p.lora),
        "beta": beta,
        "data": [_data(kind, p).name, _rollouts(p).parent.name],
    }
    name = f"tuning_{kind}{'' if beta else '_no_la'}"
    folder = _artifact(p, name, "train", inputs, make, together=True)
    scores: list[float] = json.loads((folder / "scores.json").read_text())
    return scores


def reward_model_folder(
    kind: Kind,
    profile: Profile | str,
    seed: int = 0,
    variant: Variant = USUAL,
) -> Path:
    """Adapters of a reward model, trained if needed.

    Args:
        kind: which labels.
        profile: a profile or its name.
        seed: of head, adapters and order of the data.
        variant: how it differs from the usual one.

    Returns:
        The folder.
    """
    p, beta, lam = _profile(profile), variant.beta, variant.lam
    actor = later_policy(p, variant.legs, seed)
    config = replace(reward_config(kind, p, beta=beta), seed=seed)

    def make(folder: Path) -> None:
        examples = reward_data(kind, p, seed, variant)[0]
        model = new_reward_model(actor.folder, p.lora, seed)
        log = train_reward_model(
            model, examples, kind, config, beta=beta, lam=lam, checkpoint=folder / "unfinished"
        )
        if place().first:
            save_adapter(model, actor.chat, folder)
            (folder / "log.json").write_text(json.dumps(log))

    inputs = {
        "policy": actor.folder.name,
        "kind": kind,
        "config": asdict(config),
        "lora": asdict(p.lora),
        "beta": beta,
        "lam": lam,
        "budget": variant.budget,
        "data": _data(kind, p, actor).name,
        **({"levels": variant.levels} if variant.levels else {}),
        **({"cut_is_failure": True} if variant.cut_is_failure else {}),
    }
    return _artifact(p, f"{kind}{seed}", "train", inputs, make, together=True)


def reward_model(
    kind: Kind,
    profile: Profile | str,
    seed: int = 0,
    variant: Variant = USUAL,
) -> RewardModel:
    """A reward model, trained if needed.

    Args:
        kind: which labels.
        profile: a profile or its name.
        seed: of head, adapters and order of the data.
        variant: how it differs from the usual one.

    Returns:
        The loaded reward model.
    """
    p = _profile(profile)
    folder = reward_model_folder(kind, p, seed, variant)
    actor = later_policy(p, variant.legs, seed)
    return RewardModel(load_reward_model(actor.folder, folder, actor.chat))


def pool_values(
    kind: Kind,
    profile: Profile | str,
    seed: int = 0,
    variant: Variant = USUAL,
) -> list[StepValues]:
    """M along every candidate of the pool.

    Args:
        kind: which reward model.
        profile: a profile or its name.
        seed: of the reward model.
        variant: how it differs from the usual one.

    Returns:
        One a candidate, in the order of :func:`pool`.
    """
    p = _profile(profile)
    return _values(p, kind, seed, variant, _pool(p))


def _values(p: Profile, kind: Kind, seed: int, variant: Variant, data: Path) -> list[StepValues]:
    """M of a reward model along the trajectories of an artifact."""
    scorer = reward_model_folder(kind, p, seed, variant)

    def make(folder: Path) -> None:
        scores = reward_model(kind, p, seed, variant).score(_read(data))
        record = [[v.root, *v.q.tolist()] for v in scores]
        (folder / "values.json").write_text(json.dumps(record))

    inputs = {"reward_model": scorer.name, "data": data.parent.name}
    folder = _artifact(p, f"values_{kind}{seed}", "prm", inputs, make)
    record = json.loads((folder / "values.json").read_text())
    return [StepValues(row[0], np.array(row[1:])) for row in record]


def beam_runs(
    kind: Kind,
    profile: Profile | str,
    n: int,
    m: int,
    seed: int = 0,
    variant: Variant = USUAL,
) -> list[Trajectory]:
    """Answers of beam search @N×M on held-out goals.

    Args:
        kind: which reward model.
        profile: a profile or its name.
        n: paths kept.
        m: turns sampled a path.
        seed: of reward model and search.
        variant: how the reward model differs from the usual one.

    Returns:
        One answer a goal; its usage counts the whole search.

    Raises:
        ValueError: the reward model is one of a later policy, which has other weights.
    """
    if variant.legs:
        raise ValueError(f"legs is {variant.legs}, expected 0: beam search is the SFT policy's")
    p = _profile(profile)
    actor = policy(p)
    scorer = reward_model_folder(kind, p, seed, variant)
    tasks = beam_tasks(p)

    def make(folder: Path) -> None:
        backend = actor.backend(p.eval_temperature)
        judge = RewardModel(load_reward_model(backend.model, scorer, actor.chat))
        size = max(1, p.batch // (n * m))
        path, mine = folder / "answers.jsonl", place().blocks(tasks, size)
        part = place().part(path)
        done = len(read_jsonl(part)) if part.exists() else 0
        for i in range(done // size * size, len(mine), size):
            found = beam_search(backend, judge, mine[i : i + size], n, m, seed=seed)
            append_jsonl(part, [r.trajectory for r in found][max(0, done - i) :])
        _join(path, [t.key for t in tasks], lambda t: t.task.key)

    inputs = {
        "policy": actor.folder.name,
        "reward_model": scorer.name,
        "tasks": [t.key for t in tasks],
        "shape": [n, m, seed, p.batch],
        **asdict(replace(sampling_config(p), temperature=p.eval_temperature)),
    }
    name = f"beam_{kind}{seed}_{n}x{m}"
    folder = _artifact(p, name, "search", inputs, make, together=True)
    return read_jsonl(folder / "answers.jsonl")


def ppo_tasks(profile: Profile | str) -> list[Task]:
    """Training tasks of PPO: those that the SFT policy solves sometimes, but not always.

    Where all samples of a task end alike, they teach nothing about what made the difference.

    Args:
        profile: a profile or its name.

    Returns:
        Tasks of :func:`rollouts` with both outcomes; all tasks if there are none.
    """
    p = _profile(profile)
    outcomes: dict[Task, set[bool]] = {}
    for t in rollouts(p):
        outcomes.setdefault(t.task, set()).add(t.success)
    return [task for task, seen in outcomes.items() if len(seen) == 2] or list(outcomes)


def ppo_run(
    profile: Profile | str,
    reward: ProcessReward,
    kind: Kind | None = None,
    seed: int = 0,
    *,
    start: Policy | None = None,
    variant: Variant = USUAL,
) -> Policy:
    """A policy after PPO.

    Args:
        profile: a profile or its name.
        reward: which process reward.
        kind: reward model behind it; None for ``"outcome"``.
        seed: of the run and of the reward model.
        start: the policy before; None: the SFT policy.
        variant: how the reward model differs from the usual one.

    Returns:
        The policy; :func:`training_log` of its folder has one entry a round.
    """
    p = _profile(profile)
    actor = start or policy(p)
    config = replace(p.ppo, reward=reward, seed=seed)
    tasks = ppo_tasks(p)
    adapters = reward_model_folder(kind, p, seed, variant) if kind else None
    trunk = later_policy(p, variant.legs, seed).folder

    def make(folder: Path) -> None:
        model = load_policy(actor.folder, p.lora, seed=seed)
        judge = None
        if adapters:  # on the policy's own weights if it can be: one copy in memory
            base_of_judge = model if trunk == actor.folder else trunk
            judge = RewardModel(load_reward_model(base_of_judge, adapters, actor.chat))
        log = ppo(model, actor.chat, tasks, config, sampling_config(p), judge)
        save_policy(model, actor.chat, folder)
        (folder / "log.json").write_text(json.dumps(log))

    inputs = {
        "policy": actor.folder.name,
        "reward_model": adapters.name if adapters else None,
        "config": asdict(config),
        "lora": asdict(p.lora),
        "tasks": [t.key for t in tasks],
        **asdict(sampling_config(p)),
    }
    name = f"ppo_{reward}_{kind or 'none'}{seed}"
    folder = _artifact(p, name, "ppo", inputs, make)
    return Policy(folder, actor.chat, p)


def later_policy(
    profile: Profile | str, legs: int, seed: int = 0, *, refreshed: bool = True
) -> Policy:
    """The SFT policy after several runs of PPO with AgentPRM, one behind the other.

    Args:
        profile: a profile or its name.
        legs: how many runs; 0 is the SFT policy itself.
        seed: of the runs and reward models.
        refreshed: every run has a new reward model, trained on the weights and from the rollouts
            of the policy that it starts from; otherwise all have that of the SFT policy.

    Returns:
        The policy.
    """
    p = _profile(profile)
    if not legs:
        return policy(p)
    start = later_policy(p, legs - 1, seed, refreshed=refreshed)
    variant = Variant(legs=legs - 1 if refreshed else 0)
    return ppo_run(p, "shaping", "agentprm", seed, start=start, variant=variant)


def later_pool(profile: Profile | str, legs: int, seed: int = 0) -> list[Trajectory]:
    """Candidates of a later policy on held-out goals.

    Args:
        profile: a profile or its name.
        legs: see :func:`later_policy`.
        seed: of its runs.

    Returns:
        As many a goal as in :func:`pool`.
    """
    p = _profile(profile)
    return list(_read(_later_pool(p, legs, seed)))


def _later_pool(p: Profile, legs: int, seed: int) -> Path:
    actor, tasks = later_policy(p, legs, seed), test_tasks(p)
    return _sampled(p, actor, "pool", tasks, p.eval_samples, p.eval_temperature)


def later_pool_values(
    kind: Kind, profile: Profile | str, legs: int, seed: int = 0, variant: Variant = USUAL
) -> list[StepValues]:
    """M along every candidate of a later policy.

    Args:
        kind: which reward model.
        profile: a profile or its name.
        legs: see :func:`later_policy`.
        seed: of its runs and of the reward model.
        variant: the reward model's; by default it has learned from the SFT policy's rollouts.

    Returns:
        One a candidate, in the order of :func:`later_pool`.
    """
    p = _profile(profile)
    return _values(p, kind, seed, variant, _later_pool(p, legs, seed))


def ppo_pool(profile: Profile | str, actor: Policy) -> list[Trajectory]:
    """Samples of a policy after PPO on held-out goals, at temperature 1.

    Args:
        profile: a profile or its name.
        actor: the policy.

    Returns:
        ``ppo_samples`` trajectories a goal.
    """
    p = _profile(profile)
    return read_jsonl(_sampled(p, actor, "ppo_pool", test_tasks(p), p.ppo_samples, 1.0))


def ppo_training_pool(profile: Profile | str, actor: Policy) -> list[Trajectory]:
    """New samples on the goals that PPO trains on, at temperature 1.

    These goals were chosen by :func:`rollouts`, so those samples can't be the baseline.

    Args:
        profile: a profile or its name.
        actor: a policy before or after PPO.

    Returns:
        As many samples a goal as in :func:`ppo_pool`.
    """
    p = _profile(profile)
    path = _sampled(p, actor, "ppo_training_pool", ppo_tasks(p), p.ppo_samples, 1.0, seed=2)
    return read_jsonl(path)
