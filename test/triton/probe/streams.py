"""ModelStreamInfer: token by token, several requests in one stream, errors inside a stream."""

import time

import numpy as np
from session import failure, prompt, tensor, told


def tokens(session):
    """Twenty tokens, 20 ms apart, each a message of its own."""
    arrivals, productions, answers = [], [], []
    with session.open_stream() as stream:
        stream.ask("llm_stream", prompt("the wheel turns", 20, 20), request_id="only", enable_empty_final_response=True)
        while True:
            result, error = stream.next()
            if error is not None:
                return failure(error)
            if result.get_response().parameters["triton_final_response"].bool_param:
                break
            arrivals.append(time.monotonic_ns())
            productions.append(int(result.as_numpy("produced_ns")[0]))
            answers.append(told(result))
        rest = stream.finish()
    return {
        "answers": answers,
        "after the final response": len(rest),
        "the first arrives before the last is produced": arrivals[0] < productions[-1],
        "no token arrives with the last": all(arrival < productions[-1] for arrival in arrivals[:-2]),
    }


def four_requests(session):
    """Four requests in one stream, in flight together; each one's tokens come in order under its id."""
    words = {"a": "stone", "b": "grain flour", "c": "sluice gate weir", "d": "leat"}
    answers = {name: [] for name in words}
    open_requests = set(words)
    with session.open_stream() as stream:
        for name, text in words.items():
            stream.ask("llm_stream", prompt(text, 6, 5), request_id=name, enable_empty_final_response=True)
        while open_requests:
            result, error = stream.next()
            if error is not None:
                return failure(error)
            response = result.get_response()
            if response.parameters["triton_final_response"].bool_param:
                open_requests.remove(response.id)
            else:
                answers[response.id].append(told(result))
        rest = stream.finish()
    return {"answers": answers, "after the final responses": len(rest)}


def gzip_tokens(session):
    with session.open_stream(compression_algorithm="gzip") as stream:
        stream.ask("llm_stream", prompt("mill race " * 50, 5, 1))
        answers = [stream.next() for _ in range(5)]
        rest = stream.finish()
    return {"answers": [failure(error) if error else told(result) for result, error in answers], "rest": len(rest)}


def error_within_stream(session):
    """A bad request is answered inside the stream, which then serves the next one."""
    with session.open_stream() as stream:
        stranger = tensor("stranger", np.array([1], dtype=np.int32), "INT32")
        stream.ask("llm_stream", [*prompt("bad", 1, 0), stranger], request_id="bad")
        _, error = stream.next()
        stream.ask("llm_stream", prompt("good", 1, 0), request_id="good")
        result, second = stream.next()
        stream.finish()
    return {"first": failure(error) if error else "no error", "second": failure(second) if second else told(result)}


def no_request(session):
    """A stream that ends without a message ends well."""
    with session.open_stream() as stream:
        return [failure(error) for _, error in stream.finish()]
