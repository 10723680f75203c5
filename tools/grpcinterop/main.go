// Grpcinterop is the test server and client of gRPC, whose cases are described in grpc's doc/interop-test-descriptions.md.
//
//	grpcinterop serve           answers, without TLS, at an address that it prints
//	grpcinterop ask ADDR [CA]   runs the cases against a server, by TLS where there is a file of authorities
//	grpcinterop talk ADDR [CA]  makes one call, by which it asks for content of so many bytes with each line
//	grpcinterop call ADDR SIZE METHOD...   calls methods, with a message of so many bytes, without TLS
//
// The client prints the name of each case that went well. The first that fails ends it. Of calls it prints how each has ended: method, status and message.
// One that talks prints how many bytes it got, and ends its call where its input ends.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
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
	err := fmt.Errorf("usage: grpcinterop serve | ask ADDR [CA] | talk ADDR [CA] | call ADDR SIZE METHOD...")
	clients := map[string]func(testgrpc.TestServiceClient, *grpc.ClientConn) error{"ask": ask, "talk": talk}
	switch args := os.Args[1:]; {
	case len(args) == 1 && args[0] == "serve":
		err = serve()
	case (len(args) == 2 || len(args) == 3) && clients[args[0]] != nil:
		err = connect(args[1], args[2:], clients[args[0]])
	case len(args) > 3 && args[0] == "call":
		err = call(args[1], args[2], args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpcinterop:", err)
		os.Exit(1)
	}
}

// connect has a client use one connection, by TLS where there is a file of authorities.
func connect(addr string, ca []string, client func(testgrpc.TestServiceClient, *grpc.ClientConn) error) error {
	creds := insecure.NewCredentials()
	if len(ca) > 0 {
		var err error
		if creds, err = credentials.NewClientTLSFromFile(ca[0], ""); err != nil {
			return err
		}
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	return client(testgrpc.NewTestServiceClient(conn), conn)
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

// talk makes one call that lives as long as its input. A line is a number of bytes.
func talk(c testgrpc.TestServiceClient, _ *grpc.ClientConn) error {
	stream, err := c.FullDuplexCall(context.Background())
	if err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		n, err := strconv.Atoi(in.Text())
		if err != nil {
			return err
		}
		err = stream.Send(&testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: int32(n)}}})
		if err != nil {
			return err
		}
		res, err := stream.Recv()
		if err != nil {
			return err
		}
		fmt.Println(len(res.GetPayload().GetBody()))
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); err != io.EOF {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

// ask runs the cases one after the other, on one connection. Those of package interop end the process where they fail.
func ask(c testgrpc.TestServiceClient, conn *grpc.ClientConn) error {
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
