package text

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/everup/everup/services/cached/internal/session"
)

// sorted sorts the lines between commands' answers: items come in no order.
func sorted(b []byte) string {
	lines := strings.SplitAfter(string(b), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestDumps(t *testing.T) {
	d := newDriver(t, newEnv(t))
	d.send([]byte("set a%b 5 100 3\r\nabc\r\nset big 0 0 300\r\n" + strings.Repeat("x", 300) + "\r\nms IAF/gA== 2 b\r\nxx\r\nget big\r\nset dead 0 -1 1\r\nx\r\n"))
	f := func(in, want string) {
		t.Helper()
		if got := sorted(d.send([]byte(in))); got != want {
			t.Errorf("%q:\n got %q\nwant %q", in, got, want)
		}
	}
	first := "key=%20%01%7F%80 exp=-1 la=1800000000 cas=3 fetch=no cls=1 size=65\n"
	second := "key=a%25b exp=1800000100 la=1800000000 cas=1 fetch=no cls=1 size=69\n"
	third := "key=big exp=-1 la=1800000000 cas=2 fetch=yes cls=7 size=362\n"
	f("lru_crawler metadump all\r\n", "END\r\n"+first+second+third)
	f("lru_crawler metadump hash\r\n", "END\r\n"+first+second+third)
	f("lru_crawler metadump 1\r\n", "END\r\n"+first+second)
	f("lru_crawler metadump 6,7\r\n", "END\r\n"+third)
	f("lru_crawler metadump 2\r\n", "END\r\n")
	f("lru_crawler mgdump all\r\n", "EN\r\nmg IAF/gA== b\r\nmg a%b\r\nmg big\r\n")
	f("lru_crawler mgdump x\r\n", "BADCLASS invalid class id\r\n")
	f("stats cachedump 7 0\r\n", "END\r\nITEM big [300 b; 0 s]\r\n")
	f("lru_crawler mgdump all\r\nget none\r\nmn\r\n", "EN\r\nEND\r\nMN\r\nmg IAF/gA== b\r\nmg a%b\r\nmg big\r\n")
}

// TestOneDumpAtATime refuses a second dump until the first has ended, also when it ends because its client has gone.
func TestOneDumpAtATime(t *testing.T) {
	env := newEnv(t)
	first, second := newDriver(t, env), newDriver(t, env)
	second.send([]byte("set a 0 0 1\r\nx\r\n"))
	_, next := first.s.Step([]byte("lru_crawler metadump all\r\n"), &first.out)
	if next != session.Detach || first.s.State() != "conn_watch" {
		t.Fatalf("next %d, state %s", next, first.s.State())
	}
	if got := string(second.send([]byte("lru_crawler metadump all\r\n"))); !strings.HasPrefix(got, "BUSY ") {
		t.Errorf("a second dump was answered %q", got)
	}
	ours, theirs := net.Pipe()
	_ = ours.Close()
	if _, back := first.s.Detached(context.Background(), theirs, nil); back {
		t.Error("a dump to nobody came back")
	}
	if got := string(second.send([]byte("lru_crawler mgdump all\r\n"))); got != "mg a\r\nEN\r\n" {
		t.Errorf("after the first had ended the second was answered %q", got)
	}
	_, _ = first.s.Step([]byte("lru_crawler metadump all\r\n"), &first.out)
	first.s.End()
	if env.Dump.Load() {
		t.Error("a dump whose connection ended before it began is still running")
	}
}

// TestDumpEndsWithTheDaemon ends a dump whose client does not read when the context does.
func TestDumpEndsWithTheDaemon(t *testing.T) {
	d := newDriver(t, newEnv(t))
	d.send([]byte("set a 0 0 1\r\nx\r\n"))
	d.s.Step([]byte("lru_crawler metadump all\r\n"), &d.out)
	ours, theirs := net.Pipe() // a pipe holds nothing: the write waits
	defer ours.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() {
		_, back := d.s.Detached(ctx, theirs, nil)
		done <- back
	}()
	cancel()
	if <-done {
		t.Error("came back")
	}
}

func TestWatch(t *testing.T) {
	env := newEnv(t)
	d := newDriver(t, env)
	_, next := d.s.Step([]byte("watch fetchers mutations deletions\r\n"), &d.out)
	if next != session.Detach || string(d.out.Buf) != "OK\r\n" {
		t.Fatalf("next %d, answer %q", next, d.out.Buf)
	}
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = d.s.Detached(context.Background(), theirs, nil)
	}()
	other := newDriver(t, env)
	other.send([]byte("set a%b 5 100 3\r\nabc\r\nget a%b none\r\nms m 1 MA\r\n1\r\nincr a%b 1\r\nmd a%b\r\n"))
	want := []string{
		"type=item_get key=a%25b status=not_found clsid=0 cfd=7 size=0",
		"type=item_store key=a%25b status=stored cmd=set ttl=100 clsid=1 cfd=7 size=3",
		"type=item_get key=a%25b status=found clsid=1 cfd=7 size=3",
		"type=item_get key=none status=not_found clsid=0 cfd=7 size=0",
		"type=item_get key=m status=not_found clsid=0 cfd=7 size=0",
		"type=item_store key=m status=not_stored cmd=append ttl=0 clsid=1 cfd=7 size=1",
		"type=item_get key=a%25b status=found clsid=1 cfd=7 size=3",
		"type=item_get key=a%25b status=found clsid=1 cfd=7 size=3",
		"type=deleted key=a%25b cmd=md clsid=1 cfd=7 size=3",
	}
	var got []byte
	buf := make([]byte, 4096)
	for strings.Count(string(got), "\n") < len(want) {
		n, err := ours.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(got)), "\n") {
		if _, text, _ := strings.Cut(line, " gid="); !strings.HasSuffix(text, " "+want[i]) {
			t.Errorf("line %d: %q, want %q", i, line, want[i])
		}
	}
	_ = ours.Close()
	<-done
	if env.Watch.Wanted(session.Fetchers) {
		t.Error("lines are still wanted when the watcher has gone")
	}
}
