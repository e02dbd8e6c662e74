"""A token streamer: repeats the words of its prompt, one response for each token, many requests at once, and stops when cancelled.

Each token tells when it was produced (CLOCK_MONOTONIC, nanoseconds), so that a client on the same host can see that nothing held it back.
A request with `counters` set is answered by one response: JSON with the requests started, finished, cancelled and live so far.
"""

import json
import threading
import time

import numpy as np
import triton_python_backend_utils as pb


def first_value(request, name, default):
    tensor = pb.get_input_tensor_by_name(request, name)
    return default if tensor is None else tensor.as_numpy().flatten()[0]


def token(text, index):
    return pb.InferenceResponse(
        [
            pb.Tensor("text_output", np.array([text.encode()], dtype=np.object_)),
            pb.Tensor("token_index", np.array([index], dtype=np.int32)),
            pb.Tensor("produced_ns", np.array([time.monotonic_ns()], dtype=np.int64)),
        ]
    )


class TritonPythonModel:
    def initialize(self, args):
        self.lock = threading.Lock()
        self.counters = {"started": 0, "finished": 0, "cancelled": 0, "live": 0}

    def count(self, **steps):
        with self.lock:
            for name, step in steps.items():
                self.counters[name] += step

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            if bool(first_value(request, "counters", False)):
                with self.lock:
                    text = json.dumps(self.counters)
                sender.send(token(text, 0), flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
                continue
            words = first_value(request, "text_input", b"").decode().split() or ["token"]
            count = int(first_value(request, "max_tokens", 8))
            delay_s = int(first_value(request, "delay_ms", 5)) / 1000
            self.count(started=1, live=1)
            threading.Thread(target=self.generate, args=(sender, words, count, delay_s), daemon=True).start()

    def generate(self, sender, words, count, delay_s):
        outcome = "finished"
        for index in range(count):
            if not self.pause(sender, delay_s if index > 0 else 0):
                outcome = "cancelled"
                break
            sender.send(token(words[index % len(words)], index))
        sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        self.count(**{outcome: 1, "live": -1})

    def pause(self, sender, delay_s):
        """Waits, in steps that a cancel can end; False when the caller has left."""
        until = time.monotonic() + delay_s
        while True:
            if sender.is_cancelled():
                return False
            left_s = until - time.monotonic()
            if left_s <= 0:
                return True
            time.sleep(min(left_s, 0.01))
