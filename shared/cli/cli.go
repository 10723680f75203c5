// Package cli holds what every command of everup does alike: exit codes, output formats, tables, usage errors.
//
// Data goes to standard output, everything else to standard error. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found,
// 4 not reachable, 5 partly done, 6 findings, 78 configuration.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
)

// Findings is the error of a command that worked and found something wrong (`check`, `doctor`): exit code 6.
type Findings struct{ Text string }

// Error returns the text.
func (f *Findings) Error() string { return f.Text }

// exitFindings is the exit code of Findings.
const exitFindings = 6

// Execute runs root with the arguments and returns the process's exit code. An error is printed once, to stderr.
func Execute(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{err: err, cmd: c.CommandPath()}
	})
	strictArgs(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if _, typed := errors.AsType[*usageError](err); !typed && cobraUsage(err) {
		err = &usageError{err: err, cmd: root.CommandPath()}
	}
	report(stderr, root.Name(), err)
	return ExitCode(err)
}

// cobraUsage reports whether err is one of cobra's own about the command line, which have no type: an unknown verb, flags that exclude each
// other or are required.
func cobraUsage(err error) bool {
	for _, begin := range []string{"unknown command", "if any flags in the group", "required flag(s)"} {
		if strings.HasPrefix(err.Error(), begin) {
			return true
		}
	}
	return false
}

// ExitCode maps an error to the exit code.
func ExitCode(err error) int {
	if _, ok := errors.AsType[*Findings](err); ok {
		return exitFindings
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return fault.Invalid.ExitCode()
	}
	return fault.ExitCode(err)
}

// report prints err under the command's name; the lines of a configuration's errors stand alone, so that editors can
// jump to them.
func report(w io.Writer, name string, err error) {
	if u, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(w, "%s: %v\nRun '%s --help' for usage.\n", name, u.err, u.cmd)
		return
	}
	text := err.Error()
	if errors.Is(err, fault.Config) && strings.Contains(text, ":") && strings.Contains(text, "\n") {
		fmt.Fprintf(w, "%s\n", text)
		return
	}
	fmt.Fprintf(w, "%s: %s\n", name, text)
}

// usageError is a wrong flag or argument.
type usageError struct {
	err error
	cmd string
}

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return fault.Invalid }

// strictArgs makes the argument checks of c and its children report usage errors.
func strictArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{err: err, cmd: cmd.CommandPath()}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		strictArgs(sub)
	}
}

// Main runs root as the process: arguments, standard streams and exit code.
func Main(ctx context.Context, root *cobra.Command) int {
	return Execute(ctx, root, os.Args[1:], os.Stdout, os.Stderr)
}
