package lbd

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/everup/everup/services/lbd/internal/top"
	"github.com/everup/everup/services/lbd/internal/traffic"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// shortest is the shortest time between two readings.
const shortest = 100 * time.Millisecond

// topCommand shows live traffic.
func topCommand(socket func() string) *cobra.Command {
	var w watcher
	var by string
	c := &cobra.Command{
		Use: "top", Short: "Show live traffic by route, pool or member; refreshed each second on a terminal", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch w.by = traffic.By(by); {
			case w.by != traffic.Routes && w.by != traffic.Pools && w.by != traffic.Members:
				return fault.New(fault.Invalid, "lbd: top --by %q: it is route, pool or member", by)
			case w.interval < shortest:
				return fault.New(fault.Invalid, "lbd: top --interval %v: it is at least %v", w.interval, shortest)
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			client := admin.Dial(socket())
			defer client.Close()
			w.read = func() (*traffic.Snapshot, error) {
				var s traffic.Snapshot
				return &s, client.Do(ctx, "GET", "/v1/traffic", nil, &s)
			}
			w.out = c.OutOrStdout()
			w.size = screen(w.out)
			return w.run(ctx)
		},
	}
	f := c.Flags()
	f.StringVar(&by, "by", "route", "route, pool or member")
	f.DurationVar(&w.interval, "interval", time.Second, "time between two readings")
	f.BoolVar(&w.once, "once", false, "show one interval and end; also where there is no terminal, unless --json is given")
	f.BoolVar(&w.json, "json", false, "one JSON object an interval, a line each")
	return c
}

// screen returns what tells the size of the terminal; nil: w is none.
func screen(w io.Writer) func() top.Size {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return nil
	}
	if _, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err != nil {
		return nil
	}
	return func() top.Size {
		s, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil {
			return top.Size{}
		}
		return top.Size{Columns: int(s.Col), Lines: int(s.Row)}
	}
}

// watcher shows readings one after the other.
type watcher struct {
	read     func() (*traffic.Snapshot, error)
	out      io.Writer
	size     func() top.Size // of the terminal; nil: there is none
	by       traffic.By
	interval time.Duration
	once     bool
	json     bool
}

// run shows until ctx ends, which is no error.
func (w *watcher) run(ctx context.Context) error {
	before, err := w.read()
	if err != nil {
		return err
	}
	full := w.size != nil && !w.json && !w.once
	if full {
		io.WriteString(w.out, top.Enter)
		defer io.WriteString(w.out, top.Leave)
		if err := w.show(traffic.Rates(nil, before, w.by), full); err != nil {
			return err
		}
	}
	t := time.NewTicker(w.interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		now, err := w.read()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := w.show(traffic.Rates(before, now, w.by), full); err != nil {
			return err
		}
		if w.once || !full && !w.json {
			return nil
		}
		before = now
	}
}

func (w *watcher) show(v *traffic.View, full bool) error {
	var err error
	switch {
	case w.json:
		err = json.NewEncoder(w.out).Encode(v)
	case full:
		_, err = io.WriteString(w.out, top.Frame(v, w.size()))
	default:
		_, err = io.WriteString(w.out, top.Text(v, top.Size{}))
	}
	return fault.Wrap(fault.Unavailable, err, "lbd: top: write")
}
