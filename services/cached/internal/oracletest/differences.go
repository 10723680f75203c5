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

// sameButDiscarded says whether memcached's answer is cached's without some replies that came just before a refusal.
func sameButDiscarded(memcached, cached []byte) bool {
	for {
		n := commonPrefix(memcached, cached)
		if n == len(memcached) && n == len(cached) {
			return true
		}
		// What differs was discarded: memcached is at a refusal, and so must cached be, a few replies later. The common prefix
		// may end inside a refusal's first line.
		at := bytes.LastIndexByte(memcached[:n], '\n') + 1
		memcached, cached = memcached[at:], cached[at:]
		if !bytes.HasPrefix(memcached, refusal) {
			return false
		}
		skip := bytes.Index(cached, refusal)
		if skip <= 0 {
			return false
		}
		cached = cached[skip:]
	}
}

func commonPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

var wrappedTTL = regexp.MustCompile(` t(42949\d{5}|-\d+)\b`)

// sameButExpired says whether answers are the same but for what t says of expired items.
func sameButExpired(memcached, cached []byte) bool {
	mask := []byte(" t#")
	return bytes.Equal(wrappedTTL.ReplaceAll(memcached, mask), wrappedTTL.ReplaceAll(cached, mask))
}
