package command

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/member"
	"github.com/spf13/cobra"
)

// watchEvery is the pause between two looks of --watch.
const watchEvery = 2 * time.Second

func statusCommand() *cobra.Command {
	var (
		w     where
		out   cli.Output
		watch bool
		check bool
	)
	c := &cobra.Command{
		Use: "status", Short: "Show the whole fleet: what is wrong first, then nodes, daemons and pools", Args: cobra.NoArgs,
		Long: "Show the whole fleet as one daemon of this host tells it: what is wrong now with hints, every daemon, lbd's pools.\n" +
			"Exit codes: 0 ok, 4 no daemon answers, and with --check 6 when anything is wrong.",
		RunE: func(c *cobra.Command, _ []string) error {
			if watch {
				return watchStatus(c.Context(), &w, out, c.OutOrStdout())
			}
			r, err := w.status(c.Context())
			if err != nil {
				return err
			}
			if err := printReport(c.OutOrStdout(), r, out); err != nil {
				return err
			}
			if check && len(r.Findings) > 0 {
				return &cli.Findings{Text: count(len(r.Findings), "finding")}
			}
			return nil
		},
	}
	w.bind(c)
	out.Bind(c)
	c.Flags().BoolVar(&watch, "watch", false, "print again every 2s until Ctrl-C")
	c.Flags().BoolVar(&check, "check", false, "exit 6 when anything is wrong")
	c.MarkFlagsMutuallyExclusive("watch", "check")
	return c
}

func (w *where) status(ctx context.Context) (report, error) {
	var f daemon.FleetStatus
	err := w.ask(ctx, "/v1/fleet", &f)
	return newReport(f), err
}

func printReport(w io.Writer, r report, out cli.Output) error {
	if out.Format == "table" {
		return r.write(w, time.Now(), !out.NoHeaders)
	}
	return out.Print(w, r, func() *cli.Table { return cli.NewTable() })
}

// clear makes a terminal forget what it shows.
const clear = "\x1b[H\x1b[2J"

// watchStatus prints until ctx ends. A fleet that does not answer for a while is a look like any other.
func watchStatus(ctx context.Context, w *where, out cli.Output, to io.Writer) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		var page bytes.Buffer
		if cli.Terminal(to) {
			page.WriteString(clear)
		}
		r, err := w.status(ctx)
		if err != nil {
			page.WriteString(err.Error() + "\n")
		} else if err := printReport(&page, r, out); err != nil {
			return err
		}
		if _, err := page.WriteTo(to); err != nil {
			return fault.Wrap(fault.Canceled, err, "status: print")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func membersCommand() *cobra.Command {
	var (
		w   where
		out cli.Output
	)
	c := &cobra.Command{
		Use: "members", Short: "List the fleet's members as gossip knows them", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var v member.View
			if err := w.ask(c.Context(), "/v1/members", &v); err != nil {
				return err
			}
			return out.Print(c.OutOrStdout(), v.Members, func() *cli.Table { return memberTable(v, time.Now()) })
		},
	}
	w.bind(c)
	out.Bind(c)
	return c
}

func memberTable(v member.View, now time.Time) *cli.Table {
	t := cli.NewTable("MEMBER", "STATE", "SINCE", "HEALTH", "WEIGHT", "ZONE", "GOSSIP", "VERSION")
	for _, m := range v.Members {
		t.Row(m.ID, m.State, ago(now, m.Since), m.Health, m.Weight, m.Zone, m.Addr, m.Version)
	}
	return t
}
