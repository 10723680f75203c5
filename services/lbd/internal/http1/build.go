package http1

// A head that did not come as lines, as one of HTTP/2, is built of its parts: Add with each field, then CompleteRequest or
// CompleteResponse. What is refused is what parsing the same head, written as lines, would refuse: nothing that a server of
// HTTP/1 may misread comes in by another protocol. Bytes that no line can hold (white space around a value) are refused, too.

// Place returns the place of b[off:end] in any b. A head is at most 1 MiB.
func Place(off, end int) Text { return Text{uint32(off), uint32(end)} }

// Off returns where t begins.
func (t Text) Off() int { return int(t.off) }

// JudgeName returns what a field's name means, or why it is none.
func JudgeName(name []byte) (ID, Refusal) {
	switch {
	case len(name) == 0:
		return Other, EmptyName
	case !all(name, tchar):
		return Other, BadName
	}
	return Lookup(name), OK
}

// JudgeValue returns why v is no field's value.
func JudgeValue(v []byte) Refusal {
	if len(v) > 0 && (blank(v[0]) || blank(v[len(v)-1])) {
		return BadValue
	}
	return badValue(v)
}

// Add appends a field to a head that is being built. Its name and value are places in b and have passed JudgeName, which gave its ID,
// and JudgeValue.
func (h *Head) Add(b []byte, f Field, lim *Limits) Refusal {
	h.scan.pos += f.Name.Len() + len(": ") + f.Value.Len() + len("\r\n")
	switch {
	case len(h.Fields) >= lim.Fields:
		return TooManyFields
	case h.scan.pos > lim.Head:
		return HeadTooLarge
	}
	why := h.note(&f, f.Value.In(b))
	h.Fields = append(h.Fields, f)
	return why
}

// CompleteRequest ends building a request of HTTP/1.1 semantics: method and target are places in b, the target in one of the forms
// of RFC 9112 section 3.2. The authority was added as the field Host. Body is by Content-Length; where another protocol
// says the length otherwise, the caller sets it.
func (h *Head) CompleteRequest(b []byte, method, target Text, lim *Limits) Refusal {
	line := method.Len() + len(" ") + target.Len() + len(" HTTP/1.1")
	h.scan.pos += line + len("\r\n\r\n")
	switch {
	case method.Len() == 0 || !all(method.In(b), tchar):
		return BadMethod
	case target.Len() == 0 || !all(target.In(b), uchar):
		return BadTarget
	case line > lim.Line:
		return LineTooLong
	case h.scan.pos > lim.Head:
		return HeadTooLarge
	}
	h.Version, h.Method, h.Len = HTTP11, method, len(b)
	if why := h.target(b, target); why != OK {
		return why
	}
	return h.finishRequest(b)
}

// CompleteResponse ends building an answer with a status of three digits.
func (h *Head) CompleteResponse(b []byte, status int, lim *Limits) Refusal {
	h.scan.pos += len("HTTP/1.1 200 \r\n\r\n")
	switch {
	case status < 100 || status > 999:
		return BadStatus
	case h.scan.pos > lim.Head:
		return HeadTooLarge
	}
	h.Version, h.Status, h.Len = HTTP11, status, len(b)
	return h.finishResponse(b)
}

// ContentLength returns what the field Content-Length says of a complete head; ok is false where there is none.
func (h *Head) ContentLength() (n int64, ok bool) { return h.scan.length, h.scan.lengths > 0 }

// AddTrailer adds a field to c's trailers, for a body whose own framing has none. c was Reset.
func (c *Chunks) AddTrailer(name, value []byte) Refusal {
	id, why := JudgeName(name)
	if why == OK {
		why = JudgeValue(value)
	}
	switch {
	case why != OK:
		return why
	case !id.InTrailer():
		return BadTrailer
	case len(c.fields) >= maxTrailers || len(c.trailer)+len(name)+len(value) > maxTrailer:
		return TrailerTooLarge
	}
	at := len(c.trailer)
	c.trailer = append(append(c.trailer, name...), value...)
	c.fields = append(c.fields, Field{Name: Place(at, at+len(name)), Value: Place(at+len(name), len(c.trailer)), ID: id})
	return OK
}
