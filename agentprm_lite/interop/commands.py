"""Commands on the logs of any agent: train a reward model, score, diagnose.

Heavy imports stand in the functions, so that ``agentprm --help`` needs none of them. Names, rewards
and lengths are checked before the first step, and everything that is wrong is named at once.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprm_lite.interop.outputs import new_file, new_folder, write_whole

if TYPE_CHECKING:
    from agentprm_lite.hub import ChatFormat
    from agentprm_lite.interop.logs import Log
    from agentprm_lite.types import Trajectory


def add_commands(commands: Any) -> None:
    """Add ``score`` and ``diagnose``.

    Args:
        commands: what ``add_subparsers`` returned.
    """
    text = "M after every turn of logs, as JSON lines and as a page to walk through"
    score = commands.add_parser("score", help=text, description=text)
    score.add_argument("logs", nargs="+", help=_LOGS)
    score.add_argument("--model", required=True, help="folder of a reward model")
    score.add_argument("--out", help="JSON lines to write")
    score.add_argument("--html", help="page to write, for a browser")
    score.set_defaults(run=score_logs)
    text = "whether a judge can help with these logs at all"
    look = commands.add_parser("diagnose", help=text, description=text)
    look.add_argument("logs", nargs="+", help=_LOGS)
    look.add_argument("--model", help="folder of a reward model, to look at it, too")
    look.add_argument("--json", action="store_true", help="print numbers instead of a report")
    look.set_defaults(run=diagnose_logs)


_LOGS = (
    "chat logs as JSON lines or JSON, also .gz: OpenAI's or Anthropic's messages, ShareGPT, ATIF"
)


def add_log_options(train: argparse.ArgumentParser) -> None:
    """Add what ``train reward`` needs.

    Args:
        train: the parser of ``train``.
    """
    group = train.add_argument_group("reward, from logs")
    group.add_argument("--logs", nargs="+", help=_LOGS)
    group.add_argument("--base", help="model to start from: a folder or a hub id")
    group.add_argument("--kind", help="which labels, such as orm or pvm; default: agentprm")
    group.add_argument("--out", help="new folder for the reward model")
    group.add_argument("--epochs", type=int, help="most passes over the logs; default: 10")
    group.add_argument("--lr", type=float, help="peak learning rate; default: 1e-4")


def train_on_logs(args: argparse.Namespace) -> None:
    """``agentprm train reward --logs runs.jsonl --base MODEL --kind agentprm --out my-prm``.

    Args:
        args: see :func:`add_log_options`; ``seed``, too.

    Raises:
        ValueError: an option is missing or out of range, a log can't be read or learned from.
    """
    missing = [f"--{name}" for name in ("logs", "base", "out") if not getattr(args, name)]
    if missing:
        raise ValueError(f"train reward needs {' and '.join(missing)}")
    from agentprm_lite.interop.diagnose import both_outcomes
    from agentprm_lite.labels import kind_named

    kind = "agentprm" if args.kind is None else args.kind
    lr = 1e-4 if args.lr is None else args.lr
    epochs = 10 if args.epochs is None else args.epochs
    if kind_named(kind).rollouts:
        raise ValueError(f"{kind} learns from rollouts out of every state, and logs have none")
    if not 0 < lr < math.inf or epochs < 1:
        raise ValueError(f"expected lr > 0 and epochs >= 1, got {lr} and {epochs}")
    folder, logs = new_folder(args.out), _read(args.logs)
    _say_where_rewards_are_from(logs)
    _check_outcomes(logs)
    print(both_outcomes(logs))

    from transformers import AutoConfig

    from agentprm_lite.files import Checkpoint
    from agentprm_lite.hub import (
        load_chat,
        load_reward_model,
        new_reward_model,
        read,
        save_adapter,
        weights_fingerprint,
    )
    from agentprm_lite.interop.card import program
    from agentprm_lite.interop.exports import export
    from agentprm_lite.kinds import RewardExample
    from agentprm_lite.loop import digest
    from agentprm_lite.models import Lora
    from agentprm_lite.train import TrainConfig, train_reward_model

    config = TrainConfig(lr=lr, epochs=epochs, seed=args.seed)
    chat = load_chat(args.base)
    program(chat, recorded=True)  # of the card: what can't be exported isn't trained
    played = _trajectories(chat, logs)
    config_of_base = read(AutoConfig, args.base).get_text_config()
    _check_lengths(logs, played, config_of_base, args.base)
    model = new_reward_model(args.base, Lora(), args.seed)
    data = [(t.ids, t.spans, t.rewards, t.final) for t in played]
    weights = weights_fingerprint(model.get_base_model().trunk)
    run = digest([kind, asdict(config), weights, data])  # what is interrupted goes on from here
    state = folder.absolute().with_name(f".{folder.absolute().name}-{run}")
    examples = [RewardExample(t) for t in played]
    learned = state / "learned.json"  # there if an export was cut off after all training
    if learned.exists():
        del model  # two of them may be too much
        model, last = load_reward_model(args.base, state, chat), json.loads(learned.read_text())
        print(f"{state}: learned before, but not written")
    else:
        last = train_reward_model(model, examples, kind, config, checkpoint=Checkpoint(state))[-1]
        save_adapter(model, chat, state)
        write_whole(learned, json.dumps(last))
    export(model, chat, folder, kind=kind, recorded=True)
    shutil.rmtree(state, ignore_errors=True)
    print(f"{folder}: {kind} on {args.base}, learned from {len(logs)} runs")
    if "learned" in last:
        share = last["best_explained_variance"]
        print(f"on held-out tasks M explains {share:.0%} of the variance of its targets")
    command = shlex.join(["agentprm", "diagnose", "--model", str(folder), "OTHER.jsonl"])
    print(f"what it is worth, runs of other tasks tell: {command}")


def score_logs(args: argparse.Namespace) -> None:
    """``agentprm score --model my-prm runs.jsonl --out scored.jsonl --html report.html``.

    Args:
        args: see :func:`add_commands`.

    Raises:
        ValueError: a log can't be read, or is longer than the model reads.
    """
    outputs = [new_file(x, sources=args.logs) for x in (args.out, args.html) if x is not None]
    if len(outputs) == 2 and outputs[0].resolve() == outputs[1].resolve():
        raise ValueError(f"--out and --html both name {outputs[0]}, expected two files")
    logs = _read(args.logs)

    from agentprm_lite.interop.report import Scored, page

    runs = [Scored.of(log, v) for log, v in zip(logs, _scored(args.model, logs), strict=True)]
    lines = "".join(run.to_json() + "\n" for run in runs)
    if args.out is not None:
        write_whole(Path(args.out), lines)
        print(f"{args.out}: M after {sum(len(r.q) for r in runs)} turns of {len(runs)} runs")
    if args.html is not None:
        judge, source = Path(args.model).resolve().name, ", ".join(Path(p).name for p in args.logs)
        write_whole(Path(args.html), page(runs, judge, source))
        print(f"{args.html}: open it in a browser")
    if not outputs:
        print(lines, end="")


def diagnose_logs(args: argparse.Namespace) -> None:
    """``agentprm diagnose runs.jsonl --model my-prm``.

    Args:
        args: see :func:`add_commands`.

    Raises:
        ValueError: a log can't be read, or none has a reward.
    """
    from agentprm_lite.interop.diagnose import diagnose, in_words

    logs = _read(args.logs, quiet=args.json)
    if not args.json:
        _say_where_rewards_are_from(logs)
    values = None if args.model is None else _scored(args.model, logs, quiet=args.json)
    found = diagnose(logs, values)
    print(json.dumps(found, indent=1) if args.json else in_words(found))


def _read(paths: Sequence[str], *, quiet: bool = False) -> list[Log]:
    from agentprm_lite.interop.files import read_logs

    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise ValueError(f"{' '.join(paths)} names a file twice, and its runs would count twice")
    logs = read_logs(paths)
    tasks, turns = len({log.task for log in logs}), sum(len(log.steps) for log in logs)
    if not quiet:
        print(f"{', '.join(paths)}: {len(logs)} runs of {tasks} tasks, {turns} turns")
    return logs


def _scored(folder: str, logs: Sequence[Log], *, quiet: bool = False) -> list[Any]:
    from agentprm_lite.interop.exports import load_exported
    from agentprm_lite.prm import RewardModel

    model, chat = load_exported(folder)
    played = _trajectories(chat, logs, quiet=quiet)
    _check_lengths(logs, played, model.config, folder)
    return RewardModel(model).score(played)


def _trajectories(
    chat: ChatFormat, logs: Sequence[Log], *, quiet: bool = False
) -> list[Trajectory]:
    from agentprm_lite.interop.recordings import trajectories

    played, notes = trajectories(chat, logs)
    if notes and not quiet:
        print("not as in the logs: " + ", ".join(f"{what} ({n})" for what, n in notes.items()))
    return played


def _say_where_rewards_are_from(logs: Sequence[Log]) -> None:
    fields = Counter(log.reward_field for log in logs if log.reward is not None)
    if len(fields) == 1:
        print(f"rewards from the field {next(iter(fields))}")
    elif fields:
        found = ", ".join(f"{name} ({n} runs)" for name, n in fields.items())
        print(f"rewards from the fields {found}")


def _check_outcomes(logs: Sequence[Log]) -> None:
    from agentprm_lite.interop.files import REWARD

    lacking = [log for log in logs if log.reward is None]
    what = f"have no reward, which training needs (a field {', '.join(REWARD)})"
    _refuse(lacking, len(logs), what, lambda log: log.source)
    named = [log for log in logs if log.own_id]
    first = {(log.id, log.messages): log for log in reversed(named)}
    twice = [log for log in named if first[log.id, log.messages] is not log]
    _refuse(twice, len(logs), "are there twice, with the same id and messages", lambda x: x.source)
    # without ids: two attempts may go the same way, and then they should end the same way, too
    earned = {(log.task, log.messages): log.reward for log in reversed(logs)}
    unlike = [x for x in logs if not x.own_id and earned[x.task, x.messages] != x.reward]
    what = (
        "say the same as another run of their task, have another reward and no id; give attempts "
        "their ids (a field id), or leave out what is wrong"
    )
    _refuse(unlike, len(logs), what, lambda log: log.source)
    if len({log.reward for log in logs}) == 1:
        raise ValueError(
            f"all {len(logs)} runs have the reward {logs[0].reward:g}: there is nothing to tell "
            "apart; add runs that end differently"
        )


def _check_lengths(
    logs: Sequence[Log], played: Sequence[Trajectory], config: Any, model: str
) -> None:
    from agentprm_lite.forward import context_limit

    limit = context_limit(config)
    long = [(log, len(t.ids)) for log, t in zip(logs, played, strict=True) if len(t.ids) > limit]
    what = f"are longer than the {limit} tokens that {model} reads; leave them out or cut them"
    _refuse(long, len(logs), what, lambda x: f"{x[0].source} has {x[1]}")


def _refuse(wrong: Sequence[Any], total: int, what: str, name: Callable[[Any], str]) -> None:
    if wrong:
        raise ValueError(f"{len(wrong)} of {total} runs {what}: {'; '.join(map(name, wrong))}")
