package auth

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var (
	start = time.Unix(1_700_000_000, 0)
	alice = netip.MustParseAddr("192.0.2.1")
	bob   = netip.MustParseAddr("192.0.2.2")
)

func TestBackoffWaits(t *testing.T) {
	b := NewBackoff(DefaultPolicy())
	now := start
	for i, want := range []time.Duration{0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60} {
		want *= time.Second
		if got := b.Failed(alice, now); got != want {
			t.Fatalf("after failure %d: wait %v, want %v", i+1, got, want)
		}
		if got := b.Wait(alice, now); got != want {
			t.Fatalf("after failure %d: %v to wait, want %v", i+1, got, want)
		}
		if want > 0 && b.Wait(alice, now.Add(want-1)) != 1 || b.Wait(alice, now.Add(want)) != 0 {
			t.Fatalf("after failure %d the wait does not end after %v", i+1, want)
		}
		if b.Wait(bob, now) != 0 {
			t.Fatal("another source waits")
		}
		now = now.Add(want)
	}
	if b.Len(now) != 1 || b.Len(now.Add(10*time.Minute)) != 0 {
		t.Errorf("remembered: %d, later %d", b.Len(now), b.Len(now.Add(10*time.Minute)))
	}
	if got := b.Failed(alice, now.Add(10*time.Minute)); got != 0 {
		t.Errorf("not forgotten: wait %v", got)
	}
}

func TestBackoffSuccessForgets(t *testing.T) {
	b := NewBackoff(Policy{Free: 0, First: time.Second, Most: time.Hour, Forget: time.Hour})
	b.Failed(alice, start)
	b.Succeeded(alice, start)
	if b.Wait(alice, start) != 0 || b.Failed(alice, start) != time.Second {
		t.Error("a success does not forget")
	}
}

func TestBackoffSources(t *testing.T) {
	f := func(a, b string, same bool) {
		t.Helper()
		table := NewBackoff(Policy{First: time.Second, Most: time.Second, Forget: time.Hour})
		table.Failed(netip.MustParseAddr(a), start)
		if got := table.Wait(netip.MustParseAddr(b), start) > 0; got != same {
			t.Errorf("%s and %s: same source %v, want %v", a, b, got, same)
		}
	}
	f("192.0.2.1", "::ffff:192.0.2.1", true)
	f("192.0.2.1", "192.0.2.2", false)
	f("2001:db8::1", "2001:db8::ffff:2", true)
	f("2001:db8::1", "2001:db8:0:1::1", false)
	f("fe80::1%lo", "fe80::2", true)
	table := NewBackoff(Policy{First: time.Second, Most: time.Second, Forget: time.Hour})
	if table.Failed(netip.Addr{}, start) != 0 || table.Wait(netip.Addr{}, start) != 0 || table.Len(start) != 0 {
		t.Error("a unix socket's peer waits")
	}
}

func TestBackoffIsBounded(t *testing.T) {
	b := NewBackoff(DefaultPolicy())
	const many = 20000
	for i := range many {
		b.Failed(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), start.Add(time.Duration(i)))
	}
	n, now := b.Len(start), start.Add(many)
	if n < backoffSets*backoffWays*9/10 || n > backoffSets*backoffWays {
		t.Errorf("%d sources remembered", n)
	}
	if b.Displaced() != many-uint64(n) {
		t.Errorf("%d displaced, want %d", b.Displaced(), many-n)
	}
	// The last comers are the ones that are known.
	last := netip.AddrFrom4([4]byte{10, 0, (many - 1) >> 8, (many - 1) & 0xff})
	for range DefaultPolicy().Free {
		b.Failed(last, now)
	}
	if b.Wait(last, now) != time.Second {
		t.Errorf("the last source is not known: waits %v", b.Wait(last, now))
	}
}

func TestPolicyDoesNotOverflow(t *testing.T) {
	p := Policy{First: time.Second, Most: 1<<63 - 1}
	last := time.Duration(0)
	for n := range 200 {
		w := p.wait(n)
		if w < last {
			t.Fatalf("after %d failures: %v, after %v", n, w, last)
		}
		last = w
	}
	if last != p.Most || (Policy{}).wait(1<<62) != 0 {
		t.Errorf("at last %v", last)
	}
}

func TestGate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(path, []byte("u:p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, _, err := Open(path, Lines)
	if err != nil {
		t.Fatal(err)
	}
	g := NewGate(file, Policy{Free: 1, First: time.Second, Most: time.Second, Forget: time.Minute})
	f := func(source netip.Addr, password string, after time.Duration, want Verdict) {
		t.Helper()
		if got := g.Login(source, []byte("u"), []byte(password), start.Add(after)); got != want {
			t.Errorf("%v at %v: verdict %d, want %d", source, after, got, want)
		}
	}
	f(alice, "x", 0, Denied)
	f(alice, "x", 0, Denied)
	f(alice, "p", 0, Waiting)
	f(bob, "p", 0, Granted)
	f(alice, "p", time.Second-1, Waiting)
	f(alice, "p", time.Second, Granted)
	f(alice, "x", time.Second, Denied)
	f(alice, "p", time.Second, Granted)
	if n, displaced := g.Waiting(start.Add(time.Second)); n != 0 || displaced != 0 {
		t.Errorf("%d remembered, %d displaced", n, displaced)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 100 {
				g.Login(netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i, j)), []byte("u"), []byte("x"), start)
				if j == 50 {
					if _, err := file.Reload(path); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n, displaced := g.Waiting(start); n+int(displaced) != 400 {
		t.Errorf("%d remembered and %d displaced, want 400 together", n, displaced)
	}
}

func BenchmarkLogin(b *testing.B) {
	u, _, _ := ParseFile([]byte("user:password\n"))
	for b.Loop() {
		u.Check([]byte("user"), []byte("password"))
	}
}
