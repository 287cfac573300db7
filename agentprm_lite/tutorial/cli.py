"""``agentprm``: the pipeline's stages without a notebook.

Every command makes one artifact of a profile and whatever it needs before; what is there already is
used. Under ``torchrun --nproc-per-node N -m agentprm_lite.tutorial.cli`` N processes share it.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import get_args

import numpy as np

from agentprm_lite.distributed import place
from agentprm_lite.interop import (
    add_commands,
    add_log_options,
    export,
    new_file,
    new_folder,
    train_on_logs,
)
from agentprm_lite.kinds import KINDS
from agentprm_lite.ppo import ProcessReward
from agentprm_lite.prm import StepValues
from agentprm_lite.study import PARTS, WORLDS, provenance, study
from agentprm_lite.tutorial import guided, rewards, stages
from agentprm_lite.tutorial.pretrain import PretrainConfig, pretrain
from agentprm_lite.tutorial.profiles import get_profile
from agentprm_lite.tutorial.smollm2 import resolve
from agentprm_lite.types import Trajectory


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments; by default those of the process.

    Returns:
        Exit status.
    """
    args = _parser().parse_args(argv)
    try:
        if args.command == "pretrain":
            _pretrain(args, argv)
            return 0
        if "run" in args:  # a command of another wing
            args.run(args)
            return 0
        if place().first:
            return _run(args, argv)
        with redirect_stdout(io.StringIO()):  # one report is enough
            return _run(args, argv)
    except (ValueError, OSError, MemoryError) as err:
        print(f"agentprm {args.command}: {err}", file=sys.stderr)
        return 1


def _pretrain(args: argparse.Namespace, argv: Sequence[str] | None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    command = shlex.join(["agentprm", *(argv or sys.argv[1:])])
    config = PretrainConfig(steps=args.steps, seed=args.seed)
    pretrain(config, args.folder, until=args.until, command=command)
    print(args.folder)


def _run(args: argparse.Namespace, argv: Sequence[str] | None) -> int:
    profile, seed = get_profile(args.profile, getattr(args, "env", "textcraft")), args.seed
    if args.command == "collect":
        sample = stages.rollouts if args.split == "train" else stages.pool
        played = sample(profile, servers=args.server)
        _report(f"{args.split} rollouts", played)
    elif args.command == "label":
        examples, tokens = stages.mc_rollouts(profile)
        print(f"Monte Carlo outcomes of {len(examples)} trajectories took {tokens} tokens")
    elif args.command == "train":
        if args.model == "reward":
            args.base = args.base and resolve(args.base)
            train_on_logs(args)
        elif args.logs or args.base or args.out:
            raise ValueError("--logs, --base and --out are those of 'train reward'")
        elif args.model in ("sft", "rft"):
            print(stages.policy(profile, args.model).folder)
        else:
            print(rewards.reward_model_folder(profile, args.model, seed))
    elif args.command == "eval":
        _report("greedy SFT", stages.greedy_runs(profile))
        _report("sampled SFT", stages.pool(profile))
    elif args.command == "search":
        played = guided.beam_runs(profile, args.model, args.n, args.m, seed)
        _report(f"beam {args.n}x{args.m} by {args.model}", played)
    elif args.command == "ppo":
        kind = None if args.reward == "outcome" else args.model
        actor = guided.ppo_run(profile, args.reward, kind, seed)
        print(actor.folder)
        _report(f"after PPO on {args.reward}", guided.ppo_pool(profile, actor))
    elif args.command == "show":
        played = [t for t in stages.pool(profile) if t.sample == 0][: args.episodes]
        values = rewards.reward_model(profile, args.model, seed).score(played)
        where = provenance()
        print(f"agentprm show --profile {profile.name}: {profile.base}, commit {where['commit']},")
        print(f"{where['date']}, {where['device']}\n")
        print("\n\n".join(map(_told, played, values)))
    elif args.command == "export":
        out = new_folder(args.out)
        judge, actor = rewards.reward_model(profile, args.model, seed), stages.policy(profile)
        export(judge.model, actor.chat, out, kind=args.model)
        print(args.out)
    else:
        out = new_file(args.out)
        command = shlex.join(["agentprm", *(argv or sys.argv[1:])])
        numbers = study(args.profile, args.worlds, command, args.parts)
        if place().first:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(numbers, indent=1) + "\n")
            print(out)
    return 0


def _parser() -> argparse.ArgumentParser:
    kinds = tuple(KINDS)
    parser = argparse.ArgumentParser(prog="agentprm", description="AgentPRM, stage by stage.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        names = "smoke, cpu, study, more, llm-smoke, llm, gpu or paper"
        sub.add_argument("--profile", default="cpu", help=names)
        if name != "study":
            sub.add_argument("--env", default="textcraft", help="a world, such as textcraft")
        sub.add_argument("--seed", type=int, default=0, help="of the reward model or run")
        return sub

    base = commands.add_parser(
        "pretrain",
        help="make the small base of all four worlds",
        description="Make the small base of all four worlds, or go on where it was stopped.",
    )
    base.add_argument("folder", help="of the run; the model lies in it, too")
    base.add_argument("--steps", type=int, default=PretrainConfig.steps, help="in all")
    base.add_argument("--until", type=int, help="stop before this step; the next call goes on")
    base.add_argument("--seed", type=int, default=0, help="of weights and text")

    collect = add("collect", "sample trajectories")
    collect.add_argument("--split", choices=("train", "test"), default="train")
    collect.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="URL",
        help="an OpenAI-compatible server of the SFT policy's folder, such as "
        "http://localhost:8000/v1; may be given several times",
    )
    add("label", "Monte Carlo rollouts from every state")
    train = add("train", "train a policy or a reward model, or a reward model on logs")
    train.add_argument("model", choices=("sft", "rft", *kinds, "reward"))
    add_log_options(train)
    add("eval", "success of the SFT policy on held-out goals")
    search = add("search", "beam search on held-out goals")
    search.add_argument("--model", choices=kinds, default="agentprm")
    search.add_argument("-n", type=int, default=2, help="paths kept")
    search.add_argument("-m", type=int, default=2, help="turns sampled a path")
    ppo = add("ppo", "reinforcement learning")
    ppo.add_argument("--reward", choices=get_args(ProcessReward), default="shaping")
    ppo.add_argument("--model", choices=kinds, default="agentprm")
    show = add("show", "attempts at held-out goals in ReAct form, with M after every turn")
    show.add_argument("--model", choices=kinds, default="agentprm")
    show.add_argument("--episodes", type=int, default=2, help="how many")
    out = add("export", "a reward model as one folder that plain transformers reads")
    out.add_argument("--model", choices=kinds, default="agentprm")
    out.add_argument("--out", required=True, help="the folder")
    compare = add("study", "all numbers of the comparison, as JSON")
    compare.add_argument("--out", required=True)
    compare.add_argument(
        "--worlds", nargs="+", default=list(WORLDS), choices=WORLDS, help="default: all"
    )
    compare.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS, help="default: all")
    add_commands(commands)
    return parser


def _told(t: Trajectory, values: StepValues) -> str:
    lines = [f"--- {t.task.key}", t.observations[0], f"(M = {values.root:.3f})"]
    for action, m, reply in zip(t.actions, values.q, t.observations[1:], strict=True):
        lines += ["", action.strip(), f"> {reply}", f"(M = {m:.3f})"]
    return "\n".join([*lines, f"--- reward {t.outcome:g} after {t.num_steps} turns"])


def _report(name: str, played: list[Trajectory]) -> None:
    success = np.mean([t.success for t in played])
    tokens = np.mean([t.usage.generated for t in played])
    print(f"{name}: {len(played)} trajectories, success {success:.3f}, {tokens:.0f} tokens each")


if __name__ == "__main__":
    sys.exit(main())
