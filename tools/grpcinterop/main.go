// Grpcinterop is the test server and client of gRPC, whose cases are described in grpc's doc/interop-test-descriptions.md.
//
//	grpcinterop serve           answers, without TLS, at an address that it prints
//	grpcinterop ask ADDR [CA]   runs the cases against a server, by TLS where there is a file of authorities
//	grpcinterop call ADDR SIZE METHOD...   calls methods, with a message of so many bytes, without TLS
//
// The client prints the name of each case that went well. The first that fails ends it. Of calls it prints how each has ended: method, status and message.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

func main() {
	err := fmt.Errorf("usage: grpcinterop serve | ask ADDR [CA] | call ADDR SIZE METHOD...")
	switch args := os.Args[1:]; {
	case len(args) == 1 && args[0] == "serve":
		err = serve()
	case len(args) == 2 && args[0] == "ask":
		err = ask(args[1], insecure.NewCredentials())
	case len(args) == 3 && args[0] == "ask":
		var creds credentials.TransportCredentials
		if creds, err = credentials.NewClientTLSFromFile(args[2], ""); err == nil {
			err = ask(args[1], creds)
		}
	case len(args) > 3 && args[0] == "call":
		err = call(args[1], args[2], args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpcinterop:", err)
		os.Exit(1)
	}
}

func serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	healthgrpc.RegisterHealthServer(s, health.NewServer()) // which is well
	fmt.Println(l.Addr())
	return s.Serve(l)
}

// call calls methods one after the other, on one connection.
func call(addr, size string, methods []string) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	message := &testgrpc.Payload{Body: make([]byte, n)}
	for _, method := range methods {
		s := status.Convert(conn.Invoke(ctx, method, message, new(testgrpc.Empty)))
		fmt.Printf("%s %s %q\n", method, s.Code(), s.Message())
	}
	return nil
}

// ask runs the cases one after the other, on one connection. Those of package interop end the process where they fail.
func ask(addr string, creds credentials.TransportCredentials) error {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	c := testgrpc.NewTestServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, k := range []struct {
		name string
		run  func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)
	}{
		{"empty_unary", interop.DoEmptyUnaryCall},
		{"large_unary", interop.DoLargeUnaryCall},
		{"client_streaming", interop.DoClientStreaming},
		{"server_streaming", interop.DoServerStreaming},
		{"ping_pong", interop.DoPingPong},
		{"empty_stream", interop.DoEmptyStream},
		{"status_code_and_message", interop.DoStatusCodeAndMessage},
		{"special_status_message", interop.DoSpecialStatusMessage},
		{"custom_metadata", interop.DoCustomMetadata},
		{"unimplemented_method", func(ctx context.Context, _ testgrpc.TestServiceClient, _ ...grpc.CallOption) {
			interop.DoUnimplementedMethod(ctx, conn)
		}},
		{"unimplemented_service", func(ctx context.Context, _ testgrpc.TestServiceClient, _ ...grpc.CallOption) {
			interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(conn))
		}},
		{"cancel_after_begin", interop.DoCancelAfterBegin},
		{"cancel_after_first_response", interop.DoCancelAfterFirstResponse},
		{"timeout_on_sleeping_server", interop.DoTimeoutOnSleepingServer},
	} {
		k.run(ctx, c)
		fmt.Println(k.name)
	}
	return nil
}
