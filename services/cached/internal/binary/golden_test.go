package binary

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/oracletest"
	"github.com/everup/everup/services/cached/internal/session"
)

// TestGolden has the recorded conversations with memcached again.
func TestGolden(t *testing.T) {
	for _, c := range oracletest.Cases(t, "binary") {
		t.Run(c.Name, func(t *testing.T) { replay(t, c) })
	}
}

func replay(t *testing.T, c oracletest.Case) {
	if why := incomparable(&c); why != "" {
		t.Skip(why)
	}
	o := engine.Options{NoCAS: slices.Contains(c.Args, "-C")}
	env := newEnv(t, o)
	env.Clock.Set(oracletest.Now)
	env.Started = oracletest.Now
	env.NoFlush = slices.Contains(c.Args, "-F")
	rigs := map[int]*rig{}
	say := func(conn int, send, want []byte) *rig {
		r := rigs[conn]
		if r == nil {
			r = newRig(t, env)
			r.s = New(&session.Peer{Env: env, Meter: session.NewMeter()}, &Options{Version: "1.6.18", Stats: groups(env)})
			rigs[conn] = r
		}
		r.give(send)
		want, got := blankCAS(want), blankCAS(r.take()) // memcached's flush takes a number too
		if !bytes.Equal(got, want) && !(r.unfinished() && bytes.HasPrefix(got, want)) {
			t.Errorf("%x:\n(-memcached +session):\n%s", send[:min(len(send), 200)], cmp.Diff(spell(want), spell(got)))
		}
		return r
	}
	for _, s := range c.Setup {
		env.Clock.Set(env.Clock.Now() + s.Advance)
		say(s.Conn, s.Send, s.Want)
	}
	if r := say(c.Conn, c.Send, c.Want); r.done != c.Closed && !r.unfinished() {
		t.Errorf("closed %v, want %v", r.done, c.Closed)
	}
}

// unfinished reports whether the last packet was refused or is not whole. Then memcached may answer less: it waits for the key before it
// judges, and for the value before it says that it is too large, and what it has not sent yet when it sees no header is lost.
func (r *rig) unfinished() bool { return r.done || r.s.(*conn).state != ready || len(r.held) > 0 }

// incomparable tells why a case goes another way here; see the differences in the package documentation.
func incomparable(c *oracletest.Case) string {
	switch c.Name {
	case "option -B ascii":
		return "which protocol is spoken is the carrier's choice"
	case "option -I: limit of 2 KiB":
		return "memcached dies of these options"
	}
	if strings.HasSuffix(c.Name, "on a miss creates") {
		return "memcached does not pad the number while an answer with the old one waits to be sent"
	}
	for b := c.Send; len(b) >= headerLen; {
		var r request
		v, _, body := decode(b, &r)
		switch {
		case v == unserved && body > 0:
			return "memcached loses count behind an unknown command with a body"
		case v == misfit && r.value > 0 && (r.base == opStat || r.base == opTouch || r.base == opGAT || r.base == opGATK):
			return "memcached takes what is behind the key for a header"
		case v == valid && r.base == opVerbosity:
			return "memcached has no verbosity"
		}
		b = b[min(int64(len(b)), headerLen+max(body, 0)):]
	}
	return ""
}

// groups are statistics as far as the recorded conversations ask for them, of a store without items.
func groups(env *session.Env) StatSource {
	return func(sub string) (pairs []session.Pair, ok bool) {
		switch sub {
		case "reset", "items":
		case "sizes":
			pairs = []session.Pair{{Name: "sizes_status", Value: "disabled"}}
		case "detail on", "detail off":
			env.Prefixes.Enable(sub == "detail on")
		case "detail dump":
			pairs = []session.Pair{{Name: "detailed", Value: string(env.Prefixes.AppendDump(nil))}}
		default:
			return nil, false
		}
		return pairs, true
	}
}
