package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/vrrp"
	"github.com/google/go-cmp/cmp"
)

var (
	prefix = netip.MustParsePrefix("10.0.0.5/24")
	peer   = netip.MustParseAddr("10.0.0.2")
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 5, time.UTC)
)

// messages are one of each kind, with every field set.
func messages() []*Message {
	cfg := vrrp.DefaultConfig()
	cfg.VRID, cfg.AuthType, cfg.Auth = 51, vrrp.AuthText, [8]byte{'x'}
	return []*Message{
		{Plan: &Plan{
			ID: 7, Secrets: [][]byte{{1, 2}, {3}}, Sender: 1 << 63, Epoch: 9, Lifeline: 2 * time.Second,
			Leftovers: []Place{{"eth0", prefix}},
			Groups: []Group{{Name: "web", Links: []LinkTrack{{"eth1", -5}}, Routers: []Router{{
				Vip: "web", Interface: "eth0", Addresses: []netip.Prefix{prefix}, Source: peer, Config: cfg,
				Peers: []netip.Addr{peer}, MinTTL: 254, Authenticate: true, Checksum: vrrp.ChecksumPseudo, VMAC: true, Adopt: true,
			}}}},
		}},
		{Verdict: &Verdict{Group: "web", Delta: -20, Faults: []string{"no route"}}},
		{Do: &Do{ID: 3, Verb: SwitchOver, Group: "web", Limit: time.Second}},
		{Beat: &Beat{}},
		{Hello: &Hello{PID: 1, Realtime: true, Locked: true, Missing: []string{"CAP_NET_RAW"}, Error: "EPERM"}},
		{Tell: &Tell{
			Kind: TellConflict, At: noon, Group: "web", Vip: "web", Family: 4, State: "Active", Cause: "startup", Peer: peer,
			Conflict: "interval", Detail: "x", Gone: true, Late: time.Second,
		}},
		{Snapshot: &Snapshot{Plan: 7, At: noon, Lost: 1, Groups: []GroupStatus{{
			Name: "web", Released: true, Faults: []string{"x"}, Routers: []RouterStatus{{
				Vip: "web", Interface: "eth0", Family: 4, VRID: 51, Version: 3, Addresses: []netip.Prefix{prefix}, State: "Active",
				Cause: "startup", Since: noon, Priority: 100, Base: 120, Source: peer, Interval: 1, Down: 2, Leaving: true, Held: true,
				Holder: peer, HolderPri: 5, Checksum: "pseudo", Conflicts: []string{"interval"},
				Counters: Counters{1, 2, 3, map[string]uint64{"ttl": 4}, 5, 6, 7, 8, 9},
			}},
		}}}},
		{Done: &Done{ID: 3, Error: "no"}},
	}
}

var byValue = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func stream(t testing.TB, all []*Message) []byte {
	t.Helper()
	var b []byte
	var err error
	for _, m := range all {
		if b, err = Append(b, m); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// TestRoundTrip feeds a stream whole, byte by byte, and cut in two at every byte.
func TestRoundTrip(t *testing.T) {
	want := messages()
	b := stream(t, want)
	f := func(how string, parts ...[]byte) {
		t.Helper()
		var r Reader
		var got []*Message
		for _, p := range parts {
			own := bytes.Clone(p)
			if err := r.Feed(own, func(m *Message) error { got = append(got, m); return nil }); err != nil {
				t.Fatalf("%s: %v", how, err)
			}
			clear(own) // Feed keeps nothing of the caller's
		}
		if d := cmp.Diff(want, got, byValue); d != "" {
			t.Fatalf("%s: -want +got:\n%s", how, d)
		}
	}
	f("whole", b)
	var bytewise [][]byte
	for i := range b {
		bytewise = append(bytewise, b[i:i+1])
		f("cut", b[:i], b[i:])
	}
	f("byte by byte", bytewise...)
}

// TestEveryFieldIsSet keeps messages complete when the types grow: what is not set would not be seen to get lost.
func TestEveryFieldIsSet(t *testing.T) {
	for _, m := range messages() {
		unset(t, "", reflect.ValueOf(m).Elem(), true)
	}
}

func unset(t *testing.T, path string, v reflect.Value, top bool) {
	for i := range v.NumField() {
		name, f := path+"."+v.Type().Field(i).Name, v.Field(i)
		if f.IsZero() {
			if !top && name != ".Plan.Groups.Routers.Config.Addrs" && name != ".Plan.Groups.Routers.Config.Primary" && name != ".Plan.Groups.Routers.Config.PreemptDelay" && name != ".Plan.Groups.Routers.Config.StartDelay" {
				t.Errorf("%s is not set", name)
			}
			continue
		}
		for f.Kind() == reflect.Pointer || f.Kind() == reflect.Slice {
			if f.Kind() == reflect.Slice {
				f = f.Index(0)
			} else {
				f = f.Elem()
			}
		}
		if f.Kind() == reflect.Struct && strings.HasPrefix(f.Type().PkgPath(), "github.com/") {
			unset(t, name, f, false)
		}
	}
}

func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func TestBadFrames(t *testing.T) {
	f := func(b []byte, want string) {
		t.Helper()
		var r Reader
		n := 0
		err := r.Feed(b, func(*Message) error { n++; return nil })
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) || n > 0 {
			t.Errorf("%q: %v after %d messages, want %q", b, err, n, want)
		}
	}
	f([]byte{0, 0, 0, 0}, "a message of 0 bytes is not 1 to 1048576")
	f([]byte{0, 0x10, 0, 1}, "a message of 1048577 bytes")
	f([]byte{0xff, 0xff, 0xff, 0xff}, "a message of 4294967295 bytes")
	f(frame("{"), "decode")
	f(frame("{}"), "0 parts")
	f(frame("null"), "0 parts")
	f(frame(`{"beat":{},"done":{}}`), "2 parts")
	f(frame(`{"beat":{}} {}`), "decode")
	f(frame(`{"plan":{"groups":[{"name":"a"}]}}`), "group a has no router")
	f(frame(`{"plan":{"groups":[{"name":"a","routers":[{"vip":"v"}]}]}}`), "v: 0 addresses")

	plan := func(groups, routers, addrs, peers int) []byte {
		p := &Plan{Groups: make([]Group, groups)}
		for i := range p.Groups {
			p.Groups[i].Routers = make([]Router, routers)
			for j := range p.Groups[i].Routers {
				p.Groups[i].Routers[j].Addresses = make([]netip.Prefix, addrs)
				p.Groups[i].Routers[j].Peers = make([]netip.Addr, peers)
			}
		}
		return stream(t, []*Message{{Plan: p}})
	}
	f(plan(MaxGroups+1, 1, 1, 0), "65 groups")
	f(plan(1, MaxRouters+1, 1, 0), "129 routers")
	f(plan(1, 1, MaxAddrs+1, 0), "65 addresses")
	f(plan(1, 1, 1, MaxPeers+1), "17 peers")
	var r Reader
	for _, b := range [][]byte{plan(MaxGroups, 2, 1, 0), plan(1, 1, MaxAddrs, MaxPeers)} {
		if err := r.Feed(b, func(*Message) error { return nil }); err != nil {
			t.Error(err)
		}
	}
}

// TestGreatestPlan: what MaxFrame's comment says.
func TestGreatestPlan(t *testing.T) {
	p := &Plan{}
	long := netip.MustParsePrefix("2001:db8:1111:2222:3333:4444:5555:6666/128")
	for range MaxGroups {
		g := Group{Name: strings.Repeat("g", 63)}
		for range MaxRouters / MaxGroups {
			r := Router{Vip: strings.Repeat("v", 63), Interface: strings.Repeat("i", 15), Config: vrrp.DefaultConfig()}
			for range MaxAddrs {
				r.Addresses = append(r.Addresses, long)
			}
			for range MaxPeers {
				r.Peers = append(r.Peers, long.Addr())
			}
			g.Routers = append(g.Routers, r)
		}
		p.Groups = append(p.Groups, g)
	}
	if b, err := Append(nil, &Message{Plan: p}); err != nil || len(b) > MaxFrame {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestAppendTooLarge(t *testing.T) {
	before := []byte("abc")
	b, err := Append(before, &Message{Done: &Done{Error: strings.Repeat("x", MaxFrame)}})
	if !errors.Is(err, fault.Full) || string(b) != "abc" {
		t.Errorf("%v, %d bytes", err, len(b))
	}
}

// TestReaderKeepsOneFrame: what a peer can make the reader hold is one frame and what came with it.
func TestReaderKeepsOneFrame(t *testing.T) {
	var r Reader
	b := stream(t, []*Message{{Done: &Done{Error: strings.Repeat("x", 1000)}}})
	n := 0
	for range 1000 {
		if err := r.Feed(b[:len(b)-1], func(*Message) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := r.Feed(b[len(b)-1:], func(*Message) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n != 1000 || cap(r.kept) > 4*len(b) {
		t.Errorf("%d messages, %d bytes kept", n, cap(r.kept))
	}
}

func TestGotEnds(t *testing.T) {
	var r Reader
	enough := errors.New("enough")
	n := 0
	err := r.Feed(stream(t, messages()), func(*Message) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

// FuzzReader: any bytes, in any two parts, give the same messages or the same error, no panic and nothing above the bounds; a
// message that was read can be written and read again.
func FuzzReader(f *testing.F) {
	for _, m := range messages() {
		b, err := Append(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint16(len(b)/2))
	}
	f.Add(stream(f, messages()), uint16(100))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		read := func(parts ...[]byte) (out []*Message, err error) {
			var r Reader
			for _, p := range parts {
				if err = r.Feed(p, func(m *Message) error { out = append(out, m); return nil }); err != nil {
					return out, err
				}
				if len(r.kept) > 4+MaxFrame {
					t.Fatalf("%d bytes kept", len(r.kept))
				}
			}
			return out, nil
		}
		at := min(int(cut), len(b))
		whole, err := read(b)
		parts, err2 := read(b[:at], b[at:])
		if (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %v, in parts: %v", err, err2)
		}
		if d := cmp.Diff(whole, parts, byValue); d != "" {
			t.Fatal(d)
		}
		for _, m := range whole {
			again, err := read(stream(t, []*Message{m}))
			if err != nil || len(again) != 1 {
				t.Fatalf("%d messages of one, %v", len(again), err)
			}
		}
	})
}
