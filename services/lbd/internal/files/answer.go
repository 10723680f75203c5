package files

import (
	"strconv"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/http1"
)

// Answer is what a request is answered with. It is used again and again and keeps its memory: all it holds is good until the next
// Tree.Answer. With a Status of 400 and above there is no content: the text of an error is not decided here.
type Answer struct {
	Status  int
	Fields  []Field // but for Content-Length
	Length  int64   // of the content, also of HEAD's, which sends none
	Content []Piece
	File    Object // what pieces are of; Close it

	// What might be compressed, or parts of which are the content; also of 304.
	Kind  string // Content-Type; empty: nothing might, it is compressed already
	Whole int64  // bytes

	fs      FS
	other   Object
	etag    []byte
	weak    bool
	changed int64 // Last-Modified, seconds since 1970
	vary    bool
	ranges  []span
	buf     []byte
}

// Field is a field of the answer.
type Field struct {
	Name  string
	Value []byte
}

// Piece is a part of the content: Text, or the bytes from Off up to End of the file.
type Piece struct {
	Text     []byte
	Off, End int64
}

// keep bounds what memory an Answer keeps from one request to the next.
const keep = 64 << 10

func (a *Answer) reset(files FS) {
	a.Close()
	buf := a.buf[:0]
	if cap(buf) > keep {
		buf = nil
	}
	*a = Answer{Fields: a.Fields[:0], Content: a.Content[:0], ranges: a.ranges[:0], buf: buf, fs: files}
}

// Close closes the file, if one is open.
func (a *Answer) Close() { a.closeFile() }

func (a *Answer) closeFile() {
	if a.File.Kind != None {
		a.fs.Close(&a.File)
		a.File = Object{}
	}
}

// fail makes a an error, without what was said of a file.
func (a *Answer) fail(status int) {
	size := a.File.Size
	a.closeFile()
	a.Status, a.Length, a.Fields, a.Content, a.Kind = status, 0, a.Fields[:0], a.Content[:0], ""
	a.File.Size = size // for Content-Range
	if a.vary {
		a.add("Vary", "Accept-Encoding")
	}
}

func (a *Answer) add(name, value string) {
	a.buf = append(a.buf, value...)
	a.addBytes(name, a.last(len(value)))
}

func (a *Answer) addBytes(name string, value []byte) { a.Fields = append(a.Fields, Field{name, value}) }

func (a *Answer) addTime(name string, unix int64) {
	begin := len(a.buf)
	a.buf = http1.AppendDate(a.buf, unix)
	a.addBytes(name, a.last(len(a.buf)-begin))
}

// last returns the last n bytes of buf, which stay what they are.
func (a *Answer) last(n int) []byte { return a.buf[len(a.buf)-n : len(a.buf) : len(a.buf)] }

// text appends a piece of memory.
func (a *Answer) text(b []byte) {
	a.Content = append(a.Content, Piece{Text: b})
	a.Length += int64(len(b))
}

// piece makes a range of the file the content.
func (a *Answer) piece(s span) {
	a.Length = s.end - s.off
	if a.Length > 0 {
		a.Content = append(a.Content, Piece{Off: s.off, End: s.end})
	}
}

// tag makes the entity tag of the file.
func (a *Answer) tag(c encoding.Coding, now int64) {
	begin := len(a.buf)
	if a.weak = now-a.File.Changed < int64(1e9); a.weak {
		a.buf = append(a.buf, "W/"...)
	}
	a.buf = strconv.AppendUint(append(a.buf, '"'), uint64(a.File.Changed), 36)
	a.buf = strconv.AppendUint(append(a.buf, '-'), uint64(a.File.Size), 36)
	if c != encoding.Identity {
		a.buf = append(append(a.buf, '-'), c.String()...)
	}
	a.buf = append(a.buf, '"')
	a.etag = a.last(len(a.buf) - begin)
}

// redirect sends the client to the directory that it has named without "/". The path is the client's own, on this host: several
// slashes at its start would name another one, and "\" is a slash for browsers.
func (a *Answer) redirect(path []byte, r *Request) {
	a.closeFile()
	a.Status = 301
	begin := len(a.buf)
	a.buf = append(a.buf, '/')
	for len(path) > 0 && (path[0] == '/' || path[0] == '\\') {
		path = path[1:]
	}
	for _, c := range path {
		if c == '\\' {
			a.buf = append(a.buf, "%5C"...)
			continue
		}
		a.buf = append(a.buf, c)
	}
	a.buf = append(a.buf, '/')
	if t := &r.Head.Target; t.HasQ {
		a.buf = append(append(a.buf, '?'), t.Query.In(r.Bytes)...)
	}
	a.addBytes("Location", a.last(len(a.buf)-begin))
}

// multipart makes several ranges the content (RFC 9110 section 14.6).
func (a *Answer) multipart(kind string, random uint64) {
	begin := len(a.buf)
	a.buf = append(a.buf, "multipart/byteranges; boundary="...)
	mark := len(a.buf)
	a.buf = strconv.AppendUint(append(a.buf, "everup"...), random, 36)
	boundary := a.last(len(a.buf) - mark)
	a.addBytes("Content-Type", a.last(len(a.buf)-begin))
	a.Length = 0
	for i, s := range a.ranges {
		begin := len(a.buf)
		if i > 0 {
			a.buf = append(a.buf, "\r\n"...)
		}
		a.buf = append(append(a.buf, "--"...), boundary...)
		a.buf = append(append(a.buf, "\r\nContent-Type: "...), kind...)
		a.buf = append(a.buf, "\r\nContent-Range: "...)
		a.buf = append(appendContentRange(a.buf, s, a.File.Size), "\r\n\r\n"...)
		a.text(a.last(len(a.buf) - begin))
		a.Content = append(a.Content, Piece{Off: s.off, End: s.end})
		a.Length += s.end - s.off
	}
	begin = len(a.buf)
	a.buf = append(append(append(a.buf, "\r\n--"...), boundary...), "--\r\n"...)
	a.text(a.last(len(a.buf) - begin))
}

func (a *Answer) contentRange(s span) {
	begin := len(a.buf)
	a.buf = appendContentRange(a.buf, s, a.File.Size)
	a.addBytes("Content-Range", a.last(len(a.buf)-begin))
}

// appendContentRange appends the value of Content-Range; a span that ends before 0 is none.
func appendContentRange(b []byte, s span, size int64) []byte {
	b = append(b, "bytes "...)
	if s.end < 0 {
		b = append(b, '*')
	} else {
		b = strconv.AppendInt(b, s.off, 10)
		b = strconv.AppendInt(append(b, '-'), s.end-1, 10)
	}
	return strconv.AppendInt(append(b, '/'), size, 10)
}
