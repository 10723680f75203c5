package http1

import "bytes"

// fieldLine parses "name: value".
func (h *Head) fieldLine(b []byte, line Text) Refusal {
	f, why := parseField(b, line)
	if why != OK {
		return why
	}
	why = h.note(&f, f.Value.In(b))
	h.Fields = append(h.Fields, f)
	return why
}

// parseField is RFC 9112 section 5 without obs-fold.
func parseField(b []byte, line Text) (f Field, why Refusal) {
	raw := line.In(b)
	if blank(raw[0]) {
		return f, Folded
	}
	n := 0
	for n < len(raw) && classes[raw[n]]&tchar != 0 {
		n++
	}
	if n == len(raw) || raw[n] != ':' {
		return f, badName(raw, n)
	}
	if n == 0 {
		return f, EmptyName
	}
	f.Name = Text{line.off, line.off + uint32(n)}
	f.Value = trim(b, Text{f.Name.end + 1, line.end})
	f.ID = Lookup(raw[:n])
	return f, badValue(f.Value.In(b))
}

// badName says what is wrong with a name that ends at n without a colon.
func badName(raw []byte, n int) Refusal {
	switch {
	case n == len(raw), bytes.IndexByte(raw, ':') < 0:
		return NoColon
	case blank(raw[n]):
		return SpaceInName
	case raw[n] == '\r':
		return BareCR
	}
	return BadName
}

func badValue(v []byte) Refusal {
	for _, c := range v {
		if classes[c]&fchar != 0 {
			continue
		}
		if c == '\r' {
			return BareCR
		}
		return ControlByte
	}
	return OK
}

// requestLine parses "method SP target SP HTTP/1.1" (RFC 9112 section 3).
func (h *Head) requestLine(b []byte, line Text) Refusal {
	raw := line.In(b)
	sp := bytes.IndexByte(raw, ' ')
	if sp <= 0 || !all(raw[:sp], tchar) {
		return badLine(raw, BadMethod)
	}
	rest := raw[sp+1:]
	sp2 := bytes.IndexByte(rest, ' ')
	if sp2 < 0 {
		return badLine(raw, BadVersion)
	}
	if sp2 == 0 || !all(rest[:sp2], uchar) {
		return badLine(raw, BadTarget)
	}
	h.Method = Text{line.off, line.off + uint32(sp)}
	at := h.Method.end + 1
	var why Refusal
	if h.Version, why = parseVersion(rest[sp2+1:]); why != OK {
		return badLine(raw, why)
	}
	return h.target(b, Text{at, at + uint32(sp2)})
}

// badLine prefers the reason that a control byte gives.
func badLine(raw []byte, why Refusal) Refusal {
	for _, c := range raw {
		switch {
		case c == '\r':
			return BareCR
		case c < ' ' && c != '\t' || c == 0x7f:
			return ControlByte
		}
	}
	return why
}

func parseVersion(v []byte) (Version, Refusal) {
	switch {
	case string(v) == "HTTP/1.1":
		return HTTP11, OK
	case string(v) == "HTTP/1.0":
		return HTTP10, OK
	case len(v) == len("HTTP/1.1") && string(v[:5]) == "HTTP/" && classes[v[5]]&digit != 0 && v[6] == '.' && classes[v[7]]&digit != 0:
		return 0, OldVersion
	}
	return 0, BadVersion
}

// statusLine parses "HTTP/1.1 SP status SP [reason]" (RFC 9112 section 4). The space behind the status may be missing, as
// many servers leave it out with an empty reason.
func (h *Head) statusLine(b []byte, line Text) Refusal {
	raw := line.In(b)
	const prefix = len("HTTP/1.1 ")
	if len(raw) < prefix+3 || raw[prefix-1] != ' ' {
		return badLine(raw, BadStatus)
	}
	var why Refusal
	if h.Version, why = parseVersion(raw[:prefix-1]); why != OK {
		return why
	}
	code := raw[prefix : prefix+3]
	if !all(code, digit) || code[0] == '0' || len(raw) > prefix+3 && raw[prefix+3] != ' ' {
		return badLine(raw, BadStatus)
	}
	h.Status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	h.Reason = Text{min(line.off+uint32(prefix)+4, line.end), line.end}
	return badValue(h.Reason.In(b))
}
