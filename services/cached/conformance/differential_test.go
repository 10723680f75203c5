package conformance

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/everup/everup/services/cached/internal/oracletest"
)

// A longer hunt: EVERUP_DIFFERENTIAL is how many sequences of each protocol are made up, EVERUP_SEED the first one's seed.
const sequences = 400

func fromEnv(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// enough is how many differences a run reports.
const enough = 5

// Memcached and the subject are sent the same made-up conversations and answer the same. Memcached itself, as a subject, is sent
// them in other pieces: this shows that the comparison holds.
func TestDifferential(t *testing.T) {
	if testing.Short() {
		t.Skip("a hunt")
	}
	first, n := fromEnv(t, "EVERUP_SEED", 1), fromEnv(t, "EVERUP_DIFFERENTIAL", sequences)
	forEach(t, func(t *testing.T, p program) {
		for _, kind := range p.kinds {
			t.Run(string(kind), func(t *testing.T) {
				pair := oracletest.NewPair(t, p.subject())
				compared, bad := 0, 0
				for seed := first; seed < first+n && bad < enough; seed++ {
					s := oracletest.Generate(kind, seed)
					var writes [][]byte
					if !s.Lockstep && seed%2 == 0 {
						writes = oracletest.Split(s.Bytes(), seed)
					}
					ok, was := pair.Check(s, writes, fmt.Sprintf("%s, seed %d", kind, seed))
					if was {
						compared++
					}
					if !ok {
						bad++
					}
				}
				if compared < int(n)*3/5 && bad == 0 {
					t.Errorf("only %d of %d sequences were compared", compared, n)
				}
			})
		}
	})
}

// subject is the program as the comparison wants it.
func (p program) subject() oracletest.Subject {
	if p.name == "memcached" {
		timing := slices.DeleteFunc(oracletest.Differences(), func(d oracletest.Difference) bool { return !d.Pipelined })
		return oracletest.Subject{Name: p.name, Start: p.plain, Itself: true, Deliberate: timing}
	}
	return oracletest.Subject{
		Name:       p.name,
		Start:      p.plain,
		Deliberate: oracletest.Differences(),
	}
}

func (p program) plain(t testing.TB) *oracletest.Server { return p.start(t, oracletest.Options{}) }

// Each deliberate difference shows in at least one case of the golden files: else it is no difference any more and has to go
// from the list.
func TestDifferencesExist(t *testing.T) {
	forEach(t, func(t *testing.T, p program) {
		if p.name == "memcached" {
			t.Skip("memcached does not differ from itself")
		}
		for _, d := range oracletest.Differences() {
			if d.Pipelined {
				continue // it comes of how bytes arrive, and either may show it
			}
			t.Run(d.Name, func(t *testing.T) {
				asked := 0
				for _, kind := range p.kinds {
					for _, c := range oracletest.Cases(t, string(kind)) {
						if c.Differs != d.Name || len(c.Args) > 0 || len(c.Setup) > 0 {
							continue
						}
						asked++
						s := p.start(t, oracletest.Options{})
						got, err := oracletest.Exchange(s.Network, s.Addr, c.Send)
						if err != nil {
							t.Fatal(err)
						}
						if !bytes.Equal(got, c.Want) {
							return
						}
					}
				}
				if asked == 0 {
					t.Skip("it does not speak that protocol")
				}
				t.Errorf("%d conversations, and it answers as memcached does", asked)
			})
		}
	})
}

// fuzzed is the subject of fuzzing: the cached in EVERUP_BIN, else memcached that is sent the same in other pieces. To build it
// would take each worker of the fuzzing longer than its run.
func fuzzed() program {
	all := programs()
	dir := os.Getenv("EVERUP_BIN")
	if dir != "" && exec.Command(filepath.Join(dir, "cached"), "-V").Run() == nil {
		return all[1]
	}
	return all[0]
}

func fuzz(f *testing.F, kind oracletest.Kind) {
	for i, c := range oracletest.Cases(f, string(kind)) {
		if i%4 > 0 || len(c.Args) > 0 || len(c.Send) > 2048 { // neighbours are much alike
			continue
		}
		for _, s := range c.Setup {
			c.Send = append(s.Send, c.Send...)
		}
		f.Add(c.Send, uint64(len(c.Send)))
	}
	pair := oracletest.NewPair(f, fuzzed().subject())
	f.Fuzz(func(t *testing.T, in []byte, split uint64) {
		if len(in) > 64<<10 {
			t.Skip("longer than one buffer")
		}
		var writes [][]byte
		if split > 0 {
			writes = oracletest.Split(in, split)
		}
		s := oracletest.Sequence{Binary: kind == oracletest.Binary, Commands: []oracletest.Command{{Conn: 1, Data: in}}}
		difference, _, err := pair.Compare(s, writes)
		if err != nil {
			t.Fatal(err)
		}
		if difference != "" {
			t.Errorf("answers differ, sent in %d writes:\n%s", max(1, len(writes)), difference)
		}
	})
}

func FuzzText(f *testing.F)   { fuzz(f, oracletest.Text) }
func FuzzMeta(f *testing.F)   { fuzz(f, oracletest.Meta) }
func FuzzBinary(f *testing.F) { fuzz(f, oracletest.Binary) }
