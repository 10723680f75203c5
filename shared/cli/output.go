package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// Output is the flag -o of commands that print data.
type Output struct {
	Format    string // "table", "json", "yaml"
	NoHeaders bool
}

// Bind adds -o/--output and --no-headers to c.
func (o *Output) Bind(c *cobra.Command) {
	c.Flags().StringVarP(&o.Format, "output", "o", "table", "table, json or yaml")
	c.Flags().BoolVar(&o.NoHeaders, "no-headers", false, "leave the table's header out")
}

// Print writes v in the chosen format; table makes the rows for people.
func (o *Output) Print(w io.Writer, v any, table func() *Table) error {
	switch o.Format {
	case "table", "":
		return table().Write(w, !o.NoHeaders)
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case "yaml":
		return printYAML(w, v)
	}
	return fault.New(fault.Invalid, "unknown output format %q: table, json or yaml", o.Format)
}

// printYAML goes through JSON, so that both formats have the same keys.
func printYAML(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var tree any
	if err := yaml.Unmarshal(b, &tree); err != nil {
		return err
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(tree); err != nil {
		return err
	}
	return enc.Close()
}

// Table is text in columns.
type Table struct {
	header []string
	rows   [][]string
}

// NewTable returns a table with the given column titles.
func NewTable(header ...string) *Table { return &Table{header: header} }

// Row appends a row; cells are printed with %v. Control characters are shown, not sent to the terminal.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = Clean(fmt.Sprint(c))
	}
	t.rows = append(t.rows, row)
}

// Write prints the table, two spaces between columns, the last column ragged.
func (t *Table) Write(w io.Writer, header bool) error {
	rows := t.rows
	if header {
		rows = append([][]string{t.header}, rows...)
	}
	width := make([]int, len(t.header))
	for _, r := range rows {
		for i, c := range r[:min(len(r), len(width))] {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r {
			line.WriteString(c)
			if i < len(r)-1 && i < len(width) {
				line.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Clean replaces control and bidirectional-override characters, which could make a terminal lie (CWE-150).
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x20, r == 0x7f, r >= 0x80 && r < 0xa0,
			r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == utf8.RuneError:
			return '·'
		}
		return r
	}, s)
}

// Terminal reports whether w is a terminal that wants colour.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
