// Package text speaks memcached's classic text protocol (doc/protocol.txt of memcached) to one connection: get, gets, gat, gats, set, add,
// replace, append, prepend, cas, delete, touch, incr, decr, flush_all, stats, version, verbosity and quit, with memcached's replies and
// error texts to the letter. Meta commands, the binary protocol and UDP are not spoken here: they get ERROR, as from a
// server that does not know them.
package oldtext

import (
	"bytes"
	"strconv"
)

const (
	// maxKey is the longest key in bytes.
	maxKey = 250
	// maxLine bounds a command line in bytes; a multiget may be longer, up to maxMultiget.
	maxLine     = 2048
	maxMultiget = 1 << 20
	// relativeLimit is the largest exptime that counts from now; larger ones are Unix times.
	relativeLimit = 60 * 60 * 24 * 30
)

// Error lines, without the line end.
const (
	errUnknown  = "ERROR"
	errFormat   = "CLIENT_ERROR bad command line format"
	errChunk    = "CLIENT_ERROR bad data chunk"
	errExptime  = "CLIENT_ERROR invalid exptime argument"
	errDelta    = "CLIENT_ERROR invalid numeric delta argument"
	errNumeric  = "CLIENT_ERROR cannot increment or decrement non-numeric value"
	errDelete   = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"
	errTooLarge = "SERVER_ERROR object too large for cache"
)

// maxFields bounds the fields of a line: more than any command but the gets takes, so that a line of too many is seen as one.
const maxFields = 16

// cutField cuts the first field, at spaces, out of line; nil when there is none.
func cutField(line []byte) (field, rest []byte) {
	line = bytes.TrimLeft(line, " ")
	if len(line) == 0 {
		return nil, nil
	}
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		return line[:i], line[i+1:]
	}
	return line, nil
}

// fields splits a line at spaces into dst's room, up to maxFields of them; what follows is left out.
func fields(dst [][]byte, line []byte) [][]byte {
	for f, rest := cutField(line); f != nil && len(dst) < maxFields; f, rest = cutField(rest) {
		dst = append(dst, f)
	}
	return dst
}

// expiry turns a client's exptime into Unix seconds; 0 is never. A time at or before now gives a moment that has passed.
func expiry(now int64, text []byte) (at int64, ok bool) {
	n, err := strconv.ParseInt(string(text), 10, 32)
	switch {
	case err != nil:
		return 0, false
	case n == 0:
		return 0, true
	case n < 0:
		return 1, true
	case n <= relativeLimit:
		return now + n, true
	}
	return n, true
}

// noreply reports whether the last field asks for silence.
func noreply(f [][]byte) bool { return len(f) > 1 && string(f[len(f)-1]) == "noreply" }

// storeArgs are the numbers of a storage command line.
type storeArgs struct {
	flags   uint32
	expires int64
	length  int
	cas     uint64
	quiet   bool
}

// parseStore reads "<key> <flags> <exptime> <bytes> [cas] [noreply]"; f holds the command first.
func parseStore(now int64, f [][]byte, withCAS bool) (a storeArgs, ok bool) {
	want := 5
	if withCAS {
		want = 6
	}
	if len(f) != want && len(f) != want+1 || len(f[1]) > maxKey {
		return a, false
	}
	flags, err := strconv.ParseUint(string(f[2]), 10, 64)
	if err != nil || flags > 1<<32 { // 2^32 itself is taken, as memcached takes it
		return a, false
	}
	a.flags = uint32(flags)
	if a.expires, ok = expiry(now, f[3]); !ok {
		return a, false
	}
	n, err := strconv.ParseInt(string(f[4]), 10, 32)
	if err != nil || n < 0 || n > 1<<31-3 {
		return a, false
	}
	a.length = int(n)
	if withCAS {
		if a.cas, err = strconv.ParseUint(string(f[5]), 10, 64); err != nil {
			return a, false
		}
	}
	a.quiet = len(f) == want+1 && noreply(f)
	return a, true
}
