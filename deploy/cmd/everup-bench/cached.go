package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/everup/everup/deploy/bench/cached"
)

func cachedCommand() *cobra.Command {
	var o cached.Options
	c := &cobra.Command{
		Use: "cached", Short: "cached beside Debian's memcached: the rows of BARS.md", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return cached.Run(c.Context(), c.OutOrStdout(), o) },
	}
	f := c.Flags()
	f.StringVar(&o.Subject, "subject", "bin/cached", "binary to measure, which takes memcached's flags")
	f.StringVar(&o.Peer, "peer", "memcached", "memcached to compare it with")
	f.IntVar(&o.Runs, "runs", 5, "runs of each side that medians are taken of")
	f.BoolVar(&o.Short, "short", false, "smaller and shorter, to show that the bench works")
	f.IntVar(&o.ServerCore, "server-core", 0, "core that the servers run on")
	f.IntVar(&o.LoadCore, "load-core", 1, "core that the load runs on")
	f.StringVar(&o.Shm, "shm", "/dev/shm", "directory on tmpfs for memory files")
	f.StringSliceVar(&o.Parts, "parts", nil, "parts to run, all without it: "+strings.Join(cached.Parts(), ", "))
	f.StringVar(&o.Loads, "loads", "", "only the loads of speed with this in their name, such as multiget or depth 16")
	return c
}
