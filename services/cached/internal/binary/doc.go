// Package binary is memcached's binary protocol (doc/protocol-binary.xml of memcached, answers as in 1.6): the session of one
// connection, a pure state machine as package session describes. It owns no goroutine and no memory but one key and, while a long
// value arrives, its engine.Pending.
//
// A packet is judged by its header before anything is kept for it: package-wide, one table says for each opcode which lengths of
// extras, key and value are right. Lengths that contradict each other are answered by "Unknown command", lengths that do not fit the opcode, and keys
// beyond 250 bytes, by "Invalid arguments"; both end the connection, for what follows cannot be trusted to be a header. An opcode that nobody
// serves (the range operations among them) is answered by "Unknown command", its body is skipped, and the connection goes on.
//
// # Values
//
// A packet that is short or has arrived whole is stored straight from the input. The value of another is read into memory of the
// store. One that cannot be stored is answered and skipped, never held. On the way out, short values are copied between their neighbours; long
// ones are pinned and sent from where they lie.
//
// # Quiet commands
//
// Quiet gets are silent on a miss, quiet changes on success; errors always answer. The no-op needs no flush of its own: a carrier writes all that is
// answered whenever a session has to wait, and no-op's answer comes behind what was asked before it.
//
// # Differences from memcached 1.6.18
//
// They are deliberate, and all are:
//   - The body of an unknown command is skipped exactly. memcached skips its key and extras twice, and so loses the beginning of the next packet.
//   - Stat, Touch and the GATs with bytes behind the key are refused as Delete with such bytes is. memcached runs them and then takes the
//     bytes for a header.
//   - Verbosity (0x1b) works; memcached only defines it. In any other form it is an unknown command here too.
//   - Answers to what came before bytes that are no header are sent; memcached closes without sending what is not on its way.
//   - Decr pads a shorter number always; memcached does not while an answer with the old value waits to be sent.
//   - Without CAS (-C) what is stored after a flush stays; memcached drops what is stored within the same second. And a flush at a time
//     before the start does nothing; in memcached it also undoes the flush before, as far as nobody has looked.
//   - A SASL step that fails ends the exchange; memcached judges the next step as if nothing had been.
//   - Lengths are judged when the header is there, without waiting for the key.
//   - Values that are too large or find no room count in store_too_large and store_no_memory; memcached counts those of the text protocol alone.
//   - Watchers are told of deletes; memcached tells of those of the text protocol alone.
//   - Stat knows every group of the text protocol; memcached's lacks some, such as conns.
package binary
