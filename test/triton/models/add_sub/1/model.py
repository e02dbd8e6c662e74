"""The sum and the difference of two vectors: the plainest model with a dynamic batch."""

import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        first = pb.get_input_tensor_by_name(request, "INPUT0").as_numpy()
        second = pb.get_input_tensor_by_name(request, "INPUT1").as_numpy()
        return pb.InferenceResponse([pb.Tensor("OUTPUT0", first + second), pb.Tensor("OUTPUT1", first - second)])
