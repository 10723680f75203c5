package bus

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/netio"
	"github.com/nats-io/nats.go"
)

// errForeign says that what has the port is not this fleet's bus.
var errForeign = errors.New("not this fleet's bus")

const (
	greetingMax  = 4096
	greetingWait = time.Second
)

// greeting is what a NATS server says first: INFO and an object, of which this is what we look at.
type greeting struct {
	Name    string `json:"server_name"`
	Version string `json:"version"`
	Cluster string `json:"cluster"`
	TLS     bool   `json:"tls_required"`
	TLSMay  bool   `json:"tls_available"`
}

// diagnose finds out why the port did not take us. What passes by itself (nobody listening, a server that just starts or
// stops) comes back as it is; a holder of the port that is not our bus as errForeign, with what it is.
func (b *Bus) diagnose(ctx context.Context, addr string, cause error) error {
	if passing(cause) || ctx.Err() != nil {
		return fault.Wrap(fault.Unavailable, cause, "bus: connect to %s", addr)
	}
	line, err := greet(ctx, addr)
	what := ""
	switch {
	case err != nil && passing(err):
		return fault.Wrap(fault.Unavailable, cause, "bus: connect to %s", addr)
	case err != nil:
		what = "something that does not speak NATS (" + err.Error() + ")"
	default:
		what = b.stranger(line, cause)
	}
	if what == "" {
		return fault.Wrap(fault.Unavailable, cause, "bus: connect to %s", addr)
	}
	return fault.Wrap(fault.Unavailable, errForeign, "bus: %s is held by %s%s", addr, what, process(addr))
}

// process names the process that listens on addr, where /proc shows it.
func process(addr string) string {
	pid, command, ok := netio.Holder("tcp", addr)
	if !ok {
		return ""
	}
	return fmt.Sprintf(", process %d (%.80s)", pid, command)
}

// passing tells the errors of a port whose server starts or ends right now.
func passing(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}

// greet returns the first line that addr says.
func greet(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, greetingWait)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	return bufio.NewReader(io.LimitReader(c, greetingMax)).ReadString('\n')
}

// stranger tells what said line, and "" for our own bus, whose refusal was of the moment.
func (b *Bus) stranger(line string, cause error) string {
	info, ok := strings.CutPrefix(line, "INFO ")
	var g greeting
	if !ok || json.Unmarshal([]byte(info), &g) != nil {
		return "something that does not speak NATS"
	}
	name := fmt.Sprintf("NATS server %q (version %.20s)", headerValue(g.Name, 80), g.Version)
	switch {
	case g.Cluster == "":
		return name + ", which is not part of any fleet"
	case g.Cluster != b.env.Fleet:
		return fmt.Sprintf("%s of fleet %q; this daemon is of %q", name, headerValue(g.Cluster, 80), b.env.Fleet)
	case b.env.Keys != nil && !g.TLS && !g.TLSMay:
		return name + " of this fleet, but without a secret"
	case b.env.Keys == nil && g.TLS:
		return name + " of this fleet, which needs the fleet's secret"
	case errors.Is(cause, nats.ErrTLS), errors.Is(cause, nats.ErrAuthorization), errors.Is(cause, fault.Denied):
		return name + " of this fleet, but with another secret"
	}
	return ""
}
