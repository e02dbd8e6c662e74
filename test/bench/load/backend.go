package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
)

func init() { encoding.RegisterCodecV2(rawCodec{}) }

const cancellationsMethod = "/bench.Control/Cancellations"

// server answers ModelInfer with as many bytes as it was sent, and each message of ModelStreamInfer with -tokens messages, one per -gap.
type server struct {
	options
	echoes    sync.Map
	witnesses witnesses
}

func backend(o options) error {
	s := &server{options: o, witnesses: witnesses{all: map[chan []byte]struct{}{}}}
	g := grpc.NewServer(grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(1<<24), grpc.MaxConcurrentStreams(100_000))
	g.RegisterService(&grpc.ServiceDesc{
		ServiceName: "inference.GRPCInferenceService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "ModelInfer", Handler: s.infer}},
		Streams: []grpc.StreamDesc{{StreamName: "ModelStreamInfer", ServerStreams: true, ClientStreams: true, Handler: s.stream}},
	}, struct{}{})
	g.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Control", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Cancellations", ServerStreams: true, Handler: s.tellCancellations}},
	}, struct{}{})
	host, port, err := net.SplitHostPort(o.listen)
	if err != nil {
		return err
	}
	base, err := strconv.Atoi(port)
	if err != nil {
		return fmt.Errorf("-listen %s: wants host:port", o.listen)
	}
	addresses := make([]string, 0, o.ports)
	failed := make(chan error, o.ports)
	for i := range o.ports {
		at := 0
		if base != 0 {
			at = base + i
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(at)))
		if err != nil {
			return err
		}
		addresses = append(addresses, listener.Addr().String())
		go func() { failed <- g.Serve(listener) }()
	}
	if err := say(map[string]any{"addresses": addresses}); err != nil {
		return err
	}
	return <-failed
}

func (s *server) infer(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var in raw
	if err := decode(&in); err != nil {
		return nil, err
	}
	echo, ok := s.echoes.Load(len(in.bytes))
	if !ok {
		echo, _ = s.echoes.LoadOrStore(len(in.bytes), response(s.name, "1", len(in.bytes)))
	}
	return &raw{echo.([]byte)}, nil
}

func (s *server) stream(_ any, stream grpc.ServerStream) error {
	for {
		var in raw
		if err := stream.RecvMsg(&in); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.answer(stream, requestID(in.bytes)); err != nil {
			return err
		}
	}
}

func (s *server) answer(stream grpc.ServerStream, id string) error {
	// Called off only by a whole answer: a write may fail of the cancel a moment before the context is done.
	whole := context.AfterFunc(stream.Context(), func() { s.witnesses.tell(id, time.Now()) })
	more, last := token(id, 0, false), token(id, 0, true)
	// The schedule is absolute, so a late message does not shift the next; each stream has its own phase, so streams do not march in step.
	next := time.Now().Add(time.Duration(rand.Float64() * float64(s.gap)))
	for i := range s.tokens {
		if s.gap > 0 {
			if err := sleepUntil(stream.Context(), next); err != nil {
				return err
			}
			// A machine that falls behind by a whole gap does not make up for it in a burst.
			if next = next.Add(s.gap); time.Since(next) > 0 {
				next = time.Now()
			}
		}
		template := more
		if i == s.tokens-1 {
			template = last
		}
		if err := stream.SendMsg(&raw{numbered(template, i)}); err != nil {
			return err
		}
		if s.hold {
			<-stream.Context().Done()
			return stream.Context().Err()
		}
	}
	whole()
	return nil
}

func sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// witnesses are the callers that want to hear which request was cancelled and when: eight bytes of Unix nanoseconds, then the id.
type witnesses struct {
	mutex sync.Mutex
	all   map[chan []byte]struct{}
}

func (w *witnesses) tell(id string, at time.Time) {
	event := append(binary.LittleEndian.AppendUint64(nil, uint64(at.UnixNano())), id...)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for one := range w.all {
		select {
		case one <- event:
		default: // a witness that does not listen misses it, and counts it as lost
		}
	}
}

func (s *server) tellCancellations(_ any, stream grpc.ServerStream) error {
	var in raw
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	events := make(chan []byte, 4096)
	s.witnesses.mutex.Lock()
	s.witnesses.all[events] = struct{}{}
	s.witnesses.mutex.Unlock()
	defer func() {
		s.witnesses.mutex.Lock()
		delete(s.witnesses.all, events)
		s.witnesses.mutex.Unlock()
	}()
	// The first event says that the witness is heard from now on.
	if err := stream.SendMsg(&raw{make([]byte, 8)}); err != nil {
		return err
	}
	for {
		select {
		case event := <-events:
			if err := stream.SendMsg(&raw{event}); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}
