package text

import (
	"sync/atomic"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// phase is where in a conversation a client is. Other goroutines read it for `stats conns`; in the run of commands it does not change.
type phase uint32

const (
	command   phase = iota // at the beginning of a line
	keys                   // within the line of a get
	body                   // within a value that goes to the engine's memory
	bodyEnd                // behind such a value
	swallow                // within a value that was refused
	login                  // nothing was said yet, and a password is wanted
	loginBody              // within the value of a login
	detached               // a goroutine serves the connection
)

var stateNames = [...]string{
	command: "conn_new_cmd", keys: "conn_mwrite", body: "conn_nread", bodyEnd: "conn_nread", swallow: "conn_swallow",
	login: "conn_new_cmd", loginBody: "conn_nread", detached: "conn_watch",
}

// client is one client's state. It lives as long as the connection, so it is small.
type client struct {
	peer  *session.Peer
	env   *session.Env
	store *engine.Store
	meter *session.Meter
	note  *session.LoopCount

	phase atomic.Uint32
	get   lookup // of the get whose line is not finished
	left  int64  // bytes to swallow, or of a login's value
	owed  string // answered when they are swallowed
	value *arriving
	key   *[maxKey]byte // of keys that come in base64, decoded
	job   job           // what a goroutine is to do
}

var _ session.Session = (*client)(nil)

// New returns the session of a new client.
func New(peer *session.Peer) session.Session {
	c := &client{peer: peer, env: peer.Env, store: peer.Env.Store, meter: peer.Meter, note: peer.Note}
	if c.env.TextAuth {
		c.enter(login)
	}
	return c
}

func (c *client) enter(p phase) { c.phase.Store(uint32(p)) }

func (c *client) at() phase { return phase(c.phase.Load()) }

// State implements session.Session.
func (c *client) State() string { return stateNames[c.at()] }

// End implements session.Session.
func (c *client) End() {
	if c.value != nil {
		c.value.pending.Release()
	}
	if c.job != nil {
		c.job.drop()
		c.job = nil
	}
}
