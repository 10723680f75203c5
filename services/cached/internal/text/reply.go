package text

import "strconv"

// Replies that several commands share.
const (
	replyOK        = "OK\r\n"
	replyError     = "ERROR\r\n"
	replyBadFormat = "CLIENT_ERROR bad command line format\r\n"
	replyBadChunk  = "CLIENT_ERROR bad data chunk\r\n"
	replyExptime   = "CLIENT_ERROR invalid exptime argument\r\n"
	replyTooLarge  = "SERVER_ERROR object too large for cache\r\n"
	replyNoMemory  = "SERVER_ERROR out of memory storing object\r\n"
	replyReading   = "SERVER_ERROR Out of memory during read\r\n"
	replyNotFound  = "NOT_FOUND\r\n"
	crlf           = "\r\n"
)

// reply answers the command, unless it asked for no reply.
func (t *turn) reply(s string) {
	t.stacked = true
	if !t.noreply {
		t.buf = append(t.buf, s...)
	}
}

// replyError answers the command, whatever it asked for.
func (t *turn) replyError(s string) {
	t.stacked = true
	t.buf = append(t.buf, s...)
}

// appendUint appends n in decimal. Flags and lengths are short.
func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 10:
		return append(dst, byte('0'+n))
	case n < 100:
		return append(dst, byte('0'+n/10), byte('0'+n%10))
	case n < 1000:
		return append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
	}
	return strconv.AppendUint(dst, n, 10)
}
