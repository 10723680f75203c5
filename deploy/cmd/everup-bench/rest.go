package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/everup/everup/deploy/bench/footprint"
	"github.com/everup/everup/shared/buildinfo"
)

func restCommand() *cobra.Command {
	var bin string
	var runs int
	var rest time.Duration
	c := &cobra.Command{
		Use: "rest", Short: "Each daemon at rest, alone and as a member of a fleet", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return rests(c.Context(), c.OutOrStdout(), bin, runs, rest) },
	}
	c.Flags().StringVar(&bin, "bin", "bin", "directory of the binaries")
	c.Flags().IntVar(&runs, "runs", 7, "runs to take the median of")
	c.Flags().DurationVar(&rest, "rest", 6*time.Second, "how long the daemons rest before they are measured")
	return c
}

// rests prints a table of each daemon at rest, alone and as a member of a fleet.
func rests(ctx context.Context, w io.Writer, bin string, runs int, rest time.Duration) error {
	fmt.Fprintf(w, "at rest, median of %d runs, %s, %s\n\n", runs, time.Now().Format(time.DateOnly), buildinfo.Read().Go)
	fmt.Fprintln(w, "| daemon | mode | exec to ready | RSS | CPU | binary |\n|---|---|---|---|---|---|")
	for _, fleet := range []bool{false, true} {
		mode := "alone"
		if fleet {
			mode = "fleet of five"
		}
		var all [][]footprint.Sample
		for range runs {
			s, err := footprint.Run(ctx, footprint.Options{Bin: bin, Fleet: fleet, Rest: rest})
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		for _, s := range footprint.Medians(all) {
			fmt.Fprintf(w, "| %s | %s | %d ms | %.1f MiB | %.2f %% | %.1f MiB |\n", s.Daemon, mode, s.Ready.Milliseconds(),
				float64(s.RSS)/(1<<20), s.CPU.Seconds()*100, float64(s.Binary)/(1<<20))
		}
	}
	return nil
}
