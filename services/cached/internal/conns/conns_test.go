package conns

import (
	"testing"

	"github.com/everup/everup/services/cached/internal/session"
	"github.com/google/go-cmp/cmp"
)

func TestGateRefuses(t *testing.T) {
	g := NewGate(2, true)
	enter := func(want bool) {
		t.Helper()
		if _, ok := g.Enter(); ok != want {
			t.Errorf("entered: %v, want %v", ok, want)
		}
	}
	enter(true)
	enter(true)
	enter(false)
	if !g.Open() {
		t.Error("a gate that refuses is shut")
	}
	g.Leave()
	enter(true)
	g.Set(1, true)
	g.Leave()
	enter(false)
	want := Counts{Current: 1, Limit: 1, Total: 3, Rejected: 2, Accepting: true}
	if diff := cmp.Diff(want, g.Counts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestGateShuts(t *testing.T) {
	g, changes := NewGate(1, false), 0
	g.Notify(func() { changes++ })
	f := func(what string, open bool, told int) {
		t.Helper()
		if g.Open() != open || changes != told {
			t.Errorf("%s: open %v after %d changes, want %v, %d", what, g.Open(), changes, open, told)
		}
	}
	f("new", true, 0)
	a, _ := g.Enter()
	f("full", false, 1)
	g.Leave()
	f("with room", true, 2)
	if b, _ := g.Enter(); a == b {
		t.Errorf("two connections have the number %d", a)
	}
	g.Set(2, false)
	f("with a higher limit", true, 4)
	g.Set(1, false)
	f("with the old limit", false, 5)
	if c := g.Counts(); c.ShutTimes != 3 || c.ShutFor <= 0 || c.Accepting {
		t.Errorf("the counts are %+v", c)
	}
	g.Set(1, true)
	f("refusing", true, 6)
}

func TestPairs(t *testing.T) {
	got := Pairs([]Info{
		{ID: 9, Transport: session.TCP, Remote: "[::1]:50240", Local: "[::1]:11211", State: "conn_parse_cmd", Idle: 3},
		{ID: 8, Transport: session.Unix, Remote: "unix", Local: "/run/s", State: Unborn},
		{ID: 24, Transport: session.TCP, Local: "127.0.0.1:11211", State: Listening},
		{ID: 23, Transport: session.Unix, Local: "/run/s", State: Listening},
	})
	p := func(name, value string) session.Pair { return session.Pair{Name: name, Value: value} }
	want := []session.Pair{
		p("23:addr", "unix:/run/s"), p("23:state", "conn_listening"), p("23:secs_since_last_cmd", "0"),
		p("24:addr", "tcp:127.0.0.1:11211"), p("24:state", "conn_listening"), p("24:secs_since_last_cmd", "0"),
		p("8:addr", "unix"), p("8:listen_addr", "unix:/run/s"), p("8:state", "conn_new_cmd"), p("8:secs_since_last_cmd", "0"),
		p("9:addr", "tcp6:[::1]:50240"), p("9:listen_addr", "tcp6:[::1]:11211"), p("9:state", "conn_parse_cmd"), p("9:secs_since_last_cmd", "3"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEvents(t *testing.T) {
	f := func(got []byte, want string) {
		t.Helper()
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(Begun(25, session.TCP, "127.0.0.1:47836"), "type=conn_new rip=127.0.0.1 rport=47836 transport=tcp cfd=25")
	f(Ended(25, session.TLS, "[::1]:1", Normal), "type=conn_close rip=::1 rport=1 transport=tcp reason=normal cfd=25")
	f(Ended(2, session.Unix, "unix", IdleTimeout), "type=conn_close rip= rport=0 transport=local reason=idle_timeout cfd=2")
}
