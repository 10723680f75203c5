package lbd

import (
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/conf"
	"github.com/spf13/cobra"
)

// dosCommands are the verbs about clients that ask too much.
func dosCommands(socket func() string) *cobra.Command {
	root := &cobra.Command{Use: "dos", Short: "Show clients that ask too much; hold them, or let them go"}
	var out cli.Output
	list := &cobra.Command{
		Use: "list", Short: "Show who is suspect or hard", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var st DoSStatus
			if err := admin.Dial(socket()).Do(c.Context(), "GET", "/v1/dos", nil, &st); err != nil {
				return err
			}
			return out.Print(c.OutOrStdout(), st, func() *cli.Table {
				if !st.On {
					return cli.NewTable("There is no section dos: nobody is suspect.")
				}
				return dosTable(st)
			})
		},
	}
	out.Bind(list)
	ban := banCommand(socket, "ban CLIENT", "Hold a client for hard, or suspect, on all lbd of the fleet")
	unban := banCommand(socket, "unban CLIENT", "Let a client go on all lbd of the fleet; its requests count anew")
	root.AddCommand(list, ban, unban)
	return root
}

// dosTable shows offenders to people, one a line.
func dosTable(st DoSStatus) *cli.Table {
	t := cli.NewTable("CLIENT", "LEVEL", "LEFT", "REQUESTS", "BY", "DETECTOR")
	for _, o := range st.Clients {
		t.Row(o.Client.String(), o.Level, o.Left, o.Requests, o.By, o.Detector)
	}
	return t
}

func banCommand(socket func() string, use, short string) *cobra.Command {
	var b Ban
	var lasts time.Duration
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1)}
	verb := c.Name()
	c.Flags().StringVar(&b.Reason, "reason", "", "why, for those who look later")
	meant := "by which detector; needed where there are several and none is called default"
	if verb == "unban" {
		meant = "of which detector; without it of all"
	}
	c.Flags().StringVar(&b.Detector, "detector", "", meant)
	if verb == "ban" {
		c.Flags().StringVar(&b.Level, "level", "hard", "suspect or hard")
		c.Flags().DurationVar(&lasts, "for", 0, "how long (30m, 2h), at most 24h; 0: as long as the detector's ban says")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		b.Client, b.For = args[0], conf.Duration(lasts)
		var st DoSStatus
		if err := admin.Dial(socket()).Do(c.Context(), "POST", "/v1/dos/"+verb, b, &st); err != nil {
			return err
		}
		return dosTable(st).Write(c.OutOrStdout(), true)
	}
	return c
}
