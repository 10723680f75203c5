package stats

import (
	"strings"
	"testing"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

func env(t *testing.T) *session.Env {
	t.Helper()
	s, err := engine.New(engine.Options{Memory: 64 << 20, MaxItem: 1 << 20, Shards: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	e := &session.Env{Store: s, Clock: new(session.Clock), Started: 100}
	e.Clock.Set(142)
	return e
}

func lines(e *session.Env, from func(*session.Env, Emit)) string {
	var b strings.Builder
	from(e, func(name, value string) { b.WriteString(name + "=" + value + "\n") })
	return b.String()
}

func contains(t *testing.T, all string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains("\n"+all, "\n"+w+"\n") {
			t.Errorf("no %q in:\n%s", w, all)
		}
	}
}

func TestGeneral(t *testing.T) {
	e := env(t)
	r := e.Store.Lock([]byte("k"), 142)
	_ = r.Put(engine.Value{}, []byte("v"))
	r.Count(engine.CmdSet)
	r.Unlock()
	e.General = func() []session.Pair {
		return []session.Pair{{Name: "threads", Value: "7"}, {Name: "own", Value: "x"}, {Name: "cmd_flush", Value: "3"}}
	}
	all := lines(e, General)
	contains(t, all, "uptime=42", "time=142", "version=1.6.18", "threads=7", "cmd_flush=3", "cmd_set=1", "curr_items=1", "bytes=61", "limit_maxbytes=67108864")
	if !strings.HasSuffix(all, "\nown=x\n") || strings.Count(all, "threads=") != 1 {
		t.Errorf("further lines do not follow behind, or are there twice:\n%s", all)
	}
}

func TestSettings(t *testing.T) {
	e := env(t)
	contains(t, lines(e, Settings), "maxbytes=67108864", "item_size_max=1048576", "detail_enabled=no", "lru_crawler=yes", "stat_key_prefix=:", "cas_enabled=yes")
	e.Settings = func() []session.Pair {
		return []session.Pair{{Name: "maxconns", Value: "99"}, {Name: "detail_enabled", Value: "stale"}}
	}
	e.Prefixes.Enable(true)
	e.CrawlerOff.Store(true)
	contains(t, lines(e, Settings), "maxconns=99", "detail_enabled=yes", "lru_crawler=no")
	if Setting(e, "maxconns") != "99" || Setting(e, "none") != "" {
		t.Error("Setting does not find what Env.Settings has")
	}
}

func TestClasses(t *testing.T) {
	e := env(t)
	contains(t, lines(e, Slabs), "active_slabs=0", "total_malloced=0")
	c := engine.ClassStats{ChunkSize: 96, Items: 10923, Bytes: 700000, OldestAge: 5, CmdSet: 4}
	var b strings.Builder
	for _, p := range itemLines(&c) {
		b.WriteString(p.Name + "=" + p.Value + "\n")
	}
	contains(t, b.String(), "number=10923", "number_cold=10923", "age=5", "mem_requested=700000", "hits_to_temp=0")
}

func TestReset(t *testing.T) {
	e := env(t)
	called := false
	e.Reset = func() { called = true }
	r := e.Store.Lock([]byte("k"), 142)
	r.Count(engine.CmdGet)
	r.Unlock()
	e.Prefixes.Set([]byte("a:b"))
	Reset(e)
	if e.Store.Stats().Counts[engine.CmdGet] != 0 || !called || string(e.Prefixes.AppendDump(nil)) != "END\r\n" {
		t.Error("something was not set to zero")
	}
}
