package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/everup/everup/deploy/bench/vip"
)

func vipCommand() *cobra.Command {
	var o vip.Options
	c := &cobra.Command{
		Use: "vip", Short: "Virtual addresses beside Debian's keepalived: the rows of BARS.md", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return vip.Run(c.Context(), c.OutOrStdout(), o) },
	}
	f := c.Flags()
	f.BoolVar(&o.Short, "short", false, "each trial twice, to show that the bench works")
	f.StringSliceVar(&o.Trials, "trials", nil, "trials to run, all without it: "+strings.Join(vip.Names(), ", "))
	f.StringSliceVar(&o.Sides, "sides", nil, "sides to measure, both without it: "+strings.Join(vip.Sides(), ", "))
	return c
}
