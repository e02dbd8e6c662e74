"""Ends that a caller chooses: cancel and deadline. The model must hear of each and stop its work; it counts what it heard."""

import json
import queue
import time

import numpy as np
from session import PATIENCE_S, counters_question, failure, payload, prompt
from tritonclient.utils import InferenceServerException


def counters(session):
    with session.open_stream() as stream:
        stream.ask("llm_stream", counters_question())
        result, error = stream.next()
        if error is not None:
            raise error
        return json.loads(result.as_numpy("text_output")[0])


def stopped_since(session, before):
    """Waits until nothing is at work in the model; then says how the requests since `before` ended there."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        now = counters(session)
        if now["live"] == 0:
            return {name: now[name] - before[name] for name in ("started", "finished", "cancelled")}
        time.sleep(0.02)
    return "the model is still at work"


def failed_within(stream):
    """Reads past results to the error that ends the stream."""
    while True:
        _, error = stream.next()
        if error is not None:
            return failure(error)


def cancelled_stream(session):
    before = counters(session)
    stream = session.open_stream()
    stream.ask("llm_stream", prompt("on and on", 100_000, 10))
    first_three = [stream.next()[1] for _ in range(3)]
    session.client.stop_stream(cancel_requests=True)
    return {"errors before the cancel": [str(error) for error in first_three if error], "in the model": stopped_since(session, before)}


def cancelled_call(session):
    """After the cancel the model's only instance is free again at once: a second call does not wait out the first one's ten minutes."""
    events = queue.Queue()
    content = np.arange(4, dtype=np.uint8)
    call = session.client.async_infer("echo", payload(content, delay_ms=600_000), lambda result, error: events.put(error))
    # Nothing that a client can ask tells when a call has reached a model; one that had not would be a plainer case of the same promise.
    time.sleep(0.2)
    call.cancel()
    error = events.get(timeout=PATIENCE_S)
    second = session.client.infer("echo", payload(content), client_timeout=PATIENCE_S)
    return {"first": failure(error), "second": second.as_numpy("OUTPUT").tolist()}


def stream_deadline(session):
    before = counters(session)
    with session.open_stream(stream_timeout=3) as stream:
        # One token, then a long wait: this Triton itself may crash when a deadline passes just as it writes.
        stream.ask("llm_stream", prompt("on and on", 2, 600_000))
        end = failed_within(stream)
    return {"status": end["status"], "in the model": stopped_since(session, before)}


def call_deadline(session):
    content = np.arange(4, dtype=np.uint8)
    try:
        session.client.infer("echo", payload(content, delay_ms=600_000), client_timeout=0.3)
        first = "no deadline"
    except InferenceServerException as error:
        first = error.status()
    second = session.client.infer("echo", payload(content), client_timeout=PATIENCE_S)
    return {"status": first, "second": second.as_numpy("OUTPUT").tolist()}
