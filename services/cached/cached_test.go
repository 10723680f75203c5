package cached

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/stats"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
)

func TestConfigStruct(t *testing.T) {
	if err := conf.CheckStruct(&Config{}); err != nil {
		t.Error(err)
	}
}

func TestConversation(t *testing.T) {
	in := start(t, "")
	c, other := in.dial(t), in.dial(t)
	c.ask("set a 7 0 3\r\nabc\r\n", "STORED")
	other.ask("get a\r\n", "VALUE a 7 3", "abc", "END")
	other.ask("append a 0 0 2 noreply\r\nde\r\nget a\r\n", "VALUE a 7 5", "abcde", "END")
	c.ask(strings.Repeat("incr n 1\r\n", 2000)+"version\r\n", append(repeat("NOT_FOUND", 2000), "VERSION "+stats.Version)...)
	c.ask("set "+strings.Repeat("x", 250)+" 0 0 1\r\nx\r\nset "+strings.Repeat("x", 5000), "STORED")
	c.ended("a line without an end in sight")
	other.ask("quit\r\n")
	other.ended("quit")
}

func TestStats(t *testing.T) {
	in := start(t, "memory: 8MiB\n")
	c := in.dial(t)
	c.ask("set a 0 0 1\r\nx\r\nget a\r\nget b\r\n", "STORED", "VALUE a 0 1", "x", "END", "END")
	got := c.stats()
	for k, want := range map[string]string{
		"curr_items": "1", "cmd_set": "1", "cmd_get": "2", "get_hits": "1", "get_misses": "1", "curr_connections": "1",
		"total_connections": "1", "limit_maxbytes": "8388608", "pid": fmt.Sprint(os.Getpid()), "evictions": "0",
	} {
		if got[k] != want {
			t.Errorf("stats: %s is %q, want %q", k, got[k], want)
		}
	}
	for i := range 32 {
		c.ask(fmt.Sprintf("set big%d 0 0 500000\r\n%s\r\n", i, strings.Repeat("x", 500_000)), "STORED")
	}
	if got := c.stats(); got["evictions"] == "0" || len(got["bytes"]) > 7 {
		t.Errorf("16 MB in 8 MiB: %v", got)
	}
}

func TestLimitOfConnections(t *testing.T) {
	in := start(t, "connections: 2\n")
	a, b := in.dial(t), in.dial(t)
	a.ask("version\r\n", "VERSION "+stats.Version)
	b.ask("version\r\n", "VERSION "+stats.Version)
	c := in.dial(t)
	c.ask("", "ERROR Too many open connections")
	c.ended("the third of two")
	in.configure(t, "connections: 3\n")
	if _, err := in.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	in.dial(t).ask("version\r\n", "VERSION "+stats.Version)
	if got := a.stats()["rejected_connections"]; got != "1" {
		t.Errorf("%s connections rejected", got)
	}
}

func TestReload(t *testing.T) {
	in := start(t, "")
	c := in.dial(t)
	for i := range 20 {
		c.ask(fmt.Sprintf("set k%d 0 0 600000\r\n%s\r\n", i, strings.Repeat("x", 600_000)), "STORED")
	}
	in.configure(t, "memory: 8MiB\n")
	if _, err := in.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.stats(); got["limit_maxbytes"] != "8388608" || got["curr_items"] == "20" || got["curr_items"] == "0" {
		t.Errorf("12 MB after the limit fell to 8 MiB: %s items, limit %s", got["curr_items"], got["limit_maxbytes"])
	}
	in.configure(t, "memory: 8MiB\nmax_item: 500KiB\n")
	if _, err := in.Reload(t.Context()); fault.Of(err) != fault.Config {
		t.Errorf("another max_item: %v", err)
	}
	if got := c.stats()["limit_maxbytes"]; got != "8388608" {
		t.Errorf("limit %s after a refused reload", got)
	}
	in.configure(t, "memory: 8MiB\nmax_item: 8MiB\n")
	if _, err := in.Reload(t.Context()); fault.Of(err) != fault.Config {
		t.Errorf("an item as large as the memory: %v", err)
	}
}

// A drain ends clients that hold their connections for ever, whether they are silent or ask without pause.
func TestDrainEndsClients(t *testing.T) {
	for _, idle := range []string{"", "idle: 1h\n"} {
		t.Run(idle, func(t *testing.T) {
			in := start(t, idle)
			silent, busy := in.dial(t), in.dial(t)
			silent.ask("version\r\n", "VERSION "+stats.Version)
			asked := keepAsking(busy)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := in.Service().Drain(ctx); err != nil {
				t.Error(err)
			}
			if c, err := net.Dial("tcp", in.addr); err == nil {
				c.Close()
				t.Error("a draining cache accepts")
			}
			silent.ended("a silent client")
			if err := <-asked; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFailingAcceptIsShownAndPasses(t *testing.T) {
	reg := health.NewRegistry()
	s := &Service{accepting: reg.Item("cached.accept", health.Options{})}
	s.acceptState(syscall.EMFILE)
	if reg.Worst() != health.Fail {
		t.Error("accepting fails and the health item does not")
	}
	s.acceptState(syscall.EMFILE) // that of TLS cannot, either
	s.acceptState(nil)
	if reg.Worst() != health.Fail {
		t.Error("accepting fails for one carrier and the health item does not")
	}
	s.acceptState(nil)
	if reg.Worst() != health.OK {
		t.Error("accepting works and the health item fails")
	}
}
