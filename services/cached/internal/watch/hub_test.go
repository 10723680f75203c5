package watch

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

func install(o Options) (*session.Hub, *Hub) {
	s := new(session.Hub)
	o.Now = func() time.Time { return time.Unix(1_800_000_000, 42_000) }
	return s, Install(s, o)
}

// listen runs a watcher of topics; stop ends it and waits.
func listen(t *testing.T, s *session.Hub, topics session.Topic) (lines *bufio.Scanner, stop func()) {
	t.Helper()
	w := s.Join(topics)
	if w == nil {
		t.Fatal("there is no room for a watcher")
	}
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, theirs)
		w.Close()
	}()
	return bufio.NewScanner(ours), func() { cancel(); _ = ours.Close(); <-done }
}

func TestSend(t *testing.T) {
	s, hub := install(Options{})
	hub.Send(session.Fetchers, []byte("nobody listens"))
	a, stopA := listen(t, s, session.Fetchers|session.Mutations)
	b, stopB := listen(t, s, session.Evictions)
	if !s.Wanted(session.Mutations) || s.Wanted(session.Deletions) {
		t.Error("what is wanted is not the union of what is listened to")
	}
	s.Send(session.Fetchers, []byte("type=one"))
	s.Send(session.Evictions, []byte("type=two"))
	s.Send(session.Mutations, []byte("type=three"))
	f := func(lines *bufio.Scanner, want string) {
		t.Helper()
		if lines.Scan(); lines.Text() != want {
			t.Errorf("got %q, want %q", lines.Text(), want)
		}
	}
	f(a, "ts=1800000000.000042 gid=1 type=one")
	f(a, "ts=1800000000.000042 gid=3 type=three")
	f(b, "ts=1800000000.000042 gid=2 type=two")
	if c := hub.Counts(); c != (Counts{Watchers: 2, Sent: 3}) {
		t.Errorf("counts are %+v", c)
	}
	stopA()
	if s.Wanted(session.Fetchers) || !s.Wanted(session.Evictions) {
		t.Error("what is wanted did not change when a watcher went")
	}
	stopB()
	if c := hub.Counts(); c.Watchers != 0 {
		t.Errorf("%d watchers are left", c.Watchers)
	}
}

func TestSlowWatcherIsToldWhatItMissed(t *testing.T) {
	s, hub := install(Options{Buffer: 1000})
	w := s.Join(session.Fetchers).(*watcher)
	line := []byte(strings.Repeat("x", 100))
	for range 20 {
		s.Send(session.Fetchers, line)
	}
	if len(w.buf) > 1000 {
		t.Errorf("%d bytes wait", len(w.buf))
	}
	sent := hub.Counts().Sent
	if c := hub.Counts(); c.Skipped == 0 || c.Sent+c.Skipped != 20 {
		t.Errorf("counts are %+v", c)
	}
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx, theirs) }()
	lines := bufio.NewScanner(ours)
	for range sent {
		lines.Scan()
	}
	s.Send(session.Fetchers, []byte("type=next"))
	lines.Scan()
	skipped := lines.Text()
	lines.Scan()
	if skipped != fmt.Sprintf("skipped=%d", 20-sent) || !strings.HasSuffix(lines.Text(), "type=next") {
		t.Errorf("after %d lines: %q, %q", sent, skipped, lines.Text())
	}
	cancel()
	_ = ours.Close()
	<-done
	w.Close()
}

func TestLimit(t *testing.T) {
	s, _ := install(Options{Limit: 2})
	a, b := s.Join(session.Fetchers), s.Join(session.Fetchers)
	if s.Join(session.Fetchers) != nil {
		t.Error("a third watcher found room for two")
	}
	a.Close()
	if b = s.Join(session.Fetchers); b == nil {
		t.Error("the place of one that went is not free")
	}
}

func TestEvictionsAreAskedForWhileSomebodyListens(t *testing.T) {
	var asked []bool
	s, hub := install(Options{Evictions: func(on bool) { asked = append(asked, on) }})
	a := s.Join(session.Evictions)
	b := s.Join(session.Evictions | session.Fetchers)
	hub.Evicted(engine.Gone{Key: []byte("a b"), Size: 70, Class: 1, TTL: -1, Idle: 5})
	if got, want := string(a.(*watcher).buf), "ts=1800000000.000042 gid=1 type=eviction key=a%20b fetch=no ttl=-1 la=5 clsid=1 size=70\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	a.Close()
	b.Close()
	if len(asked) != 2 || !asked[0] || asked[1] {
		t.Errorf("asked %v, want on and off", asked)
	}
}

func TestLines(t *testing.T) {
	f := func(got []byte, want string) {
		t.Helper()
		if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f((&Get{Key: []byte("k"), Conn: 9}).Append(nil), "type=item_get key=k status=not_found clsid=0 cfd=9 size=0")
	f((&Get{Key: []byte("k\x80~-._"), Found: true, Class: 2, Size: 3, Conn: 9}).Append(nil), "type=item_get key=k%80~-._ status=found clsid=2 cfd=9 size=3")
	for out, want := range map[ops.Outcome]string{ops.Stored: "stored", ops.NotStored: "not_stored", ops.Exists: "exists", ops.NotFound: "not_found",
		ops.TooLarge: "too_large", ops.NoMemory: "no_memory"} {
		f((&Store{Key: []byte("k"), Status: out, TTL: 1, Class: 2, Size: 3, Conn: 4}).Append(nil),
			"type=item_store key=k status="+want+" cmd=set ttl=1 clsid=2 cfd=4 size=3")
	}
	for m, want := range map[ops.Mode]string{ops.Add: "add", ops.Replace: "replace", ops.Append: "append", ops.Prepend: "prepend", ops.CAS: "cas"} {
		f((&Store{Key: []byte("k"), Mode: m}).Append(nil), "type=item_store key=k status=stored cmd="+want+" ttl=0 clsid=0 cfd=0 size=0")
	}
	f(AppendConnNew(nil, &session.Peer{ID: 5, Remote: "unix", Transport: session.Unix}), "type=conn_new rip=unix rport=0 transport=local cfd=5")
	f(AppendConnNew(nil, &session.Peer{ID: 5, Remote: "[::1]:80", Transport: session.TLS}), "type=conn_new rip=::1 rport=80 transport=tcp cfd=5")
	f(AppendConnClose(nil, &session.Peer{ID: 5, Remote: "192.0.2.1:80"}, "error"), "type=conn_close rip=192.0.2.1 rport=80 transport=tcp reason=error cfd=5")
}
