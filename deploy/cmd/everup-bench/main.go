// Command everup-bench prints the figures of BENCHMARKS.md that need whole daemons.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/everup/everup/shared/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, command())
	stop()
	os.Exit(code)
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "everup-bench",
		Short: "Measure everup's daemons, beside their rivals where there are any.",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddCommand(restCommand(), cachedCommand(), loadCommand(), vipCommand(), l7Command())
	return root
}
