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
		changeCommand(socket, "drain POOL MEMBER", "Give a member no new requests; those under way end", cobra.ExactArgs(2)),
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
	t := cli.NewTable("POOL", "MEMBER", "STATE", "WEIGHT", "ACTIVE", "DETAIL")
	for _, p := range pools {
		for _, m := range p.Members {
			t.Row(p.Name, m.ID, stateText(m), m.Weight, m.Active, m.Detail)
		}
		if len(p.Members) == 0 {
			t.Row(p.Name, "-", "empty", "", "", "")
		}
	}
	return t
}

func stateText(m pool.MemberStatus) string {
	s := string(m.State)
	if m.Drained {
		s += ", drained"
	}
	if m.Suspect {
		s += ", suspect"
	}
	return s
}

func changeCommand(socket func() string, use, short string, args cobra.PositionalArgs) *cobra.Command {
	var reason string
	var lasts time.Duration
	c := &cobra.Command{Use: use, Short: short, Args: args}
	verb := c.Name()
	if verb != "undrain" {
		c.Flags().StringVar(&reason, "reason", "", "why, for those who look later")
		c.Flags().DurationVar(&lasts, "for", 0, "undo it by itself after so long (30m, 2h); 0: never")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		ch := Change{Reason: reason, For: conf.Duration(lasts)}
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
