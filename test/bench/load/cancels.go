package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// A cancel that the backend has not seen by then is lost.
const cancelPatience = 2 * time.Second

// watch hears from the backend itself, past any proxy, which request was cancelled and when. Both ends read this machine's wall clock.
type watch struct {
	mutex sync.Mutex
	seen  map[string]chan time.Time
}

func (w *watch) expect(id string) chan time.Time {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.seen[id] = make(chan time.Time, 1)
	return w.seen[id]
}

func (w *watch) listen(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, cancellationsMethod)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&raw{}); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var hello raw
	if err := stream.RecvMsg(&hello); err != nil {
		return err
	}
	go func() {
		for {
			var event raw
			if stream.RecvMsg(&event) != nil {
				return
			}
			w.mutex.Lock()
			if waiting, ok := w.seen[string(event.bytes[8:])]; ok {
				waiting <- time.Unix(0, int64(binary.LittleEndian.Uint64(event.bytes)))
				delete(w.seen, string(event.bytes[8:]))
			}
			w.mutex.Unlock()
		}
	}()
	return nil
}

// cancels opens streams at -rate, reads one message of each, cancels, and tells how long the backend's handler went on.
func cancels(o options) error {
	conns, err := dial(o, o.addr, o.conns)
	if err != nil {
		return err
	}
	control, err := dial(options{}, o.control, 1)
	if err != nil {
		return err
	}
	w := watch{seen: map[string]chan time.Time{}}
	if err := w.listen(context.Background(), control[0]); err != nil {
		return fmt.Errorf("the backend at %s: %w", o.control, err)
	}
	t := newTally()
	var lost atomic.Int64
	openLoop(o, func(i int, _ time.Time) {
		id := fmt.Sprintf("c%d", i)
		seen := w.expect(id)
		at, err := cancelOne(conns[i%len(conns)], request(o.model, id, o.size))
		if err != nil {
			t.add(0, err)
			return
		}
		select {
		case done := <-seen:
			t.add(1, nil, max(0, done.Sub(at)))
		case <-time.After(cancelPatience):
			lost.Add(1)
		}
	})
	r := t.finish()
	n := lost.Load()
	r.Lost = &n
	return say(r)
}

// cancelOne tells when it cancelled, without a monotonic reading: the other end's has another origin.
func cancelOne(conn *grpc.ClientConn, payload []byte) (time.Time, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := conn.NewStream(ctx, streamDesc, streamMethod)
	if err != nil {
		return time.Time{}, err
	}
	if err := stream.SendMsg(&raw{payload}); err != nil {
		return time.Time{}, err
	}
	var out raw
	if err := stream.RecvMsg(&out); err != nil {
		return time.Time{}, err
	}
	at := time.Now().Round(0)
	cancel()
	return at, nil
}
