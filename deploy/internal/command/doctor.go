package command

import (
	"github.com/everup/everup/deploy/internal/doctor"
	"github.com/everup/everup/shared/cli"
	"github.com/spf13/cobra"
)

func doctorCommand() *cobra.Command {
	var (
		out cli.Output
		dir string
	)
	c := &cobra.Command{
		Use: "doctor", Short: "Look at this machine before daemons run on it; each finding with its mend", Args: cobra.NoArgs,
		Long: "Look at ports, kernel, clock, limits, disks and names. A notice matters only to those who use what it names.\n" +
			"Exit codes: 0 nothing but notices, 6 findings.",
		RunE: func(c *cobra.Command, _ []string) error {
			var sub doctor.Subject
			if dir != "" {
				var err error
				if sub, err = doctor.ReadConfigs(dir); err != nil {
					return err
				}
			}
			found := doctor.Run(c.Context(), doctor.Machine{}, sub)
			if err := out.Print(c.OutOrStdout(), found, func() *cli.Table { return findingTable(found) }); err != nil {
				return err
			}
			if n := doctor.Wrong(found); n > 0 {
				return &cli.Findings{Text: count(n, "finding")}
			}
			return nil
		},
	}
	out.Bind(c)
	c.Flags().StringVar(&dir, "config", "", "directory of configurations whose ports and directories are looked at")
	return c
}

func findingTable(found []doctor.Finding) *cli.Table {
	t := cli.NewTable("LEVEL", "ID", "WHAT")
	for _, f := range found {
		t.Row(f.Level, f.ID, f.What)
		t.Row("", "", "  because "+f.Why)
		if f.Mend != "" {
			t.Row("", "", "  mend: "+f.Mend)
		}
	}
	return t
}
