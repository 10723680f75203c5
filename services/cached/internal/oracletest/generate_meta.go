package oracletest

import (
	"strconv"
	"strings"
)

// metaFlags are the flags of each meta command that memcached 1.6.18 knows, with what may follow them.
var metaFlags = map[string]string{
	"mg": "b c f h k l q s t u v N R T O",
	"ms": "b c k q C F I M T O",
	"md": "b k q C I T O",
	"ma": "b c k q t v C D J M N T O",
}

func (g *generator) metaCommand() string {
	if g.chance(6) {
		return pick(g, "mn", "me a", "me b", "mn a", "mg", "ms a", "md", "ma", "me", "mx a", "me zz") + "\r\n"
	}
	c := pick(g, "mg", "mg", "mg", "ms", "ms", "md", "ma")
	key, b := g.wireKey()
	words := c + " " + key
	block := ""
	if c == "ms" {
		var n string
		n, block = g.data()
		words += " " + n
	}
	words += g.metaFlagList(c, b)
	line := words + "\r\n"
	if g.hostile && g.chance(8) {
		return g.bend(line + block)
	}
	return line + block
}

// metaFlagList is some of a command's flags in any order.
func (g *generator) metaFlagList(c, b string) string {
	known := strings.Fields(metaFlags[c])
	g.r.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	var s strings.Builder
	for i, f := range known[:g.r.IntN(min(len(known), 7))] {
		if f == "b" {
			continue // only with a key that is
		}
		s.WriteString(" " + f + g.metaArgument(c, f[0]))
		if i == 0 {
			s.WriteString(b)
			b = ""
		}
	}
	s.WriteString(b)
	if g.chance(8) {
		s.WriteString(" " + pick(g, "q", "v", "k", "k", "t", "!", "z", "Z", "W", "X", "0", "P1", "L1", "S1", "bb", "T", "Tx", "O"+strings.Repeat("o", 29+g.r.IntN(6)), "M", "MX", "D", "Dx", "F", "C", "J-1", "R", "Nx"))
	}
	if g.chance(2) {
		s.WriteString(strings.Repeat(" P0", 10+g.r.IntN(20)))
	}
	return s.String()
}

func (g *generator) metaArgument(c string, flag byte) string {
	switch flag {
	case 'T', 'N':
		return pick(g, "0", "100", "100", "1000", "-1", g.exptime())
	case 'R':
		return pick(g, "0", "50", "500", "5000", "-1")
	case 'O':
		return strconv.Itoa(g.r.IntN(1000))
	case 'C':
		return pick(g, uniquePlaceIn(g.hostile), "0", "1", "99999999")
	case 'F':
		return g.flags()
	case 'D', 'J':
		return g.number()
	case 'M':
		if c == "ma" {
			return pick(g, "I", "D", "+", "-", "i", "d", "INCR", "x")
		}
		return pick(g, "S", "E", "A", "P", "R", "s", "set", "x")
	}
	return ""
}

// uniquePlaceIn is the place of the last CAS; without lockstep there is none.
func uniquePlaceIn(hostile bool) string {
	if hostile {
		return "3"
	}
	return uniquePlace
}
