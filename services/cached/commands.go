package cached

import (
	"cmp"
	"fmt"

	"github.com/everup/everup/services/cached/internal/insight"
	"github.com/everup/everup/services/cached/internal/spread"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
)

// commands are cached's own verbs.
func commands(socket func() string) []*cobra.Command {
	return []*cobra.Command{hotCommand(socket), curveCommand(socket), invalidateCommand(socket), flushCommand(socket)}
}

const help = `

Started by memcached's options it runs in memcached's place:
  cached -p 11211 -l 127.0.0.1 -m 1024 -c 10000
cached -h prints those options. Where no verb goes before, -h, -v and -V are memcached's, and so is -c with a number; -c FILE, --help and
--version are everup's.`

// amend tells of memcached's options, and leaves the letters to them that are theirs when no verb goes before.
func amend(root *cobra.Command) {
	root.Long = root.Short + help
	root.Flags().Bool("help", false, "print this text")
	root.Flags().Bool("version", false, "print the version")
}

func hotCommand(socket func() string) *cobra.Command {
	var out cli.Output
	c := &cobra.Command{
		Use: "hot", Short: "Show the keys asked for most", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var hot []insight.Hot
			if err := admin.Dial(socket()).Do(c.Context(), "GET", "/v1/cache/hot", nil, &hot); err != nil {
				return err
			}
			return out.Print(c.OutOrStdout(), hot, func() *cli.Table {
				t := cli.NewTable("KEY", "SHARE", "ACCESSES")
				for _, h := range hot {
					t.Row(h.Key, fmt.Sprintf("%.2f %%", 100*h.Share), h.Accesses)
				}
				return t
			})
		},
	}
	out.Bind(c)
	return c
}

func curveCommand(socket func() string) *cobra.Command {
	var out cli.Output
	c := &cobra.Command{
		Use: "curve", Short: "Estimate the hit ratio that more or less memory would bring", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var curve []Estimate
			if err := admin.Dial(socket()).Do(c.Context(), "GET", "/v1/cache/curve", nil, &curve); err != nil {
				return err
			}
			return out.Print(c.OutOrStdout(), curve, func() *cli.Table {
				t := cli.NewTable("MEMORY", "OF NOW", "HIT RATIO")
				for _, e := range curve {
					t.Row(mib(e.Bytes), formatFactor(e.Factor), fmt.Sprintf("%.2f %%", 100*e.Ratio))
				}
				return t
			})
		},
	}
	out.Bind(c)
	return c
}

func invalidateCommand(socket func() string) *cobra.Command {
	var out cli.Output
	var prefix string
	c := &cobra.Command{
		Use: "invalidate [KEY …]", Short: "Delete keys, or all keys with a prefix, on every cache of the fleet",
		RunE: func(c *cobra.Command, args []string) error {
			r := spread.Request{Keys: args}
			if c.Flags().Changed("prefix") {
				r.Prefix = &prefix
			}
			var done Spread
			if err := admin.Dial(socket()).Do(c.Context(), "POST", "/v1/cache/invalidate", r, &done); err != nil {
				return err
			}
			if err := out.Print(c.OutOrStdout(), done, func() *cli.Table { return spreadTable(done) }); err != nil {
				return err
			}
			if n := len(done.Caches) - done.Applied + len(done.Missing); n > 0 {
				return fault.New(fault.Partial, "cached: %d caches did not apply it", n)
			}
			return nil
		},
	}
	c.Flags().StringVar(&prefix, "prefix", "", "delete all keys that begin so; \"\" is every key")
	out.Bind(c)
	return c
}

func spreadTable(done Spread) *cli.Table {
	t := cli.NewTable("NODE", "DELETED", "")
	for _, a := range done.Caches {
		t.Row(a.Node, a.Deleted, a.Error)
	}
	for _, node := range done.Missing {
		t.Row(node, "?", cmp.Or(done.Error, "did not answer"))
	}
	return t
}

func flushCommand(socket func() string) *cobra.Command {
	return &cobra.Command{
		Use: "flush", Short: "Forget every item of this cache", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return admin.Dial(socket()).Do(c.Context(), "POST", "/v1/cache/flush", nil, nil)
		},
	}
}
