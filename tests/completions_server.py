"""vLLM's /v1/completions on loopback, with a small model, misbehaving on demand.

Usage: python completions_server.py FOLDER. For every line on its standard input, a port (0: any),
it forks a server process and prints "PID PORT"; when the input ends it kills all of them. A token
is drawn by the prompt and the request's seed alone, so that all servers answer alike. Beside the
protocol:

    POST /control/begin     forget faults, counts and requests
    POST /control/fault     {"how": "status", "status": 500, "after": 3, "times": 2}: requests 4
                            and 5 fail, with "prompt" only those that have it;
                            {"how": "die", "after": 3}: SIGKILL after 3 answers
    GET  /control/played    {"bodies": [...], "times": of them, "keys": [...], "most": at once}
"""

import contextlib
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

COMPUTING, COUNTING = threading.Lock(), threading.Lock()


class State:
    def __init__(self):
        self.faults, self.bodies, self.now, self.most = [], [], 0, 0
        self.times, self.keys, self.names = [], [], ["tiny"]
        self.answered, self.last = 0, float("inf")


STATE = State()


@torch.no_grad()
def sample(body):
    """Ids and log-probabilities at temperature 1 of one turn."""
    generator = torch.Generator().manual_seed(body["seed"])
    ids, logprobs, cache = [], [], None
    unread = torch.tensor([body["prompt"]])
    while not ids or (ids[-1] not in body["stop_token_ids"] and len(ids) < body["max_tokens"]):
        out = MODEL(input_ids=unread, past_key_values=cache, use_cache=True)
        cache, logits = out.past_key_values, out.logits[0, -1].double()
        if body["temperature"] == 0:
            token = int(logits.argmax())
        else:
            p = (logits / body["temperature"]).softmax(-1)
            token = int(torch.multinomial(p, 1, generator=generator))
        ids.append(token)
        logprobs.append(float(logits.log_softmax(-1)[token]))
        unread = torch.tensor([[token]])
    return ids, logprobs


def complete(body):
    """The reply of a well-behaved server."""
    ids, logprobs = sample(body)
    stopped = ids[-1] in body["stop_token_ids"]
    choice = {
        "index": 0,
        "text": TOKENIZER.decode(ids[:-1] if stopped else ids),
        "finish_reason": "stop" if stopped else "length",
        "token_ids": ids,
        "prompt_token_ids": body["prompt"],
        "logprobs": {"tokens": [f"token_id:{i}" for i in ids], "token_logprobs": logprobs},
    }
    n = len(body["prompt"])
    usage = {"prompt_tokens": n, "completion_tokens": len(ids), "total_tokens": n + len(ids)}
    return {"object": "text_completion", "choices": [choice], "usage": usage}


class Handler(BaseHTTPRequestHandler):
    counted = False

    def log_message(self, *args):
        pass

    def do_GET(self):
        if self.path == "/v1/models":
            self.reply(200, {"object": "list", "data": [{"id": name} for name in STATE.names]})
        else:
            told = ("bodies", "times", "keys", "most")
            self.reply(200, {name: getattr(STATE, name) for name in told})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/control/begin":
            STATE.__init__()
            self.reply(200, {})
        elif self.path == "/control/fault":
            if body["how"] == "die":
                STATE.last = body["after"]
            elif body["how"] == "models":
                STATE.names = body["names"]
            else:
                STATE.faults.append(body)
            self.reply(200, {})
        else:
            with COUNTING:
                self.counted = True
                STATE.now += 1
                STATE.most = max(STATE.most, STATE.now)
                STATE.bodies.append(body)
                STATE.times.append(time.monotonic())
                STATE.keys.append(self.headers["Authorization"])
                fault = self.fault(body["prompt"])
            self.complete(body, fault)
            self.leave()

    def leave(self):
        """No longer in flight: before the client can know, or it would seem to hold one more."""
        with COUNTING:
            STATE.now -= self.counted
            self.counted = False

    def fault(self, prompt):
        for fault in STATE.faults:
            if fault.get("prompt", prompt) != prompt:
                continue
            if fault.get("after", 0) < len(STATE.bodies) and fault.get("times", 1) > 0:
                fault["times"] = fault.get("times", 1) - 1
                return fault
        return {"how": "none"}

    def complete(self, body, fault):
        how = fault["how"]
        if how == "drop":  # a reset, as of a server that dies
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.rfile.close()
            self.connection.close()
        elif how == "status":
            said = fault.get("message", "as asked for")
            self.reply(fault["status"], {"error": {"message": said}}, fault.get("headers", {}))
        elif how == "answer":
            self.reply(200, fault["answer"])
        elif how == "malformed":
            self.raw(200, b'{"choices": [{"text": "Thou')
        else:
            with COMPUTING:
                if STATE.answered == STATE.last:
                    os.kill(os.getpid(), signal.SIGKILL)
                answer = complete(body)
                answer["choices"][0].update(fault.get("choice", {}))
                STATE.answered += 1
                if "seconds" not in fault:
                    self.reply(200, answer)
                    return
            time.sleep(fault["seconds"])
            self.reply(200, answer)

    def reply(self, status, answer, headers=()):
        self.raw(status, json.dumps(answer).encode(), headers)

    def raw(self, status, body, headers=()):
        self.send_response(status)
        for name in headers:
            self.send_header(name, headers[name])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.leave()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it waits no longer
            self.wfile.write(body)
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def listen(port):
    """A server on a port, which a killed one may hold for another moment."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return Server(("127.0.0.1", port), Handler)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    torch.set_num_threads(1)
    MODEL = AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()
    TOKENIZER = AutoTokenizer.from_pretrained(sys.argv[1])
    children = []
    try:
        for line in sys.stdin:
            server = listen(int(line))
            child = os.fork()
            if child == 0:
                nothing = os.open(os.devnull, os.O_RDWR)
                os.dup2(nothing, 0)
                os.dup2(nothing, 1)  # so that the parent's end is noticed
                server.serve_forever()
            children.append(child)
            print(child, server.server_address[1], flush=True)
            server.socket.close()
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
