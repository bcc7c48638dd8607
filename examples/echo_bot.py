#!/usr/bin/env python3
"""An echo bot: answers every message with the same text. Needs Python 3 and the `conclave` program, nothing else.

    python3 examples/echo_bot.py --profile mybot          (any options of `conclave` may follow)

It talks JSON-RPC 2.0 with `conclave rpc`, one message a line; docs/bots.md describes what else there is.
"""

import itertools
import json
import os
import subprocess
import sys


class Conclave:
    """One `conclave rpc` process. Calls are methods: `conclave.send(to="…", text="…")`."""

    def __init__(self, *options):
        program = os.environ.get("CONCLAVE", "conclave")
        self.process = subprocess.Popen(
            [program, "rpc", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.ids = itertools.count(1)
        self.early = []  # events that came while an answer was waited for

    def __getattr__(self, method):
        return lambda **params: self.call(method, params)

    def call(self, method, params):
        request = {"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        while True:
            message = self.read()
            if message.get("id") != request["id"]:
                self.early.append(message)
            elif "error" in message:
                raise RuntimeError(message["error"]["message"])
            else:
                return message["result"]

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise EOFError("conclave rpc has ended")
        return json.loads(line)

    def events(self):
        self.call("subscribe", {})
        while True:
            message = self.early.pop(0) if self.early else self.read()
            if message.get("method") == "event":
                yield message["params"]


def main():
    conclave = Conclave(*sys.argv[1:])
    me = conclave.account()["account_id"]
    print("running as", me, flush=True)
    for event in conclave.events():
        if event["event"] != "message" or event["from"] == me or "kind" in event:
            continue
        if event.get("request"):
            conclave.accept(chat=event["chat"])
        conclave.mark_read(id=event["id"])
        conclave.send(to=event["chat"], text=event["text"], reply_to=event["id"])


if __name__ == "__main__":
    main()
