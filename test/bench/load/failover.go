package main

import (
	"sync/atomic"
	"syscall"
	"time"
)

// failover calls at an open rate over several backends and kills one of them, as a crash would, half way.
func failover(o options) error {
	conns, err := dial(o, o.addr, o.conns)
	if err != nil {
		return err
	}
	payload := request(o.model, "1", o.size)
	t := newTally()
	var killedAt, deadUntil atomic.Int64
	time.AfterFunc(o.dur/2, func() {
		killedAt.Store(time.Now().UnixNano())
		_ = syscall.Kill(o.killPID, syscall.SIGKILL)
	})
	openLoop(o, func(i int, due time.Time) {
		ctx, cancel := callerContext(o)
		defer cancel()
		var out raw
		err := conns[i%len(conns)].Invoke(ctx, unaryMethod, &raw{payload}, &out)
		t.add(1, err, time.Since(due))
		if killed := killedAt.Load(); killed > 0 && (err != nil || responseVersion(out.bytes) == o.dead) {
			raise(&deadUntil, time.Now().UnixNano()-killed)
		}
	})
	r := t.finish()
	millis := float64(deadUntil.Load()) / 1e6
	r.DeadUntil = &millis
	return say(r)
}

func raise(highest *atomic.Int64, to int64) {
	for {
		was := highest.Load()
		if to <= was || highest.CompareAndSwap(was, to) {
			return
		}
	}
}
