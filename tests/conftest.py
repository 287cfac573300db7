"""What all tests share: no network, the order of slow tests."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes with two threads each wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests, of the book and of real models: last in one process; first where another runs
    beside it, so that neither waits for the other at the end."""

    def slow(item: pytest.Item) -> int:
        return next((k for k, m in ((2, "book"), (1, "network")) if item.get_closest_marker(m)), 0)

    items.sort(key=slow, reverse="PYTEST_XDIST_WORKER" in os.environ)


def is_here(address: Any) -> bool:
    """Whether a socket address is on this machine."""
    if not isinstance(address, tuple):  # a Unix socket's path
        return True
    host = str(address[0])
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that opens a connection to another machine fails."""
    if request.node.get_closest_marker("network"):
        yield
        return
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guard(call: Any) -> Any:
        def guarded(self: socket.socket, address: Any) -> Any:
            if not is_here(address):
                raise RuntimeError(f"a test opened a connection to {address}")
            return call(self, address)

        return guarded

    monkeypatch.setattr(socket.socket, "connect", guard(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guard(connect_ex))
    yield


@pytest.fixture(scope="session", autouse=True)
def small_gsm8k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made problems in GSM8K's file format, where GSM8K is looked for."""
    from agentprm_lite.worlds.math.problems import make_problem

    folder = tmp_path_factory.mktemp("gsm8k")
    for split, indices in (("train", range(0, 5000, 163)), ("test", range(81, 5000, 450))):
        rows = []
        for problem in (make_problem(index, 0) for index in indices):
            lines = []
            for _, line in problem.steps:
                left, value = line.split(" = ")
                lines.append(f"Now {left} = <<{left.replace(' ', '')}={value}>>{value}.")
            answer = "\n".join([*lines, f"#### {problem.answer}"])
            rows.append(json.dumps({"question": problem.question, "answer": answer}))
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    os.environ["AGENTPRM_GSM8K"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny policy's folder, for tests that only read it."""
    from helpers import tiny_folder

    return tiny_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def chat(folder: Path) -> Any:
    """Chat format of the tiny policy."""
    from agentprm_lite.hub import load_chat

    return load_chat(folder)


@pytest.fixture(scope="session")
def smollm2() -> str:
    """The real SmolLM2-135M; tests of it are skipped where nothing has it."""
    from agentprm_lite.tutorial.smollm2 import resolve

    try:
        return resolve("smollm2-135m")
    except OSError as err:
        pytest.skip(str(err).splitlines()[0])
