package text

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/everup/everup/services/cached/internal/session"
)

const (
	// maxLine is how many bytes may come without a line end, but for a get.
	maxLine = 2048
	// maxIndent is how many spaces may stand before a get that is longer.
	maxIndent = 100
	// maxTokens is how many words of a line count.
	maxTokens = 23
	maxKey    = 250
)

// span is a word of the line: line[from:to].
type span struct{ from, to int }

// wordEnd is the index of the first byte of s, from i on, that is a space or a control character; len(s) if there is none.
func wordEnd(s []byte, i int) int {
	for ; i+8 <= len(s); i += 8 {
		x := binary.LittleEndian.Uint64(s[i:])
		if low := (x - 0x2121212121212121) &^ x & 0x8080808080808080; low != 0 {
			return i + bits.TrailingZeros64(low)>>3
		}
	}
	for ; i < len(s); i++ {
		if s[i] <= ' ' {
			return i
		}
	}
	return i
}

// tokenEnd is the index of the first space of s, from i on; len(s) if there is none. Control characters belong to words.
func tokenEnd(s []byte, i int) int {
	for {
		if i = wordEnd(s, i); i >= len(s) || s[i] == ' ' {
			return min(i, len(s))
		}
		i++
	}
}

// command cuts a line out of rest, whose newline is at end. A carriage return before it goes, unless it is all there is; a NUL ends
// the command as it ends a string in C.
func commandLine(rest []byte, end int) []byte {
	line := rest[:end]
	if end > 1 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	if i := bytes.IndexByte(line, 0); i >= 0 {
		line = line[:i]
	}
	return line
}

// split finds the words of the line.
func (t *turn) split(line []byte) {
	t.line, t.ntok = line, 0
	for i := 0; t.ntok < maxTokens; {
		for i < len(line) && line[i] == ' ' {
			i++
		}
		if i == len(line) {
			return
		}
		from := i
		i = tokenEnd(line, i)
		t.tok[t.ntok] = span{from, i}
		t.ntok++
	}
}

// word is the i-th word of the line; nil if there are not so many.
func (t *turn) word(i int) []byte {
	if i >= t.ntok {
		return nil
	}
	return t.line[t.tok[i].from:t.tok[i].to]
}

// is compares the i-th word.
func (t *turn) is(i int, word string) bool { return string(t.word(i)) == word }

// unfinished judges input without a line end.
func (t *turn) unfinished(rest []byte) session.Next {
	if len(rest) <= maxLine {
		return session.More
	}
	indent := 0
	for indent < len(rest) && rest[indent] == ' ' {
		indent++
	}
	if get := rest[indent:]; indent > maxIndent || !bytes.HasPrefix(get, []byte("get ")) && !bytes.HasPrefix(get, []byte("gets ")) {
		t.misused()
		return session.Close
	}
	if len(rest) < session.MaxHeld {
		return session.More
	}
	t.misused()
	t.replyError("SERVER_ERROR out of memory reading request\r\n")
	return session.Close
}

// misused counts bytes that are not the protocol.
func (t *turn) misused() {
	if t.note != nil {
		t.note.ProtocolErrors.Add(1)
	}
}
