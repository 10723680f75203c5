// Package engine carries HTTP between clients and members of pools on event loops: no goroutine, no buffer and no head is
// kept for a connection that has no request under way.
//
// # Who owns what
//
// An Engine has some workers, each a loop (package loop) in a goroutine of its own; Run waits for them. A client, its requests and the
// connections to members that these use belong to one worker, so that nothing about them is locked. Idle connections to members are the
// exception: they are in one list for all workers (idle), and who takes one that is another's moves its descriptor. Site decides
// what becomes of requests; its methods are called on the workers' threads and must not block.
//
// # A request's two ends
//
// An exchange knows its client as a front and its member as a back: connections of HTTP/1.1 here (client, member), streams of a connection
// of HTTP/2 elsewhere. Content flows from a source to a sink; heads are written by headOut in the sink's form. A request is an http1.Head
// whatever it came by, so that it is judged, routed and told of in one way.
//
// # A connection's beginning
//
// A connection from a client may begin with a PROXY header and with TLS, as its listener's Opening says: a hello takes them and hands the
// descriptor on. One to a member may begin with the same, as the request's Transport says; both are within the time for a connection.
// TLS lies in sock (package tlsconn), so that nobody else knows of it. A handshake computes for up to a millisecond: a loop does eight
// steps of them in a turn, others wait. A PROXY header is read by looking at it first, so that no byte behind it is taken.
//
// An answer that is whole ends a TLS connection with close_notify, one that was cut without; the end of a member's connection without it is
// no end of an answer.
//
// # A request
//
//	reading -> delayed -> gathering -> queuing -> waiting -> answering -> (reading, idle, or the end)
//	       \-------------/              ^          |  \-> tunnel
//	                                    \----------/ another try
//	       any of them -> own (an answer of ours)
//
// An exchange is made when a client's first byte comes and given back when its answer is sent and nothing else has come. The
// request's head stays in its buffer until then. Content is carried by two flows, which decode it in place, frame it anew and write it
// from where it was read, the head and the first piece in one call. Chunk extensions end here; trailers pass.
//
// A request is tried again where nothing of an answer has come: on any failure to connect, and if its method is idempotent (RFC 9110
// section 9.2.2) after a break too, as long as all its content is still in the buffer: up to 64 KiB of it is gathered
// before a member is asked, and what comes later stays there until the room is needed. A request that is not idempotent, or whose content is not at hand, gets a connection of its own, so that a
// member which closes an idle one at that moment cannot lose it, unless Transport.Share is set: then it is sent again if none of it had arrived.
// Bytes of chunked content are looked at before any of them is sent: what is malformed from its start reaches no member. An answer whose status says that another member may do better (Plan.RetryOn) is thrown away for another try under the same
// conditions; the last one's passes.
//
// A request that waits for a member with room has no member and no timer but its client's. The pool tells it by whoever gives a seat back, on any
// thread; it goes on in its own loop's next turn. A seat that comes for a request that is over is given back at once. A client that sends no more while
// its request waits counts as gone. What a try has come to is told to the pool once: with the seat, or, of answers that take longer than a turn, when
// their head is there.
//
// # Files
//
// Content of an answer of our own may be pieces of a file (Plan.File): of up to 16 KiB they are read before the head goes out, and the file is
// closed; from there on the kernel moves them to a plain socket (sendfile(2)), and a buffer carries them to others. A disk that is waited for is
// waited for on the loop's thread, with all its connections, as nginx does unless told otherwise: what is asked for often is in memory.
// How many files may be open is up to who opens them (files.Gate). One that became shorter cuts its answer. A file that is compressed (Plan.Compress)
// comes through the buffer, as a member's content does; whether it is, is judged as for a member's, and its header changes in the same way.
//
// # What becomes of content
//
// A flow takes content from its source and frames it for its sink. On the way it may be compressed (package encoding): what the encoder holds is
// made to come out whenever the source pauses, so that nothing of a stream waits there. It may be stored (package spool): a request,
// until it is here as a whole, before a member is asked (Plan.BufferRequest), so that slow uploads hold no member and what failed
// can be sent again; an answer, while the client takes less than the member gives (Plan.BufferResponse), so that the member is
// given back when it has said all. A client that keeps up has nothing stored, and nothing is copied for it. Where a store has no room, a request is
// refused (413, 503), and the member of an answer waits for its client. What is stored in a file, and content of 256 KiB and more between two
// plain sockets, does not come through memory of ours (sendfile, splice).
//
// # HTTP/2
//
// A connection of a client (h2conn) or to a member (h2up) has the core's state (package http2), and each of its streams an exchange's front (h2stream) or back
// (h2call). What streams have to send in a turn of the loop is written at its end, in one call. A connection keeps no buffer while nothing is on its way, but
// for a frame that has not come whole. Heads go in as http1.Head, judged by the same rules; content is kept for a stream up to its
// window. Connections to members are one worker's, shared by its requests, as many at once as the member takes; further requests have another one.
// A request that a member has not looked at goes over another connection (GOAWAY), or is tried again (REFUSED_STREAM), whatever its method. An error
// of our own is told to a client of gRPC in its own way (package grpc); the record keeps the status that others would get.
//
// # Where a cache belongs
//
// There is none yet. A look into it belongs between deciding and gathering: a request whose answer is stored becomes own, with content from the
// store as it comes from files now; several that wait for one answer wait as those in a pool's queue do. Storing belongs to the answer's flow
// before what compresses: what is kept is what the member said, and each client gets it in the coding that it takes.
//
// # Bounds
//
// Streams of a client, content of a stream and of a connection that was not used yet: its listener's Opening.HTTP2, 100, 64 KiB and 6.25 MiB as a rule; windows that grow, those of all together: SetWindows, then they stay as they are. Clients: SetLimit; further ones wait in the kernel's queue, those of a source that has its fill are reset (Admission). TLS handshakes under
// way: SetHandshakes a worker, then they are refused; those of one source: SetHandshakeRate, then its connections are closed before
// anything is computed; 32768 sources are told apart, more share. What of TLS waits for a slow peer: 96 KiB a connection. Requests that wait as
// their plan says: SetTarpits; they keep their head and nothing else. Heads: http1.Limits. Buffers: two of 16 KiB or 64 KiB an exchange,
// of which a worker keeps 16 MiB of each size free. Idle connections to members: 8192, 512 to one, 30 s. A turn moves at most
// 256 KiB for a connection before others have theirs; a byte that is compressed counts for five. Encoders and stores: those of Options. Pipes: 256 a
// worker, each of 256 KiB; content beyond them is copied. Every phase has a deadline (Plan, Options); one that passes within a head closes
// without a word, for nothing was asked.
//
// After an answer that ends a connection on which the client may still be sending, its bytes are thrown away for 2 s: a
// close at once would have the kernel take the answer back from the client's queue (RFC 9112 section 9.6).
package engine
