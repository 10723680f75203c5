package oracletest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// Subject is a server under test: how it is started, and how its answers may differ from memcached's.
type Subject struct {
	Name  string
	Start func(t testing.TB) *Server
	// Deliberate are the differences it may show.
	Deliberate []Difference
	// Itself says that the subject is memcached too: either may show what comes of how its input is cut.
	Itself bool
}

// Pair is memcached and a subject that are asked the same.
type Pair struct {
	t                 testing.TB
	subject           Subject
	memcached, server *Server
	once              int // differences that were not seen again
}

// tolerated is how many differences may be seen once and not again: made up sequences may hold a time that is just over.
const tolerated = 3

// NewPair starts both.
func NewPair(t testing.TB, s Subject) *Pair {
	t.Helper()
	return &Pair{t: t, subject: s, memcached: Start(t, Options{}), server: s.Start(t)}
}

// verdict is the outcome of a comparison.
type verdict struct {
	same            bool
	skipped         string // the name of the difference for which the answers were not compared
	memcached, them []byte
}

// compare has a sequence with both: memcached gets it in one write, the subject in the given ones.
func (p *Pair) compare(s Sequence, writes [][]byte) (verdict, error) {
	sent := s.Bytes()
	if why := p.subject.skips(s); why != "" {
		return verdict{same: true, skipped: why}, nil
	}
	want, err := s.run(p.memcached, nil)
	if err != nil {
		return verdict{}, fmt.Errorf("memcached: %w", err)
	}
	got, err := s.run(p.server, writes)
	if err != nil {
		return verdict{memcached: want, them: got}, fmt.Errorf("%s: %w", p.subject.Name, err)
	}
	return verdict{same: p.subject.same(sent, want, got), memcached: want, them: got}, nil
}

// skips names the difference after which nothing can be compared, or is "".
func (s Subject) skips(seq Sequence) string {
	sent := seq.Bytes()
	if incomparable(sent) || seq.isBinary() && bytes.Contains(sent, []byte{0x80, opStat}) {
		return "incomparable"
	}
	for _, d := range s.Deliberate {
		if d.Same == nil && !(d.Pipelined && seq.Lockstep) && d.Sent(sent) {
			return d.Name
		}
	}
	return ""
}

// same compares two answers, but for time and for one deliberate difference.
func (s Subject) same(sent, memcached, them []byte) bool {
	if sameButSeconds(memcached, them) {
		return true
	}
	if s.Itself && sameButTiming(memcached, them) {
		return true
	}
	for _, d := range s.Deliberate {
		if d.Same != nil && d.Sent(sent) && d.Same(memcached, them) {
			return true
		}
	}
	return false
}

// Compare compares a sequence; writes are how the subject gets it, nil for one. It returns how the answers differ, "" if they do
// not, and whether they were compared, and not left out for a difference that is meant to be.
func (p *Pair) Compare(s Sequence, writes [][]byte) (difference string, compared bool, err error) {
	v, err := p.compare(s, writes)
	if err != nil || v.same {
		return "", v.skipped == "", err
	}
	return s.String() + diffLines(v, s.isBinary()), true, nil
}

// Check is Compare that fails the test, with the shortest sequence it finds that still shows the difference. It is called from the
// goroutine of the test that the pair was made for.
func (p *Pair) Check(s Sequence, writes [][]byte, name string) (same, compared bool) {
	p.t.Helper()
	v, err := p.compare(s, writes)
	switch {
	case err != nil:
		p.t.Errorf("%s: %v\n%s", name, err, s)
	case !v.same:
		p.explain(s, writes, v, name)
	}
	return err == nil && v.same, v.skipped == ""
}

// explain reports a difference, made small.
func (p *Pair) explain(s Sequence, writes [][]byte, v verdict, name string) {
	p.t.Helper()
	switch {
	case p.differs(s, nil):
		writes = nil // it does not take the writes
	case writes == nil || !p.differs(s, writes):
		p.once++
		p.t.Logf("%s: answers differed once and not again (-memcached +%s):\n%s%s", name, p.subject.Name, s, diffLines(v, s.isBinary()))
		if p.once > tolerated {
			p.t.Errorf("%d differences were not seen again", p.once)
		}
		return
	}
	if writes == nil {
		s = shrink(s, func(s Sequence) bool { return p.differs(s, nil) })
		if small, err := p.fresh().compare(s, nil); err == nil && !small.same {
			v = small
		}
	}
	p.t.Errorf("%s: answers differ (-memcached +%s), sent in %d writes:\n%s%s", name, p.subject.Name, max(1, len(writes)), s, diffLines(v, s.isBinary()))
}

// differs says whether a sequence shows a difference with fresh servers: what they answered before cannot be what makes it.
func (p *Pair) differs(s Sequence, writes [][]byte) bool {
	v, err := p.fresh().compare(s, writes)
	return err == nil && !v.same
}

// fresh restarts both servers.
func (p *Pair) fresh() *Pair {
	p.memcached.Stop()
	p.server.Stop()
	p.memcached, p.server = Start(p.t, Options{}), p.subject.Start(p.t)
	return p
}

// diffLines shows both answers from where they begin to differ.
func diffLines(v verdict, bin bool) string {
	a, b := shownLines(v.memcached, bin), shownLines(v.them, bin)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	var out strings.Builder
	show := func(mark string, lines []string) {
		for i, l := range lines {
			if i == 12 {
				fmt.Fprintf(&out, "%s … %d more\n", mark, len(lines)-i)
				break
			}
			fmt.Fprintf(&out, "%s %.300s\n", mark, l)
		}
	}
	show("-", a)
	show("+", b)
	if bytes.Equal(v.memcached, v.them) {
		out.WriteString("(and yet the same bytes)\n")
	}
	return out.String()
}

// shrinkTries bounds the work of making a sequence small.
const shrinkTries = 250

// shrink leaves out commands, then bytes of what is left, as long as it stays bad.
func shrink(s Sequence, bad func(Sequence) bool) Sequence {
	tries := shrinkTries
	try := func(cand Sequence) bool {
		if tries == 0 {
			return false
		}
		tries--
		return bad(cand)
	}
	commands := reduce(len(s.Commands), func(keep []int) bool { return try(s.only(keep)) })
	s = s.only(commands)
	if s.Lockstep {
		return s // its commands have to stay whole
	}
	for i := range s.Commands {
		b := s.Commands[i].Data
		kept := reduce(len(b), func(keep []int) bool { return try(s.with(i, pickBytes(b, keep))) })
		s = s.with(i, pickBytes(b, kept))
	}
	return s
}

// reduce finds a small subset of 0…n-1, in order, for which bad holds; it holds for all of them.
func reduce(n int, bad func([]int) bool) []int {
	keep := make([]int, n)
	for i := range keep {
		keep[i] = i
	}
	for size := max(1, n/2); size >= 1 && len(keep) > 0; size /= 2 {
		for at := 0; at < len(keep); {
			cand := append(append([]int(nil), keep[:at]...), keep[min(at+size, len(keep)):]...)
			if bad(cand) {
				keep = cand
			} else {
				at += size
			}
		}
	}
	return keep
}

func (s Sequence) only(keep []int) Sequence {
	out := Sequence{Binary: s.Binary, Lockstep: s.Lockstep}
	for _, i := range keep {
		out.Commands = append(out.Commands, s.Commands[i])
	}
	return out
}

// with replaces a command's bytes.
func (s Sequence) with(i int, data []byte) Sequence {
	out := Sequence{Binary: s.Binary, Lockstep: s.Lockstep, Commands: append([]Command(nil), s.Commands...)}
	out.Commands[i].Data = data
	return out
}

func pickBytes(b []byte, keep []int) []byte {
	out := make([]byte, len(keep))
	for i, at := range keep {
		out[i] = b[at]
	}
	return out
}
