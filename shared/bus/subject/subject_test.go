package subject

import (
	"errors"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
)

func TestValid(t *testing.T) {
	for _, name := range []string{"a", "9", "web-1", "pool_member", strings.Repeat("x", 63)} {
		if !Valid(name) {
			t.Errorf("Valid(%q) = false", name)
		}
	}
	for _, name := range []string{"", "-a", "_all", "A", "a.b", "a b", "*", ">", "é", "$srv", strings.Repeat("x", 64)} {
		if Valid(name) {
			t.Errorf("Valid(%q) = true", name)
		}
	}
}

func TestSubjects(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(Event{"demo", "lbd", "vip-active"}.String(), "everup.demo.event.lbd.vip-active")
	f(Request{"demo", "lbd", "a", "drain"}.String(), "everup.demo.do.lbd.a.drain")
	f(Request{"demo", All, All, "status"}.String(), "everup.demo.do._all._all.status")
	f(AnyEvents(), "everup.*.event.>")
	f(Events("demo"), "everup.demo.event.>")
	f(Requests("demo"), "everup.demo.do.>")
}

func TestParseRefuses(t *testing.T) {
	f := func(s string) {
		t.Helper()
		if e, err := ParseEvent(s); !errors.Is(err, fault.Invalid) {
			t.Errorf("ParseEvent(%q) = %v, %v", s, e, err)
		}
		if r, err := ParseRequest(s); !errors.Is(err, fault.Invalid) {
			t.Errorf("ParseRequest(%q) = %v, %v", s, r, err)
		}
	}
	f("")
	f("everup")
	f("everup.demo.event.lbd")
	f("everup.demo.event.lbd.*")
	f("everup.demo.event.lbd.a.b")
	f("everup..event.lbd.a")
	f("everup.demo.do._all.a.drain") // one node has not all services
	f("everup.demo.do.lbd.a.Drain")
	f("other.demo.do.lbd.a.drain")
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"everup.demo.event.lbd.vip-active", "everup.demo.do.lbd.a.drain", "everup.demo.do._all._all.status",
		"everup.demo.do.lbd._all.status", "everup.*.event.>", "....", "everup.demo.event.lbd.\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := ParseEvent(s); err == nil && (e.String() != s || e.Check() != nil) {
			t.Errorf("event %q came back as %q", s, e)
		}
		if r, err := ParseRequest(s); err == nil && (r.String() != s || r.Check() != nil) {
			t.Errorf("request %q came back as %q", s, r)
		}
	})
}
