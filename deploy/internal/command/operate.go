package command

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/everup/everup/deploy/internal/find"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/spf13/cobra"
)

func reloadCommand() *cobra.Command {
	var w where
	c := &cobra.Command{
		Use: "reload DAEMON", Short: "Make a daemon of this host read its configuration again", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var r daemon.ReloadResult
			if err := w.call(c.Context(), args[0], "/v1/reload", nil, &r); err != nil {
				return err
			}
			switch {
			case !r.Changed:
				c.Printf("%s: nothing changed (%s)\n", args[0], r.Hash)
			case len(r.Restart) > 0:
				c.Printf("%s: applied (%s); these wait for a restart: %s\n", args[0], r.Hash, strings.Join(r.Restart, ", "))
			default:
				c.Printf("%s: applied (%s)\n", args[0], r.Hash)
			}
			return nil
		},
	}
	w.bind(c)
	return c
}

// drainCommand is drain or undrain.
func drainCommand(verb, short string) *cobra.Command {
	var (
		w      where
		reason string
		span   time.Duration
	)
	c := &cobra.Command{
		Use: verb + " lbd/POOL/MEMBER", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			part := strings.SplitN(args[0], "/", 3)
			if len(part) != 3 || part[0] != "lbd" || part[1] == "" || part[2] == "" {
				return fault.New(fault.Invalid, "%q is not lbd/POOL/MEMBER, such as lbd/web/127.0.0.1:8081", args[0])
			}
			body := map[string]any{}
			if verb == "drain" {
				body["reason"], body["for"] = reason, conf.Duration(span)
			}
			path := "/v1/pools/" + url.PathEscape(part[1]) + "/members/" + url.PathEscape(part[2]) + "/" + verb
			if err := w.call(c.Context(), "lbd", path, body, nil); err != nil {
				return err
			}
			c.Printf("%s: %s\n", args[0], verb)
			return nil
		},
	}
	w.bind(c)
	if verb == "drain" {
		c.Flags().StringVar(&reason, "reason", "", "why, for those who wonder")
		c.Flags().DurationVar(&span, "for", 0, "undo it after so long (default: never)")
	}
	return c
}

func configCommand() *cobra.Command {
	var bin string
	c := &cobra.Command{Use: "config", Short: "Check configurations"}
	check := &cobra.Command{
		Use: "check DIR", Short: "Have each daemon check its file in a directory; exit 78 when one is refused", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return checkConfigs(c, args[0], bin)
		},
	}
	check.Flags().StringVar(&bin, "bin", "", "directory of the programs (default: that of everup itself, then the PATH)")
	c.AddCommand(check)
	return c
}

// checkConfigs prints what the daemons say of their files.
func checkConfigs(c *cobra.Command, dir, bin string) error {
	checked, refused := 0, 0
	for _, name := range find.Daemons() {
		path := filepath.Join(dir, name+".yaml")
		if _, err := os.Stat(path); err != nil {
			continue
		}
		program, err := programOf(name, bin)
		if err != nil {
			return err
		}
		checked++
		text, err := check(c.Context(), program, path)
		c.PrintErr(text)
		if err != nil {
			refused++
		}
	}
	switch {
	case checked == 0:
		return fault.New(fault.NotFound, "there is no configuration of a daemon in %s", dir)
	case refused > 0:
		return fault.New(fault.Config, "%d of %d configurations are refused", refused, checked)
	}
	return nil
}

// checkTime bounds the check of one file.
const checkTime = 30 * time.Second

// check runs `<daemon> check` and returns what it wrote.
func check(ctx context.Context, program, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "check", "-c", path)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		out.WriteString(err.Error() + "\n")
	}
	return out.String(), err
}

// programOf returns the path of a daemon: in bin, else beside everup, else in the PATH.
func programOf(name, bin string) (string, error) {
	dirs := []string{bin}
	if bin == "" {
		dirs = nil
		if own, err := ownDir(); err == nil {
			dirs = append(dirs, own)
		}
	}
	for _, d := range dirs {
		if path := filepath.Join(d, name); isFile(path) {
			return path, nil
		}
	}
	if bin == "" {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fault.New(fault.NotFound, "the program %s is not there; name its directory by --bin", name)
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
