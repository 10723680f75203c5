package oracletest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// liar stands before memcached and changes what it answers.
func liar(t testing.TB, change func([]byte) []byte) *Server {
	real := Start(t, Options{})
	l, err := net.Listen("unix", filepath.Join(socketDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { lie(c.(*net.UnixConn), real, change) })
		}
	})
	return &Server{Name: "liar", Network: "unix", Addr: l.Addr().String()}
}

func lie(c *net.UnixConn, real *Server, change func([]byte) []byte) {
	defer c.Close()
	up, err := net.Dial(real.Network, real.Addr)
	if err != nil {
		return
	}
	defer up.Close()
	go func() { io.Copy(up, c); up.(*net.UnixConn).CloseWrite() }()
	for buf := make([]byte, 64<<10); ; {
		n, err := up.Read(buf)
		c.Write(change(buf[:n]))
		if err != nil {
			return
		}
	}
}

// A server that answers otherwise is found out, by each protocol, and what is left of the sequence is what shows it.
func TestTheRigFindsADifference(t *testing.T) {
	f := func(name string, k Kind, longest int, change func([]byte) []byte) {
		t.Helper()
		p := &Pair{t: t, memcached: Start(t, Options{}), server: liar(t, change), subject: Subject{Name: "liar"}}
		for seed := range uint64(3000) {
			s := Generate(k, seed)
			v, err := p.compare(s, nil)
			if err != nil {
				t.Fatal(err)
			}
			if v.same {
				continue
			}
			small := shrink(s, func(s Sequence) bool { v, err := p.compare(s, nil); return err == nil && !v.same })
			if n := len(small.Bytes()); n > longest {
				t.Errorf("%s: %d bytes are left of a sequence that shows it:\n%s", name, n, small)
			}
			return
		}
		t.Errorf("%s: not found", name)
	}
	replace := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(from), []byte(to)) }
	}
	f("another word", Text, 60, replace("NOT_STORED", "NOT_FOUND"))
	f("another number", Text, 120, replace("CLIENT_ERROR invalid numeric delta argument", "CLIENT_ERROR invalid number"))
	f("order of tokens", Meta, 80, replace(" W", " Z"))
	f("one quiet reply", Meta, 80, replace("NF\r\n", ""))
	f("a status", Binary, 80, replace("Not found", "Not there"))
	f("silence", Binary, 120, replace("Non-numeric", "Numeric"))
}

// The same seed gives the same sequence, another seed another one.
func TestGenerateIsReproducible(t *testing.T) {
	for _, k := range Kinds() {
		seen := map[string]bool{}
		for seed := range uint64(200) {
			a, b := Generate(k, seed), Generate(k, seed)
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatalf("%s %d: %s", k, seed, diff)
			}
			seen[string(a.Bytes())] = true
		}
		if len(seen) < 190 {
			t.Errorf("%s: 200 seeds gave %d sequences", k, len(seen))
		}
	}
}

// What generators make up reaches the answers that there are.
func TestGenerateReaches(t *testing.T) {
	server := Start(t, Options{})
	want := map[Kind][]string{
		Text: {"STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "VALUE", "END", "TOUCHED", "DELETED", "OK", "ERROR", "CLIENT_ERROR bad command line format", "CLIENT_ERROR bad data chunk",
			"CLIENT_ERROR invalid exptime argument", "CLIENT_ERROR invalid numeric delta argument", "CLIENT_ERROR cannot increment or decrement non-numeric value", "VERSION"},
		Meta: {"HD", "VA", "EN", "NF", "NS", "EX", "MN", "ME", " W\r\n", " Z\r\n", " X W", " Z X", "CLIENT_ERROR invalid flag", "CLIENT_ERROR duplicate flag", "CLIENT_ERROR invalid or duplicate flag",
			"CLIENT_ERROR error decoding key", "CLIENT_ERROR opaque token too long", "CLIENT_ERROR options flags are too long", "CLIENT_ERROR bad token in command line format",
			"CLIENT_ERROR invalid mode for ms M token", "CLIENT_ERROR invalid mode for ma M token", "CLIENT_ERROR incorrect length for M token"},
		Binary: {"Not found", "Data exists for key.", "Invalid arguments", "Not stored.", "Non-numeric server-side value for incr or decr", "Unknown command"},
	}
	for _, k := range Kinds() {
		missing := slices.Clone(want[k])
		for seed := uint64(0); seed < 3000 && len(missing) > 0; seed++ {
			got, err := Generate(k, seed).run(server, nil)
			if err != nil {
				t.Fatalf("%s %d: %v", k, seed, err)
			}
			missing = slices.DeleteFunc(missing, func(w string) bool { return bytes.Contains(got, []byte(w)) })
		}
		if len(missing) > 0 {
			t.Errorf("%s: 3000 sequences were never answered %q", k, missing)
		}
	}
}

func TestSplit(t *testing.T) {
	b := []byte(strings.Repeat("0123456789", 30))
	most := 0
	for seed := range uint64(100) {
		w := Split(b, seed)
		if got := bytes.Join(w, nil); !bytes.Equal(got, b) {
			t.Fatalf("seed %d: %q", seed, got)
		}
		most = max(most, len(w))
	}
	if most != len(b) {
		t.Errorf("never split at every byte, at most into %d", most)
	}
	if w := Split(nil, 1); len(w) != 0 {
		t.Errorf("nothing is split into %q", w)
	}
}

func TestUniquesAreNamed(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(mapUniques([]byte(in), false, namer{}.name)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f("VALUE a 0 1 77\r\nx\r\nVALUE b 0 1 99\r\nx\r\nVALUE c 0 1 77\r\nx\r\nEND\r\n", "VALUE a 0 1 1\r\nx\r\nVALUE b 0 1 2\r\nx\r\nVALUE c 0 1 1\r\nx\r\nEND\r\n")
	f("VALUE a 0 15\r\nVALUE b 0 1 88\r\nEND\r\n", "VALUE a 0 15\r\nVALUE b 0 1 88\r\nEND\r\n")
	f("VA 1 k7 c50 t9\r\nx\r\nHD c50\r\nHD c51 O1\r\n", "VA 1 k7 c1 t9\r\nx\r\nHD c1\r\nHD c2 O1\r\n")
	f("ME a exp=-1 la=0 cas=900 fetch=no cls=1 size=63\r\n", "ME a exp=-1 la=0 cas=1 fetch=no cls=1 size=63\r\n")
	f("VALUE a 0 1 0\r\nx\r\nEND\r\n", "VALUE a 0 1 0\r\nx\r\nEND\r\n")
	p := func(cas uint64) []byte { return Packet{Magic: 0x81, CAS: cas, Value: []byte("v")}.Append(nil) }
	in, want := slices.Concat(p(70), p(90), p(0), p(70), []byte{0x81}), slices.Concat(p(1), p(2), p(0), p(1), []byte{0x81})
	if diff := cmp.Diff(want, mapUniques(in, true, namer{}.name)); diff != "" {
		t.Error(diff)
	}
}

func TestSameButDiscarded(t *testing.T) {
	const (
		no = "CLIENT_ERROR bad command line format\r\n"
		mn = "VERSION\r\n"
	)
	f := func(memcached, cached string, want bool) {
		t.Helper()
		if got := sameButDiscarded([]byte(memcached), []byte(cached)); got != want {
			t.Errorf("%q and %q: %v", memcached, cached, got)
		}
	}
	f(no+mn, "STORED\r\n"+no+mn, true)
	f("STORED\r\n"+no+"END\r\n"+mn, "STORED\r\nEND\r\nEND\r\n"+no+"END\r\n"+mn, true)
	f(no+no+mn, "STORED\r\n"+no+"END\r\n"+no+mn, true)
	f(no+mn, "STORED\r\n"+mn, false)
	f("END\r\n"+mn, "STORED\r\nEND\r\n"+mn, false)
	f(no+"END\r\n"+mn, no+"STORED\r\nEND\r\n"+mn, false)
	f(no+mn, no+mn, true)
	f(no, "STORED\r\n"+no+"END\r\n", true)
	f(no, "STORED\r\nEND\r\n", false)
}

func TestSameButHeldBack(t *testing.T) {
	f := func(memcached, cached string, want bool) {
		t.Helper()
		if got := sameButHeldBack([]byte(memcached), []byte(cached)); got != want {
			t.Errorf("%q and %q: %v", memcached, cached, got)
		}
	}
	f("", "STORED\r\n", true)
	f("STORED\r\n", "STORED\r\nEND\r\n", true)
	f("STORED\r\n", "END\r\n", false)
	f("STORED\r\nEND\r\n", "STORED\r\n", false)
	f("VERSION\r\n", "VERSION\r\nEND\r\n", false)
}

func TestReduce(t *testing.T) {
	got := reduce(100, func(keep []int) bool { return slices.Contains(keep, 17) && slices.Contains(keep, 83) })
	if fmt.Sprint(got) != "[17 83]" {
		t.Errorf("left %v", got)
	}
}

func TestSeconds(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		if got := sameButSeconds([]byte(a), []byte(b)); got != want {
			t.Errorf("%q and %q: %v", a, b, got)
		}
	}
	f("HD t99 s1\r\n", "HD t100 s1\r\n", true)
	f("HD t99\r\n", "HD t101\r\n", false)
	f("HD t-1\r\n", "HD t0\r\n", false)
	f("HD t99 s1\r\n", "HD t99 s2\r\n", false)
	f("ME a exp=30 la=1 cas=1\r\n", "ME a exp=29 la=2 cas=1\r\n", true)
	f("ME a exp=30 la=1 cas=1\r\n", "ME a exp=30 la=1 cas=2\r\n", false)
}

// Each difference has a case in the golden files, and each case that differs names one that may show in it.
func TestDifferencesHaveCases(t *testing.T) {
	shown := map[string]bool{}
	list := map[string]Difference{}
	for _, d := range Differences() {
		if list[d.Name].Name != "" || d.Why == "" {
			t.Errorf("%q is named twice or not explained", d.Name)
		}
		list[d.Name] = d
	}
	for _, k := range Kinds() {
		for _, c := range Cases(t, string(k)) {
			if c.Differs == "" {
				continue
			}
			shown[c.Differs] = true
			var sent []byte
			for _, s := range c.Setup {
				sent = append(sent, s.Send...)
			}
			if d := list[c.Differs]; d.Sent == nil {
				t.Errorf("%s.golden: %s: there is no difference %q", k, c.Name, c.Differs)
			} else if !d.Sent(append(sent, c.Send...)) {
				t.Errorf("%s.golden: %s: the difference %q does not match it", k, c.Name, c.Differs)
			}
		}
	}
	for name := range list {
		if !shown[name] {
			t.Errorf("no case shows %q", name)
		}
	}
}
