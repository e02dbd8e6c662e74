package main

import (
	"encoding/binary"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// The messages are KServe v2 (package inference), written by hand once and sent as bytes: the ends should spend their time on HTTP/2, as a
// model server does, and not on protobuf.

const (
	unaryMethod  = "/inference.GRPCInferenceService/ModelInfer"
	streamMethod = "/inference.GRPCInferenceService/ModelStreamInfer"
)

// raw is a message as its bytes.
type raw struct{ bytes []byte }

// rawCodec stands in for protobuf's: it says "proto" on the wire and copies nothing that it need not.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.(*raw).bytes)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	v.(*raw).bytes = data.Materialize()
	return nil
}

func field(out []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), value)
}

// tensor is an InferInputTensor or InferOutputTensor: name 1, datatype 2, shape 3 (packed).
func tensor(name, datatype string, elements int) []byte {
	out := field(field(nil, 1, []byte(name)), 2, []byte(datatype))
	return field(out, 3, protowire.AppendVarint(nil, uint64(elements)))
}

// padded appends a tensor and its contents so that the whole is size bytes, or as near above it as a tensor of one byte allows.
func padded(head []byte, name string, tensorField, contentsField protowire.Number, size int) []byte {
	write := func(n int) []byte {
		return field(field(head, tensorField, tensor(name, "UINT8", n)), contentsField, make([]byte, n))
	}
	// The lengths' own varints grow with n: two corrections settle it.
	n := max(1, size-len(write(1)))
	for range 2 {
		n = max(1, n+size-len(write(n)))
	}
	return write(n)
}

// request is a ModelInferRequest of size bytes: model_name 1, id 3, inputs 5, raw_input_contents 7.
func request(model, id string, size int) []byte {
	head := field(field(nil, 1, []byte(model)), 3, []byte(id))
	return padded(head[:len(head):len(head)], "INPUT", 5, 7, size)
}

// requestID reads the id of a request; empty when it has none.
func requestID(message []byte) string {
	id := ""
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return id
		}
		length := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if length < 0 {
			return id
		}
		if number == 3 && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message[tag:])
			id = string(value)
		}
		message = message[tag+length:]
	}
	return id
}

// response is a ModelInferResponse of size bytes: model_name 1, model_version 2, id 3, outputs 5, raw_output_contents 6.
func response(version, id string, size int) []byte {
	head := field(nil, 1, []byte("bench"))
	if version != "" {
		head = field(head, 2, []byte(version))
	}
	head = field(head, 3, []byte(id))
	return padded(head[:len(head):len(head)], "OUTPUT", 5, 6, size)
}

// responseVersion reads the model_version of a response that this program wrote.
func responseVersion(message []byte) string {
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return ""
		}
		if number == 2 && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message[tag:])
			return string(value)
		}
		length := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if length < 0 {
			return ""
		}
		message = message[tag+length:]
	}
	return ""
}

// token is a ModelStreamInferResponse (infer_response 2) with one INT32, the message's place in its stream, as its last four bytes. It says
// whether it is the request's last, as Triton does (parameters 4, triton_final_response). With an id of one letter it is 64 bytes long.
func token(id string, index int, final bool) []byte {
	flag := field(nil, 2, protowire.AppendVarint([]byte{8}, protowire.EncodeBool(final)))
	entry := append(field(nil, 1, []byte("triton_final_response")), flag...)
	inner := field(field(field(nil, 1, []byte("bench")), 3, []byte(id)), 4, entry)
	inner = field(inner, 5, tensor("out", "INT32", 1))
	inner = field(inner, 6, binary.LittleEndian.AppendUint32(nil, uint32(index)))
	return field(nil, 2, inner)
}

// numbered is a template with another place in its last four bytes; what was handed to gRPC is never changed again, so it is a copy.
func numbered(template []byte, index int) []byte {
	out := append([]byte(nil), template...)
	binary.LittleEndian.PutUint32(out[len(out)-4:], uint32(index))
	return out
}

func place(message []byte) int {
	if len(message) < 4 {
		return -1
	}
	return int(binary.LittleEndian.Uint32(message[len(message)-4:]))
}
