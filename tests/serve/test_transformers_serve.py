"""`transformers serve` with the real SmolLM2: it answers, but only with text, so it is refused.

Should a release return token ids one day, `test_no_answer_tells_the_tokens` fails: then it can be
sampled from.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from helpers import TASKS, unused_url

from agentprm_lite.episode import SamplingConfig
from agentprm_lite.hub import load_chat
from agentprm_lite.serve.openai import ServerPlayer, ServerRefused

pytestmark = pytest.mark.network  # the model may have to be fetched
PATIENCE = 300.0  # seconds; two idle cores need a tenth of it
# It ends when its standard input is closed, so also when this process is killed.
SERVE = """
import os, sys, threading

def end():
    sys.stdin.read()
    os._exit(0)

threading.Thread(target=end, daemon=True).start()
from transformers.cli.transformers import main
main()
"""
QUESTION = "What is the capital of France? Answer in one word."


@pytest.fixture(scope="module")
def server(smollm2: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server process on a free port of loopback."""
    log = tmp_path_factory.mktemp("serve") / "log"
    url = unused_url()
    port = url.split(":")[2].split("/")[0]
    options = ["serve", smollm2, "--host", "127.0.0.1", "--port", port, "--device", "cpu"]
    command = [sys.executable, "-c", SERVE, *options]
    health, deadline = url.removesuffix("/v1") + "/health", time.monotonic() + PATIENCE
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out) as process,
    ):
        try:
            while True:
                try:
                    urlopen(health, timeout=PATIENCE).close()
                    break
                except URLError:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.2)
            yield url
        finally:
            process.kill()


def ask(server: str, path: str, **body: Any) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"}
    asked = Request(server + path, json.dumps(body).encode(), headers)
    try:
        with urlopen(asked, timeout=PATIENCE) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as err:
        return err.code, json.loads(err.read())


def test_it_answers_with_a_text(server: str, smollm2: str) -> None:
    chat = load_chat(smollm2)
    prompt = chat.tokenizer.decode(chat.opening_ids(QUESTION))
    status, answer = ask(
        server, "/completions", model=smollm2, prompt=prompt, max_tokens=12, temperature=0.0
    )
    assert status == 200
    (choice,) = answer["choices"]
    assert "Paris" in choice["text"]
    assert answer["usage"]["prompt_tokens"] == len(chat.opening_ids(QUESTION))


def test_no_answer_tells_the_tokens(server: str, smollm2: str) -> None:
    """Every endpoint, with every option of the protocol that could."""
    common: dict[str, Any] = {"model": smollm2, "temperature": 0.0}
    status, answer = ask(
        server, "/completions", prompt="The capital", max_tokens=2, logprobs=1, **common
    )
    assert status == 200
    assert set(answer["choices"][0]) == {"text", "index", "finish_reason"}

    messages = [{"role": "user", "content": QUESTION}]
    options = {"max_tokens": 2, "logprobs": True, "top_logprobs": 1, **common}
    status, answer = ask(server, "/chat/completions", messages=messages, **options)
    assert status == 200
    assert not answer["choices"][0].get("logprobs")

    options = {"max_output_tokens": 2, "include": ["message.output_text.logprobs"], **common}
    status, answer = ask(server, "/responses", input=QUESTION, stream=False, **options)
    assert status == 200
    assert not answer["output"][0]["content"][0].get("logprobs")

    status, answer = ask(
        server, "/completions", prompt="The capital", return_token_ids=True, **common
    )
    assert status == 422 and "return_token_ids" in answer["detail"]
    status, answer = ask(server, "/completions", prompt=[504, 3575], max_tokens=2, **common)
    assert status == 400 and "prompt must be a string" in answer["detail"]


def test_the_backend_refuses_it(server: str, smollm2: str) -> None:
    """At its first answer, with what it would have to return."""
    player = ServerPlayer([server], load_chat(smollm2), SamplingConfig(rules=False), model=smollm2)
    with pytest.raises(ServerRefused) as caught:
        player.run([player.start(TASKS[0], 0, 3)])
    said = str(caught.value)
    assert f"{server}: POST /completions: HTTP 422: " in said
    assert "takes the prompt as token ids and returns the produced token ids" in said
    assert "vLLM 0.10.2 or later" in said
