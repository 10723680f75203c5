// Package resp serves Redis' protocol, RESP version 2, on the items that memcached's clients see too.
//
// A connection is a session.Session like those of memcached's protocols: a pure state machine; the daemon's event
// loops carry it. Answers are built with redcon's codec; requests are not read with it, because its reader
// keeps a request whole, of whatever size, follows the announced number of arguments without having them, and fails on lengths below zero.
//
// # Bounds
//
// A length is judged before anything is kept for it. A request is kept only as far as its fixed part, at most heldMax bytes; a long value goes
// straight into memory of the store, and the commands that take any number of keys (MGET, MSET, DEL, UNLINK, EXISTS, TOUCH) are carried
// out key by key as they arrive. So neither a pipeline nor an MGET builds up answers: after session.OutHigh bytes or one long value what
// is there is written, and a client that does not read is not served. MSET is therefore not atomic: other clients may see some of its keys before the others.
//
// # Items
//
// Keys have 1 to 250 bytes; others are refused, or for commands on many keys, not found. Values are written with flags 0, and read whatever their flags.
// INCR and its relatives are Redis': signed, without padding. They refuse what memcached's decr has padded with spaces.
//
// Items expire at whole seconds. A time in milliseconds is rounded up, and counts from the real time, so that nothing expires early; it may
// live up to a second (and the tick of the clock) longer than asked, and PTTL says so. TTL rounds down, so it never exceeds what was asked.
//
// # What is not there
//
// Database 0 is the only one. There are no types but strings, no transactions, scripts or subscriptions: their commands are unknown. HELLO 3 is
// answered by NOPROTO, from which clients go on with version 2.
package resp
