package lbd

import (
	"net/url"
	"strconv"
	"time"

	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/vip"
	"github.com/spf13/cobra"
)

// commands are lbd's own verbs.
func commands(socket func() string) []*cobra.Command {
	root := &cobra.Command{Use: "pool", Short: "Show pools; drain, undrain and weigh their members"}
	root.AddCommand(
		listCommand(socket),
		changeCommand(socket, "drain POOL MEMBER", "Give a member no new requests but those of its sessions; those under way end", cobra.ExactArgs(2)),
		changeCommand(socket, "undrain POOL MEMBER", "Let a drained member serve again", cobra.ExactArgs(2)),
		changeCommand(socket, "weight POOL MEMBER [WEIGHT]", "Override a member's weight; without WEIGHT the configured one counts again",
			cobra.RangeArgs(2, 3)),
	)
	return append(vip.Commands(socket), root, dosCommands(socket), certificatesCommand(socket), maintenanceCommand(socket), explainCommand(), topCommand(socket))
}

func listCommand(socket func() string) *cobra.Command {
	var out cli.Output
	c := &cobra.Command{
		Use: "list", Short: "Show the pools and their members", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var p Pools
			if err := admin.Dial(socket()).Do(c.Context(), "GET", "/v1/pools", nil, &p); err != nil {
				return err
			}
			return out.Print(c.OutOrStdout(), p, func() *cli.Table { return poolTable(p.Pools) })
		},
	}
	out.Bind(c)
	return c
}

// poolTable shows pools to people, one member a line.
func poolTable(pools []pool.Status) *cli.Table {
	t := cli.NewTable("POOL", "MEMBER", "STATE", "WEIGHT", "ACTIVE", "QUEUED", "EWMA", "DETAIL")
	for _, p := range pools {
		for _, m := range p.Members {
			t.Row(p.Name, m.ID, stateText(m), m.Weight, m.Active, m.Queued, ewmaText(m), m.Detail)
		}
		if note := poolNote(&p); note != "" {
			t.Row(p.Name, "-", note, "", p.Active, p.Queued, "", "")
		}
		if len(p.Members) == 0 {
			t.Row(p.Name, "-", "empty", "", "", "", "", "")
		}
	}
	return t
}

func stateText(m pool.MemberStatus) string {
	s := string(m.State)
	switch {
	case m.Sessions:
		s += ", drained but for its sessions"
	case m.Drained:
		s += ", drained"
	}
	if m.Backup {
		s += ", backup"
	}
	if m.Ejected {
		s += ", ejected"
	}
	if m.Breaker != "" {
		s += ", breaker " + m.Breaker
	}
	if m.Share > 0 {
		s += ", at " + strconv.Itoa(m.Share) + " % of its weight"
	}
	if m.Suspect {
		s += ", suspect"
	}
	return s
}

// ewmaText is the time that a member takes to begin its answers, "" where none was measured.
func ewmaText(m pool.MemberStatus) string {
	if m.EWMA == 0 {
		return ""
	}
	return strconv.FormatFloat(m.EWMA*1000, 'f', 1, 64) + "ms"
}

// poolNote is what is worth saying of a pool as a whole.
func poolNote(p *pool.Status) string {
	switch {
	case p.Panic:
		return "panic: all are used"
	case p.Backups:
		return "on backups"
	case p.Queued > 0:
		return "requests wait"
	}
	return ""
}

func changeCommand(socket func() string, use, short string, args cobra.PositionalArgs) *cobra.Command {
	var reason string
	var lasts time.Duration
	var force bool
	c := &cobra.Command{Use: use, Short: short, Args: args}
	verb := c.Name()
	if verb != "undrain" {
		c.Flags().StringVar(&reason, "reason", "", "why, for those who look later")
		c.Flags().DurationVar(&lasts, "for", 0, "undo it by itself after so long (30m, 2h); 0: never")
	}
	if verb == "drain" {
		c.Flags().BoolVar(&force, "force", false, "send the sessions that stick to the member elsewhere, too")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		ch := Change{Reason: reason, For: conf.Duration(lasts), Force: force}
		if len(args) == 3 {
			w, err := strconv.Atoi(args[2])
			if err != nil {
				return c.FlagErrorFunc()(c, err)
			}
			ch.Weight = &w
		}
		path := "/v1/pools/" + url.PathEscape(args[0]) + "/members/" + url.PathEscape(args[1]) + "/" + verb
		var p pool.Status
		if err := admin.Dial(socket()).Do(c.Context(), "POST", path, ch, &p); err != nil {
			return err
		}
		return poolTable([]pool.Status{p}).Write(c.OutOrStdout(), true)
	}
	return c
}
