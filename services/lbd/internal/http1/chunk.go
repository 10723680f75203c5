package http1

import "bytes"

// Bounds of a chunked body.
const (
	maxChunkLine  = 256     // a size and its extensions
	maxExtensions = 8 << 10 // all extensions of a body: each costs its sender little and us a turn
	maxTrailer    = 8 << 10 // bytes of the trailer section
	maxTrailers   = 32      // its fields
)

// Chunks decodes a chunked body (RFC 9112 section 7.1). The zero value is at its beginning; Reset makes it so again and keeps
// its memory. Extensions are checked and dropped, as any recipient may; a proxy writes chunks of its own.
type Chunks struct {
	state   chunkState
	left    uint64 // of the chunk's data
	line    int    // bytes of the size line, or of the trailer's line
	digits  int
	ext     int // bytes of extensions so far
	trailer []byte
	fields  []Field
	lineAt  int // where the trailer's current line begins
}

type chunkState uint8

const (
	inSize chunkState = iota
	inExtension
	sizeLF // after the CR of the size line
	inData // left bytes
	dataCR // after the data
	dataLF // after the CR behind the data
	inTrailer
	finished
)

// Reset makes c ready for another body.
func (c *Chunks) Reset() { *c = Chunks{trailer: c.trailer[:0], fields: c.fields[:0]} }

// Done reports whether the body has ended.
func (c *Chunks) Done() bool { return c.state == finished }

// Next takes bytes from b, n of them, up to and with the first piece of content, which data is (a part of b, nil if there was
// none). It is called until b is used up or Done.
func (c *Chunks) Next(b []byte) (data []byte, n int, why Refusal) {
	for n < len(b) && c.state != finished {
		if c.state == inData {
			take := int(min(c.left, uint64(len(b)-n)))
			data = b[n : n+take : n+take]
			if c.left -= uint64(take); c.left == 0 {
				c.state = dataCR
			}
			return data, n + take, OK
		}
		if c.state == inTrailer {
			used, why := c.takeTrailer(b[n:])
			if n += used; why != OK {
				return nil, n, why
			}
			continue
		}
		if why := c.takeByte(b[n]); why != OK {
			return nil, n, why
		}
		n++
	}
	return nil, n, OK
}

// takeByte takes a byte of the framing.
func (c *Chunks) takeByte(x byte) Refusal {
	switch c.state {
	case inSize:
		return c.takeSize(x)
	case inExtension:
		return c.takeExtension(x)
	case sizeLF:
		if x != '\n' {
			return BareCR
		}
		c.line, c.digits = 0, 0
		c.state = inData
		if c.left == 0 {
			c.state = inTrailer
		}
	case dataCR:
		if x != '\r' {
			return BadChunkEnd
		}
		c.state = dataLF
	case dataLF:
		if x != '\n' {
			return BadChunkEnd
		}
		c.state = inSize
	}
	return OK
}

func (c *Chunks) takeSize(x byte) Refusal {
	if classes[x]&hexval != 0 {
		if c.digits++; c.digits > 16 || c.left>>59 != 0 {
			return ChunkSizeTooLarge
		}
		v := uint64(x | 0x20)
		if v >= 'a' {
			v -= 'a' - 10
		} else {
			v = uint64(x - '0')
		}
		c.left = c.left<<4 | v
		return OK
	}
	if c.digits == 0 {
		return BadChunkSize
	}
	switch x {
	case '\r':
		c.state = sizeLF
	case ';':
		c.state = inExtension
	case '\n':
		return BareLF
	default:
		return BadChunkSize
	}
	return OK
}

func (c *Chunks) takeExtension(x byte) Refusal {
	c.line++
	c.ext++
	switch {
	case x == '\r':
		c.state = sizeLF
	case x == '\n':
		return BareLF
	case classes[x]&fchar == 0:
		return BadChunkExtension
	case c.line > maxChunkLine:
		return ChunkLineTooLong
	case c.ext > maxExtensions:
		return BadChunkExtension
	}
	return OK
}

// takeTrailer takes what b has of the current line of the trailer section, with its LF.
func (c *Chunks) takeTrailer(b []byte) (n int, why Refusal) {
	n = len(b)
	i := bytes.IndexByte(b, '\n')
	if i >= 0 {
		n = i + 1
	}
	if len(c.trailer)+n > maxTrailer {
		return 0, TrailerTooLarge
	}
	c.trailer = append(c.trailer, b[:n]...)
	if i < 0 {
		return n, OK
	}
	return n, c.endTrailerLine()
}

func (c *Chunks) endTrailerLine() Refusal {
	end := len(c.trailer) - 1
	if end == c.lineAt || c.trailer[end-1] != '\r' {
		return BareLF
	}
	line := Text{uint32(c.lineAt), uint32(end - 1)}
	c.lineAt = len(c.trailer)
	if line.Len() == 0 {
		c.state = finished
		return OK
	}
	f, why := parseField(c.trailer, line)
	switch {
	case why != OK:
		return why
	case !f.ID.InTrailer():
		return BadTrailer
	case len(c.fields) >= maxTrailers:
		return TrailerTooLarge
	}
	c.fields = append(c.fields, f)
	return OK
}

// Trailers calls f with each field behind the body. Name and value are good until Reset.
func (c *Chunks) Trailers(f func(name, value []byte)) {
	for i := range c.fields {
		f(c.fields[i].Name.In(c.trailer), c.fields[i].Value.In(c.trailer))
	}
}

// HasTrailers reports whether there is a field behind the body.
func (c *Chunks) HasTrailers() bool { return len(c.fields) > 0 }
