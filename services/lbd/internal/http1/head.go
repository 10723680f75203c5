package http1

import "bytes"

// Head is a request's or an answer's head. It is used again and again: Reset keeps its memory.
type Head struct {
	Version Version

	// Of a request.
	Method Text
	Target Target

	// Of an answer.
	Status int
	Reason Text

	Fields []Field
	Len    int // bytes of the head in the buffer, the empty line included

	// What the fields say of the message.
	Body       Framing
	Close      bool // Connection: close, or HTTP/1.0 without keep-alive
	KeepAlive  bool // Connection: keep-alive
	Upgrades   bool // Connection: upgrade, with a field Upgrade that does not name HTTP/2
	Continue   bool // Expect: 100-continue
	TrailersOK bool // TE: trailers
	HostAt     int  // index of the field Host, -1 if there is none

	scan scan
}

// FramingKind is how a message's body ends.
type FramingKind uint8

// The kinds.
const (
	NoBody     FramingKind = iota
	Length                 // after Framing.Length bytes
	Chunked                // by its last chunk
	UntilClose             // with the connection: answers, and requests by a stream
)

// Framing is how a message's body ends.
type Framing struct {
	Kind   FramingKind
	Length int64
}

// scan is how far the head was parsed.
type scan struct {
	pos       int // of the first byte that is not parsed
	seen      int // bytes that are known to hold no line end, from pos
	started   bool
	lengths   uint8
	codings   uint8
	hosts     uint8
	chunked   bool
	unknown   bool
	length    int64
	connected bool // Connection has named upgrade
	upgrade   bool // there is a field Upgrade
	h2c       bool // Upgrade names HTTP/2
	expects   uint8
}

// Reset makes h ready for another head.
func (h *Head) Reset() { *h = Head{Fields: h.Fields[:0], HostAt: -1} }

// ParseRequest goes on parsing a request's head from b, which begins with the head's first byte and holds at least what it
// held in the call before. done says that the head is complete: it has h.Len bytes. A Refusal ends the connection. Empty lines
// before a request are not taken: nothing of ours sends them (RFC 9112 section 2.2 lets a server ignore one).
func (h *Head) ParseRequest(b []byte, lim *Limits) (done bool, why Refusal) {
	return h.parse(b, lim, (*Head).requestLine, (*Head).finishRequest)
}

// ParseResponse is ParseRequest for an answer's head. What the body is, is known to Response only, which knows the request.
func (h *Head) ParseResponse(b []byte, lim *Limits) (done bool, why Refusal) {
	return h.parse(b, lim, (*Head).statusLine, (*Head).finishResponse)
}

func (h *Head) parse(b []byte, lim *Limits, first func(*Head, []byte, Text) Refusal, last func(*Head, []byte) Refusal) (bool, Refusal) {
	if h.scan.pos == 0 && h.scan.seen == 0 {
		h.Reset()
	}
	for {
		line, ok, why := h.nextLine(b, lim)
		if !ok || why != OK {
			return false, why
		}
		switch {
		case !h.scan.started:
			h.scan.started = true
			why = first(h, b, line)
		case line.Len() == 0:
			h.Len = h.scan.pos
			why = last(h, b)
			return why == OK, why
		case len(h.Fields) >= lim.Fields:
			return false, TooManyFields
		default:
			why = h.fieldLine(b, line)
		}
		if why != OK {
			return false, why
		}
	}
}

// nextLine cuts the next line off, without its CRLF. It finds a bare LF when it comes, not when the head is complete.
func (h *Head) nextLine(b []byte, lim *Limits) (line Text, ok bool, why Refusal) {
	s := &h.scan
	i := bytes.IndexByte(b[s.pos+s.seen:], '\n')
	if i < 0 {
		s.seen = len(b) - s.pos
		return line, false, h.tooLong(len(b), s.seen-1, lim) // the last byte may be the CR
	}
	end := s.pos + s.seen + i // of the LF
	if end == s.pos || b[end-1] != '\r' {
		return line, false, BareLF
	}
	if why := h.tooLong(end+1, end-1-s.pos, lim); why != OK {
		return line, false, why
	}
	line = Text{uint32(s.pos), uint32(end - 1)}
	s.pos, s.seen = end+1, 0
	return line, true, OK
}

// tooLong holds the limits for a head of size bytes whose line in work has so many.
func (h *Head) tooLong(size, line int, lim *Limits) Refusal {
	switch {
	case !h.scan.started && line > lim.Line:
		return LineTooLong
	case size > lim.Head:
		return HeadTooLarge
	}
	return OK
}

// Field returns the first field with an ID, or nil.
func (h *Head) Field(id ID) *Field {
	for i := range h.Fields {
		if h.Fields[i].ID == id {
			return &h.Fields[i]
		}
	}
	return nil
}

// Get returns the value of the first field with an ID, nil if there is none.
func (h *Head) Get(b []byte, id ID) []byte {
	if f := h.Field(id); f != nil {
		return f.Value.In(b)
	}
	return nil
}
