package main

import (
	"sync"
	"time"
)

// gaps holds -conc streams open at once, each a message every -gap, and tells by how much the time between two messages strayed from it.
func gaps(o options) error {
	conns, err := dial(o, o.addr, o.conns)
	if err != nil {
		return err
	}
	payload := request(o.model, "1", o.size)
	t := newTally()
	var all sync.WaitGroup
	for i := range o.conc {
		all.Go(func() {
			ctx, cancel := callerContext(o)
			defer cancel()
			strays := make([]time.Duration, 0, o.tokens)
			var last time.Time
			got := int64(0)
			err := readStream(ctx, conns[i%len(conns)], payload, func(int) {
				now := time.Now()
				if got > 0 {
					strays = append(strays, (now.Sub(last) - o.gap).Abs())
				}
				last = now
				got++
			})
			t.add(got, err, strays...)
		})
	}
	all.Wait()
	r := t.finish()
	lost := int64(o.conc)*int64(o.tokens) - r.Messages
	r.Lost = &lost
	return say(r)
}
