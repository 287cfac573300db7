"""AgentGym's HTTP protocol on loopback, in a process of its own, misbehaving on demand.

Usage: python agentgym_server.py; prints its port. /textcraft/... plays our own TextCraft,
/babyai/... and /webshop/... play a transcript. Beside the protocol:

    POST /control/fault   {"call": "/step", "how": "500", ...}   the next such call goes wrong
    POST /control/script  {"world": "babyai", "first": "...", "steps": [...]}
    POST /control/restart {}                                     all instances are forgotten
    GET  /control/played                                         every call so far, in order
"""

import json
import socket
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from agentprm_lite.worlds.textcraft import TextCraft


class Craft:
    """TextCraft without round limit, as AgentGym's server has it."""

    def __init__(self):
        self.env = TextCraft(max_rounds=10**9)

    def reset(self, index):
        self.text = self.env.reset(options={"index": index})[0]
        return {"observation": self.text, "done": False, "reward": 0}

    def step(self, action):
        self.text, reward, done, _, _ = self.env.step(action)
        return {"observation": self.text, "reward": int(reward), "done": done}


class Script:
    """A transcript; an action that is not the next one of it changes nothing."""

    def __init__(self, script):
        self.script, self.place, self.done = script, 0, False

    def reset(self, index):
        self.index, self.place, self.done = index, 0, False
        self.text = self.script["first"]
        return {"observation": self.text, "reward": 0, "score": 0, "deleted": False, "done": False}

    def step(self, action):
        if self.done:
            raise ValueError("The task with environment 1 has finished.")
        steps = self.script["steps"]
        if self.place == len(steps) or steps[self.place]["action"] != action:
            answer = {"observation": "?", "reward": 0, "score": 0, "done": False}
        else:
            answer = {k: v for k, v in steps[self.place].items() if k != "action"}
            self.place += 1
        self.text, self.done = answer["observation"], answer["done"]
        return answer


class State:
    """What the server remembers."""

    def __init__(self):
        self.instances, self.made = {}, 0  # (world, number) -> game
        self.faults, self.played, self.scripts = [], [], {}


STATE = State()


def answer(world, call, words):
    """The reply of a well-behaved server."""
    number = words.get("env_idx" if world == "webshop" else "id")
    if call == "/create":
        number, STATE.made = STATE.made, STATE.made + 1
        game = Craft() if world == "textcraft" else Script(STATE.scripts[world])
        STATE.instances[world, number] = game
        if world == "textcraft":
            return {"id": number, **game.reset(number)}
        return number if world == "webshop" else {"id": number}
    if (world, number) not in STATE.instances:
        if world == "webshop":
            raise KeyError(number)  # its server answers 500
        return {"error": f"The id {number} is not valid."}
    game = STATE.instances[world, number]
    if call == "/reset":
        reply = game.reset(words["session_id" if world == "webshop" else "data_idx"])
        if world == "webshop":
            return [reply["observation"], None]
        return {"id": number, **reply} if world == "textcraft" else reply
    if call == "/step":
        try:
            reply = game.step(words["action"])
        except ValueError as err:
            return {"error": str(err)}
        if world == "webshop":
            return {"state": reply["observation"], "reward": reply["reward"],
                    "done": reply["done"], "info": None}  # fmt: skip
        return reply
    if call == "/observation":
        text = game.text
        return (
            {"observation": "Your goal: x\n" + text, "done": False} if world == "babyai" else text
        )
    if call == "/close" and world != "webshop":
        del STATE.instances[world, number]
        return True
    raise KeyError(call)


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        query = {k: int(v[0]) for k, v in parse_qs(urlsplit(self.path).query).items()}
        self.serve(urlsplit(self.path).path, query)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.serve(self.path, json.loads(body))

    def serve(self, path, words):
        _, world, call = path.split("/")
        if world == "control":
            self.reply(200, json.dumps(self.control(call, words)))
            return
        fault = {"how": "none"}
        if STATE.faults and STATE.faults[0]["call"] in ("any", "/" + call):
            fault = STATE.faults.pop(0)
        how = fault["how"]
        STATE.played.append([world, "/" + call, words, how])
        if how == "drop before":
            self.drop()
        elif how == "500":
            self.reply(500, "Internal Server Error")
        elif how == "malformed":
            self.reply(200, '{"observation": "Got 1 s')
        elif how == "not http":
            self.wfile.write(b"220 mail.example ESMTP\r\n\r\n")
        elif how == "reply":
            self.reply(200, fault["body"])
        else:
            try:
                status, reply = 200, answer(world, "/" + call, words)
            except KeyError:
                status, reply = 500, "Internal Server Error"
            if how == "drop after":
                self.drop()
            elif how == "cut":
                self.reply(status, json.dumps(reply), missing=5)
            elif how == "drip":
                self.reply(status, json.dumps(reply), drip=fault["seconds"])
            else:
                time.sleep(fault.get("seconds", 0))
                self.reply(status, json.dumps(reply))

    def control(self, call, words):
        if call == "fault":
            STATE.faults.append(words)
        elif call == "script":
            STATE.scripts[words["world"]] = words
        elif call == "restart":
            STATE.instances.clear()
        played = STATE.played
        if call == "begin":
            STATE.__init__()
        return {"played": played, "faults": STATE.faults, "alive": len(STATE.instances)}

    def drop(self):
        """End the connection without a word: a reset, as of a server that dies."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def reply(self, status, text, missing=0, drip=0.0):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            if not drip:
                self.wfile.write(body[: len(body) - missing])
            for byte in body if drip else b"":
                self.wfile.write(bytes([byte]))
                time.sleep(drip)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client waits no longer
        self.close_connection = True


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    sys.exit(server.serve_forever())
