package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func testRoot(ret error) *cobra.Command {
	root := &cobra.Command{Use: "tool", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return nil }}
	do := &cobra.Command{Use: "do", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return ret }}
	do.Flags().Bool("hot", false, "")
	do.Flags().Bool("cold", false, "")
	do.MarkFlagsMutuallyExclusive("hot", "cold")
	root.AddCommand(do)
	return root
}

func TestExitCodes(t *testing.T) {
	f := func(ret error, args string, code int, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		got := Execute(t.Context(), testRoot(ret), strings.Fields(args), &out, &errs)
		if got != code || !strings.Contains(errs.String(), stderr) {
			t.Errorf("tool %s returning %v: exit %d, stderr %q; want %d, %q", args, ret, got, errs.String(), code, stderr)
		}
	}
	f(nil, "do", 0, "")
	f(nil, "", 0, "")
	f(fmt.Errorf("disk on fire"), "do", 1, "tool: disk on fire")
	f(nil, "do --wrong", 2, "unknown flag: --wrong\nRun 'tool do --help'")
	f(nil, "do --hot --cold", 2, "[hot cold]")
	f(nil, "do extra", 2, "Run 'tool do --help'")
	f(nil, "dont", 2, "unknown command")
	f(fault.New(fault.NotFound, "no pool web"), "do", 3, "no pool web")
	f(fault.New(fault.Unavailable, "lbd does not answer"), "do", 4, "")
	f(fault.New(fault.Partial, "2 of 3"), "do", 5, "")
	f(&Findings{"3 findings"}, "do", 6, "3 findings")
	f(fault.New(fault.Config, "a.yaml:1:2: x\na.yaml:3:4: y"), "do", 78, "a.yaml:1:2: x\na.yaml:3:4: y\n")
}

func TestOutput(t *testing.T) {
	v := map[string]any{"name": "web", "up": 2}
	table := func() *Table {
		tb := NewTable("NAME", "UP")
		tb.Row("web", 2)
		tb.Row("a\x1b[31mlong", "")
		return tb
	}
	f := func(o Output, want string) {
		t.Helper()
		var b bytes.Buffer
		if err := o.Print(&b, v, table); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, b.String()); d != "" {
			t.Errorf("%+v: -want +got\n%s", o, d)
		}
	}
	f(Output{Format: "table"}, "NAME        UP\nweb         2\na·[31mlong\n")
	f(Output{Format: "table", NoHeaders: true}, "web         2\na·[31mlong\n")
	f(Output{Format: "json"}, "{\n  \"name\": \"web\",\n  \"up\": 2\n}\n")
	f(Output{Format: "yaml"}, "name: web\nup: 2\n")
	if err := (&Output{Format: "xml"}).Print(&bytes.Buffer{}, v, table); fault.Of(err) != fault.Invalid {
		t.Errorf("unknown format: %v", err)
	}
}
