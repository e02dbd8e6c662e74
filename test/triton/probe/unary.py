"""ModelInfer: answers, compression, sizes, refusals."""

import concurrent.futures
import hashlib

import numpy as np
import tritonclient.grpc as triton
from session import failure, payload, vectors
from tritonclient.utils import InferenceServerException


def answer(result):
    return {name: result.as_numpy(name).tolist() for name in ("OUTPUT0", "OUTPUT1")}


def sum_and_difference(session):
    return answer(session.client.infer("add_sub", vectors([1, 2, 3, 4], [0.5, -2, 1e6, 0])))


def gzip(session):
    return answer(session.client.infer("add_sub", vectors([1, 2, 3, 4], [1, 1, 1, 1]), compression_algorithm="gzip"))


def deflate(session):
    return answer(session.client.infer("add_sub", vectors([1, 2, 3, 4], [2, 2, 2, 2]), compression_algorithm="deflate"))


def large_tensor(session):
    """Five megabytes both ways, larger than any window."""
    content = np.random.default_rng(7).integers(0, 256, 5_000_000, dtype=np.uint8)
    echoed = session.client.infer("echo", payload(content)).as_numpy("OUTPUT")
    return {"length": len(echoed), "same": bool(np.array_equal(content, echoed)), "sha256": hashlib.sha256(echoed.tobytes()).hexdigest()}


def request_id_and_version(session):
    outputs = [triton.InferRequestedOutput("OUTPUT1")]
    result = session.client.infer(
        "add_sub", vectors([4, 3, 2, 1], [1, 1, 1, 1]), model_version="1", outputs=outputs, request_id="ask-1", priority=1
    )
    response = result.get_response()
    return {
        "id": response.id,
        "version": response.model_version,
        "outputs": [output.name for output in response.outputs],
        "OUTPUT1": result.as_numpy("OUTPUT1").tolist(),
    }


def unknown_model(session):
    return answer(session.client.infer("no_such_model", vectors([1, 2, 3, 4], [1, 1, 1, 1])))


def wrong_shape(session):
    return answer(session.client.infer("add_sub", vectors([1, 2, 3, 4], [1, 2, 3])))


def many_at_once(session):
    """Sixty-four calls in flight on one connection: each gets its own answer."""

    def one(number):
        try:
            return answer(session.client.infer("add_sub", vectors([number] * 4, [1, 2, 3, 4])))
        except InferenceServerException as error:
            return failure(error)

    with concurrent.futures.ThreadPoolExecutor(max_workers=64) as pool:
        return list(pool.map(one, range(64)))
