"""Answers with its input, bytes of any length, after DELAY_MS if given; a caller who leaves ends the wait."""

import time

import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        delay = pb.get_input_tensor_by_name(request, "DELAY_MS")
        if delay is not None:
            until = time.monotonic() + int(delay.as_numpy()[0]) / 1000
            while time.monotonic() < until:
                if request.is_cancelled():
                    return pb.InferenceResponse(error=pb.TritonError("the caller left", pb.TritonError.CANCELLED))
                time.sleep(0.01)
        return pb.InferenceResponse([pb.Tensor("OUTPUT", pb.get_input_tensor_by_name(request, "INPUT").as_numpy())])
