"""``agentprm``: the stages without a notebook.

Every command makes one artifact of a profile and whatever it needs before; what is there already is
used. Under ``torchrun --nproc-per-node N -m agentprm_lite.tutorial.cli`` N processes share it.

What is wrong is said in one line, before work starts. Heavy imports stand in the functions, so that
``agentprm --help`` needs none of them.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import math
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from agentprm_lite.interop import new_file, new_folder, run_folder, train_on_logs, write_whole
from agentprm_lite.tutorial.arguments import parser

if TYPE_CHECKING:
    from agentprm_lite.prm import StepValues
    from agentprm_lite.tutorial.profiles import Profile
    from agentprm_lite.types import Trajectory


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments; by default those of the process.

    Returns:
        Exit status: 0; 2 if an argument is wrong; 1 if the work fails.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(words)
    log = logging.getLogger("agentprm_lite")
    if not log.handlers:  # the library's own notes
        log.addHandler(logging.StreamHandler())
        log.setLevel(logging.INFO)
    try:
        if "run" in args:  # a command of another wing
            args.run(args)
            return 0
        if args.command == "train":
            if other := _of_the_other_kind(args):
                return _said(args, other, 2)
            if args.kind_or_policy == "reward":
                _train_on_logs(args)
                return 0
        command = shlex.join(["agentprm", *words])
        if args.command == "pretrain":
            _pretrain(args, command)
            return 0
        try:
            profile = _checked(args)
        except (ValueError, ImportError) as err:
            return _said(args, err, 2)
        if args.command == "estimate":
            from agentprm_lite.tutorial.chapters import report

            print(report(profile))
            return 0
        from agentprm_lite.distributed import this_rank

        quiet = io.StringIO() if not this_rank().first else sys.stdout  # one report is enough
        with redirect_stdout(quiet):
            _run(args, profile, command)
        return 0
    except (ValueError, OSError, MemoryError, RuntimeError, ArithmeticError) as err:
        return _said(args, err, 1)
    except KeyboardInterrupt:
        return _said(args, "interrupted; the same command goes on", 130)


def _said(args: argparse.Namespace, err: object, status: int) -> int:
    print(f"agentprm {args.command}: {' '.join(str(err).split())}", file=sys.stderr)
    return status


def _of_the_other_kind(args: argparse.Namespace) -> str:
    """Which given options of ``train`` would be ignored; empty if none would."""
    usual: dict[str, str | None] = dict.fromkeys(("logs", "kind", "out", "epochs", "lr"))
    if reward := args.kind_or_policy == "reward":
        usual = {"profile": "cpu", "env": "textcraft"}
    elif args.kind_or_policy in ("sft", "rft") and args.seed:
        return f"--seed belongs to reward models, not to {args.kind_or_policy!r}"
    given = [f"--{name}" for name, default in usual.items() if getattr(args, name) != default]
    whose = "the book's models, not to 'reward'" if reward else "'train reward'"
    return f"{' and '.join(given)} belong{'s' * (len(given) == 1)} to {whose}" * bool(given)


def _checked(args: argparse.Namespace) -> Profile:
    """The profile that is asked for; every other name is looked up, too."""
    from agentprm_lite.env import AGENTGYM, env_class
    from agentprm_lite.kinds import kind_named
    from agentprm_lite.tutorial.profiles import get_profile

    env = getattr(args, "env", "textcraft")
    if ":" in env and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # where a reader's own world lies
    if env.startswith(AGENTGYM):
        raise ValueError(
            f"--env {env}: a server's world is for agentprm_lite.collect, not for these"
        )
    profile = get_profile(args.profile, env, args.base)
    env_class(env)
    if args.command == "estimate":
        from agentprm_lite.tutorial.estimate import LENGTHS

        if env not in LENGTHS:
            raise ValueError(f"no lengths of {env!r} are known, expected one of {list(LENGTHS)}")
    for url in getattr(args, "server", ()):
        from agentprm_lite.serve import check_url

        check_url(url)
    if args.base is not None:
        from agentprm_lite.tutorial.smollm2 import resolve

        resolve(args.base)
    kind = getattr(args, "kind_or_policy", getattr(args, "kind", None))
    if kind not in (None, "sft", "rft"):
        kind_named(kind)
    if args.command in ("study", "regime", "curves"):
        from agentprm_lite.study import WORLDS

        args.worlds = args.worlds or list(WORLDS)
        if unknown := [world for world in args.worlds if world not in WORLDS]:
            raise ValueError(f"world {unknown[0]!r} is unknown, expected some of {list(WORLDS)}")
        for given in (args.worlds, *(getattr(args, x, ()) for x in ("rollouts", "betas"))):
            if twice := [x for x in given if given.count(x) > 1]:
                raise ValueError(f"{twice[0]} is given twice")
        if negative := [x for x in getattr(args, "betas", ()) if not 0 <= x < math.inf]:
            raise ValueError(f"a weight of L_A is 0 or more, got {negative[0]}")
        new_file(args.out)
    if args.command == "export":
        new_folder(args.out)
    return profile


def _run(args: argparse.Namespace, profile: Profile, command: str) -> None:
    from agentprm_lite.tutorial import guided, rewards, stages

    seed = getattr(args, "seed", 0)
    if args.command == "collect":
        sample = stages.rollouts if args.split == "train" else stages.pool
        _report(f"{args.split} rollouts", sample(profile, servers=args.server))
    elif args.command == "label":
        examples, tokens = stages.mc_rollouts(profile)
        print(f"Monte Carlo outcomes of {len(examples)} trajectories took {tokens} tokens")
    elif args.command == "train":
        if args.kind_or_policy in ("sft", "rft"):
            print(stages.policy(profile, args.kind_or_policy).folder)
        else:
            print(rewards.reward_model_folder(profile, args.kind_or_policy, seed))
    elif args.command == "eval":
        _report("greedy SFT", stages.greedy_runs(profile))
        _report("sampled SFT", stages.pool(profile))
    elif args.command == "search":
        played = guided.beam_runs(profile, args.kind, args.n, args.m, seed)
        _report(f"beam {args.n}x{args.m} by {args.kind}", played)
    elif args.command == "ppo":
        kind = None if args.reward == "outcome" else args.kind
        actor = guided.ppo_run(profile, args.reward, kind, seed)
        print(actor.folder)
        _report(f"after PPO on {args.reward}", guided.ppo_pool(profile, actor))
    elif args.command == "show":
        from agentprm_lite.study import provenance

        played = [t for t in stages.pool(profile) if t.sample == 0][: args.episodes]
        values = rewards.reward_model(profile, args.kind, seed).score(played)
        where = provenance()
        print(f"agentprm show --profile {profile.name}: {profile.base}, commit {where['commit']},")
        print(f"{where['date']}, {where['device']}\n")
        print("\n\n".join(map(_turn_by_turn, played, values)))
    elif args.command == "export":
        from agentprm_lite.interop import export

        judge, actor = rewards.reward_model(profile, args.kind, seed), stages.policy(profile)
        export(judge.model, actor.chat, new_folder(args.out), kind=args.kind)
        print(args.out)
    elif args.command == "regime":
        _regime(args, command)
    elif args.command == "curves":
        from agentprm_lite.study import curves

        sizes = {"rollouts": args.rollouts, "seeds": args.seeds, "betas": args.betas}
        curves(args.profile, args.worlds, command, Path(args.out), **sizes)
        print(args.out)
    else:
        _study(args, command)


def _train_on_logs(args: argparse.Namespace) -> None:
    if (size := os.environ.get("WORLD_SIZE", "1")) != "1":
        raise ValueError(
            f"train reward works in one process, and torchrun started {size} (WORLD_SIZE): start "
            "it without torchrun"
        )
    if args.base:  # the book's own names of models count, too
        from agentprm_lite.tutorial.smollm2 import resolve

        args.base = resolve(args.base)
    train_on_logs(args)


def _pretrain(args: argparse.Namespace, command: str) -> None:
    from agentprm_lite.tutorial.pretrain import PretrainConfig, pretrain

    steps = {} if args.steps is None else {"steps": args.steps}
    config = PretrainConfig(seed=args.seed, drill=args.drill, **steps)
    pretrain(config, run_folder(args.folder), until=args.until, command=command)
    print(args.folder)


def _study(args: argparse.Namespace, command: str) -> None:
    from agentprm_lite.distributed import this_rank
    from agentprm_lite.study import study

    out = new_file(args.out)
    numbers = study(args.profile, args.worlds, command, args.parts)
    if this_rank().first:
        write_whole(out, json.dumps(numbers, indent=1) + "\n")
        print(out)


def _regime(args: argparse.Namespace, command: str) -> None:
    from agentprm_lite.study import regime

    out = Path(args.out)
    table = regime(args.profile, args.worlds, command, out, only_beams=args.beams)
    write_whole(out, json.dumps(table, indent=1) + "\n")
    print(out)


def _turn_by_turn(t: Trajectory, values: StepValues) -> str:
    lines = [f"--- {t.task.key}", t.observations[0], f"(M = {values.root:.3f})"]
    for action, m, reply in zip(t.actions, values.q, t.observations[1:], strict=True):
        lines += ["", action.strip(), f"> {reply}", f"(M = {m:.3f})"]
    return "\n".join([*lines, f"--- reward {t.outcome:g} after {t.num_steps} turns"])


def _report(name: str, played: list[Trajectory]) -> None:
    count = len(played)
    success = sum(t.success for t in played) / count
    tokens = sum(t.usage.generated for t in played) / count
    print(f"{name}: {count} trajectories, success {success:.3f}, {tokens:.0f} tokens each")


if __name__ == "__main__":
    sys.exit(main())
