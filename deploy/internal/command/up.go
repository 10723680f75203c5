package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/everup/everup/deploy/internal/site"
	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
)

func upCommand() *cobra.Command {
	var o site.Options
	c := &cobra.Command{
		Use: "up", Short: "Run the whole suite on loopback before a demo site, until Ctrl-C", Args: cobra.NoArgs,
		Long: "Run the five daemons and two instances of a demo site on loopback, as this user, and start again what dies.\n" +
			"Configurations, state, sockets and logs are in the directory; the configurations are written anew each time.",
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Bin == "" {
				bin, err := ownDir()
				if err != nil {
					return err
				}
				o.Bin = bin
			}
			signals := make(chan os.Signal, 2)
			signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
			defer signal.Stop(signals)
			return up(c.Context(), o, signals, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", ".everup", "directory of the suite")
	f.StringVar(&o.Bin, "bin", "", "directory of the programs (default: that of everup itself)")
	f.IntVar(&o.Offset, "port-offset", 0, "add this to every port")
	f.StringSliceVar(&o.Upstreams, "upstream", nil, "resolver (address:port) to which dnsd sends questions for other names")
	return c
}

// ownDir returns the directory of this program, links resolved.
func ownDir() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "up: find the directory of the programs; name it by --bin")
	}
	return filepath.Dir(self), nil
}

// up runs the suite until it ends; each signal is one request to stop.
func up(ctx context.Context, o site.Options, signals <-chan os.Signal, stdout, stderr io.Writer) error {
	var mu sync.Mutex // one line at a time
	say := func(w io.Writer, format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, format, args...)
	}
	o.Report = func(child, line string) { say(stderr, "%s: %s\n", child, line) }
	s, err := site.New(o)
	if err != nil {
		return err
	}
	say(stderr, "starting in %s …\n", o.Dir)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ready := s.Ready()
	for {
		select {
		case err := <-done:
			return err
		case <-ready:
			say(stdout, "%s", s.Banner(os.Args[0]))
			ready = nil
		case <-signals:
			say(stderr, "stopping …\n")
			s.Stop()
		}
	}
}
