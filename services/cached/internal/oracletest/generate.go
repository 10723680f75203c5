package oracletest

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Kind is a protocol that sequences are made up for.
type Kind string

// The kinds.
const (
	Text   Kind = "text"
	Meta   Kind = "meta"
	Binary Kind = "binary"
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Text, Meta, Binary} }

// Generate makes up a sequence; the same seed gives the same one. Half of them are lockstep, with whole commands; the others may
// hold anything and a third of them is damaged.
func Generate(k Kind, seed uint64) Sequence {
	g := &generator{r: rand.New(rand.NewPCG(seed, 1)), kind: k}
	s := Sequence{Binary: k == Binary, Lockstep: g.chance(30)}
	g.hostile = !s.Lockstep
	conns := 1 + g.r.IntN(3)
	for range 1 + g.r.IntN(12) {
		c := Command{Conn: 1, Data: g.command()}
		for g.hostile && countsAfterReading(append(s.Bytes(), c.Data...)) { // it would not be compared
			c.Data = g.command()
		}
		if s.Lockstep {
			c.Conn = 1 + g.r.IntN(conns)
		}
		s.Commands = append(s.Commands, c)
	}
	if !s.Lockstep && g.chance(35) {
		s.Commands = []Command{{Conn: 1, Data: g.damage(s.Bytes())}}
	}
	return s
}

// wholeLine is the length from which Split leaves a line in one piece: whether one of more than 2 KiB is taken or ends the connection
// depends on whether its end has come, for memcached as for cached.
const wholeLine = 1000

// Split divides b at random into writes; the same seed gives the same ones.
func Split(b []byte, seed uint64) (writes [][]byte) {
	r := rand.New(rand.NewPCG(seed, 2))
	if len(b) < 600 && r.IntN(3) == 0 {
		return EveryByte(b)
	}
	for len(b) > 0 {
		n := 1 + r.IntN(min(len(b), 1+r.IntN(200)))
		if line := bytes.IndexByte(b, '\n') + 1; line > wholeLine && n < line {
			n = line
		}
		writes, b = append(writes, b[:n]), b[n:]
	}
	return writes
}

// generator makes up commands.
type generator struct {
	r       *rand.Rand
	kind    Kind
	hostile bool // also what is no whole command
}

func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.r.IntN(len(list))] }

func (g *generator) command() []byte {
	switch {
	case g.kind == Binary:
		return g.packet()
	case g.kind == Meta && g.chance(75):
		return []byte(g.metaCommand())
	}
	c := g.textCommand()
	if g.hostile && g.chance(12) {
		c = g.bend(c)
	}
	return []byte(c)
}

func (g *generator) key() string {
	switch g.r.IntN(40) {
	case 0:
		return strings.Repeat("k", 250)
	case 1:
		return strings.Repeat("k", 251)
	case 2:
		return "a\x01b"
	case 3:
		return "\xff\x80"
	case 4:
		return "p:a"
	case 5:
		return "noreply"
	case 6:
		return strings.Repeat("k", 300+g.r.IntN(3000))
	}
	return pick(g, "a", "a", "a", "b", "b", "c", "d")
}

// number is a small one, an extreme one or none.
func (g *generator) number() string {
	if g.chance(60) {
		return strconv.Itoa(g.r.IntN(20))
	}
	return pick(g, "0", "-1", "1", "00", "+1", "0x1", "1.5", "x", "12x", "2147483647", "2147483648", "-2147483648", "4294967295", "4294967296",
		"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999999")
}

// exptime avoids what ends within the run.
func (g *generator) exptime() string {
	if g.chance(70) {
		return "0"
	}
	return pick(g, "-1", "100", "1000", "2592000", "2592001", "1000000000", "2147483647", "2147483648", "-2147483649", "x", "4294967295", "4294967296", "")
}

func (g *generator) flags() string {
	if g.chance(80) {
		return strconv.Itoa(g.r.IntN(100))
	}
	return g.number()
}

func (g *generator) value() string {
	if g.chance(40) {
		return pick(g, "0", "1", "5", "9", "10", "99", "100", "18446744073709551615", "18446744073709551616", "-1", " 7", "7 ", "")
	}
	v := make([]byte, g.r.IntN(30))
	if g.chance(3) {
		v = make([]byte, g.r.IntN(20_000))
	}
	for i := range v {
		v[i] = "abc123 \r\n\x00\xff"[g.r.IntN(11)]
	}
	return string(v)
}

// data is a data block of a length that was promised, or is not the promised one.
func (g *generator) data() (length, block string) {
	v := g.value()
	length, block = strconv.Itoa(len(v)), v+"\r\n"
	if !g.hostile {
		return length, block
	}
	switch g.r.IntN(30) {
	case 0:
		length = g.number()
	case 1:
		block = v + "\n"
	case 2:
		block = v + "x\r\n"
	case 3:
		block = strings.TrimSuffix(v, "1") + "\r\n"
	case 4:
		length = strconv.Itoa(max(0, len(v)-1+g.r.IntN(3)))
	}
	return length, block
}

func (g *generator) noreply() string {
	if g.chance(15) {
		return " noreply"
	}
	return ""
}

func (g *generator) textCommand() string {
	switch g.r.IntN(16) {
	case 0, 1, 2, 3, 4:
		n, block := g.data()
		return pick(g, "set", "set", "set", "add", "replace", "append", "prepend") + " " + g.key() + " " + g.flags() + " " + g.exptime() + " " + n + g.noreply() + "\r\n" + g.ifParsed(block)
	case 5:
		n, block := g.data()
		u := pick(g, uniquePlace, "1", "0", g.number())
		if g.hostile {
			u = g.number()
		}
		return "cas " + g.key() + " " + g.flags() + " " + g.exptime() + " " + n + " " + u + g.noreply() + "\r\n" + block
	case 6, 7, 8:
		return pick(g, "get", "gets", "gets") + g.keys() + "\r\n"
	case 9:
		return pick(g, "gat", "gats") + " " + g.exptime() + g.keys() + "\r\n"
	case 10, 11:
		return pick(g, "incr", "decr") + " " + g.key() + " " + g.number() + g.noreply() + "\r\n"
	case 12:
		return "touch " + g.key() + " " + g.exptime() + g.noreply() + "\r\n"
	case 13:
		return "delete " + g.key() + pick(g, "", "", "", " 0", " 1", " x") + g.noreply() + "\r\n"
	case 14:
		return pick(g, "flush_all", "flush_all 0", "flush_all -1", "flush_all noreply", "flush_all x") + "\r\n"
	}
	if g.hostile && g.chance(20) {
		return pick(g, "version", "version a b", "version noreply") + "\r\n"
	}
	return pick(g, "verbosity 0", "verbosity", "mn", "foo", "", "verbosity x", "GET a", "get", "touch a", "set a", "misbehave", "debugtime 1", "refresh_certs") + g.noreply() + "\r\n"
}

// ifParsed is the block: a place where hostility may drop it.
func (g *generator) ifParsed(block string) string {
	if g.hostile && g.chance(4) {
		return ""
	}
	return block
}

func (g *generator) keys() string {
	n := 1 + g.r.IntN(4)
	if g.chance(4) {
		n = g.r.IntN(300)
	}
	var s strings.Builder
	for range n {
		s.WriteString(" " + g.key())
	}
	return s.String()
}

// bend damages the line of a command.
func (g *generator) bend(c string) string {
	line, block, _ := strings.Cut(c, "\r\n")
	words := strings.Split(line, " ")
	i := g.r.IntN(len(words))
	switch g.r.IntN(9) {
	case 0:
		words = append(words[:i], words[i+1:]...)
	case 1:
		words = append(words, words[i])
	case 2:
		words[i] = g.number()
	case 3:
		words[i] = "  " + words[i]
	case 4:
		return line + "\n" + block
	case 5:
		words[0] = strings.ToUpper(words[0])
	case 6:
		words = append(words, "")
	case 7:
		return " " + line + "\r\n" + block
	case 8:
		words = append(words, "HTTP/1.1")
	}
	return strings.Join(words, " ") + "\r\n" + block
}

// damage flips, drops, repeats and inserts bytes.
func (g *generator) damage(b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + g.r.IntN(4) {
		if len(b) == 0 {
			return b
		}
		i := g.r.IntN(len(b))
		j := i + g.r.IntN(min(len(b)-i, 12)+1)
		switch g.r.IntN(6) {
		case 0:
			b[i] ^= 1 << g.r.IntN(8)
		case 1:
			b[i] = byte(g.r.IntN(256))
		case 2:
			b = append(b[:i], b[j:]...)
		case 3:
			b = append(b[:j:j], b[i:]...)
		case 4:
			b = b[:i]
		case 5:
			b = append(b[:i:i], append([]byte(pick(g, "\r\n", "\n", " ", "\x00", "0", "9", "noreply", "\x80")), b[i:]...)...)
		}
	}
	return b
}

// wireKey is a key as a meta command has it, and the flag that says so.
func (g *generator) wireKey() (key, flag string) {
	if !g.chance(15) {
		return g.key(), ""
	}
	if g.chance(20) {
		return pick(g, "YQ", "=", "YQ=", "!!!!", "YQ==YQ==", "-_-_", strings.Repeat("A", 248), strings.Repeat("A", 252)), " b"
	}
	raw := pick(g, "a", "b", "\x00\x01", "a b", "\r\n", strings.Repeat("x", 186))
	return base64.StdEncoding.EncodeToString([]byte(raw)), " b"
}
