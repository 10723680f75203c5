package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// counts are what a Runner counted.
type counts struct {
	mu   sync.Mutex
	said []string
}

func (c *counts) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

func (c *counts) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.said
	c.said = nil
	return out
}

func (c *counts) options() Options {
	return Options{
		Log:     zerolog.Nop(),
		Ran:     func(vip string) { c.say("%s ran", vip) },
		Failed:  func(vip string) { c.say("%s failed", vip) },
		Dropped: func(vip string) { c.say("%s dropped", vip) },
	}
}

func change(vip, name string, took time.Duration) Change {
	return Change{Vip: vip, State: name, Commands: []Command{{Args: []string{name, took.String()}, Timeout: 10 * time.Second}}}
}

// TestOrder: changes of one VIP wait for each other, those of two do not, and the oldest go first when there are too many.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counts
		begin := time.Now()
		o := c.options()
		o.Ran, o.Failed = func(string) {}, func(string) {}
		o.Exec = func(ctx context.Context, cmd Command) (string, error) {
			took, err := time.ParseDuration(cmd.Args[1])
			if err != nil {
				return "", err
			}
			c.say("%v %s", time.Since(begin), cmd.Args[0])
			select {
			case <-time.After(took):
				return "", nil
			case <-ctx.Done():
				c.say("%v %s killed", time.Since(begin), cmd.Args[0])
				return "", ctx.Err()
			}
		}
		r := New(o)
		f := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if diff := cmp.Diff(want, c.take()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		}
		r.Add(change("a", "a1", time.Second))
		r.Add(change("a", "a2", time.Second))
		r.Add(Change{Vip: "a"})
		f(0, "0s a1")
		r.Add(change("b", "b1", time.Second))
		f(10*time.Second, "0s b1", "1s a2")
		r.Add(change("a", "slow", time.Hour))
		f(time.Second, "10s slow")
		for i := range queueLen + 2 {
			r.Add(change("a", fmt.Sprint("c", i), 0))
		}
		f(0, "a dropped", "a dropped")
		want := []string{"20s slow killed"}
		for i := range queueLen {
			want = append(want, fmt.Sprint("20s c", i+2))
		}
		f(time.Minute, want...)
		if len(r.queues) != 0 {
			t.Errorf("queues of idle VIPs: %v", r.queues)
		}

		// Close lets run what waits, and kills when its time is over.
		r.Add(change("a", "last", time.Second))
		r.Add(change("a", "never ends", time.Hour))
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		r.Close(ctx)
		f(0, "1m11s last", "1m12s never ends", "1m14s never ends killed")
		r.Add(change("a", "too late", 0))
		f(0, "a dropped")
	})
}

func TestRun(t *testing.T) {
	labtest.LeakCheck(t)
	dir := t.TempDir()
	f := func(script string, timeout time.Duration, class fault.Class, wantOut, wantErr string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		out, err := run(ctx, Command{Args: []string{"/bin/sh", "-c", script}, Env: []string{"EVERUP_VIP=web", "DIR=" + dir}})
		if out != wantOut || fault.Of(err) != class || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: %q, %v; want %q, %q", script, out, err, wantOut, wantErr)
		}
	}
	f("echo $EVERUP_VIP in $PWD; echo err >&2", time.Minute, 0, "web in /\nerr", "")
	f("env | grep -v -e PWD -e _= -e SHLVL -e OLDPWD | cut -d= -f1 | sort | tr '\\n' ' '", time.Minute, 0, "DIR EVERUP_VIP LC_ALL PATH", "")
	f("exit 3", time.Minute, fault.Unavailable, "", "ended: exit status 3")
	f("kill -9 $$", time.Minute, fault.Unavailable, "", "ended: signal: killed")
	f("head -c 100000 /dev/zero | tr '\\0' x", time.Minute, 0, strings.Repeat("x", maxOutput), "")
	f("cat", time.Minute, 0, "", "") // its input is empty
	f("echo begun; sleep 1000", 100*time.Millisecond, fault.Timeout, "begun", "killed: context deadline exceeded")
	// What a command leaves in its group dies with it.
	f("(sleep 1000; touch $DIR/lives) & echo $! > $DIR/pid", time.Minute, 0, "", "")
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	labtest.Eventually(t, 5*time.Second, "the process left behind is gone", func() error {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(state), ") Z") {
			return nil
		}
		return errors.New(string(state))
	})
	if _, err := run(t.Context(), Command{Args: []string{dir + "/none"}}); fault.Of(err) != fault.NotFound {
		t.Error(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := run(over, Command{Args: []string{"/bin/true"}}); fault.Of(err) != fault.Canceled {
		t.Error(err)
	}
}

func TestLog(t *testing.T) {
	labtest.LeakCheck(t)
	var c counts
	var log strings.Builder
	o := c.options()
	o.Log = zerolog.New(&log)
	r := New(o)
	r.Add(Change{Vip: "web", State: "active", Commands: []Command{
		{Args: []string{"/bin/echo", "hello"}, Timeout: time.Minute}, {Args: []string{"/bin/false"}, Timeout: time.Minute},
	}})
	r.Close(t.Context())
	if d := cmp.Diff([]string{"web ran", "web failed"}, c.take()); d != "" {
		t.Error(d)
	}
	for _, want := range []string{
		`"vip":"web","state":"active","command":"/bin/echo"`, `"output":"hello","message":"a notify command ran"`,
		`"error":"ended: exit status 1","message":"a notify command failed"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %s:\n%s", want, log.String())
		}
	}
}
