"""Any server that speaks OpenAI's chat completions: vLLM, SGLang, LMDeploy, llama.cpp, Ollama, ``transformers serve``.

What is used of OpenAI's published protocol: ``POST {url}/chat/completions`` with messages whose content is a list of
parts, pictures as data URLs; ``GET {url}/models`` lists what is served.
"""

from __future__ import annotations

import base64
import email.utils
import io
import json
import os
import random
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl_lab.config import to_dict
from c2vl_lab.errors import ConfigError, MissingError
from c2vl_lab.prompts.asking.protocol import Answer, Request, Sampling
from c2vl_lab.prompts.asking.threads import in_flight

if TYPE_CHECKING:
    import httpx

KEY_VARIABLE = "C2VL_API_KEY"  # not OPENAI_API_KEY: that key is not for whatever server stands in url
JPEG_QUALITY = 95
ANSWER_LIMIT = 2**22  # bytes; an answer has a few hundred
LONGEST_WAIT = 300.0  # seconds; also of what a server asks for
AGAIN = {408, 409, 425, 429}  # besides all 5xx
NEVER = {401, 403, 404, 405}  # wrong key, wrong address, no such model; unless the server has answered before


class ServerBackend:
    """Questions over HTTP, many in flight.

    A refusal (429, 5xx), a time-out, a broken connection and a torn answer are tried again, each time after a longer
    wait with some chance in it, or after what ``Retry-After`` says. After ``tries`` the request has failed; the runner
    asks again later.
    """

    name = "server"
    looks = True
    sentences: int | None = None

    def __init__(
        self,
        url: str,
        model: str = "",
        revision: str = "",
        sampling: Sampling | None = None,
        concurrency: int = 8,
        timeout: float = 120.0,
        tries: int = 6,
        first_wait: float = 1.0,
    ):
        """Nothing is sent yet, except where the model must be found out.

        Args:
            url: up to and with ``/v1``, e.g. ``http://localhost:8000/v1``.
            model: as the server calls it; empty where it serves only one.
            revision: what tells versions of the model apart; the server does not say. Part of every key.
            sampling: how it writes its answers.
            concurrency: requests in flight.
            timeout: seconds for one whole answer.
            tries: how often one request is sent.
            first_wait: seconds before the second try, at most; doubled each time.

        Raises:
            ConfigError: no http address, numbers below one, or several models to choose from.
            MissingError: the server does not answer.
        """
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"A server is named like http://localhost:8000/v1, found '{url}'.")
        if concurrency < 1 or tries < 1 or timeout <= 0:
            raise ConfigError(f"Wanted concurrency and tries of 1 or more, found {concurrency} and {tries}.")
        self.url = url.rstrip("/")
        self.revision = revision
        self.sampling = sampling or Sampling()
        self.settings: dict[str, Any] = {**to_dict(self.sampling), "image": f"jpeg-{JPEG_QUALITY}"}
        self.concurrency, self.timeout, self.tries, self.first_wait = concurrency, timeout, tries, first_wait
        self._client = _client(self.url, concurrency, timeout)
        self._stop = threading.Event()
        self._has_answered = False
        self.model = model or self._only_model()

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answers as they come.

        Raises:
            ConfigError: the server refuses every request of this kind (key, address, model).
        """
        self._stop.clear()
        try:
            yield from in_flight(self._answer, requests, self.concurrency)
        finally:
            self._stop.set()

    def _answer(self, request: Request) -> Answer:
        """One request, tried until there is an answer or too many tries were made."""
        start, reason = time.monotonic(), ""
        body = self._body(request)
        for number in range(self.tries):
            reply = self._post(body)
            if isinstance(reply, _Reply):
                self._has_answered = True
                return Answer(request, reply.text, reply.finish, time.monotonic() - start)
            reason = reply.reason
            if not reply.again:
                break
            if number + 1 < self.tries and self._stop.wait(self._pause(number, reply.after)):
                break
        return Answer(request, error=reason, seconds=time.monotonic() - start)

    def _pause(self, number: int, after: float | None) -> float:
        """Seconds until the next try: what the server asked for, else exponential with full jitter."""
        if after is not None:
            return min(after, LONGEST_WAIT) * random.uniform(1.0, 1.1)
        return random.uniform(0.1, 1.0) * min(self.first_wait * 2**number, LONGEST_WAIT)

    def _body(self, request: Request) -> bytes:
        parts: list[dict[str, Any]] = [{"type": "text", "text": request.text}]
        if request.image is not None:
            parts.insert(0, {"type": "image_url", "image_url": {"url": data_url(request.image)}})
        sampling = self.sampling.at(request.attempt)
        return json.dumps(
            {
                "model": self.model,
                "messages": [{"role": "user", "content": parts}],
                "max_tokens": sampling.max_tokens,
                "temperature": sampling.temperature,
                "seed": sampling.seed,
                "stream": False,
            }
        ).encode()

    def _post(self, body: bytes) -> _Reply | _Trouble:
        """One try."""
        import httpx

        try:
            status, headers, content = self._exchange("POST", f"{self.url}/chat/completions", body)
        except (httpx.HTTPError, httpx.StreamError, _TooMuch) as error:
            return _Trouble(f"{type(error).__name__}: {str(error)[:200] or 'no word'}")
        if status == 200:
            return _read_reply(content)
        said = f"HTTP {status}: {content[:200].decode(errors='replace').strip()}"
        if status in NEVER and not self._has_answered:
            raise ConfigError(
                f"{self.url} refuses to answer for the model '{self.model}' ({said}). Check the address (it usually "
                f"ends in /v1), the model's name and the key in the environment variable {KEY_VARIABLE}."
            )
        again = status in AGAIN | NEVER or status >= 500
        return _Trouble(said, again, _retry_after(headers.get("retry-after", "")))

    def _exchange(self, method: str, url: str, body: bytes | None) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body; a server that sends drop by drop does not hold us longer than ``timeout``."""
        ends, content = time.monotonic() + self.timeout, b""
        with self._client.stream(method, url, content=body, headers={"Content-Type": "application/json"}) as response:
            for block in response.iter_bytes():
                content += block
                if len(content) > ANSWER_LIMIT or time.monotonic() > ends:
                    raise _TooMuch("the answer is endless")
            return response.status_code, response.headers, content

    def _only_model(self) -> str:
        """The one model that the server serves."""
        import httpx

        try:
            status, _, content = self._exchange("GET", f"{self.url}/models", None)
            names = [entry["id"] for entry in json.loads(content)["data"]] if status == 200 else []
        except (httpx.HTTPError, _TooMuch, ValueError, KeyError, TypeError) as error:
            raise MissingError(
                f"{self.url}/models does not say which models there are ({type(error).__name__}: {str(error)[:200]}). "
                "Is the server running, and does its address end in /v1? Or name the model."
            ) from error
        if len(names) != 1:
            raise ConfigError(f"{self.url} serves {len(names)} models, name one: {', '.join(names) or 'none'}.")
        return str(names[0])


class _Reply:
    """A whole answer."""

    def __init__(self, text: str, finish: str):
        self.text, self.finish = text, finish


class _Trouble:
    """No answer, and what follows from it."""

    def __init__(self, reason: str, again: bool = True, after: float | None = None):
        self.reason, self.again, self.after = reason, again, after


class _TooMuch(Exception):
    """A body without end."""


def data_url(image: np.ndarray) -> str:
    """A picture as a data URL, JPEG.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _client(url: str, concurrency: int, timeout: float) -> httpx.Client:
    import httpx

    key = os.environ.get(KEY_VARIABLE, "")
    here = httpx.URL(url).host in ("localhost", "127.0.0.1", "::1")  # no proxy stands between us and ourselves
    return httpx.Client(
        timeout=httpx.Timeout(timeout, connect=min(timeout, 20.0)),
        limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        headers={"Authorization": f"Bearer {key}"} if key else {},
        trust_env=not here,
    )


def _read_reply(content: bytes) -> _Reply | _Trouble:
    """The answer in a body of status 200; torn or strange bodies are trouble like any other."""
    try:
        choice = json.loads(content)["choices"][0]
        text = choice["message"]["content"]
        if isinstance(text, list):
            text = "".join(part.get("text", "") for part in text)
        if text is not None and not isinstance(text, str):
            raise TypeError(f"the answer is a {type(text).__name__}")
        return _Reply(text or "", str(choice.get("finish_reason") or "stop"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        return _Trouble(f"no chat completion came back ({type(error).__name__}: {str(error)[:100]})")


def _retry_after(text: str) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or a date."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return None
