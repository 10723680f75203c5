package probe

import (
	"context"
	"io"
	"strings"

	"github.com/everup/everup/shared/fault"
)

// newMemcached returns the check by "version", the one command every server of the text protocol answers
// without touching an item.
func newMemcached(d dialer) (checkFunc, error) {
	return func(ctx context.Context, t Target) (outcome, error) {
		c, err := d.dial(ctx, "tcp", t)
		if err != nil {
			return outcome{}, err
		}
		defer c.Close()
		if _, err := io.WriteString(c, "version\r\n"); err != nil {
			return outcome{}, fault.Wrap(classOf(ctx, err), err, "memcached: send")
		}
		line, err := newLines(c).next()
		if err != nil {
			return outcome{}, fault.Wrap(classOf(ctx, err), err, "memcached: version")
		}
		version, ok := strings.CutPrefix(line, "VERSION ")
		if !ok {
			return outcome{}, fault.New(fault.Unavailable, "memcached: version answered %q", line[:min(len(line), 80)])
		}
		return outcome{detail: "version " + version}, nil
	}, nil
}
