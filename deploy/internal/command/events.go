package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/everup/everup/deploy/internal/find"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
)

const (
	// maxLine bounds a line of a stream.
	maxLine = 2 << 20
	// followTries is how often in a row a stream may fail to begin before following ends.
	followTries = 20
	followPause = 250 * time.Millisecond
)

// lineFormat is the flag -o of commands that print lines as they come.
type lineFormat struct{ format string }

func (l *lineFormat) bind(c *cobra.Command) {
	c.Flags().StringVarP(&l.format, "output", "o", "table", "table, or json (an object per line)")
}

func (l *lineFormat) check() error {
	if l.format != "table" && l.format != "json" {
		return fault.New(fault.Invalid, "unknown output format %q: table or json", l.format)
	}
	return nil
}

func eventsCommand() *cobra.Command {
	var (
		w             where
		form          lineFormat
		follow        bool
		service, kind string
	)
	c := &cobra.Command{
		Use: "events", Short: "Print the last events of this host's daemons, or with -f the fleet's as they come", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := form.check(); err != nil {
				return err
			}
			print := func(line []byte) error { return printEvent(c.OutOrStdout(), line, form.format) }
			if follow {
				q := url.Values{"follow": {"1"}, "service": {service}, "kind": {kind}}
				return w.follow(c.Context(), "", "/v1/events?"+q.Encode(), print)
			}
			return w.lastEvents(c.Context(), service, kind, print)
		},
	}
	w.bind(c)
	form.bind(c)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "follow the fleet's events until Ctrl-C")
	c.Flags().StringVar(&service, "service", "", "only events of this service")
	c.Flags().StringVar(&kind, "kind", "", "only events of this kind, such as pool-member-down")
	return c
}

// lastEvents prints what the daemons of this host remember, in order of time.
func (w *where) lastEvents(ctx context.Context, service, kind string, print func([]byte) error) error {
	found, err := w.all(ctx)
	if err != nil {
		return err
	}
	var all []bus.Event
	for _, d := range found {
		var events []bus.Event
		c := d.Client()
		err := c.Do(ctx, http.MethodGet, "/v1/events?n=1024", nil, &events)
		c.Close()
		if err != nil && !errors.Is(err, fault.Unavailable) {
			return err
		}
		all = append(all, events...)
	}
	slices.SortStableFunc(all, func(a, b bus.Event) int { return a.Time.Compare(b.Time) })
	for _, e := range all {
		if service != "" && e.Service != service || kind != "" && e.Kind != kind {
			continue
		}
		line, err := json.Marshal(e)
		if err != nil {
			return fault.Wrap(fault.Internal, err, "events: print")
		}
		if err := print(line); err != nil {
			return err
		}
	}
	return nil
}

// follow prints the lines of a stream of the named daemon, of any when name is empty, until ctx ends. When the daemon goes
// away it is asked again, or another.
func (w *where) follow(ctx context.Context, name, path string, print func([]byte) error) error {
	for tries := 0; ; {
		began, err := w.stream(ctx, name, path, print)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, fault.Unavailable):
			return err
		case began:
			tries = 0
		}
		if tries++; tries > followTries {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
	}
}

// stream prints one stream to its end; began tells whether there was one.
func (w *where) stream(ctx context.Context, name, path string, print func([]byte) error) (began bool, err error) {
	found, err := w.all(ctx)
	if err == nil && name != "" {
		var d find.Daemon
		d, err = find.One(found, name)
		found = []find.Daemon{d}
	}
	if err != nil {
		return false, err
	}
	for _, d := range found {
		c := d.Client()
		defer c.Close()
		body, e := c.Stream(ctx, path)
		if e != nil {
			err = e
			continue
		}
		defer body.Close()
		return true, printLines(body, print)
	}
	return false, err
}

func printLines(r io.Reader, print func([]byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	for sc.Scan() {
		if err := print(sc.Bytes()); err != nil {
			return err
		}
	}
	return fault.Wrap(fault.Unavailable, sc.Err(), "the stream broke off")
}

func printEvent(w io.Writer, line []byte, format string) error {
	if format == "json" {
		_, err := fmt.Fprintf(w, "%s\n", line)
		return fault.Wrap(fault.Canceled, err, "events: print")
	}
	var e bus.Event
	if err := json.Unmarshal(line, &e); err != nil {
		return fault.Wrap(fault.Corrupt, err, "events: read")
	}
	_, err := fmt.Fprintf(w, "%s  %s  %s\n", e.Time.Local().Format("15:04:05.000"), cli.Clean(e.Node+"/"+e.Service),
		cli.Clean(e.Kind+" "+e.Object+" "+string(e.Data)))
	return fault.Wrap(fault.Canceled, err, "events: print")
}
