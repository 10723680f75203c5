package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Client calls a daemon's unix socket. Safe for concurrent use.
type Client struct {
	socket string
	http   *http.Client
}

// clientTimeout bounds a call whose context has no deadline; it is longer than a handler may take.
const clientTimeout = 60 * time.Second

// Dial returns a client for the socket at the path. It connects with the first call.
func Dial(socket string) *Client {
	var d net.Dialer
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
		MaxIdleConns:       2,
		IdleConnTimeout:    10 * time.Second,
		DisableCompression: true,
	}
	return &Client{socket: socket, http: &http.Client{Transport: t}}
}

// Close closes idle connections. The client may still be used.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do calls and decodes the JSON answer into out (nil: ignored). body is sent as JSON, a []byte or json.RawMessage as it
// is, nil not at all. A daemon that does not answer is fault.Unavailable; an error answer comes back with its class.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error {
	b, err := c.whole(ctx, method, path, body)
	if err != nil || out == nil {
		return err
	}
	return fault.Wrap(fault.Corrupt, json.Unmarshal(b, out), "admin: answer of %s %s", method, path)
}

// Get returns the raw body of path (for /metrics). An answer above 32 MiB is fault.Full.
func (c *Client) Get(ctx context.Context, path string) ([]byte, error) {
	return c.whole(ctx, http.MethodGet, path, nil)
}

// Stream calls a path that follows and returns its lines as they come. It ends with ctx or Close; an end that the
// daemon did not intend is an error of Read.
func (c *Client) Stream(ctx context.Context, path string) (io.ReadCloser, error) {
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (c *Client) whole(ctx context.Context, method, path string, body any) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, clientTimeout)
		defer cancel()
	}
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return c.readAll(ctx, resp.Body, method+" "+path)
}

func (c *Client) readAll(ctx context.Context, r io.Reader, op string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxAnswer+1))
	if err != nil {
		return nil, c.fault(ctx, err, op)
	}
	if len(b) > MaxAnswer {
		return nil, fault.New(fault.Full, "admin: %s: the answer is longer than %d bytes", op, MaxAnswer)
	}
	return b, nil
}

// send returns the response of a call that succeeded; the caller closes its body.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	b, err := encode(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(b))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "admin: call %s %s", method, path)
	}
	if b != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.fault(ctx, err, method+" "+path)
	}
	if resp.StatusCode/100 == 2 && resp.StatusCode != http.StatusMultiStatus { // 207 is an error of class partly done
		return resp, nil
	}
	defer resp.Body.Close()
	answer, err := c.readAll(ctx, resp.Body, method+" "+path)
	if err != nil {
		return nil, err
	}
	return nil, decodeError(resp.Status, resp.StatusCode, answer)
}

func encode(body any) ([]byte, error) {
	switch v := body.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	case json.RawMessage:
		return v, nil
	}
	b, err := json.Marshal(body)
	return b, fault.Wrap(fault.Invalid, err, "admin: encode body")
}

// fault classes a failure to get an answer.
func (c *Client) fault(ctx context.Context, err error, op string) error {
	class := fault.Unavailable
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		class = fault.Timeout
	case ctx.Err() != nil:
		class = fault.Canceled
	case errors.Is(err, fault.Denied) || fault.Of(err) == fault.Denied:
		class = fault.Denied
	}
	return fault.Wrap(class, err, "admin: %s on %s", op, c.socket)
}

// decodeError turns an error answer back into the error.
func decodeError(status string, code int, answer []byte) error {
	var e errorBody
	if json.Unmarshal(answer, &e) == nil && e.Error.Code != 0 {
		return fault.New(fault.Parse(uint8(e.Error.Code)), "%s", e.Error.Message)
	}
	if code == http.StatusServiceUnavailable { // /healthz, /readyz
		return fault.New(fault.Unavailable, "%s", answer[:min(len(answer), 1<<10)])
	}
	return fault.New(fault.Internal, "admin: answer is %s", status)
}
