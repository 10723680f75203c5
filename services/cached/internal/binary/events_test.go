package binary

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/oracletest"
	"github.com/everup/everup/services/cached/internal/session"
)

// own is what only one process's lines have: time, number and connection.
var own = regexp.MustCompile(`ts=\S+ gid=\d+ | cfd=\d+`)

// eventful is a conversation that ends with a get of "last". Nothing in it is too large: memcached 1.6.18 dies of that while it is watched.
func eventful() []packet {
	exp := u32(0) + u32(100)
	return []packet{
		{op: opSet, key: "k", ext: exp, value: "v"}, {op: opGet, key: "k"}, {op: 0x09, key: "none"}, {op: opGetK, key: "none"},
		{op: opAdd, key: "k", ext: exp, value: "longer"}, {op: opReplace, key: "none", ext: exp, value: "v"}, {op: opSet, key: "k", ext: exp, value: "v", cas: 1 << 40},
		{op: opSet, key: "none", ext: exp, value: "v", cas: 9}, {op: opAppend, key: "k", value: "vv"}, {op: opPrepend, key: "none", value: "vv"},
		{op: opIncr, key: "n", ext: u64(1) + u64(5) + u32(0)}, {op: opIncr, key: "n", ext: u64(1) + u64(5) + u32(0)},
		{op: opDecr, key: "none", ext: u64(1) + u64(5) + u32(dontCreate)}, {op: opIncr, key: "k", ext: u64(1) + u64(5) + u32(0)},
		{op: opTouch, key: "k", ext: u32(50)}, {op: opTouch, key: "none", ext: u32(50)}, {op: opGAT, key: "k", ext: u32(50)}, {op: opGATK, key: "none", ext: u32(50)},
		{op: opDelete, key: "k", cas: 1 << 40}, {op: opDelete, key: "k"}, {op: opDelete, key: "k"}, setPacket("a b\xff%", "v"), {op: opGet, key: "last"},
	}
}

// TestWatchersAgainstMemcached compares the lines that watchers get.
func TestWatchersAgainstMemcached(t *testing.T) {
	server := oracletest.Start(t, oracletest.Options{})
	watcher := server.Dial(t)
	lines := bufio.NewReader(watcher)
	if err := watcher.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(watcher, "watch fetchers mutations\r\n"); err != nil {
		t.Fatal(err)
	}
	next := func() string {
		s, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("memcached's watcher: %q, %v", s, err)
		}
		return own.ReplaceAllString(strings.TrimSpace(s), "")
	}
	if ok := next(); ok != "OK" {
		t.Fatalf("watch: %q", ok)
	}
	conn := server.Dial(t)
	go drainTo(conn)
	for _, p := range eventful() {
		if _, err := conn.Write(p.bytes()); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for line := ""; !strings.Contains(line, "key=last "); {
		line = next()
		want = append(want, line)
	}
	env := newEnv(t, engine.Options{})
	got := listen(env, session.Fetchers|session.Mutations)
	newRig(t, env).give(concat(eventful()...))
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("(-memcached +session):\n%s", diff)
	}
}

// drainTo reads and forgets until the connection closes.
func drainTo(c net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// listen collects the lines for watchers of some topics.
func listen(env *session.Env, t session.Topic) *[]string {
	got := new([]string)
	env.Watch.Send = func(_ session.Topic, line []byte) { *got = append(*got, own.ReplaceAllString(string(line), "")) }
	env.Watch.Want(t)
	return got
}

func TestTooLargeIsTold(t *testing.T) {
	env := newEnv(t, engine.Options{})
	got := listen(env, session.Mutations)
	newRig(t, env).give(setPacket("k", strings.Repeat("v", 1<<20)).bytes())
	if diff := cmp.Diff([]string{"type=item_store key=k status=too_large cmd=set ttl=0 clsid=0 size=0"}, *got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDeletionsAreTold(t *testing.T) {
	env := newEnv(t, engine.Options{})
	got := listen(env, session.Deletions)
	newRig(t, env).give(concat(setPacket("k", "v"), packet{op: 0x14, key: "k"}, packet{op: opDelete, key: "none"}))
	if diff := cmp.Diff([]string{"type=deleted key=k cmd=delete clsid=1 size=1"}, *got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPrefixesAreCounted(t *testing.T) {
	env := newEnv(t, engine.Options{})
	r := newRig(t, env)
	r.give(setPacket("p:off", "v").bytes())
	env.Prefixes.Enable(true)
	r.give(concat(setPacket("p:a", "v"), packet{op: opGet, key: "p:a"}, packet{op: opGAT, key: "p:b", ext: u32(0)}, packet{op: opDelete, key: "q:a"},
		packet{op: opAppend, key: "p:a", value: strings.Repeat("v", 5000)}, packet{op: opIncr, key: "p:n", ext: u64(1) + u64(1) + u32(0)}))
	want := "PREFIX p get 2 hit 1 set 2 del 0\r\nPREFIX q get 0 hit 0 set 0 del 1\r\nEND\r\n"
	if got := string(env.Prefixes.AppendDump(nil)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestChangesArePublished(t *testing.T) {
	env := newEnv(t, engine.Options{})
	var got []string
	env.Changed = func(c session.Change) {
		got = append(got, fmt.Sprintf("%s deleted=%v flags=%d expires=%d size=%d", c.Key, c.Deleted, c.Flags, c.Expires, c.Size))
	}
	r := newRig(t, env)
	r.give(setPacket("before", "v").bytes())
	env.Publish.Store(true)
	r.give(concat(packet{op: opSet, key: "k", value: "abc", ext: u32(7) + u32(10)}, packet{op: opGet, key: "k"}, packet{op: opAdd, key: "k", ext: u64(0)},
		setPacket("big", strings.Repeat("v", 5000)), packet{op: opIncr, key: "n", ext: u64(1) + u64(5) + u32(0)}, packet{op: opDelete, key: "k"}, packet{op: opDelete, key: "k"}))
	want := []string{
		fmt.Sprintf("k deleted=false flags=7 expires=%d size=3", testNow+10), "big deleted=false flags=0 expires=0 size=5000",
		"n deleted=false flags=0 expires=0 size=1", "k deleted=true flags=0 expires=0 size=0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
