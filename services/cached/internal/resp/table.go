package resp

import (
	"github.com/everup/everup/services/cached/internal/session"
)

// maxGather bounds the arguments of a command that needs them all together.
const maxGather = 48

// command is one command of the protocol.
type command struct {
	name  string // in lower case
	arity int    // number of arguments with the name; below 0 the least, negated; as COMMAND tells
	open  bool   // also for clients that have not authenticated
	meter session.Cmd
	flags []string
	keys  [3]int // first, last, step: as COMMAND tells

	// run carries out a command whose arguments are all there, without the name. value is the index from 1 of the argument that may be
	// long: then it is nil in args and c.pend has it. key is the first argument then.
	run   func(c *conn, args [][]byte, out *session.Out)
	value int

	// each, instead of run, carries the command out for one argument, which is not ok when it is too long; head is called before
	// the first of them, tail after the last. With pairs the arguments are keys and values by turns.
	each  func(c *conn, arg []byte, ok bool, out *session.Out)
	head  func(c *conn, args int, out *session.Out)
	tail  func(c *conn, out *session.Out)
	pairs bool
}

// takes reports whether the command has requests of count arguments, the name included.
func (cmd *command) takes(count int) bool {
	switch {
	case cmd.arity > 0:
		return count == cmd.arity
	case cmd.pairs && count%2 == 0:
		return false
	}
	return count >= -cmd.arity
}

// nameMax is the length of the longest command's name.
const nameMax = 16

// lookup finds a command by its name in any case; nil if there is none.
func (s *Service) lookup(name []byte) *command {
	var lower [nameMax]byte
	if len(name) > nameMax {
		return nil
	}
	for i, b := range name {
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		lower[i] = b
	}
	return s.table[string(lower[:len(name)])]
}

// newTable returns all commands by name.
func newTable() map[string]*command {
	read, write, fast := []string{"readonly", "fast"}, []string{"write", "denyoom"}, []string{"write", "denyoom", "fast"}
	admin := []string{"noscript", "loading", "stale"}
	one, all, pairs := [3]int{1, 1, 1}, [3]int{1, -1, 1}, [3]int{1, -1, 2}
	list := []*command{
		{name: "get", arity: 2, meter: session.Get, flags: read, keys: one, run: (*conn).get},
		{name: "mget", arity: -2, meter: session.Get, flags: read, keys: all, head: (*conn).mgetHead, each: (*conn).mgetEach},
		{name: "strlen", arity: 2, meter: session.Get, flags: read, keys: one, run: (*conn).strlen},
		{name: "getex", arity: -2, meter: session.Gat, flags: fast, keys: one, run: (*conn).getex},
		{name: "getdel", arity: 2, meter: session.Delete, flags: fast, keys: one, run: (*conn).getdel},
		{name: "set", arity: -3, meter: session.Set, flags: write, keys: one, run: (*conn).set, value: 2},
		{name: "setnx", arity: 3, meter: session.Add, flags: fast, keys: one, run: (*conn).setnx, value: 2},
		{name: "setex", arity: 4, meter: session.Set, flags: write, keys: one, run: (*conn).setex, value: 3},
		{name: "psetex", arity: 4, meter: session.Set, flags: write, keys: one, run: (*conn).psetex, value: 3},
		{name: "getset", arity: 3, meter: session.Set, flags: fast, keys: one, run: (*conn).getset, value: 2},
		{name: "mset", arity: -3, meter: session.Set, flags: write, keys: pairs, each: (*conn).msetEach, tail: (*conn).msetTail, pairs: true},
		{name: "append", arity: 3, meter: session.Append, flags: fast, keys: one, run: (*conn).appendTo, value: 2},
		{name: "incr", arity: 2, meter: session.Incr, flags: fast, keys: one, run: (*conn).incr},
		{name: "decr", arity: 2, meter: session.Decr, flags: fast, keys: one, run: (*conn).decr},
		{name: "incrby", arity: 3, meter: session.Incr, flags: fast, keys: one, run: (*conn).incrby},
		{name: "decrby", arity: 3, meter: session.Decr, flags: fast, keys: one, run: (*conn).decrby},
		{name: "del", arity: -2, meter: session.Delete, flags: []string{"write"}, keys: all, each: (*conn).delEach, tail: (*conn).totalTail},
		{name: "unlink", arity: -2, meter: session.Delete, flags: []string{"write", "fast"}, keys: all, each: (*conn).delEach, tail: (*conn).totalTail},
		{name: "exists", arity: -2, meter: session.Get, flags: read, keys: all, each: (*conn).existsEach, tail: (*conn).totalTail},
		{name: "touch", arity: -2, meter: session.Touch, flags: read, keys: all, each: (*conn).touchEach, tail: (*conn).totalTail},
		{name: "type", arity: 2, meter: session.Get, flags: read, keys: one, run: (*conn).kind},
		{name: "expire", arity: -3, meter: session.Touch, flags: []string{"write", "fast"}, keys: one, run: (*conn).expire},
		{name: "pexpire", arity: -3, meter: session.Touch, flags: []string{"write", "fast"}, keys: one, run: (*conn).pexpire},
		{name: "expireat", arity: -3, meter: session.Touch, flags: []string{"write", "fast"}, keys: one, run: (*conn).expireat},
		{name: "pexpireat", arity: -3, meter: session.Touch, flags: []string{"write", "fast"}, keys: one, run: (*conn).pexpireat},
		{name: "persist", arity: 2, meter: session.Touch, flags: []string{"write", "fast"}, keys: one, run: (*conn).persist},
		{name: "ttl", arity: 2, meter: session.Other, flags: read, keys: one, run: (*conn).ttl},
		{name: "pttl", arity: 2, meter: session.Other, flags: read, keys: one, run: (*conn).pttl},
		{name: "expiretime", arity: 2, meter: session.Other, flags: read, keys: one, run: (*conn).expiretime},
		{name: "pexpiretime", arity: 2, meter: session.Other, flags: read, keys: one, run: (*conn).pexpiretime},
		{name: "scan", arity: -2, meter: session.Other, flags: []string{"readonly"}, run: (*conn).scan},
		{name: "dbsize", arity: 1, meter: session.Stats, flags: read, run: (*conn).dbsize},
		{name: "flushall", arity: -1, meter: session.FlushAll, flags: []string{"write"}, run: (*conn).flush},
		{name: "flushdb", arity: -1, meter: session.FlushAll, flags: []string{"write"}, run: (*conn).flush},
		{name: "info", arity: -1, meter: session.Stats, flags: []string{"loading", "stale"}, run: (*conn).info},
		{name: "config", arity: -2, meter: session.Other, flags: admin, run: (*conn).config},
		{name: "client", arity: -2, meter: session.Other, flags: admin, run: (*conn).clientCmd},
		{name: "command", arity: -1, meter: session.Other, flags: []string{"loading", "stale"}, run: (*conn).commandCmd},
		{name: "ping", arity: -1, meter: session.Other, flags: []string{"fast"}, run: (*conn).ping},
		{name: "echo", arity: 2, meter: session.Other, flags: []string{"fast"}, run: (*conn).echo},
		{name: "select", arity: 2, meter: session.Other, flags: []string{"loading", "stale", "fast"}, run: (*conn).selectDB},
		{name: "auth", arity: -2, open: true, meter: session.Other, flags: []string{"noscript", "loading", "stale", "fast", "no_auth"}, run: (*conn).auth},
		{name: "hello", arity: -1, open: true, meter: session.Other, flags: []string{"noscript", "loading", "stale", "fast", "no_auth"}, run: (*conn).hello},
		{name: "quit", arity: -1, open: true, meter: session.Other, flags: []string{"noscript", "loading", "stale", "fast", "no_auth"}, run: (*conn).quitCmd},
		{name: "reset", arity: 1, open: true, meter: session.Other, flags: []string{"noscript", "loading", "stale", "fast", "no_auth"}, run: (*conn).reset},
	}
	table := make(map[string]*command, len(list))
	for _, cmd := range list {
		table[cmd.name] = cmd
	}
	return table
}
