"""One tritonclient for one scenario, and the inputs of the models beside this probe."""

import queue

import numpy as np
import tritonclient.grpc as triton

# Far above what any step takes; a step that waits this long has failed.
PATIENCE_S = 20


class Session:
    def __init__(self, address):
        self.address = address
        self.client = triton.InferenceServerClient(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def open_stream(self, **options):
        return Stream(self.client, **options)


class Stream:
    """A ModelStreamInfer call whose events (results and errors) are taken one by one."""

    def __init__(self, client, **options):
        self.client = client
        self.events = queue.Queue()
        client.start_stream(lambda result, error: self.events.put((result, error)), **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stop_stream(cancel_requests=True)

    def ask(self, model, inputs, request_id="", **options):
        self.client.async_stream_infer(model, inputs, request_id=request_id, **options)

    def next(self):
        """The next result or error; a stream that stays silent raises queue.Empty."""
        return self.events.get(timeout=PATIENCE_S)

    def finish(self):
        """Half-closes, waits for the end, and gives the events that were still to come."""
        self.client.stop_stream()
        rest = []
        while not self.events.empty():
            rest.append(self.events.get())
        return rest


def failure(error):
    # A call that is cut off says "StatusCode.X", an error inside a stream has no status.
    return {"status": error.status(), "message": error.message()}


def tensor(name, array, datatype):
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def vectors(first, second):
    return [
        tensor("INPUT0", np.array([first], dtype=np.float32), "FP32"),
        tensor("INPUT1", np.array([second], dtype=np.float32), "FP32"),
    ]


def payload(content, delay_ms=None):
    inputs = [tensor("INPUT", content, "UINT8")]
    return inputs if delay_ms is None else [*inputs, tensor("DELAY_MS", np.array([delay_ms], dtype=np.int32), "INT32")]


def prompt(text, max_tokens, delay_ms):
    return [
        tensor("text_input", np.array([text.encode()], dtype=np.object_), "BYTES"),
        tensor("max_tokens", np.array([max_tokens], dtype=np.int32), "INT32"),
        tensor("delay_ms", np.array([delay_ms], dtype=np.int32), "INT32"),
    ]


def counters_question():
    return [
        tensor("text_input", np.array([b""], dtype=np.object_), "BYTES"),
        tensor("counters", np.array([True]), "BOOL"),
    ]


def told(result):
    """What a response of llm_stream says, as plain values."""
    response = result.get_response()
    return {
        "id": response.id,
        "model": response.model_name,
        "version": response.model_version,
        "final": response.parameters["triton_final_response"].bool_param,
        "text": result.as_numpy("text_output")[0].decode(),
        "index": int(result.as_numpy("token_index")[0]),
    }
