package probe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// TCPConfig is a check by connection, and if asked by a short dialogue.
//
// Without send and expect the check only connects; the kernel accepts for a server that hangs, so it sees
// no more than that something listens.
type TCPConfig struct {
	Send   string `yaml:"send" doc:"Bytes to send after connecting."`
	Expect string `yaml:"expect" doc:"Regular expression (RE2) that the first 64 KiB of the answer must match."`
	Reset  bool   `yaml:"reset" default:"false" doc:"Close with RST in place of FIN (SO_LINGER 0): leaves no TIME_WAIT here, but some servers log it as an error."`
}

// Validate reports a pattern that does not compile.
func (c *TCPConfig) Validate(r *conf.Report) { checkPattern(r, "expect", c.Expect) }

func newTCP(cfg *Config, d dialer) (checkFunc, error) {
	o := sectionOr(cfg.TCP)
	d.reset = o.Reset
	var expect *regexp.Regexp
	if o.Expect != "" {
		var err error
		if expect, err = regexp.Compile(o.Expect); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, t Target) (outcome, error) {
		c, err := d.dial(ctx, "tcp", t)
		if err != nil {
			return outcome{}, err
		}
		defer c.Close()
		if o.Send != "" {
			if _, err := io.WriteString(c, o.Send); err != nil {
				return outcome{}, fault.Wrap(classOf(ctx, err), err, "send")
			}
		}
		if expect == nil {
			return outcome{detail: "connected"}, nil
		}
		return awaitMatch(ctx, c, expect)
	}, nil
}

// awaitMatch reads until the answer matches, ends, or is longer than maxReply.
func awaitMatch(ctx context.Context, r io.Reader, expect *regexp.Regexp) (outcome, error) {
	got := make([]byte, 0, 1024)
	for len(got) < maxReply {
		if len(got) == cap(got) {
			got = append(got, 0)[:len(got)] // doubles
		}
		n, err := r.Read(got[len(got):min(cap(got), maxReply)])
		got = got[:len(got)+n]
		if expect.Match(got) {
			return outcome{detail: "answered " + firstLine(got)}, nil
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return outcome{}, fault.Wrap(classOf(ctx, err), err, "no match in %d bytes", len(got))
		}
	}
	return outcome{}, fault.New(fault.Unavailable, "answer does not match %q: %q", expect, firstLine(got))
}

// firstLine returns the first line of b, at most 80 bytes.
func firstLine(b []byte) string {
	b, _, _ = bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	return string(b[:min(len(b), 80)])
}
