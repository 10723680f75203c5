package lbd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/services/lbd/internal/top"
	"github.com/everup/everup/services/lbd/internal/traffic"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/daemon"
)

// watch runs a watcher over a table that counts ten requests before each reading, until it ends or has read so often.
func watch(t *testing.T, w watcher, readings int) (string, error) {
	t.Helper()
	var out bytes.Buffer
	var err error
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		tab, reads := traffic.NewTable(), 0
		w.out, w.interval = &out, time.Second
		w.read = func() (*traffic.Snapshot, error) {
			if reads++; reads > readings {
				cancel()
				return nil, errors.New("gone")
			}
			for range 10 {
				tab.Route("shop").Count(0, &traffic.Request{Status: 200, Took: time.Millisecond})
			}
			return tab.Read(time.Now().UTC()), nil
		}
		err = w.run(ctx)
	})
	return out.String(), err
}

func TestWatcher(t *testing.T) {
	if got, err := watch(t, watcher{by: traffic.Routes, once: true}, 9); err != nil || got != `00:00:01  10.0 req/s  0 4xx/s  0 5xx/s  p50 1.02ms  p99 1.02ms  0B/s out  0B/s in  0 in flight  1 of 1 routes active

ROUTE  REQ/S  4XX/S  5XX/S  RETRY/S     P50     P99  OUT/S  IN/S  FLIGHT  TOTAL
shop    10.0      0      0        0  1.02ms  1.02ms     0B    0B       0     20
` {
		t.Errorf("once: %v\n%s", err, got)
	}
	if got, err := watch(t, watcher{by: traffic.Routes}, 9); err != nil || strings.Count(got, "ROUTE") != 1 {
		t.Errorf("without a terminal: %v\n%s", err, got)
	}
	got, err := watch(t, watcher{by: traffic.Routes, json: true}, 4)
	if err != nil || strings.Count(got, "\n") != 3 {
		t.Errorf("JSON: %v\n%s", err, got)
	}
	for line := range strings.Lines(got) {
		var v traffic.View
		if err := json.Unmarshal([]byte(line), &v); err != nil || len(v.Lines) != 1 || v.Lines[0].Rate != 10 || v.Span != time.Second {
			t.Errorf("%v in %s", err, line)
		}
	}
	size := func() top.Size { return top.Size{Columns: 80, Lines: 24} }
	got, err = watch(t, watcher{by: traffic.Routes, size: size}, 3)
	if err != nil || !strings.HasPrefix(got, top.Enter+"\x1b[H") || !strings.HasSuffix(got, top.Leave) || strings.Count(got, "\x1b[H") != 3 {
		t.Errorf("on a terminal: %v\n%q", err, got)
	}
	if _, err := watch(t, watcher{by: traffic.Routes}, 0); err == nil {
		t.Error("no error where the daemon is gone")
	}
}

// The command asks a daemon that runs.
func TestTopCommand(t *testing.T) {
	a := backend(t, "a")
	b := start(t, poolYAML("", a.addr))
	get(t, client(t), b.url("/"))
	f := func(want string, code int, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		got := cli.Execute(t.Context(), daemon.Command(Spec()), append([]string{"top", "--socket", socketOf(b)}, args...), &out, &errs)
		if text := out.String() + errs.String(); got != code || !strings.Contains(text, want) {
			t.Errorf("%v: exit code %d, %s", args, got, text)
		}
	}
	f("web   "+a.addr, 0, "--by", "member", "--interval", "100ms")
	f(`"name":"web","rate":`, 0, "--by", "pool", "--interval", "100ms", "--json", "--once")
	f("it is route, pool or member", 2, "--by", "rout")
	f("it is at least 100ms", 2, "--interval", "1ms")
}
