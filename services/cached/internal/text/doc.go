// Package text is memcached's text protocol with its meta commands, byte for byte as memcached 1.6.18 speaks it, and beyond that
// what newer versions have added.
//
// # Shape
//
// New makes the state machine of one client (package session). It owns no goroutine and no memory worth speaking of: commands are
// parsed where they lie in the carrier's input, answers are appended to the carrier's output, keys and values are handed to the
// engine from there. get, set, mg and ms do not allocate. Streams of unknown length (lru_crawler metadump, watch) run in
// the goroutine that calls Detached.
//
// # Bounds
//
// A line without an end may have 2048 bytes, as in memcached; that of a get or gets session.MaxHeld. A value that is not there yet and
// has more than heldValue bytes goes from the socket straight into the engine's memory; one that is refused is swallowed and
// never held. A multiget stops when the turn's budget is used up or the output is long, and goes on in the next turn
// where it stopped; a value above engine.PinAbove is pinned and sent from where it lies.
//
// # Differences from memcached 1.6.18
//
// Where memcached's answers depend on how bytes happened to arrive, this package's do not: replies are neither thrown away by an
// over-long key in a later get, nor held back while a value is awaited, nor lost when a later line is too long; a number
// that shrinks is padded with spaces, and a stale item stays stale under incr, also while an earlier reply still holds the old
// value. A TTL given with `ma` holds also when the number grows (there it is lost). A `t` flag that asks for the TTL of an item
// that has just been given one in the past is answered a negative number (there one that depends on the uptime). What
// is stored in the second before a delayed flush is seen until the flush has come. A dump goes on with what was pipelined behind it.
package text
