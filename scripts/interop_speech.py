"""The speech-to-speech package's Realtime server, with stand-ins for its models.

Runs in an environment of its own (`scripts/interop --install speech`) and prints its address. The
server, its language model's client and all of its protocol are as published; the model is a local
chat-completions service that always answers the same (or calls the first tool when a text has the
word "tool"), the voice is a tone, and there is neither voice detection nor recognition.
"""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Event

import numpy as np
from speech_to_speech.api.openai_realtime.pipeline_unit import PipelineUnit
from speech_to_speech.api.openai_realtime.server import RealtimeServer
from speech_to_speech.api.openai_realtime.service import RealtimeService
from speech_to_speech.baseHandler import BaseHandler
from speech_to_speech.LLM import base_openai_compatible_language_model
from speech_to_speech.LLM.chat_completions_language_model import ChatCompletionsApiModelHandler
from speech_to_speech.LLM.lm_output_processor import LMOutputProcessor
from speech_to_speech.pipeline.cancel_scope import CancelScope
from speech_to_speech.pipeline.messages import AUDIO_RESPONSE_DONE, EndOfResponse

WORDS = "This is an answer in a few words."
SECONDS = 1.5
RATE_HZ = 16_000
BLOCK = 512


class Model(BaseHTTPRequestHandler):
    """A chat-completions service."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        last = asked["messages"][-1]
        wants_tool = asked.get("tools") and "tool" in str(last["content"])
        if last["role"] == "user" and wants_tool:
            name = asked["tools"][0]["function"]["name"]
            call = {"id": "call_1", "index": 0, "type": "function"}
            call["function"] = {"name": name, "arguments": "{}"}
            message, ends = {"role": "assistant", "tool_calls": [call]}, "tool_calls"
        else:
            message, ends = {"role": "assistant", "content": WORDS}, "stop"
        head = {"id": "1", "created": 0, "model": "m"}
        if not asked.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": ends}
            self._send("application/json", {**head, "object": "chat.completion"}, [choice])
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta, reason in ((message, None), ({}, ends)):
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            chunk = {**head, "object": "chat.completion.chunk", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, kind: str, head: dict, choices: list) -> None:
        body = json.dumps({**head, "choices": choices}).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Deaf(BaseHandler):
    """In place of voice detection and recognition: hears nothing."""

    def process(self, _: object):
        yield from ()


class Tone(BaseHandler):
    """In place of a voice."""

    def setup(self, cancel_scope: CancelScope) -> None:
        self.cancel_scope = cancel_scope

    def process(self, item: object):
        if isinstance(item, EndOfResponse):
            yield AUDIO_RESPONSE_DONE
            return
        generation = self.cancel_scope.generation
        sound = 8000 * np.sin(np.arange(int(SECONDS * RATE_HZ)) / 8)
        for at in range(0, len(sound) - BLOCK, BLOCK):
            if self.cancel_scope.is_stale(generation):
                return
            yield sound[at : at + BLOCK].astype(np.int16)


def unit(index: int, stop: Event, model: str) -> PipelineUnit:
    """Return one pipeline and start its threads."""
    heard, prompts, answers, spoken, sound, texts = (Queue() for _ in range(6))
    listen, playing, scope = Event(), Event(), CancelScope()
    listen.set()
    handlers = [
        Deaf(stop, heard, prompts),
        ChatCompletionsApiModelHandler(
            stop,
            prompts,
            answers,
            setup_kwargs={"model_name": "m", "base_url": model, "cancel_scope": scope},
        ),
        LMOutputProcessor(stop, answers, spoken, setup_kwargs={"text_output_queue": texts}),
        Tone(stop, spoken, sound, setup_kwargs={"cancel_scope": scope}),
    ]
    for handler in handlers:
        threading.Thread(target=handler.run, daemon=True).start()
    return PipelineUnit(
        index=index,
        service=RealtimeService(text_prompt_queue=prompts, should_listen=listen),
        cancel_scope=scope,
        should_listen=listen,
        response_playing=playing,
        input_queue=heard,
        output_queue=sound,
        text_output_queue=texts,
        text_prompt_queue=prompts,
        handlers=handlers,
    )


def main() -> None:
    # Its sentences are split by data that is downloaded at the first use.
    base_openai_compatible_language_model.sent_tokenize = lambda text, *_: [text]
    model = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=model.serve_forever, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stop = Event()
    url = f"http://127.0.0.1:{model.server_port}/v1"
    server = RealtimeServer(
        stop, [unit(n, stop, url) for n in range(4)], host="127.0.0.1", port=port
    )
    threading.Thread(target=server.run, daemon=True).start()
    while True:  # its address is told when it can be called
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            stop.wait(0.1)
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    stop.wait()


if __name__ == "__main__":
    main()
