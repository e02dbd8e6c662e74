package main

import (
	"slices"
	"sync"
	"time"
)

// result is what a mode prints. Spans are microseconds: of a whole call for unary, stream and failover; of the deviation of a gap for gaps;
// from cancel to its arrival for cancel.
type result struct {
	Requests   int64    `json:"requests"`
	Messages   int64    `json:"messages"`
	Errors     int64    `json:"errors"`
	FirstError string   `json:"firstError,omitempty"`
	Seconds    float64  `json:"seconds"`
	P50        *float64 `json:"p50Micros,omitempty"`
	P99        *float64 `json:"p99Micros,omitempty"`
	P999       *float64 `json:"p999Micros,omitempty"`
	Max        *float64 `json:"maxMicros,omitempty"`
	// Lost counts messages (gaps) or cancels (cancel) that never arrived.
	Lost *int64 `json:"lost,omitempty"`
	// DeadUntil is failover's: from the kill to the last request that the dead backend answered or that failed.
	DeadUntil *float64 `json:"deadUntilMillis,omitempty"`
}

// tally gathers what concurrent calls saw.
type tally struct {
	mutex  sync.Mutex
	begun  time.Time
	result result
	spans  []time.Duration
}

func newTally() *tally { return &tally{begun: time.Now()} }

// add counts finished calls; an error counts as one failed call.
func (t *tally) add(messages int64, err error, spans ...time.Duration) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.result.Messages += messages
	if err != nil {
		t.result.Errors++
		if t.result.FirstError == "" {
			t.result.FirstError = err.Error()
		}
		return
	}
	t.result.Requests++
	t.spans = append(t.spans, spans...)
}

func (t *tally) finish() result {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.result.Seconds = time.Since(t.begun).Seconds()
	slices.Sort(t.spans)
	if len(t.spans) > 0 {
		t.result.P50, t.result.P99, t.result.P999, t.result.Max = t.quantile(.5), t.quantile(.99), t.quantile(.999), t.quantile(1)
	}
	return t.result
}

// quantile is by nearest rank.
func (t *tally) quantile(q float64) *float64 {
	micros := float64(t.spans[int(float64(len(t.spans)-1)*q+.5)].Nanoseconds()) / 1e3
	return &micros
}
