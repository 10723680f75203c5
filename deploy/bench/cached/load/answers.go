package load

import (
	"bytes"
	"fmt"

	"github.com/everup/everup/shared/fault"
)

// answers reads the answers of one connection, in whatever pieces they arrive, and checks them against the requests.
type answers struct {
	plan   *plan
	queue  pending
	refill []uint32 // missed keys to be set again; appended to while it has capacity

	passed int  // keys of the oldest request that were answered or passed over
	left   int  // bytes still to come of a value and what ends it, or of a body to skip
	tail   int  // how many of them are the line end behind the value
	skip   bool // they are no value but the text of a refusal
	check  bool // this value is compared
	offset int  // of its next byte
	start  int  // in the block
	values int  // seen so far, to choose those that are compared
}

// consume reads as many whole pieces from b as there are and returns how many bytes that were; what is left is the beginning
// of a line or header and to be given again with what follows. It adds what it finds to r; now is when b was read.
func (a *answers) consume(b []byte, r *Result, now int64) (int, error) {
	used := 0
	for used < len(b) {
		var n int
		var err error
		if a.left > 0 {
			n, err = a.body(b[used:], r, now)
		} else if n = a.whole(b[used:], r); n == 0 {
			n, err = a.head(b[used:], r, now)
		}
		used += n
		if n == 0 || err != nil {
			return used, err
		}
	}
	return used, nil
}

// head reads one line or binary header; 0 bytes when it is not whole yet.
func (a *answers) head(b []byte, r *Result, now int64) (int, error) {
	if a.queue.len() == 0 {
		return 0, violation("nothing was asked", b)
	}
	if a.plan.Protocol == Binary {
		return a.binary(b, r, now)
	}
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		if len(b) > lineLimit {
			return 0, violation("a line without an end", b)
		}
		return 0, nil
	}
	if end < 1 || b[end-1] != '\r' {
		return 0, violation("a line that does not end in CR LF", b)
	}
	line := b[:end-1]
	if bytes.HasPrefix(line, []byte("SERVER_ERROR")) {
		a.refuse(line, r, now)
		return end + 1, nil
	}
	var err error
	if a.plan.Protocol == Meta {
		err = a.meta(line, r, now)
	} else {
		err = a.text(line, r, now)
	}
	return end + 1, err
}

// text reads a line of the text protocol.
func (a *answers) text(line []byte, r *Result, now int64) error {
	if !a.queue.front().get {
		return a.stored(line, "STORED", r, now)
	}
	if string(line) == "END" {
		a.passOver(int(a.queue.front().keys), r)
		a.finish(r, now)
		return nil
	}
	rest, ok := bytes.CutPrefix(line, []byte("VALUE "))
	if !ok {
		return violation("no answer to a get", line)
	}
	key, rest, _ := bytes.Cut(rest, []byte{' '})
	flags, rest, _ := bytes.Cut(rest, []byte{' '})
	f, ok1 := number(flags)
	n, ok2 := number(rest)
	if !ok1 || !ok2 || f != int(a.plan.Flags) {
		return violation("a bad VALUE line", line)
	}
	return a.value(key, n, 2, line, r)
}

// meta reads a line of the meta protocol.
func (a *answers) meta(line []byte, r *Result, now int64) error {
	q := a.queue.front()
	switch {
	case !q.get:
		return a.stored(line, "HD", r, now)
	case bytes.HasPrefix(line, []byte("VA ")):
		var f [3][]byte
		rest := line[3:]
		for i := range f {
			f[i], rest, _ = bytes.Cut(rest, []byte{' '})
		}
		n, ok := number(f[0])
		if !ok || len(rest) > 0 || len(f[1]) == 0 || f[1][0] != 'k' || len(f[2]) == 0 || f[2][0] != 'f' {
			return violation("a bad VA line", line)
		}
		if flags, ok := number(f[2][1:]); !ok || flags != int(a.plan.Flags) {
			return violation("wrong flags", line)
		}
		return a.value(f[1][1:], n, 2, line, r)
	case a.plan.Multiget > 1 && string(line) == "MN", a.plan.Multiget == 1 && a.isMetaMiss(line):
		a.passOver(int(q.keys), r)
		a.finish(r, now)
		return nil
	}
	return violation("no answer to an mg", line)
}

// isMetaMiss reports whether the line is EN, alone or with the key asked for, as memcached says it when the flag k was given.
func (a *answers) isMetaMiss(line []byte) bool {
	key, ok := bytes.CutPrefix(line, []byte("EN k"))
	if !ok {
		return string(line) == "EN"
	}
	id, ok := parseKey(key, a.plan.KeyLen)
	return ok && id == a.queue.key(0)
}

// number reads a decimal number of at most ten digits.
func number(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 10 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// stored reads the answer to a set.
func (a *answers) stored(line []byte, good string, r *Result, now int64) error {
	switch string(line) {
	case good:
		r.Stored++
		a.finish(r, now)
	case "NOT_STORED", "NS":
		a.refuse(line, r, now)
	default:
		return violation("no answer to a set", line)
	}
	return nil
}

// value begins a value of n bytes, behind which tail bytes of a line end follow.
func (a *answers) value(key []byte, n, tail int, head []byte, r *Result) error {
	id, ok := parseKey(key, a.plan.KeyLen)
	if !ok {
		return violation("a key that was not asked for", head)
	}
	keys := int(a.queue.front().keys)
	at := a.passed
	for at < keys && a.queue.key(at) != id {
		at++
	}
	if at == keys {
		return violation("a key that was not asked for", head)
	}
	a.passOver(at, r)
	length, start := a.plan.values.of(id)
	if n != length {
		return violation(fmt.Sprintf("a value that should have %d bytes", length), head)
	}
	a.passed++
	a.values++
	a.left, a.tail, a.skip, a.offset, a.start = n+tail, tail, false, 0, start
	a.check = a.values%a.plan.CheckEvery == 0
	return nil
}

// passOver counts the keys of the oldest request up to the n-th, exclusively, that were not answered: they are misses.
func (a *answers) passOver(n int, r *Result) {
	for ; a.passed < n; a.passed++ {
		r.Misses++
		if !a.plan.Refill {
			continue
		}
		if len(a.refill) == cap(a.refill) {
			r.Dropped++
			continue
		}
		a.refill = append(a.refill, a.queue.key(a.passed))
	}
}

// body reads what is there of a value (or of a text to skip).
func (a *answers) body(b []byte, r *Result, now int64) (int, error) {
	b = b[:min(len(b), a.left)]
	data := b[:min(len(b), max(a.left-a.tail, 0))]
	if a.check && !a.skip && !a.plan.values.equal(data, a.offset, a.start) {
		return 0, violation(fmt.Sprintf("a wrong value, at byte %d or later", a.offset), data)
	}
	end := "\r\n"[2-min(a.left-len(data), 2):]
	if rest := b[len(data):]; a.tail > 0 && string(rest) != end[:len(rest)] {
		return 0, violation("a value without CR LF behind it", rest)
	}
	a.offset += len(data)
	a.left -= len(b)
	if a.left == 0 {
		a.bodyDone(r, now)
	}
	return len(b), nil
}

// bodyDone is called when a body was read to its end, also an empty one.
func (a *answers) bodyDone(r *Result, now int64) {
	if a.skip {
		a.skip = false
		return
	}
	r.Hits++
	r.Values += int64(a.offset)
	if a.check {
		r.Checked++
	}
	if a.plan.Multiget == 1 && a.plan.Protocol != Text {
		a.finish(r, now)
	}
}

// refuse counts a refusal of the oldest request, which is its whole answer.
func (a *answers) refuse(words []byte, r *Result, now int64) {
	if r.Refusal == "" {
		r.Refusal = string(words[:min(len(words), 200)])
	}
	r.Refused++
	if q := a.queue.front(); q.get {
		r.Misses += int(q.keys) - a.passed
	}
	a.finish(r, now)
}

// finish takes the oldest request off the queue: its answer is there.
func (a *answers) finish(r *Result, now int64) {
	q := a.queue.front()
	if q.get {
		r.Gets += int(q.keys)
	} else {
		r.Sets++
	}
	r.Requests++
	r.Latency.Record(now - q.due)
	a.queue.pop()
	a.passed = 0
}

// violation returns the error for bytes that the protocol does not allow here.
func violation(what string, got []byte) error {
	return fault.New(fault.Corrupt, "load: the server sent %s: %.200q", what, got[:min(len(got), 200)])
}
