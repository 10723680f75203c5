package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// GRPCConfig is a check by grpc.health.v1.Health/Check. Without a tls section it speaks HTTP/2 in plain text
// (prior knowledge).
type GRPCConfig struct {
	Service   string `yaml:"service" doc:"Service to ask about. Empty asks about the server as a whole."`
	Authority string `yaml:"authority" doc:":authority to send. Default: the target's name, else its address."`
}

// Validate reports a name that is too long to be one.
func (c *GRPCConfig) Validate(r *conf.Report) {
	if len(c.Service) > maxServiceName {
		r.At("service").Errorf("is longer than %d bytes", maxServiceName)
	}
}

const (
	maxServiceName = 1024
	maxGRPCMessage = 4096 // HealthCheckResponse has two bytes
)

type grpcCheck struct {
	*GRPCConfig
	dialer dialer
	tls    *tlsSection // nil: plain
}

func newGRPC(cfg *Config, d dialer) (checkFunc, error) {
	c := &grpcCheck{GRPCConfig: sectionOr(cfg.GRPC), dialer: d}
	if len(c.Service) > maxServiceName {
		return nil, fault.New(fault.Config, "service name is longer than %d bytes", maxServiceName)
	}
	var err error
	c.tls, err = optionalTLS(cfg.TLS)
	return c.check, err
}

func (c *grpcCheck) check(ctx context.Context, t Target) (outcome, error) {
	tr := c.transport(ctx, t)
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(c.request(ctx, t))
	if err != nil {
		return outcome{}, fault.Wrap(classOf(ctx, err), err, "grpc")
	}
	defer resp.Body.Close()
	status, err := readHealth(resp)
	if err != nil {
		return outcome{}, fault.Wrap(classOf(ctx, err), err, "grpc")
	}
	if status != serving {
		return outcome{}, fault.New(fault.Unavailable, "grpc: service is %s", status)
	}
	var out outcome
	if resp.TLS != nil {
		out = c.tls.judge(*resp.TLS, time.Now())
	}
	return out.prefix(status.String()), nil
}

func (c *grpcCheck) transport(ctx context.Context, t Target) *http.Transport {
	var p http.Protocols
	if c.tls == nil {
		p.SetUnencryptedHTTP2(true)
		return newTransport(ctx, c.dialer, t, nil, &p)
	}
	p.SetHTTP2(true)
	return newTransport(ctx, c.dialer, t, c.tls.config(t, "h2"), &p)
}

// request builds the call (gRPC over HTTP/2, "Requests").
func (c *grpcCheck) request(ctx context.Context, t Target) *http.Request {
	scheme := "http"
	if c.tls != nil {
		scheme = "https"
	}
	u := &url.URL{Scheme: scheme, Host: t.String(), Path: "/grpc.health.v1.Health/Check"}
	req := (&http.Request{
		Method: http.MethodPost, URL: u, Host: c.Authority,
		Header: http.Header{
			"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {"grpc-everup-probe"},
		},
		Body: io.NopCloser(bytes.NewReader(healthRequest(c.Service))),
	}).WithContext(ctx)
	if req.Host == "" {
		req.Host = (&HTTPConfig{}).hostHeader(scheme, t)
	}
	if deadline, ok := ctx.Deadline(); ok {
		req.Header.Set("Grpc-Timeout", fmt.Sprintf("%dm", max(time.Until(deadline).Milliseconds(), 1)))
	}
	return req
}

// healthRequest frames HealthCheckRequest{service: name}: a byte for "not compressed", the length, then
// field 1 of wire type 2.
func healthRequest(name string) []byte {
	var msg []byte
	if name != "" {
		msg = binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(name)))
		msg = append(msg, name...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(msg))), msg...)
}

// readHealth reads the answer of a call: HTTP status, message, then grpc-status in the trailers, or in the
// headers of an answer without a message.
func readHealth(resp *http.Response) (servingStatus, error) {
	if resp.StatusCode != http.StatusOK {
		return 0, fault.New(fault.Unavailable, "answered HTTP %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxGRPCMessage+1))
	if err != nil {
		return 0, err
	}
	if len(body) > maxGRPCMessage {
		return 0, fault.New(fault.Corrupt, "message of more than %d bytes", maxGRPCMessage)
	}
	code, msg := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	if code == "" {
		code, msg = resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	}
	if err := grpcStatus(code, msg); err != nil {
		return 0, err
	}
	return parseHealthResponse(body)
}

// grpcStatus makes an error of a status that is not OK.
func grpcStatus(code, msg string) error {
	n, err := strconv.ParseUint(code, 10, 8)
	if err != nil {
		return fault.New(fault.Corrupt, "no grpc-status: the server does not speak gRPC")
	}
	switch n {
	case 0:
		return nil
	case 5:
		return fault.New(fault.NotFound, "server does not know the service")
	case 12:
		return fault.New(fault.Unsupported, "server has no grpc.health.v1.Health")
	case 7, 16:
		return fault.New(fault.Denied, "grpc-status %d %s", n, msg)
	}
	return fault.New(fault.Unavailable, "grpc-status %d %s", n, msg)
}

// servingStatus is HealthCheckResponse.ServingStatus.
type servingStatus uint64

const serving servingStatus = 1

func (s servingStatus) String() string {
	switch s {
	case 0:
		return "UNKNOWN"
	case serving:
		return "SERVING"
	case 2:
		return "NOT_SERVING"
	case 3:
		return "SERVICE_UNKNOWN"
	}
	return fmt.Sprintf("status %d", uint64(s))
}

// parseHealthResponse reads a framed HealthCheckResponse. Fields it does not know are passed over, as
// protocol buffers ask.
func parseHealthResponse(b []byte) (servingStatus, error) {
	bad := fault.New(fault.Corrupt, "message is not a HealthCheckResponse")
	if len(b) < 5 || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:5])) != uint64(len(b)-5) {
		return 0, bad
	}
	var status servingStatus
	for b = b[5:]; len(b) > 0; {
		key, n := binary.Uvarint(b)
		if n <= 0 || key>>3 == 0 {
			return 0, bad
		}
		b = b[n:]
		size, value, ok := fieldSize(key&7, b)
		if !ok || size > uint64(len(b)) {
			return 0, bad
		}
		if key == 1<<3 {
			status = servingStatus(value)
		}
		b = b[size:]
	}
	return status, nil
}

// fieldSize returns how many bytes the value of a field takes, and the value of a varint.
func fieldSize(wire uint64, b []byte) (size, value uint64, ok bool) {
	v, n := binary.Uvarint(b)
	switch wire {
	case 0:
		return uint64(max(n, 0)), v, n > 0
	case 1:
		return 8, 0, true
	case 2:
		return uint64(max(n, 0)) + v, 0, n > 0 && v <= maxGRPCMessage
	case 5:
		return 4, 0, true
	}
	return 0, 0, false
}
