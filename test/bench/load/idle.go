package main

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// At most so many streams are being opened at once: the peak of a stampede is not what an idle stream costs.
const openingMax = 64

// idle opens one stream per connection, says so, then all -conc, says so, and holds them. What a stream costs is the proxy's growth between
// the two, read by whoever started this.
func idle(o options) error {
	conns, err := dial(o, o.addr, o.conns)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	payload := request(o.model, "1", o.size)
	t := newTally()
	open := func(from, to int) {
		slots := make(chan struct{}, openingMax)
		var all sync.WaitGroup
		for i := from; i < to; i++ {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				t.add(1, openOne(ctx, conns[i%len(conns)], payload))
			})
		}
		all.Wait()
	}
	open(0, o.conns)
	if err := say(map[string]any{"phase": "connected", "streams": o.conns}); err != nil {
		return err
	}
	time.Sleep(o.dur)
	open(o.conns, o.conc)
	if err := say(map[string]any{"phase": "held", "streams": o.conc}); err != nil {
		return err
	}
	time.Sleep(o.dur)
	return say(t.finish())
}

func openOne(ctx context.Context, conn *grpc.ClientConn, payload []byte) error {
	stream, err := conn.NewStream(ctx, streamDesc, streamMethod)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&raw{payload}); err != nil {
		return err
	}
	var out raw
	return stream.RecvMsg(&out)
}
