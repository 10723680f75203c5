package labtest

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// LeakCheck fails the test if, at its end, goroutines run or files are open that did not and were not when LeakCheck
// was called. Call it first, so that the other clean-ups come before it; it does not suit parallel tests.
func LeakCheck(t testing.TB) {
	t.Helper()
	wakePoller()
	goroutines, files := goroutineStacks(), openFiles()
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		err := poll(5*time.Second, func() error {
			return errors.Join(
				leaked("goroutine", goroutines, goroutineStacks()),
				leaked("file", files, openFiles()))
		})
		if err != nil {
			t.Errorf("leak: %v", err)
		}
	})
}

// leaked names what is now and was not before.
func leaked(kind string, before, now map[string]string) error {
	var errs []error
	for id, what := range now {
		if before[id] != what && (kind == "file" || before[id] == "") {
			errs = append(errs, fmt.Errorf("%s %s: %s", kind, id, what))
		}
	}
	return errors.Join(errs...)
}

// goroutineStacks returns the stacks of the goroutines by id, leaving out the caller's and those of package testing.
func goroutineStacks() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) || len(buf) >= 64<<20 {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := map[string]string{}
	for i, s := range strings.Split(string(buf), "\n\n") {
		head, rest, _ := strings.Cut(s, "\n")
		id, _, _ := strings.Cut(strings.TrimPrefix(head, "goroutine "), " ")
		if i > 0 && !ofTheTestFramework(rest) {
			stacks[id] = rest
		}
	}
	return stacks
}

// ofTheTestFramework tells goroutines that package testing or the runtime started: the main one, alarms, fuzz workers,
// the signal loop.
func ofTheTestFramework(stack string) bool {
	for _, f := range []string{"testing.(*M).", "testing.tRunner", "testing.runFuzz", "os/signal.loop", "os/signal.signal_recv", "runtime.ensureSigM"} {
		if strings.Contains(stack, f) {
			return true
		}
	}
	return false
}

// openFiles returns what each file descriptor of the process leads to.
func openFiles() map[string]string {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	files := map[string]string{}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err == nil { // the directory's own descriptor is closed by now
			files[e.Name()] = target
		}
	}
	return files
}

// wakePoller makes the runtime open the descriptors of its network poller, which stay open for the process's life.
func wakePoller() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}
