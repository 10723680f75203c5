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

	// Sent says whether the difference may show in a conversation in which these bytes were sent.
	Sent func(sent []byte) bool
	// Same says whether the answers are the same but for this difference; nil where what follows the difference can be anything.
	Same func(memcached, cached []byte) bool
}

func matches(expr string) func([]byte) bool { return regexp.MustCompile(expr).Match }

// Differences returns the list.
func Differences() []Difference {
	return []Difference{
		{
			Name: "discarded replies",
			Why:  "A get whose list holds an over-long key makes memcached 1.6.18 throw away the replies of commands pipelined before it; cached sends them.",
			Sent: matches(`(?:get|gets|gat|gats) [^\n]*[^ \n]{251}`),
			Same: sameButDiscarded,
		},
		{
			Name: "held-back replies",
			Why:  "memcached 1.6.18 holds replies back while it waits for the rest of a value or packet, and loses them if the connection ends then; cached sends them.",
			Sent: func([]byte) bool { return true },
			Same: sameButHeldBack,
		},
		{
			Name: "expired ttl",
			Why:  "The t flag of an item whose exptime lies in the past is a wrapped unsigned number in memcached 1.6.18; cached answers a negative one.",
			Sent: matches(`(?m)^ *m[gsad] `),
			Same: sameButExpired,
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
			Name: "flag C of mg",
			Why:  "With the flag C of mg the value is left out when the CAS is the given one; 1.6.18 takes the flag and does nothing.",
			Sent: matches(`(?m)^ *mg [^\n]* C\d`),
		},
		{
			Name: "append vivify",
			Why:  "The flag N of ms in the modes append and prepend, which creates what is missing, came after 1.6.18.",
			Sent: matches(`(?m)^ *ms [^\n]* N\d`),
		},
		{
			Name: "shutdown text",
			Why:  "memcached 1.6.18 answers ERROR: where newer versions answer SERVER_ERROR: that shutdown is not enabled.",
			Sent: matches(`(?m)^ *shutdown`),
		},
		{
			Name: "automove window",
			Why:  "The text of slabs automove window 1 is that of newer versions.",
			Sent: matches(`(?m)^ *slabs automove window`),
		},
	}
}

// incomparable matches text whose answers hold the process's own figures, come when a background thread gets to it, or change
// the server for all that follows.
var incomparable = matches(`(?i)stats|watch|lru|slabs|cache_memlimit|shutdown|extstore|flush_all +[1-9]`)

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
