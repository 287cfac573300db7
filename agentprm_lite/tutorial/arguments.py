"""The command line's arguments; what is wrong with them is said in one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from agentprm_lite.interop import add_commands, add_log_options

PROFILES = "smoke, cpu, study, llm-smoke, llm, t4, gpu or paper"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def parser() -> Parser:
    """The command line."""
    whole = Parser(prog="agentprm", description="AgentPRM, stage by stage.")
    commands = whole.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--profile", default="cpu", help=PROFILES)
        if name in ("train", "search", "ppo", "show", "export"):
            text = "of the reward model or run"
            sub.add_argument("--seed", type=_number(0), default=0, help=text)
        if name in ("study", "regime", "curves"):
            sub.set_defaults(base=None)
            return sub
        sub.add_argument("--env", default="textcraft", help="a world, or module:Class of your own")
        if name != "train":  # which has one for logs, too
            sub.add_argument("--base", help=_BASE)
        return sub

    def add_kind(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--kind", "--model", default="agentprm", help=f"reward model: {_KINDS}")

    text = "tokens, FLOPs, memory and hours of every stage and chapter, before anything runs"
    cost = commands.add_parser("estimate", help=text, description=text)
    cost.add_argument("--profile", default="cpu", help=PROFILES)
    cost.add_argument("--env", default="textcraft", help="textcraft, babyai, webshop or math")
    cost.set_defaults(base=None)
    text = "make the small base of all four worlds, or go on where it was stopped"
    base = commands.add_parser("pretrain", help=text, description=text)
    base.add_argument("folder", help="of the run; the model lies in it, too")
    base.add_argument("--steps", type=_number(1), help="in all; default: as the shipped one")
    base.add_argument("--until", type=_number(1), help="stop before this step")
    base.add_argument("--seed", type=_number(0), default=0, help="of weights and text")
    text = "go on from a shipped model with graded turns only: where judges of WebShop, math start"
    base.add_argument("--drill", choices=("purchases", "solutions"), help=text)
    collect = add("collect", "sample trajectories")
    collect.add_argument("--split", choices=("train", "test"), default="train")
    collect.add_argument("--server", action="append", default=[], metavar="URL", help=_SERVER)
    add("label", "Monte Carlo rollouts from every state")
    train = add("train", "train a policy or a reward model, or a reward model on logs")
    names = f"sft, rft, {_KINDS}; or reward, which learns from logs"
    train.add_argument("kind_or_policy", metavar="model", help=names)
    add_log_options(train)
    add("eval", "success of the SFT policy on held-out goals")
    search = add("search", "beam search on held-out goals")
    add_kind(search)
    search.add_argument("-n", type=_number(1), default=2, help="paths kept")
    search.add_argument("-m", type=_number(1), default=2, help="turns sampled a path")
    ppo = add("ppo", "reinforcement learning")
    ppo.add_argument("--reward", choices=("outcome", "shaping", "raw_q"), default="shaping")
    add_kind(ppo)
    show = add("show", "attempts at held-out goals in ReAct form, with M after every turn")
    add_kind(show)
    show.add_argument("--episodes", type=_number(1), default=2, help="how many")
    out = add("export", "a reward model as one folder that plain transformers reads")
    add_kind(out)
    out.add_argument("--out", required=True, help="a new folder")
    compare = add("study", "all numbers of the comparison, as JSON")
    compare.add_argument("--out", required=True, help="the file")
    compare.add_argument("--worlds", nargs="+", help="default: all")
    parts = ("best_of_n", "beam", "ppo")
    compare.add_argument("--parts", nargs="+", default=parts, choices=parts, help="default: all")
    regime = add("regime", "what policy and judges are worth in each world, with raw numbers")
    regime.add_argument("--out", required=True, help="the file; raw numbers go to a folder beside")
    regime.add_argument("--worlds", nargs="+", help="default: all")
    regime.add_argument("--beams", action="store_true", help="search anew; the rest stays")
    text = "what judges learn from ever more rollouts, with and without L_A, as JSON"
    learn = add("curves", text)
    learn.add_argument("--out", required=True, help="the file; what it holds is kept")
    learn.add_argument("--worlds", nargs="+", help="default: all")
    sizes = (60, 120, 240, 480, 960)
    learn.add_argument("--rollouts", nargs="+", type=_number(1), default=sizes, help=f"{sizes}")
    learn.add_argument("--seeds", type=_number(1), default=5, help="how many")
    weights = (0.0, 1.0, 4.0)
    said = f"weights of L_A: {weights}"
    learn.add_argument("--betas", nargs="+", type=float, default=weights, help=said)
    add_commands(commands)
    return whole


_KINDS = "orm, pvm, mc_hard, mc_soft, pqm or agentprm"
_BASE = "model to start from instead of the profile's: a folder or a hub id"
_SERVER = (
    "an OpenAI-compatible server of the SFT policy's folder, such as http://localhost:8000/v1; may "
    "be given several times"
)


class _number:
    """A whole number from some least one up, for argparse."""

    def __init__(self, least: int) -> None:
        self.least = least

    def __call__(self, text: str) -> int:
        if not text.strip().isdecimal() or not self.least <= int(text[:20]) < 2**32:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {self.least} up")
        return int(text)
