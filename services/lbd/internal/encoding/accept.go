package encoding

import (
	"bytes"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Bounds of Accept-Encoding, over all its lines. Browsers send some thirty bytes.
const (
	MaxAccept  = 1024 // bytes
	maxListed  = 32   // elements
	notListed  = -1
	fullWeight = 1000
)

// Accept is what a client takes.
type Accept struct {
	weight [codings]int16 // in thousandths; notListed
	others int16          // of "*"; notListed
	bytes  int
	listed int
	never  bool // nonsense, or no-transform
}

// ReadAccept reads what a request says.
func ReadAccept(h *http1.Head, in []byte) Accept {
	a := noAccept()
	for i := range h.Fields {
		switch f := &h.Fields[i]; f.ID {
		case http1.AcceptEncoding:
			a.add(f.Value.In(in))
		case http1.CacheControl:
			a.never = a.never || forbidsTransform(f.Value.In(in))
		}
	}
	return a
}

func noAccept() Accept {
	a := Accept{others: notListed}
	for c := range a.weight {
		a.weight[c] = notListed
	}
	return a
}

// add takes in a field's value.
func (a *Accept) add(value []byte) {
	if a.bytes += len(value); a.bytes > MaxAccept {
		a.never = true
	}
	if a.never {
		return
	}
	http1.Elements(value, func(e []byte) bool {
		a.listed++
		if a.listed > maxListed || !a.element(e) {
			a.never = true
		}
		return !a.never
	})
}

// element takes in one coding; false if it is malformed.
func (a *Accept) element(e []byte) bool {
	name, params, weighted := bytes.Cut(e, []byte(";"))
	name = bytes.TrimRight(name, " \t")
	w := int16(fullWeight)
	if weighted {
		var ok bool
		if w, ok = parseWeight(bytes.TrimLeft(params, " \t")); !ok {
			return false
		}
	}
	if !http1.IsToken(name) {
		return false
	}
	at := &a.others
	if !(len(name) == 1 && name[0] == '*') {
		c, known := codingOf(name)
		if !known {
			return true
		}
		at = &a.weight[c]
	}
	if *at == notListed || w < *at {
		*at = w
	}
	return true
}

// parseWeight reads "q=" and a qvalue (RFC 9110 section 12.4.2), in thousandths.
func parseWeight(p []byte) (w int16, ok bool) {
	if len(p) < 3 || len(p) > 7 || p[0]|0x20 != 'q' || p[1] != '=' || p[2] != '0' && p[2] != '1' {
		return 0, false
	}
	w = int16(p[2]-'0') * fullWeight
	if len(p) == 3 {
		return w, true
	}
	if p[3] != '.' {
		return 0, false
	}
	unit := int16(100)
	for _, c := range p[4:] {
		if c < '0' || c > '9' {
			return 0, false
		}
		w += int16(c-'0') * unit
		unit /= 10
	}
	return w, w <= fullWeight
}

// Choose returns the coding to use, of those that the server would use in its order of preference: Identity if it is none of them.
func (a *Accept) Choose(prefer []Coding) Coding {
	best, most := Identity, max(a.weight[Identity], 1) // of equal weight with identity, the coding is used
	if a.never {
		return best
	}
	for _, c := range prefer {
		w := a.weight[c]
		if w == notListed {
			w = a.others
		}
		if w > most || w == most && best == Identity {
			best, most = c, w
		}
	}
	return best
}
