package daemon

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/buildinfo"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/health"
	"github.com/spf13/cobra"
)

func configCommand[C any](spec Spec[C], m *mainFlags, socket func() string) *cobra.Command {
	root := &cobra.Command{Use: "config", Short: "Show and compare configurations"}
	var defaults, schema, origin bool
	show := &cobra.Command{
		Use: "show", Short: "Print the file as it is understood; or the defaults, or the schema", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case defaults:
				return conf.WriteDefaults(c.OutOrStdout(), new(C))
			case schema:
				return conf.WriteSchema(c.OutOrStdout(), new(C))
			}
			o := options(spec.Name)
			o.Offline = true
			l, err := readConfig[C](m.path, o)
			if err != nil {
				return err
			}
			return l.Doc.WriteEffective(c.OutOrStdout(), origin)
		},
	}
	show.Flags().BoolVar(&defaults, "defaults", false, "every key with its default and what it means")
	show.Flags().BoolVar(&schema, "schema", false, "the JSON Schema, for editors")
	show.Flags().BoolVar(&origin, "origin", false, "say of each value where it came from")
	show.MarkFlagsMutuallyExclusive("defaults", "schema", "origin")
	running := &cobra.Command{
		Use: "running", Short: "Print the configuration the running daemon uses", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var answer struct{ YAML string }
			path := "/v1/config"
			if origin {
				path += "?origin=1"
			}
			if err := admin.Dial(socket()).Do(c.Context(), "GET", path, nil, &answer); err != nil {
				return err
			}
			_, err := io.WriteString(c.OutOrStdout(), answer.YAML)
			return err
		},
	}
	running.Flags().BoolVar(&origin, "origin", false, "say of each value where it came from")
	root.AddCommand(show, running)
	return root
}

func statusCommand(name string, socket func() string) *cobra.Command {
	var out cli.Output
	c := &cobra.Command{
		Use: "status", Short: "Tell what the running daemon does", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var s Status
			if err := admin.Dial(socket()).Do(c.Context(), "GET", "/v1/status", nil, &s); err != nil {
				return err
			}
			return out.Print(c.OutOrStdout(), s, func() *cli.Table { return StatusTable(s) })
		},
	}
	out.Bind(c)
	return c
}

// StatusTable shows one daemon to people: first how it is, then each finding with its hint.
func StatusTable(s Status) *cli.Table {
	t := cli.NewTable(strings.ToUpper(s.Service), s.Node)
	t.Row("state", readiness(s))
	t.Row("version", s.Version)
	t.Row("pid", fmt.Sprintf("%d, since %s", s.PID, s.Since.Local().Format(time.DateTime)))
	t.Row("config", fmt.Sprintf("%s (%s)", s.Config.File, s.Config.Hash))
	if s.Config.Error != "" {
		t.Row("", "refused: "+s.Config.Error)
	}
	t.Row("fleet", fmt.Sprintf("%s, %d members, bus %s", s.Fleet, s.Members, s.Bus))
	for _, f := range facts(s.Detail) {
		t.Row(f.name, f.value)
	}
	for _, h := range s.Health {
		if h.Level == health.OK {
			continue
		}
		t.Row(h.Level, h.ID+": "+h.Detail)
		if h.Hint != "" {
			t.Row("", "→ "+h.Hint)
		}
	}
	return t
}

// fact is a line that a service tells of itself for people.
type fact struct{ name, value string }

// facts reads the key summary of a service's own part, a list of {name, value}, which came as JSON.
func facts(detail any) (out []fact) {
	part, _ := detail.(map[string]any)
	lines, _ := part["summary"].([]any)
	for _, l := range lines {
		line, _ := l.(map[string]any)
		name, _ := line["name"].(string)
		value, _ := line["value"].(string)
		out = append(out, fact{cli.Clean(name), cli.Clean(value)})
	}
	return out
}

func readiness(s Status) string {
	if s.Ready {
		return "ready"
	}
	return "not ready: " + strings.Join(s.Reasons, "; ")
}

func reloadCommand(name string, socket func() string) *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Make the running daemon read its configuration again; errors are printed, nothing is dropped", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var r ReloadResult
			if err := admin.Dial(socket()).Do(c.Context(), "POST", "/v1/reload", nil, &r); err != nil {
				return err
			}
			switch {
			case !r.Changed:
				c.Printf("%s: nothing changed (%s)\n", name, r.Hash)
			case len(r.Restart) > 0:
				c.Printf("%s: applied (%s); these sections wait for a restart: %s\n", name, r.Hash, strings.Join(r.Restart, ", "))
			default:
				c.Printf("%s: applied (%s)\n", name, r.Hash)
			}
			return nil
		},
	}
}

func upgradeCommand(name string, socket func() string) *cobra.Command {
	return &cobra.Command{
		Use: "upgrade", Short: "Replace the running daemon by the program on disk; connections live on in the old process until they end", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var r UpgradeResult
			if err := admin.Dial(socket()).Do(c.Context(), "POST", "/v1/upgrade", nil, &r); err != nil {
				return err
			}
			c.Printf("%s: process %d serves\n", name, r.PID)
			return nil
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
