// Package tlsconn carries crypto/tls on an event loop: no goroutine is kept for a connection, and no memory of ours for one that is
// idle.
//
// # How
//
// A Conn stands between a Wire, which never waits, and what the loop does with plaintext. crypto/tls sees it as a net.Conn.
//
// Reading: where the wire has nothing just now, crypto/tls is given a temporary error. It keeps what it has of a record and does not
// hold such an error against the connection, so that Read goes on from there. Messages after the handshake (tickets, key updates) are
// handled within Read.
//
// Writing: an error would be held against the connection, so there is none. Records are sealed into a buffer, as many as one call of the
// wire may take, and what it does not take waits there. Nothing further is sealed before that is gone.
//
// The handshake of crypto/tls cannot be gone on with after an error. It runs in a coroutine (iter.Pull), which is suspended while it
// waits for bytes and costs a stack until it is over.
//
// # Who owns what
//
// A Conn belongs to one goroutine at a time; an idle one may move to another loop by Move. An Env belongs to one loop. The wire is the
// caller's to close, after Close. Of a goroutine that is locked to its thread the runtime demands that it goes on with a handshake, and
// ends it by Close, on that thread and under the same count of LockOSThread.
//
// # Bounds
//
// Sealed and not taken by the wire: MaxPending bytes, then the connection fails; a peer gets there only by asking for answers to key
// updates without reading them. Handshakes under way in a loop: Env.Handshakes, then Handshake is ErrBusy. Bytes of a
// peer's in a handshake: MaxHandshake, then ErrHandshake. Time: the caller's. crypto/tls itself bounds records, handshake messages, and
// the empty or useless records in a row.
//
// # The end
//
// The peer's close_notify is io.EOF. An end of the wire without it is ErrTruncated: a message that ends with its connection may have been cut
// by somebody in between (RFC 9112 section 9.8, RFC 8446 section 6.1).
package tlsconn
