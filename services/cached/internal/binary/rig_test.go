package binary

import (
	"testing"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

const testNow = 1_700_000_000

// rig carries a session's bytes as an event loop would.
type rig struct {
	env  *session.Env
	note session.LoopCount
	s    session.Session
	out  session.Out
	held []byte // input not consumed
	sent []byte
	done bool // the session has closed
}

func newEnv(t testing.TB, o engine.Options) *session.Env {
	t.Helper()
	if o.Memory == 0 {
		o.Memory = 16 << 20
	}
	if o.MaxItem == 0 {
		o.MaxItem = 1 << 20
	}
	store, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	env := &session.Env{Store: store, Clock: new(session.Clock), Started: testNow - 62, NoCAS: o.NoCAS}
	env.Clock.Set(testNow)
	return env
}

var testOptions = &Options{Version: "1.6.18", Stats: func(sub string) ([]session.Pair, bool) {
	switch sub {
	case "":
		return []session.Pair{{Name: "pid", Value: "1"}, {Name: "version", Value: "1.6.18"}}, true
	case "reset":
		return nil, true
	}
	return nil, false
}}

func newRig(t testing.TB, env *session.Env) *rig {
	r := &rig{env: env}
	r.s = New(&session.Peer{Env: env, Note: &r.note, Meter: session.NewMeter()}, testOptions)
	t.Cleanup(r.s.End)
	return r
}

// give feeds in and works until the session waits for more or has closed.
func (r *rig) give(in []byte) {
	r.held = append(r.held, in...)
	for !r.done {
		n, next := r.s.Step(r.held, &r.out)
		r.held = r.held[n:]
		r.write()
		switch next {
		case session.Close, session.Abort:
			r.done = true
		case session.Body:
			if len(r.held) > 0 {
				panic("BUG: a body asked for while there is input")
			}
			return
		case session.More:
			return
		}
	}
}

// into feeds in through Body, as far as the session asks for it.
func (r *rig) into(in []byte) (rest []byte) {
	for len(in) > 0 && len(r.held) == 0 {
		if c := r.s.(*conn); c.state != receiving || c.pend.Left() == 0 {
			break
		}
		n := copy(r.s.Body(), in)
		r.s.Filled(n)
		in = in[n:]
	}
	return in
}

func (r *rig) write() {
	r.sent = append(r.sent, r.out.Buf...)
	r.out.Buf = r.out.Buf[:0]
	for r.out.Big.Len() > 0 {
		p := r.out.Big.Next()
		r.sent = append(r.sent, p...)
		r.out.Big.Advance(len(p))
	}
	r.out.Big.Unpin()
}

// take returns what was answered since the last call.
func (r *rig) take() []byte {
	b := r.sent
	r.sent = nil
	return b
}
