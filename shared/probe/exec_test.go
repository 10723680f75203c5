package probe

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// script writes a shell script and returns the configuration that runs it.
func script(t testing.TB, body string, options ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
	return "{type: exec, exec: {" + strings.Join(append(options, "command: ["+path+", '{addr}', '{port}', '{host}', a b]}}"), ", ")
}

func run(t testing.TB, text string, timeout time.Duration) Result {
	t.Helper()
	return checkTarget(t, Target{Addr: mustAddrPort("192.0.2.1:80"), Host: "web1"}, text, timeout)
}

func TestExec(t *testing.T) {
	labtest.LeakCheck(t)
	r := run(t, script(t, `echo "HTTP OK: all is well | time=0.1s;;;0 size=10B"; echo "second line"; exit 0`), patience)
	wantOK(t, r, "HTTP OK: all is well")
	if r.Perf != "time=0.1s;;;0 size=10B" || r.Detail != "HTTP OK: all is well" || r.Warn {
		t.Errorf("result %+v", r)
	}
	r = run(t, script(t, `echo "DISK WARNING"; exit 1`), patience)
	if wantOK(t, r, "DISK WARNING"); !r.Warn {
		t.Errorf("exit code 1: %+v", r)
	}
	wantBad(t, run(t, script(t, `echo tight; exit 1`, "warning: down"), patience), fault.Unavailable, "exit code 1: tight")
	r = run(t, script(t, `echo "DISK CRITICAL | free=0" >&2; exit 2`), patience)
	wantBad(t, r, fault.Unavailable, "exit code 2: DISK CRITICAL")
	if r.Perf != "free=0" {
		t.Errorf("perf %q", r.Perf)
	}
	wantBad(t, run(t, script(t, `exit 3`), patience), fault.Unavailable, "exit code 3")
	wantBad(t, run(t, script(t, `kill -SEGV $$`), patience), fault.Unavailable, "signal")
	wantBad(t, run(t, "{type: exec, exec: {command: [/nonexistent/check]}}", patience), fault.NotFound)
	wantBad(t, run(t, "{type: exec, exec: {command: [/etc/passwd]}}", patience), fault.Denied)
}

func TestExecEnvironment(t *testing.T) {
	labtest.LeakCheck(t)
	t.Setenv("EVERUP_SECRET", "hunter2")
	body := `[ -z "$EVERUP_SECRET" ] && [ "$EVERUP_ADDR:$EVERUP_PORT:$EVERUP_HOST" = 192.0.2.1:80:web1 ] &&
[ "$1:$2:$3:$4" = "192.0.2.1:80:web1:a b" ] && [ "$PWD" = / ] && ! read line && echo good`
	wantOK(t, run(t, script(t, body), patience), "good")
}

func TestExecOutputIsBounded(t *testing.T) {
	labtest.LeakCheck(t)
	r := run(t, script(t, `printf 'a\033[31mred\342\200\256\n'; head -c 10000000 /dev/zero; exit 0`), patience)
	wantOK(t, r, "a?[31mred?")
	r = run(t, script(t, `head -c 10000000 /dev/zero | tr '\0' x; echo "|y"; exit 0`), patience)
	if wantOK(t, r); len(r.Detail) != maxDetail {
		t.Errorf("detail of %d bytes", len(r.Detail))
	}
}

// TestExecTimeoutKillsChildren leaves a child, and a grandchild that ignores signals, behind.
func TestExecTimeoutKillsChildren(t *testing.T) {
	labtest.LeakCheck(t)
	pids := filepath.Join(t.TempDir(), "pids")
	body := `echo $$ >` + pids + `; (trap "" TERM HUP; sleep 1000 & echo $! >>` + pids + `; wait) & echo $! >>` + pids + `
while [ "$(wc -l <` + pids + `)" -lt 3 ]; do :; done; echo started; sleep 1000`
	r := run(t, script(t, body), 2*time.Second)
	wantBad(t, r, fault.Timeout, "killed")
	if r.Latency > 10*time.Second {
		t.Errorf("took %v", r.Latency)
	}
	wantDead(t, pids)
}

// TestExecKillsWhatIsLeft ends at once and leaves a child that holds the output open.
func TestExecKillsWhatIsLeft(t *testing.T) {
	labtest.LeakCheck(t)
	pids := filepath.Join(t.TempDir(), "pids")
	r := run(t, script(t, `sleep 1000 & echo $! >`+pids+`; echo done`), patience)
	wantOK(t, r, "done")
	if r.Latency > 10*time.Second {
		t.Errorf("took %v: waited for the child", r.Latency)
	}
	wantDead(t, pids)
}

func wantDead(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		// A killed orphan is a zombie until its new parent reaps it.
		labtest.Eventually(t, 10*time.Second, "death of "+word, func() error {
			stat, err := os.ReadFile("/proc/" + word + "/stat")
			if err != nil || strings.Contains(string(stat), ") Z ") || syscall.Kill(pid, 0) == syscall.ESRCH {
				return nil
			}
			return errors.New("alive: " + string(stat))
		})
	}
}

func FuzzPlugin(f *testing.F) {
	f.Add([]byte("OK | a=1\nmore"))
	f.Add([]byte("|"))
	f.Add([]byte("\xff\x00\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		detail, perf := parsePlugin(out)
		for _, s := range []string{printable(detail, maxDetail), printable(perf, maxPerf)} {
			if len(s) > maxPerf || strings.ContainsAny(s, "\n\x00\x1b\x7f") {
				t.Errorf("%q of %q", s, out)
			}
		}
	})
}

func TestPrintable(t *testing.T) {
	f := func(in string, max int, want string) {
		t.Helper()
		if got := printable(in, max); got != want {
			t.Errorf("printable(%q, %d) = %q, want %q", in, max, got, want)
		}
	}
	f("  plain \n", 10, "plain")
	f("a\x1b[0m\tb\u202ec\x9d", 20, "a?[0m?b?c?")
	f("äöü", 4, "äö")
	f("äöü", 5, "äö")
	f("äöü", 6, "äöü")
	f(strings.Repeat("x", 100), 3, "xxx")
	f("日本語", 7, "日本")
}
