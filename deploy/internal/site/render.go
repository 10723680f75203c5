package site

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/everup/everup/deploy/examples"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/pki"
	"github.com/everup/everup/shared/state"
)

// secretFile is the name of the fleet's secret in the directory of configurations.
const secretFile = "fleet.secret"

// loopback is an address of this host with a port, as the examples write it.
var loopback = regexp.MustCompile(`127\.0\.0\.1:(\d+)`)

// render moves an example to the directories of l and the ports offset further on.
func render(example string, l Layout, offset int) string {
	moved := strings.NewReplacer(
		"/etc/everup/", l.Config+"/",
		"/var/lib/everup/", l.State+"/",
		"/run/everup/", l.Run+"/",
	).Replace(example)
	return loopback.ReplaceAllStringFunc(moved, func(addr string) string {
		port, err := strconv.Atoi(addr[len("127.0.0.1:"):])
		if err != nil {
			return addr
		}
		return fmt.Sprintf("127.0.0.1:%d", port+offset)
	})
}

const renderedHead = "# Written by `everup up`, which writes it anew at each start. While it runs, edit and `everup reload %s`.\n"

// forwardTo is the section of dnsd.yaml that sends other questions on.
func forwardTo(upstreams []string) string {
	if len(upstreams) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nforward:\n  upstreams:\n")
	for _, u := range upstreams {
		fmt.Fprintf(&b, "    - %q\n", u)
	}
	return b.String()
}

// WriteConfig writes the configurations of the suite into l, and the fleet's secret unless there is one.
func WriteConfig(l Layout, offset int, upstreams []string) error {
	if err := keepSecret(filepath.Join(l.Config, secretFile)); err != nil {
		return err
	}
	all := examples.OneHost()
	entries, err := fs.ReadDir(all, ".")
	if err != nil {
		return fault.Wrap(fault.Internal, err, "site: examples")
	}
	for _, e := range entries {
		b, err := fs.ReadFile(all, e.Name())
		if err != nil {
			return fault.Wrap(fault.Internal, err, "site: example")
		}
		text := render(string(b), l, offset)
		if daemon, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			text = fmt.Sprintf(renderedHead, daemon) + text
			if daemon == "dnsd" {
				text += forwardTo(upstreams)
			}
		}
		if err := state.WriteFile(filepath.Join(l.Config, e.Name()), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// keepSecret makes the fleet's secret once.
func keepSecret(path string) error {
	_, err := os.Stat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Of(err), err, "site: fleet secret")
	}
	return state.WriteFile(path, []byte(pki.GenerateSecret()+"\n"), 0o600)
}
