// Package http2 is HTTP/2 as a pure core: frames, header compression and the state of a connection and its streams, for both roles, by RFC
// 9113 and RFC 7541. It does no input and no output, reads no clock, starts no goroutine, and allocates nothing for a
// stream once its memory has grown.
//
// # Use
//
// A Conn is told what was read, by Next, and gives one Event after the other; what is to be sent it appends to Out, many streams' frames
// behind each other, for the caller to write in one call and to tell by Flushed. Everything of a Conn, of its streams and of the Pool
// that these come from belongs to one goroutine. Time is what the caller says it is.
//
// Frames are taken where they were read. Content is handed on in the pieces in which it came; all other frames are taken whole, so
// that the caller's buffer has to hold MinBuffer bytes. A head that has come is decoded into memory of the Pool's, and is
// to be taken over by Take before the next call of Next. It is a http1.Head, put together by that package's builder: what HTTP/1
// refuses is refused here, and what RFC 9113 sections 8.2 and 8.3 and the rules of translation add.
//
// Heads go out as blocks that HPACK's static table alone encodes (AppendField and its kin), so that a block can be made
// anywhere and at any time, before it is known when, or whether, it is sent.
//
// # Flow control
//
// Both levels, both directions. What the peer may send is bounded by Options.StreamWindow for each stream and Options.ConnWindow for all;
// the caller says by Took what it has used, and gives so the peer new room: a stream that is not read stops when its window is full, the
// others go on while the connection's lasts. A stream whose content is used as fast as it comes may get a larger window where a round trip takes
// long, within Options.MaxWindow and the Pool's Growth (see grow.go). SendData takes what the windows and MaxPending allow; who could not send all is in a
// queue, from which Writable takes streams in turn.
//
// # Floods
//
// A peer pays for what costs us more than itself: frames that are answered, that do nothing, or that undo what another has begun.
// Each kind is counted in a bucket that leaks with time and with useful work (see flood.go); one that runs over Options.Allow ends the connection
// with ENHANCE_YOUR_CALM and a Reason. A stream that the peer makes us reset counts as one that it resets. A head is bounded by http1.Limits, in the
// bytes and frames of its block and in what it decodes to; a stream counts until its handler is done with it (Release), not only until the peer has
// reset it. Control frames that wait to be sent are bounded by maxControl; who has more than MaxPending bytes to send should not read on. Content of
// streams that we have reset is no flood: as much as their window may be on its way.
//
// A Tally of the Pool says how many streams there were, and why streams and connections were ended, by whom.
package http2
