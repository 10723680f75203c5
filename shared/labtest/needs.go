package labtest

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// Things a test may need beside programs. Any other word that Needs is given is the name of a program.
const (
	Root  = "root"                          // the effective user is root
	NetNS = "network namespaces"            // they can be made here
	Netem = "kernel packet scheduler netem" // tc netem delays packets
)

// Needs skips the test unless all that is named is here. The sentence is "SKIP-NEEDS: <what>", where what is "root",
// "network namespaces", "kernel packet scheduler netem" or "program <name>"; `make test` counts these lines. With
// EVERUP_NO_SKIP=1 in the environment the test fails instead.
func Needs(t testing.TB, what ...string) {
	t.Helper()
	for _, w := range what {
		missing := lacks(w)
		if missing == "" {
			continue
		}
		if os.Getenv("EVERUP_NO_SKIP") == "1" {
			t.Fatalf("SKIP-NEEDS: %s (and EVERUP_NO_SKIP=1)", missing)
		}
		t.Skip("SKIP-NEEDS: " + missing)
	}
}

// lacks returns how the missing thing is called, "" when it is here.
func lacks(what string) string {
	have := false
	switch what {
	case Root:
		have = os.Geteuid() == 0
	case NetNS:
		have = inFreshNamespace(func() error { return nil }) == nil
	case Netem:
		have = inFreshNamespace(tryNetem) == nil
	default:
		_, err := exec.LookPath(what)
		have, what = err == nil, "program "+what
	}
	if have {
		return ""
	}
	return what
}

func tryNetem() error {
	return errors.Join(
		runTool("", "ip", "link", "set", "lo", "up"),
		runTool("", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"))
}

// inFreshNamespace runs f in a nameless network namespace that goes when f returns.
func inFreshNamespace(f func() error) error {
	unshare := func() error { return unix.Unshare(unix.CLONE_NEWNET) }
	return inOwnGoroutine(func() error { return onThread(unshare, f) })
}
