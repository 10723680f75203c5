package binary

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/oracletest"
)

// endOpaque marks the no-op that ends an exchange.
const endOpaque = 0xe0e0e0e0

// speaker is a client of one of the two servers.
type speaker struct {
	say    func(b []byte) (answers []byte, closed bool)
	reopen func()
	cas    map[string]uint64 // the last number known of a key
}

// memcachedSpeaker speaks to memcached, one exchange after the other.
func memcachedSpeaker(t *testing.T, s *oracletest.Server) *speaker {
	c := s.Dial(t)
	return &speaker{cas: map[string]uint64{}, say: func(b []byte) ([]byte, bool) {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		return readToEnd(t, c)
	}, reopen: func() { c.Close(); c = s.Dial(t) }}
}

// readToEnd reads until the answer to the no-op of endOpaque, or the close.
func readToEnd(t *testing.T, c net.Conn) (got []byte, closed bool) {
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if n > 0 && ended(got) {
			return got, false
		}
		if err == io.EOF || err != nil && strings.Contains(err.Error(), "reset") {
			return got, true
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
	}
}

func ended(b []byte) bool {
	return len(b) >= headerLen && b[len(b)-headerLen+1] == opNoop && binary.BigEndian.Uint32(b[len(b)-headerLen+12:]) == endOpaque
}

func ourSpeaker(t *testing.T, o engine.Options) *speaker {
	env := newEnv(t, o)
	now := time.Now().Unix()
	env.Clock.Set(now)
	env.Started = now
	r := newRig(t, env)
	return &speaker{cas: map[string]uint64{}, say: func(b []byte) ([]byte, bool) {
		r.give(b)
		return r.take(), r.done
	}, reopen: func() { r = newRig(t, env) }}
}

// chance makes requests, mostly sensible ones.
type chance struct{ *rand.Rand }

func (c chance) key() string {
	return [...]string{"a", "b", "n", "m", "long", strings.Repeat("k", 250)}[c.IntN(6)]
}

func (c chance) value() string {
	switch c.IntN(10) {
	case 0:
		return ""
	case 1, 2, 3:
		return fmt.Sprint(c.Uint64() >> c.IntN(64))
	case 4:
		return strings.Repeat("v", c.IntN(30_000))
	case 5:
		return strings.Repeat("w", 1_048_000+c.IntN(1000))
	case 6:
		return [...]string{"12 ", " 12", "-1", "+1", "1x", "18446744073709551615", "18446744073709551616", "007"}[c.IntN(8)]
	}
	return "some value"
}

func (c chance) exptime() uint32 {
	return [...]uint32{0, 0, 0, 1000, 2592000, 2592001, 0xffffffff, 0x7fffffff, 0x80000000}[c.IntN(9)]
}

// request makes one request; the CAS is filled in later.
func (c chance) request() packet {
	p := packet{key: c.key(), opaque: c.Uint32()}
	switch c.IntN(10) {
	case 0, 1, 2:
		p.op = [...]uint8{opSet, opAdd, opReplace, 0x11, 0x12, 0x13}[c.IntN(6)]
		p.ext, p.value = u32(c.Uint32N(3))+u32(c.exptime()), c.value()
	case 3:
		p.op, p.value = [...]uint8{opAppend, opPrepend, 0x19, 0x1a}[c.IntN(4)], c.value()
	case 4, 5:
		p.op = [...]uint8{opGet, opGetK, 0x09, 0x0d}[c.IntN(4)]
	case 6:
		p.op, p.ext = [...]uint8{opTouch, opGAT, 0x1e, opGATK, 0x24}[c.IntN(5)], u32(c.exptime())
	case 7:
		p.op = [...]uint8{opIncr, opDecr, 0x15, 0x16}[c.IntN(4)]
		p.ext = u64(c.Uint64()>>c.IntN(64)) + u64(c.Uint64()>>c.IntN(64)) + u32(c.exptime())
	case 8:
		p.op = [...]uint8{opDelete, 0x14}[c.IntN(2)]
	case 9:
		if c.IntN(10) == 0 {
			return packet{op: [...]uint8{opFlush, 0x18}[c.IntN(2)], ext: [...]string{"", u32(0)}[c.IntN(2)]}
		}
		p.op = [...]uint8{opNoop, opVersion, opStat, 0x30, 0xff, opSASLList, opSASLAuth, 0x1f}[c.IntN(8)]
		p.key = ""
		if p.op == opStat {
			p.key = "reset" // not the counters: the one without lines
		}
		if p.op == opSASLAuth {
			p.key, p.value = "PLAIN", "\x00a\x00b"
		}
	}
	return p
}

// casFor chooses which number a request names: none, the last known, or a wrong one.
type casFor uint8

const (
	noCAS casFor = iota
	lastCAS
	wrongCAS
)

func (s *speaker) exchange(p packet, with casFor) (answers []byte, closed bool) {
	switch with {
	case lastCAS:
		p.cas = s.cas[p.key]
	case wrongCAS:
		p.cas = 1 << 40
	}
	b, closed := s.say(concat(p, packet{op: opNoop, opaque: endOpaque}))
	if a, _, ok := cut(b); ok && a.cas != 0 {
		s.cas[p.key] = a.cas
	}
	return b, closed
}

// blankCAS makes every number but 0 the same: what counts is whether there is one.
func blankCAS(b []byte) []byte {
	b = bytes.Clone(b)
	for rest := b; ; {
		a, next, ok := cut(rest)
		if !ok {
			return b
		}
		if a.cas != 0 {
			copy(rest[16:24], "numbered")
		}
		rest = next
	}
}

// TestAgainstMemcached has random exchanges with memcached and with a session and compares every byte.
func TestAgainstMemcached(t *testing.T) {
	exchanges := 5_000
	if testing.Short() {
		exchanges = 500
	}
	f := func(name string, o engine.Options, args ...string) {
		t.Run(name, func(t *testing.T) {
			theirs := memcachedSpeaker(t, oracletest.Start(t, oracletest.Options{Args: append(args, "-B", "binary")}))
			ours := ourSpeaker(t, o)
			seed := uint64(time.Now().UnixNano())
			c := chance{rand.New(rand.NewPCG(seed, 1))}
			for i := range exchanges {
				p := c.request()
				if o.NoCAS && (p.op == opFlush || p.op == 0x18) {
					continue // without numbers memcached drops what is stored within the second after, too
				}
				with := [...]casFor{noCAS, noCAS, noCAS, noCAS, lastCAS, lastCAS, wrongCAS}[c.IntN(7)]
				want, wantClosed := theirs.exchange(p, with)
				got, gotClosed := ours.exchange(p, with)
				if !bytes.Equal(blankCAS(want), blankCAS(got)) || wantClosed != gotClosed {
					t.Fatalf("seed %d, exchange %d: op %02x key %.20q ext %x value %.40q (%d) cas %d\nclosed %v, want %v\n%s",
						seed, i, p.op, p.key, p.ext, p.value, len(p.value), with, gotClosed, wantClosed, cmp.Diff(spell(want), spell(got)))
				}
				if gotClosed {
					theirs.reopen()
					ours.reopen()
				}
			}
		})
	}
	f("plain", engine.Options{})
	f("without CAS", engine.Options{NoCAS: true}, "-C")
	f("smaller items", engine.Options{MaxItem: 512 << 10}, "-I", "512k")
}

// TestLiesAgainstMemcached sends headers whose lengths are wrong, each over a connection of its own.
func TestLiesAgainstMemcached(t *testing.T) {
	server := oracletest.Start(t, oracletest.Options{Args: []string{"-B", "binary"}})
	env := newEnv(t, engine.Options{})
	seed := uint64(time.Now().UnixNano())
	c := chance{rand.New(rand.NewPCG(seed, 2))}
	for i := range 2_000 {
		p := c.lie()
		b := p.bytes()
		conn := server.Dial(t)
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(conn)
		if err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		conn.Close()
		r := newRig(t, env)
		r.give(b)
		if got := r.take(); !bytes.Equal(blankCAS(got), blankCAS(want)) {
			t.Fatalf("seed %d, lie %d: %x\n%s", seed, i, b[:headerLen], cmp.Diff(spell(want), spell(got)))
		}
	}
}

// lie makes a request with wrong lengths, of those that both servers are meant to judge alike; see the differences in the
// package documentation.
func (c chance) lie() packet {
	for {
		p := c.request()
		p.value = p.value[:min(len(p.value), 300)]
		switch c.IntN(4) {
		case 0:
			p.keyLen = [...]int{-1, 1, 3, 249, 251, 300, 5000}[c.IntN(7)]
		case 1:
			p.extLen = [...]int{-1, 1, 4, 8, 20, 21, 255}[c.IntN(7)]
		case 2:
			p.inAll = [...]int{-1, 1, 24, 300, 1 << 16, 1 << 21, 1 << 31, 1<<32 - 1}[c.IntN(8)]
		case 3:
			p.key, p.ext = p.key+strings.Repeat("x", 260*c.IntN(2)), p.ext+strings.Repeat("e", c.IntN(3))
		}
		b := p.bytes()
		var r request
		v, _, body := decode(b, &r)
		needs := int(binary.BigEndian.Uint16(b[2:])) + int(b[4])
		switch sent := len(b) - headerLen; {
		case sent < needs: // memcached waits for key and extras
		case v == unserved && body > 0:
		case v == misfit && (r.base == opStat || r.base == opTouch || r.base == opGAT || r.base == opGATK):
		case v == valid && int(body) != sent: // what follows is a value, or the next header
		default:
			return p
		}
	}
}

// counters are memcached's statistics that a client's commands change, and the store's counters behind them.
var counters = map[string]engine.Counter{
	"cmd_get": engine.CmdGet, "cmd_set": engine.CmdSet, "cmd_touch": engine.CmdTouch, "get_hits": engine.GetHits, "get_misses": engine.GetMisses,
	"delete_misses": engine.DeleteMisses, "delete_hits": engine.DeleteHits, "incr_misses": engine.IncrMisses, "incr_hits": engine.IncrHits,
	"decr_misses": engine.DecrMisses, "decr_hits": engine.DecrHits, "cas_misses": engine.CasMisses, "cas_hits": engine.CasHits,
	"cas_badval": engine.CasBadval, "touch_hits": engine.TouchHits, "touch_misses": engine.TouchMisses,
	"store_no_memory": engine.StoreNoMemory, // store_too_large is counted for this protocol only by cached
}

// TestCountsAgainstMemcached has random commands counted by both.
func TestCountsAgainstMemcached(t *testing.T) {
	theirs := memcachedSpeaker(t, oracletest.Start(t, oracletest.Options{Args: []string{"-B", "binary"}}))
	env := newEnv(t, engine.Options{})
	env.Clock.Set(time.Now().Unix())
	env.Started = time.Now().Unix()
	ours := &speaker{cas: map[string]uint64{}}
	r := newRig(t, env)
	ours.say = func(b []byte) ([]byte, bool) {
		r.give(b)
		return r.take(), r.done
	}
	c := chance{rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))}
	for range 1000 {
		p := c.request()
		if p.op == opStat || p.op >= 0x30 {
			continue
		}
		with := casFor(c.IntN(3))
		theirs.exchange(p, with)
		ours.exchange(p, with)
	}
	said, _ := theirs.say(concat(packet{op: opStat}, packet{op: opNoop, opaque: endOpaque}))
	have := env.Store.Stats().Counts
	checked := 0
	for b := said; len(b) > 0; {
		a, rest, ok := cut(b)
		if !ok {
			t.Fatalf("no answer: %.60x", b)
		}
		b = rest
		n, known := counters[a.key]
		if !known {
			continue
		}
		checked++
		if want := a.value; fmt.Sprint(have[n]) != want {
			t.Errorf("%s: %d, want %s", a.key, have[n], want)
		}
	}
	if checked != len(counters) {
		t.Errorf("memcached told %d of %d counters", checked, len(counters))
	}
}
