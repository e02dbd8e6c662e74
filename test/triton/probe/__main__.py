"""Plays tritonclient scenarios against HOST:PORT and prints what a caller saw, as one JSON object: scenario → observation.

usage: python probe HOST:PORT [SCENARIO ...]      (all scenarios when none is named)

An observation holds only what must not depend on what lies between the client and Triton: run against Triton and through a proxy, equal
observations mean an equal service. Times never appear; what they would show (tokens arrive singly) is stated as a truth value instead.
A call that fails is an observation too: {"status": ..., "message": ...}.
"""

import json
import sys

import about
import ends
import several
import streams
import unary
from session import Session, failure
from tritonclient.utils import InferenceServerException

SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        unary.sum_and_difference,
        unary.gzip,
        unary.deflate,
        unary.large_tensor,
        unary.request_id_and_version,
        unary.unknown_model,
        unary.wrong_shape,
        unary.many_at_once,
        streams.tokens,
        streams.four_requests,
        streams.gzip_tokens,
        streams.error_within_stream,
        streams.no_request,
        several.order_of_answers,
        several.errors_between,
        several.large_between_tokens,
        several.each_behind_the_answer,
        several.sequences,
        several.compressed_together,
        several.unreadable_input,
        several.cancelled_together,
        about.server_live,
        about.server_ready,
        about.model_ready,
        about.unknown_model_ready,
        about.server_metadata,
        about.model_metadata,
        about.model_config,
        about.unknown_model_metadata,
        about.repository_index,
        about.statistics,
        about.load_model,
        about.unload_model,
        ends.cancelled_stream,
        ends.cancelled_call,
        ends.stream_deadline,
        ends.call_deadline,
    )
}


def observe(scenario, address):
    # Should it hang, the last line says where.
    print(f"playing {scenario.__name__}", file=sys.stderr, flush=True)
    with Session(address) as session:
        try:
            return scenario(session)
        except InferenceServerException as error:
            return failure(error)


def main(address, *names):
    print(json.dumps({name: observe(SCENARIOS[name], address) for name in names or SCENARIOS}))


if __name__ == "__main__":
    main(*sys.argv[1:])
