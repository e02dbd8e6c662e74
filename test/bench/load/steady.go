package main

import (
	"sync"
	"time"

	"google.golang.org/grpc"
)

// steady makes calls until -dur is over, in a closed loop of -conc or in an open loop of -rate, and waits for the last to end.
func steady(o options, make call) error {
	conns, err := dial(o, o.addr, o.conns)
	if err != nil {
		return err
	}
	payload := request(o.model, "1", o.size)
	t := newTally()
	one := func(conn *grpc.ClientConn, since time.Time) {
		ctx, cancel := callerContext(o)
		defer cancel()
		messages, err := make(ctx, conn, payload, o)
		t.add(messages, err, time.Since(since))
	}
	if o.rate > 0 {
		openLoop(o, func(i int, due time.Time) { one(conns[i%len(conns)], due) })
	} else {
		closedLoop(o, func(i int) { one(conns[i%len(conns)], time.Now()) })
	}
	return say(t.finish())
}

func closedLoop(o options, one func(worker int)) {
	stop := time.Now().Add(o.dur)
	var all sync.WaitGroup
	for i := range o.conc {
		all.Go(func() {
			for time.Now().Before(stop) {
				one(i)
			}
		})
	}
	all.Wait()
}

// openLoop starts calls at their due times whatever became of the earlier ones; a call is timed from when it was due, so a stall is not hidden.
func openLoop(o options, one func(i int, due time.Time)) {
	var all sync.WaitGroup
	begun := time.Now()
	for i := 0; ; i++ {
		offset := time.Duration(float64(i) / o.rate * float64(time.Second))
		if offset >= o.dur {
			break
		}
		due := begun.Add(offset)
		time.Sleep(time.Until(due))
		all.Go(func() { one(i, due) })
	}
	all.Wait()
}
