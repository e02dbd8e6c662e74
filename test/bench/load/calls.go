package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

var streamDesc = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// authority is the name that callers ask for, and that a certificate of ours is for.
const authority = "bench.local"

// security is clear text, or TLS that trusts one authority.
func security(o options) (credentials.TransportCredentials, error) {
	if o.ca == "" {
		return insecure.NewCredentials(), nil
	}
	return credentials.NewClientTLSFromFile(o.ca, authority)
}

// dial opens n connections and waits until all of them stand, so that no handshake is measured.
func dial(o options, addr string, n int) ([]*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	transport, err := security(o)
	if err != nil {
		return nil, err
	}
	conns := make([]*grpc.ClientConn, 0, n)
	for range n {
		conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(transport),
			grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(1<<24), grpc.WithAuthority(authority))
		if err != nil {
			return nil, err
		}
		conn.Connect()
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
			if !conn.WaitForStateChange(ctx, state) {
				return nil, fmt.Errorf("no connection to %s within 10 s", addr)
			}
		}
	}
	return conns, nil
}

// A call makes one request and tells how many messages came back.
type call func(ctx context.Context, conn *grpc.ClientConn, payload []byte, o options) (messages int64, err error)

func unaryCall(ctx context.Context, conn *grpc.ClientConn, payload []byte, _ options) (int64, error) {
	var out raw
	if err := conn.Invoke(ctx, unaryMethod, &raw{payload}, &out); err != nil {
		return 0, err
	}
	return 1, nil
}

func streamCall(ctx context.Context, conn *grpc.ClientConn, payload []byte, o options) (int64, error) {
	got := int64(0)
	err := readStream(ctx, conn, payload, func(int) { got++ })
	if err == nil && got != int64(o.tokens) {
		err = fmt.Errorf("%d of %d messages came", got, o.tokens)
	}
	return got, err
}

// readStream sends one request and hands on the place of each message; a message out of its place is an error, as is any end but OK.
func readStream(ctx context.Context, conn *grpc.ClientConn, payload []byte, onMessage func(place int)) error {
	stream, err := conn.NewStream(ctx, streamDesc, streamMethod)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&raw{payload}); err != nil && err != io.EOF {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for expected := 0; ; expected++ {
		var out raw
		if err := stream.RecvMsg(&out); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if at := place(out.bytes); at != expected {
			return fmt.Errorf("message %d came where %d should", at, expected)
		}
		onMessage(expected)
	}
}

var bearer = "Bearer mr-" + strings.Repeat("k3y", 14)

// callerContext is what a real caller sends along: a deadline and a bearer token, and ids that differ in every call.
func callerContext(o options) (context.Context, context.CancelFunc) {
	if !o.caller {
		return context.Background(), func() {}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	return metadata.AppendToOutgoingContext(ctx,
		"authorization", bearer,
		"traceparent", fmt.Sprintf("00-%016x%016x-%016x-01", rand.Uint64(), rand.Uint64(), rand.Uint64()),
		"x-request-id", fmt.Sprintf("%016x", rand.Uint64())), cancel
}
