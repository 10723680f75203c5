package oracletest

import (
	"bytes"
	"regexp"
)

// Difference is an answer of cached that is not memcached 1.6.18's, on purpose. The list is part of the documentation: there is
// nothing else.
type Difference struct {
	Name string // as the golden files' "differs" has it
	Why  string // a sentence

	// Pipelined says that memcached shows it only to commands that do not wait for each other's answers.
	Pipelined bool
	// Sent says whether the difference may show in a conversation in which these bytes were sent.
	Sent func(sent []byte) bool
	// Same says whether the answers are the same but for this difference; nil where what follows the difference can be anything.
	Same func(memcached, cached []byte) bool
}

func matches(expr string) func([]byte) bool { return regexp.MustCompile(expr).Match }

// Differences returns the list.
func Differences() []Difference {
	return append(append(pipelinedDifferences(), textDifferences()...), binaryDifferences()...)
}

// pipelinedDifferences are those in which memcached's answer depends on how bytes happened to arrive.
func pipelinedDifferences() []Difference {
	return []Difference{
		{
			Name: "discarded replies", Pipelined: true,
			Why:  "A get whose list holds an over-long key makes memcached throw away the replies of commands pipelined before it; cached sends them.",
			Sent: matches(`(?:get|gets|gat|gats) [^\n]*[^ \n]{251}`),
			Same: sameButDiscarded,
		},
		{
			Name: "held-back replies", Pipelined: true,
			Why:  "memcached holds replies back while it waits for the rest of a value or packet, and loses them if the connection ends then or goes on with bytes that are no command; cached sends them.",
			Sent: func([]byte) bool { return true },
			Same: sameButHeldBack,
		},
		{
			Name: "pending reference", Pipelined: true,
			Why:  "A number that shrinks is padded with spaces to its old length; memcached does not pad it while a reply with the old value waits to be sent.",
			Sent: countsAfterReading,
		},
	}
}

func countsAfterReading(sent []byte) bool { return readThenCount(sent) || countAfterRead(sent) }

var readThenCount = matches(`(?s)\bm[ga] .*\n *(ma|incr|decr) `)

// countAfterRead says whether a binary get comes before a binary incr or decr.
func countAfterRead(sent []byte) bool {
	read := false
	return anyPacket(sent, func(p Packet) bool {
		switch p.Opcode {
		case 0x00, 0x09, 0x0c, 0x0d, 0x1d, 0x1e, 0x23, 0x24:
			read = true
		case 0x05, 0x06, 0x15, 0x16:
			return read
		}
		return false
	})
}

func textDifferences() []Difference {
	return []Difference{
		{
			Name: "expired ttl",
			Why:  "The t flag of an item that has just been given an exptime in the past is answered a negative number; memcached's is a wrapped one that depends on its uptime.",
			Sent: matches(`(?m)^ *m[gsad] `),
			Same: sameButExpired,
		},
		{
			Name: "ma ttl",
			Why:  "A TTL that ma gives holds; memcached loses it when the number gets longer.",
			Sent: matches(`(?m)^ *ma [^\n]* T`),
		},
		{
			Name: "flag E",
			Why:  "The meta flag E, which sets the CAS, came after 1.6.18.",
			Sent: matches(`(?m)^ *m[gsda] [^\n]* E\d`),
		},
		{
			Name: "flag x of md",
			Why:  "The flag x of md, which empties an item, came after 1.6.18.",
			Sent: matches(`(?m)^ *md [^\n]* x`),
		},
		{
			Name: "append vivify",
			Why:  "The flag N of ms in the modes append and prepend, which creates what is missing, came after 1.6.18.",
			Sent: matches(`(?m)^ *ms [^\n]* N\d`),
		},
		{
			Name: "delay of a second",
			Why:  "flush_all 1 waits a second; memcached flushes at once and takes with it what is stored in that second.",
			Sent: matches(`flush_all +1\b`),
		},
		{
			Name: "shutdown text",
			Why:  "That shutdown is not enabled is a SERVER_ERROR:, as in newer versions; 1.6.18 answers ERROR:.",
			Sent: matches(`(?m)^ *shutdown`),
		},
		{
			Name: "automove options",
			Why:  "slabs automove freeratio and window came after 1.6.18.",
			Sent: matches(`(?m)^ *slabs automove`),
		},
		{
			Name: "mgdump",
			Why:  "lru_crawler mgdump came after 1.6.18.",
			Sent: matches(`(?m)^ *lru_crawler mgdump`),
		},
	}
}

func binaryDifferences() []Difference {
	return []Difference{
		{
			Name: "unknown body",
			Why:  "The body of an unknown command is skipped exactly; memcached skips its key and extras twice and takes what follows for something else.",
			Sent: func(sent []byte) bool {
				return anyPacket(sent, func(p Packet) bool {
					served := int(p.Opcode) < len(opcodes) && opcodes[p.Opcode] != ""
					return !served && p.size() > headerLength
				})
			},
		},
		{
			Name: "bytes behind the key",
			Why:  "Stat, Touch and the GATs with bytes behind the key are refused; memcached serves them and takes the bytes for a header.",
			Sent: func(sent []byte) bool {
				return anyPacket(sent, func(p Packet) bool {
					return len(p.Value) > 0 && bytes.IndexByte([]byte{opStat, 0x1c, 0x1d, 0x1e, 0x23, 0x24}, p.Opcode) >= 0
				})
			},
		},
		{
			Name: "verbosity",
			Why:  "Verbosity (0x1b) works; memcached only defines it.",
			Sent: func(sent []byte) bool {
				return anyPacket(sent, func(p Packet) bool { return p.Opcode == 0x1b })
			},
		},
	}
}

// anyPacket says whether any packet is a match. Damage may have moved packets: it looks at all places.
func anyPacket(sent []byte, match func(Packet) bool) bool {
	for ; len(sent) >= 2; sent = sent[1:] {
		if sent[0] != 0x80 {
			continue
		}
		p, ok := Packet{}, false
		if len(sent) >= headerLength {
			p, _, ok = cutPacket(sent)
		}
		if !ok { // its rest is damaged, or has not come and is taken from what asks for the end: judge what is there
			p = Packet{Opcode: sent[1], Value: []byte("?")}
		}
		if match(p) {
			return true
		}
	}
	return false
}

// incomparable says whether answers cannot be compared: some are the process's own, and a line of more than 2 KiB that is no get is
// refused or ends the connection by whether its end was read with it.
func incomparable(sent []byte) bool {
	for line := range bytes.Lines(sent) {
		line = bytes.TrimLeft(line, " ")
		if len(line) > 2048 && !bytes.HasPrefix(line, []byte("get ")) && !bytes.HasPrefix(line, []byte("gets ")) {
			return true
		}
	}
	return ownFigures(sent)
}

// ownFigures matches text whose answers hold the process's own figures, come when a background thread gets to it, or change
// the server for all that follows.
var ownFigures = matches(`(?i)stats|watch|lru|slabs|cache_memlimit|shutdown|extstore|flush_all +[1-9]`)

// refusal is what a get with an over-long key is answered.
var refusal = []byte("CLIENT_ERROR bad command line format\r\n")

// unfinished says whether the sentinel was not answered: it was taken for a part of something else, or the connection ended.
func unfinished(answer []byte) bool {
	if bytes.HasSuffix(answer, []byte("VERSION\r\n")) {
		return false
	}
	_, found := cutSentinel(answer, true)
	return !found
}

// sameButHeldBack says whether memcached's answer is the beginning of cached's, and ends before that to the sentinel.
func sameButHeldBack(memcached, cached []byte) bool {
	return unfinished(memcached) && bytes.HasPrefix(cached, memcached)
}

// sameButDiscarded says whether memcached's answer is cached's without some replies that came just before a refusal; what was
// held back may be missing too.
func sameButDiscarded(memcached, cached []byte) bool {
	return newAligner(memcached, cached).reach(0, 0, false)
}

// sameButTiming is sameButDiscarded where either may have discarded and held back, as memcached does by how its input is cut.
func sameButTiming(a, b []byte) bool {
	return sameButHeldBack(a, b) || sameButHeldBack(b, a) || newAligner(a, b).reach(0, 0, true)
}

// aligner walks along the lines of two answers.
type aligner struct {
	a, b         [][]byte
	aOpen, bOpen bool // unfinished
	dead         map[[2]int]bool
}

func newAligner(a, b []byte) *aligner {
	// What was discarded had its part in naming the uniques.
	mask := func(uint64) uint64 { return 0 }
	a, b = mapUniques(a, false, mask), mapUniques(b, false, mask)
	return &aligner{bytes.SplitAfter(a, []byte("\n")), bytes.SplitAfter(b, []byte("\n")), unfinished(a), unfinished(b), map[[2]int]bool{}}
}

// reach says whether the answers from the given lines on can be the same but for what was discarded before a refusal: by a, or by
// either.
func (l *aligner) reach(i, j int, either bool) bool {
	switch {
	case i == len(l.a) && j == len(l.b):
		return true
	case l.aOpen && (i == len(l.a) || len(l.a[i]) == 0):
		return true
	case either && l.bOpen && (j == len(l.b) || len(l.b[j]) == 0):
		return true
	case i == len(l.a) || j == len(l.b) || l.dead[[2]int{i, j}]:
		return false
	}
	ok := bytes.Equal(l.a[i], l.b[j]) && l.reach(i+1, j+1, either) ||
		bytes.Equal(l.a[i], refusal) && l.reach(i, j+1, either) ||
		either && bytes.Equal(l.b[j], refusal) && l.reach(i+1, j, either)
	l.dead[[2]int{i, j}] = !ok
	return ok
}

var wrappedTTL = regexp.MustCompile(` t(42949\d{5}|-\d+)\b`)

// sameButExpired says whether answers are the same but for what t says of expired items.
func sameButExpired(memcached, cached []byte) bool {
	mask := []byte(" t#")
	return bytes.Equal(wrappedTTL.ReplaceAll(memcached, mask), wrappedTTL.ReplaceAll(cached, mask))
}
