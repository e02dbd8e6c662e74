"""Several requests for several models in one ModelStreamInfer call: whose answer comes when, and what an error of one means to the others."""

import numpy as np
from ends import counters, stopped_since
from session import failure, payload, prompt, tensor, told, vectors


def brief(event):
    """Who answered what; the text of an error is its server's own."""
    result, error = event
    if error is not None:
        return "error"
    response = result.get_response()
    if response.model_name == "llm_stream":
        return f"{response.id} token {told(result)['index']}"
    return f"{response.id} {[float(one) for one in result.as_numpy(response.outputs[0].name).flatten()[:2]]}"


def order_of_answers(session):
    """A slow answer holds those behind it, whatever their models, and no token."""
    content = np.arange(3, dtype=np.uint8)
    with session.open_stream() as stream:
        stream.ask("echo", payload(content, delay_ms=2_000), request_id="slow")
        stream.ask("add_sub", vectors([1, 2, 3, 4], [1, 1, 1, 1]), request_id="behind")
        stream.ask("llm_stream", prompt("quick words", 3, 20), request_id="tokens")
        stream.ask("no_such_model", vectors([1, 2, 3, 4], [1, 1, 1, 1]), request_id="stranger")
        stream.ask("echo", payload(content), request_id="last")
        events = [brief(stream.next()) for _ in range(7)]
        return {"events": events, "rest": len(stream.finish())}


def errors_between(session):
    """A bad request fails alone; the stream goes on and ends well."""
    with session.open_stream() as stream:
        stream.ask("add_sub", vectors([1, 2, 3, 4], [1, 1, 1, 1]), request_id="before")
        stream.ask("add_sub", vectors([1, 2, 3, 4], [1, 2, 3]), request_id="bad")
        stream.ask("echo", payload(np.arange(3, dtype=np.uint8)), request_id="after")
        (first, _), (_, error), (last, _) = stream.next(), stream.next(), stream.next()
        return {
            "first": brief((first, None)),
            "error": failure(error),
            "last": brief((last, None)),
            "rest": [failure(error) for _, error in stream.finish()],
        }


def large_between_tokens(session):
    """Two megabytes come whole in the midst of another request's tokens."""
    content = np.random.default_rng(3).integers(0, 256, 2_000_000, dtype=np.uint8)
    with session.open_stream() as stream:
        stream.ask("llm_stream", prompt("on", 50, 5), request_id="tokens")
        stream.ask("echo", payload(content), request_id="large")
        tokens, same = [], None
        for _ in range(51):
            result, error = stream.next()
            if error is not None:
                return failure(error)
            if result.get_response().model_name == "llm_stream":
                tokens.append(told(result)["index"])
            else:
                same = bool(np.array_equal(result.as_numpy("OUTPUT"), content))
        return {"tokens": tokens, "same": same, "rest": len(stream.finish())}


def each_behind_the_answer(session):
    """A client that asks its next question when it has its answer."""
    answers = []
    with session.open_stream() as stream:
        for number in range(10):
            stream.ask("add_sub", vectors([number] * 4, [1, 1, 1, 1]), request_id=f"q{number}")
            answers.append(brief(stream.next()))
            stream.ask("llm_stream", prompt(f"word{number}", 1, 0), request_id=f"t{number}")
            answers.append(brief(stream.next()))
        return {"answers": answers, "rest": len(stream.finish())}


def sequences(session):
    """Requests that carry a sequence, two of them interleaved, and one that carries none."""
    answers = []
    with session.open_stream() as stream:
        for number in range(4):
            flags = {"sequence_start": number == 0, "sequence_end": number == 3}
            stream.ask("add_sub", vectors([number] * 4, [1, 1, 1, 1]), request_id=f"a{number}", sequence_id=7, **flags)
            stream.ask("add_sub", vectors([number] * 4, [2, 2, 2, 2]), request_id=f"b{number}", sequence_id="other", **flags)
            stream.ask("add_sub", vectors([number] * 4, [3, 3, 3, 3]), request_id=f"c{number}")
            answers += [brief(stream.next()) for _ in range(3)]
        return {"answers": answers, "rest": len(stream.finish())}


def cancelled_together(session):
    """One cancel stops the requests of the stream in every model."""
    before = counters(session)
    content = np.arange(4, dtype=np.uint8)
    stream = session.open_stream()
    stream.ask("llm_stream", prompt("on and on", 100_000, 10), request_id="first")
    stream.ask("echo", payload(content, delay_ms=600_000), request_id="echo")
    stream.ask("llm_stream", prompt("on and on", 100_000, 10), request_id="second")
    heard = set()
    while len(heard) < 2:
        heard.add(brief(stream.next()).split(" ")[0])
    session.client.stop_stream(cancel_requests=True)
    # The model's only instance is free again at once.
    second = session.client.infer("echo", payload(content))
    return {"heard": sorted(heard), "in the model": stopped_since(session, before), "second": second.as_numpy("OUTPUT").tolist()}


def compressed_together(session):
    with session.open_stream(compression_algorithm="gzip") as stream:
        stream.ask("add_sub", vectors([1, 2, 3, 4], [1, 1, 1, 1]), request_id="sum")
        first = brief(stream.next())
        stream.ask("llm_stream", prompt("mill race " * 50, 2, 1), request_id="tokens")
        return {"answers": [first, *(brief(stream.next()) for _ in range(2))], "rest": len(stream.finish())}


def unreadable_input(session):
    """An input that the model does not have, in front of a good request."""
    stranger = tensor("stranger", np.array([1], dtype=np.int32), "INT32")
    with session.open_stream() as stream:
        stream.ask("llm_stream", [*prompt("bad", 1, 0), stranger], request_id="bad")
        stream.ask("echo", payload(np.arange(2, dtype=np.uint8)), request_id="good")
        events = sorted(brief(stream.next()) for _ in range(2))
        return {"events": events, "rest": len(stream.finish())}
