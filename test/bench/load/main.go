// Command load is the benchmark's other side: the model server behind a proxy and the callers before it, both grpc-go, so that neither end
// is made of the code that is measured.
//
//	load backend  -listen 127.0.0.1:0 -ports 32 -tokens 256 -gap 10ms
//	load unary    -addr H:P -conns 4 -conc 32 -dur 4s -size 1024 -caller
//	load stream | gaps | cancel | failover | idle …
//	load certificate -dir /tmp/x
//
// Every mode but backend ends by printing one line of JSON: a result.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"
)

// options are the flags of all modes; each mode reads the ones that it names.
type options struct {
	listen string
	ports  int
	name   string
	tokens int
	gap    time.Duration
	hold   bool

	addr    string
	control string
	model   string
	conns   int
	conc    int
	dur     time.Duration
	size    int
	rate    float64
	caller  bool
	killPID int
	dead    string
	ca      string
	dir     string
}

var modes = map[string]func(options) error{
	"backend":     backend,
	"unary":       func(o options) error { return steady(o, unaryCall) },
	"stream":      func(o options) error { return steady(o, streamCall) },
	"gaps":        gaps,
	"cancel":      cancels,
	"failover":    failover,
	"idle":        idle,
	"certificate": certificate,
}

func main() {
	mode, known := modes[first(os.Args[1:])]
	if !known {
		names := make([]string, 0, len(modes))
		for name := range modes {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintln(os.Stderr, "load: the first argument is one of", strings.Join(names, ", "))
		os.Exit(64)
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "backend: host:port, 0 takes free ports")
	flags.IntVar(&o.ports, "ports", 1, "backend: how many addresses to serve")
	flags.StringVar(&o.name, "name", "", "backend: told to callers as the model version")
	flags.IntVar(&o.tokens, "tokens", 256, "messages of one stream")
	flags.DurationVar(&o.gap, "gap", 0, "time between the messages of one stream")
	flags.BoolVar(&o.hold, "hold", false, "backend: one message, then the stream stays open")
	flags.StringVar(&o.addr, "addr", "", "where to call")
	flags.StringVar(&o.control, "control", "", "cancel: the backend itself, which tells when it saw a cancel")
	flags.StringVar(&o.model, "model", "bench", "model name in the requests")
	flags.IntVar(&o.conns, "conns", 4, "connections")
	flags.IntVar(&o.conc, "conc", 32, "calls in flight")
	flags.DurationVar(&o.dur, "dur", 4*time.Second, "calls begin until then")
	flags.IntVar(&o.size, "size", 1024, "bytes of a unary message")
	flags.Float64Var(&o.rate, "rate", 0, "open loop: calls per second; 0 is the closed loop of -conc")
	flags.BoolVar(&o.caller, "caller", false, "send a deadline, a bearer token, a fresh traceparent and a fresh request id with every call")
	flags.IntVar(&o.killPID, "kill", 0, "failover: the backend process that dies half way")
	flags.StringVar(&o.dead, "dead", "", "failover: the -name of that backend")
	flags.StringVar(&o.ca, "ca", "", "call over TLS, trusting this authority's file")
	flags.StringVar(&o.dir, "dir", ".", "certificate: where to write")
	_ = flags.Parse(os.Args[2:])
	if err := mode(o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// say prints one line of JSON on stdout.
func say(what any) error { return json.NewEncoder(os.Stdout).Encode(what) }
