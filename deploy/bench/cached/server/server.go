// Package server runs a memcached, or what takes its flags, as a child process on a core of its own (package process), and asks what its
// `stats` say.
package server

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/everup/everup/deploy/bench/process"
	"github.com/everup/everup/shared/fault"
)

// Spec says what to run.
type Spec struct {
	Path    string   // of the binary, or its name in PATH
	Args    []string // memcached's flags, without those that say where to listen
	Network string   // tcp (a free port of 127.0.0.1) or unix (a socket in Dir)
	Dir     string   // for the socket; it exists
	Core    int      // that the server is pinned to; negative: none
}

// Server is a running one.
type Server struct{ *process.Process }

// Start runs the server and waits until it accepts connections.
func Start(ctx context.Context, spec Spec) (*Server, error) {
	args := slices.Clone(spec.Args)
	address := filepath.Join(spec.Dir, "s")
	switch spec.Network {
	case "unix":
		args = append(args, "-s", address)
	case "tcp":
		port, err := process.FreePort()
		if err != nil {
			return nil, err
		}
		address = net.JoinHostPort("127.0.0.1", port)
		args = append(args, "-l", "127.0.0.1", "-p", port, "-U", "0")
	default:
		return nil, fault.New(fault.Invalid, "server: network %q", spec.Network)
	}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root") // memcached does not run as root unless it is told to
	}
	p, err := process.Start(ctx, process.Spec{Path: spec.Path, Args: args, Network: spec.Network, Address: address, Core: spec.Core})
	if err != nil {
		return nil, err
	}
	return &Server{p}, nil
}

// Version returns what the binary says to -V, in one line.
func Version(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "-V").Output()
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "server: %s -V", path)
	}
	line, _, _ := bytes.Cut(out, []byte{'\n'})
	return string(bytes.TrimSpace(line)), nil
}
