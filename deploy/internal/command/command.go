// Package command is the operator's command line: everup.
package command

import (
	"github.com/everup/everup/shared/buildinfo"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/pki"
	"github.com/spf13/cobra"
)

// New returns the command.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:     "everup",
		Short:   "Run, look at and operate a fleet of everup daemons.",
		Args:    cobra.NoArgs,
		Version: buildinfo.Read().String(),
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddCommand(upCommand(), statusCommand(), eventsCommand(), logsCommand(), membersCommand(), reloadCommand(),
		drainCommand("drain", "Give a member of an lbd pool no new requests"),
		drainCommand("undrain", "Let a drained member of an lbd pool serve again"),
		configCommand(), doctorCommand(), secretCommand(), versionCommand())
	return root
}

func secretCommand() *cobra.Command {
	return &cobra.Command{
		Use: "secret", Short: "Print a new fleet secret", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write([]byte(pki.GenerateSecret() + "\n"))
			return err
		},
	}
}

func versionCommand() *cobra.Command {
	var out cli.Output
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := buildinfo.Read()
			return out.Print(c.OutOrStdout(), v, func() *cli.Table { return cli.NewTable(v.String()) })
		},
	}
	out.Bind(c)
	return c
}
