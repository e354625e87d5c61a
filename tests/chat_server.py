"""A real HTTP server on loopback that speaks chat completions, and misbehaves on demand."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np

GOOD = "The person raises the right hand and seems to drink from a cup."


class ChatServer:
    """Answers like ``vllm serve``; ``behave(number, request)`` says how the request (0, 1, ...) fares.

    Behaviours: ``ok``, ``slow``, ``empty``, ``cut``, ``nonsense``, ``signs``, ``refusal``, ``busy`` (429), ``later``
    (429 with Retry-After), ``broken`` (500), ``bad`` (400), ``forbidden`` (401), ``stall``, ``drip``, ``reset``
    (connection reset), ``torn`` (half a body), ``html``.
    """

    def __init__(self, behave: Callable[[int, dict], str] = lambda number, request: "ok", models: tuple = ("tiny",)):
        self.behave, self.models = behave, models
        self.requests: list[dict] = []  # every request: its JSON, with "when", "how" and "picture" besides
        self.stall = 1.5
        self.open = 0
        self.most_open = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ChatServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def note(self, request: dict) -> str:
        """Count a request; how it fares."""
        with self._lock:
            number = len(self.requests)
            how = self.behave(number, request)
            url = request["messages"][0]["content"][0].get("image_url", {}).get("url", "")
            picture = hashlib.sha256(url.encode()).hexdigest()[:12]
            self.requests.append({**request, "when": time.monotonic(), "how": how, "picture": picture})
            return how

    def answered(self, how: str = "ok") -> list[str]:
        """The pictures that got such an answer."""
        return [request["picture"] for request in self.requests if request["how"] == how]


def _handler(owner: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_words: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send(200, {"data": [{"id": name} for name in owner.models]})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request["key"] = self.headers.get("Authorization", "")
            with owner._lock:
                owner.open += 1
                owner.most_open = max(owner.most_open, owner.open)
            try:
                self.fare(owner.note(request))
            except OSError:
                pass  # the other side went away
            finally:
                with owner._lock:
                    owner.open -= 1

        def fare(self, how: str) -> None:
            if how == "busy":
                self.send(429, {"error": "slow down"})
            elif how == "later":
                self.send(429, {"error": "slow down"}, {"Retry-After": "0.4"})
            elif how in ("broken", "bad", "forbidden"):
                self.send({"broken": 500, "bad": 400, "forbidden": 401}[how], {"error": how})
            elif how == "html":
                self.send(200, "<html>a proxy's friendly page</html>")
            elif how == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
            elif how == "stall":
                time.sleep(owner.stall)
                self.close_connection = True
            elif how == "torn":
                self.send_head(len(json.dumps(completion("ok"))))
                self.wfile.write(b'{"object": "chat.compl')
                self.close_connection = True
            elif how == "drip":
                self.drip(json.dumps(completion("ok")).encode())
            else:
                time.sleep(0.1 if how == "slow" else 0.0)
                self.send(200, completion(how))

        def drip(self, body: bytes) -> None:
            """A good answer in the end, byte by byte."""
            self.send_head(len(body))
            for place in range(len(body)):
                self.wfile.write(body[place : place + 1])
                time.sleep(0.01)

        def send_head(self, size: int) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()

        def send(self, status: int, value: object, headers: dict | None = None) -> None:
            body = (value if isinstance(value, str) else json.dumps(value)).encode()
            self.send_response(status)
            for name, text in (headers or {}).items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def completion(how: str) -> dict:
    """A chat completion whose text is good or not."""
    texts = {
        "empty": "",
        "cut": "The person raises the right hand and",
        "nonsense": "the the the the the the the the",
        "signs": "?! ... 123",
        "refusal": "I'm sorry, but I cannot identify people in images.",
    }
    finish = "length" if how == "cut" else "stop"
    message = {"role": "assistant", "content": texts.get(how, GOOD)}
    return {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


class Dots:
    """Pictures for tests: each place of each clip looks different; ``same`` makes all places of a clip alike."""

    kind = "dots"

    def __init__(self, names: list[str], same: bool = False, identity: str = "dots-1"):
        self._names, self.same, self.identity = names, same, identity
        self.made: list[str] = []

    def names(self) -> set[str]:
        return set(self._names)

    def pictures(self, name: str, count: int) -> list[np.ndarray]:
        self.made.append(name)
        digest = hashlib.sha256(name.encode()).digest()
        seeds = [int.from_bytes(digest[:4], "big") + (0 if self.same else place) for place in range(count)]
        return [np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8) for seed in seeds]


def clips(*names: str) -> SimpleNamespace:
    """What the runner wants of a store."""
    return SimpleNamespace(names=list(names), dataset="test")
