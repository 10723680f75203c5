package cached

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/spread"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/member"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fleetOf returns for each of n nodes the sections that make a fleet of them on loopback.
func fleetOf(t *testing.T, n int) (sections []string) {
	t.Helper()
	first := labtest.FreeAddr(t)
	listen := first
	for range n {
		sections = append(sections, fmt.Sprintf("cluster: {fleet: demo, listen: '%s', join: ['%s'], secrets: ['0123456789abcdef0123'], timing: fast}\nbus: {listen: '%s', routes: '%s'}\n",
			listen, first, labtest.FreeAddr(t), labtest.FreeAddr(t)))
		listen = labtest.FreeAddr(t)
	}
	return sections
}

// sees waits until the view of the fleet fulfils the condition.
func (in *instance) sees(t *testing.T, what string, cond func(member.View) bool) {
	t.Helper()
	changed, cancel := in.Env().Fleet.Watch()
	defer cancel()
	limit := time.After(patience)
	for !cond(in.Env().Fleet.View()) {
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("%s does not see %s: %+v", in.Env().Node, what, in.Env().Fleet.View())
		}
	}
}

// meet waits until n daemons answer on the instance's bus: of routes that connect there is no event.
func (in *instance) meet(t *testing.T, n int) {
	t.Helper()
	labtest.Eventually(t, patience, "the buses to meet", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := in.Env().Bus.RequestAll(ctx, "cached", "status", nil, n)
		return err
	})
}

// events collects the instance's events of a kind.
func (in *instance) events(t *testing.T, kind string) <-chan bus.Event {
	t.Helper()
	c := make(chan bus.Event, 100)
	cancel, err := in.Env().Bus.Subscribe("cached", kind, func(e bus.Event) { c <- e })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	return c
}

// next waits for an event and reads its data.
func next(t *testing.T, events <-chan bus.Event, data any) bus.Event {
	t.Helper()
	select {
	case e := <-events:
		if err := json.Unmarshal(e.Data, data); err != nil {
			t.Fatalf("event %s: %v", e.Data, err)
		}
		return e
	case <-time.After(patience):
		t.Fatal("no event")
	}
	return bus.Event{}
}

func TestInvalidateOnAllCaches(t *testing.T) {
	sections := fleetOf(t, 3)
	one, two := startNode(t, "n1", sections[0]), startNode(t, "n2", sections[1])
	third := prepared(t, "n3", sections[2])
	third.configure(t, third.tail)
	p := launch(t, nil, "run", "-c", third.file)
	one.sees(t, "three caches", func(v member.View) bool { return len(v.Alive("cached")) == 3 })
	one.meet(t, 3)
	clients := []*client{one.dial(t), two.dial(t), third.dial(t)}
	fill := func() {
		t.Helper()
		for _, c := range clients {
			c.ask("set user:1 0 0 1\r\nx\r\nset user:2 0 0 1\r\nx\r\nset other 0 0 1\r\nx\r\n", "STORED", "STORED", "STORED")
		}
	}
	invalidate := func(code int, args ...string) (done Spread) {
		t.Helper()
		got, out, errs := everup(t, append([]string{"invalidate", "--socket", one.socket, "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &done); err != nil || got != code {
			t.Errorf("invalidate %v: code %d, want %d: %v: %s%s", args, got, code, err, out, errs)
		}
		slices.SortFunc(done.Caches, func(a, b Applied) int { return strings.Compare(a.Node, b.Node) })
		return done
	}

	fill()
	want := Spread{Applied: 3, Deleted: 6, Missing: []string{}, Caches: []Applied{{Node: "n1", Deleted: 2}, {Node: "n2", Deleted: 2}, {Node: "n3", Deleted: 2}}}
	if d := cmp.Diff(want, invalidate(0, "--prefix", "user:")); d != "" {
		t.Errorf("by prefix (-want +got):\n%s", d)
	}
	for i, c := range clients {
		c.ask("get user:1 user:2 other\r\n", "VALUE other 0 1", "x", "END")
		if got := c.stats()["curr_items"]; got != "1" {
			t.Errorf("cache %d keeps %s items", i+1, got)
		}
	}

	p.cmd.Process.Kill()
	p.exit()
	one.sees(t, "the death", func(v member.View) bool { return len(v.Alive("cached")) == 2 })
	clients = clients[:2]
	fill()
	want = Spread{Applied: 2, Deleted: 2, Missing: []string{"n3"}, Caches: []Applied{{Node: "n1", Deleted: 1}, {Node: "n2", Deleted: 1}}}
	if d := cmp.Diff(want, invalidate(5, "user:1")); d != "" {
		t.Errorf("one is dead (-want +got):\n%s", d)
	}
	code, out, _ := everup(t, "invalidate", "--socket", one.socket, "user:2")
	if code != 5 || !strings.Contains(out, "n3") || !strings.Contains(out, "did not answer") {
		t.Errorf("the table, code %d:\n%s", code, out)
	}
}

func TestGossipTellsOfTheCache(t *testing.T) {
	sections := fleetOf(t, 2)
	certs, secure, redis, udp := labtest.NewCerts(t), labtest.FreeAddr(t), labtest.FreeAddr(t), labtest.FreeAddr(t)
	one := prepared(t, "n1", sections[0]+fmt.Sprintf("resp: {listen: ['%s']}\nudp: {listen: ['%s']}\ntls: {cert: %s, key: %s}\n", redis, udp, certs.CertFile, certs.KeyFile))
	one.fixed = strings.Replace(one.fixed, "listen: [", "listen: ['tls:"+secure+"', ", 1)
	one.run(t)
	two := startNode(t, "n2", sections[1])
	c := one.dial(t)
	c.ask("set a 0 0 1\r\nx\r\n", "STORED")
	c.ask(strings.Repeat("get a\r\n", 3)+"get b\r\n", "VALUE a 0 1", "x", "END", "VALUE a 0 1", "x", "END", "VALUE a 0 1", "x", "END", "END")
	var m member.Member
	two.sees(t, "the hit ratio of n1", func(v member.View) bool {
		for _, m = range v.Members {
			if m.Node == "n1" && len(m.Figures) == 2 {
				return true
			}
		}
		return false
	})
	at := func(name, proto, addr string) member.Endpoint {
		return member.Endpoint{Name: name, Proto: proto, Addr: netip.MustParseAddrPort(addr)}
	}
	want := member.Announcement{
		Endpoints: []member.Endpoint{at("memcached-tls", "tcp", secure), at("memcached", "tcp", one.addr), at("redis", "tcp", redis), at("memcached", "udp", udp)},
		Figures:   []member.Figure{{Name: "hit_ratio", PerMille: 750}, m.Figures[1]},
	}
	if d := cmp.Diff(want, m.Announcement, cmpopts.IgnoreFields(member.Announcement{}, "Health", "Weight", "Load", "Config", "Bus"), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if f := m.Figures[1]; f.Name != "memory" || f.PerMille > 1000 {
		t.Errorf("%+v", f)
	}
}

func TestChangesArePublished(t *testing.T) {
	sections := fleetOf(t, 2)
	one, two := startNode(t, "n1", sections[0]+"publish: [deletes, stores]\n"), startNode(t, "n2", sections[1])
	one.sees(t, "two caches", func(v member.View) bool { return len(v.Alive("cached")) == 2 })
	one.meet(t, 2)
	two.meet(t, 2)
	events := two.events(t, "items-changed")
	flushes, limits := two.events(t, "cache-flushed"), two.events(t, "memory-limit-changed")
	two.meet(t, 2) // behind it the subscriptions are known
	c := one.dial(t)
	c.ask("set a 7 0 6\r\nsecret\r\ndelete a\r\ndelete none\r\n", "STORED", "DELETED", "NOT_FOUND")
	var got []spread.Change
	for number := uint64(1); len(got) < 2; number++ {
		var b spread.Batch
		e := next(t, events, &b)
		if strings.Contains(string(e.Data), "secret") {
			t.Errorf("an event tells the value: %s", e.Data)
		}
		if b.Number != number || b.Lost != 0 || b.Start == 0 {
			t.Errorf("batch %+v, want number %d", b, number)
		}
		got = append(got, b.Changes...)
	}
	want := []spread.Change{{Op: "stored", Key: "a", Flags: 7, Size: 6, CAS: got[0].CAS}, {Op: "deleted", Key: "a"}}
	if d := cmp.Diff(want, got); d != "" || got[0].CAS == 0 {
		t.Errorf("-want +got:\n%s", d)
	}

	c.ask("flush_all 100\r\ncache_memlimit 32\r\n", "OK", "OK")
	var flush, limit map[string]int64
	next(t, flushes, &flush)
	next(t, limits, &limit)
	if flush["delay_s"] != 100 || limit["from"] != 64<<20 || limit["to"] != 32<<20 {
		t.Errorf("events: flush %v, limit %v", flush, limit)
	}
	// Without publish: nothing is told.
	one.configure(t, sections[0])
	if _, err := one.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.ask("set b 0 0 1\r\nx\r\nflush_all\r\n", "STORED", "OK")
	next(t, flushes, &flush) // comes behind what the set would have caused
	select {
	case e := <-events:
		t.Errorf("published: %s", e.Data)
	default:
	}
}

func TestHotKeyIsAnEvent(t *testing.T) {
	in := start(t, "")
	s := in.service()
	hot := func() (keys []string) {
		for _, e := range in.Env().Bus.Recent(100) {
			if e.Kind == "key-hot" {
				var h struct{ Key string }
				json.Unmarshal(e.Data, &h)
				keys = append(keys, h.Key)
			}
		}
		return keys
	}
	for i := range 2 * hotLeast / hotEvery {
		s.insight.hot.Add(1, []byte("hottest"))
		s.insight.hot.Add(uint64(100+i), fmt.Appendf(nil, "cold%d", i))
	}
	told := &Service{env: s.env, insight: s.insight} // the keeper's map is its own
	told.tellHot()
	told.tellHot()
	if d := cmp.Diff([]string{"hottest"}, hot()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	_, out, _ := everup(t, "hot", "--socket", in.socket)
	if !strings.Contains(out, "hottest") {
		t.Errorf("cached hot:\n%s", out)
	}
}
