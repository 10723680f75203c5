package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/everup/everup/deploy/bench/l7"
)

func l7Command() *cobra.Command {
	var o l7.Options
	c := &cobra.Command{
		Use: "l7", Short: "lbd beside Debian's HAProxy and nginx: the rows of BARS.md about layer 7", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return l7.Run(c.Context(), c.OutOrStdout(), o) },
	}
	f := c.Flags()
	f.StringVar(&o.Subject, "subject", "bin/lbd", "lbd to measure")
	f.StringSliceVar(&o.Peers, "peers", []string{"haproxy", "nginx"}, "proxies to compare it with, of haproxy and nginx")
	f.IntVar(&o.Runs, "runs", 5, "runs of each proxy that medians are taken of")
	f.BoolVar(&o.Short, "short", false, "shorter, to show that the bench works")
	f.IntVar(&o.ProxyCore, "proxy-core", 0, "core that the proxies run on")
	f.IntVar(&o.LoadCore, "load-core", 1, "core that members and load run on")
	f.StringSliceVar(&o.Parts, "parts", nil, "parts to run, all without it: "+strings.Join(l7.Parts(), ", "))
	f.StringVar(&o.Rows, "rows", "", "only the rows of speed and calls with this in their name, such as HTTP/2 or 64 KiB")
	return c
}
