package text

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/oracletest"
)

// otherwise says why cached answers otherwise than memcached 1.6.18 in a case, beside what the golden file says of it; "" where it
// does not.
func otherwise(name string) string {
	const (
		newer    = "newer versions have it"
		shutdown = "shutdown text"
		crash    = "memcached crashes"
		pending  = "what memcached does depends on whether the reply of an earlier command is still waiting"
	)
	switch name {
	case "slabs: 'slabs automove freeratio 0.01'", "slabs: 'slabs automove window 30'", "slabs: 'slabs automove window 2'",
		"lru_crawler: 'lru_crawler mgdump all'":
		return newer
	case "tokens: 'shutdown'", "tokens: 'shutdown '", "tokens: 'shutdown a'", "tokens: 'shutdown a b'", "tokens: 'shutdown a b c'":
		return shutdown
	case "size: item limit of 1 KiB", "size: item limit of 2 KiB":
		return crash
	case "long: second command is long and unfinished", "number: ms a 2147483643", "number: ms a 2147483644", "number: ms a 2147483645",
		"ma: value '1 '", "ma: value '18446744073709551615'", "ma: value '9'", "ma: value '99'", "ma: value ' 1'",
		"token: stale and incr, append, touch":
		return pending
	case "flush_all: item stored while the delay runs":
		return "it is seen until the flush has come"
	}
	return ""
}

func TestGolden(t *testing.T) {
	for _, name := range []string{"text", "meta"} {
		for _, c := range oracletest.Cases(t, name) {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				if why := c.Differs + otherwise(c.Name); why != "" {
					t.Skip("differs: ", why)
				}
				replay(t, c, func(d *driver, b []byte) []byte { return d.send(b) })
			})
		}
	}
}

// TestGoldenSplit replays the cases with their bytes one by one. What memcached answers depends on how they arrive for long lines
// and for what must not be pipelined.
func TestGoldenSplit(t *testing.T) {
	whole := func(c oracletest.Case) bool {
		return strings.HasPrefix(c.Name, "long:") || strings.HasSuffix(c.Name, "many keys") || strings.Contains(c.Name, "pipelined metadump") || len(c.Send) > 100_000
	}
	for _, name := range []string{"text", "meta"} {
		for _, c := range oracletest.Cases(t, name) {
			if c.Differs != "" || otherwise(c.Name) != "" || whole(c) || slices.ContainsFunc(c.Setup, func(s oracletest.Step) bool {
				return len(s.Send) > 100_000
			}) {
				continue
			}
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				replay(t, c, func(d *driver, b []byte) (answer []byte) {
					for i := range b {
						answer = append(answer, d.send(b[i:i+1])...)
					}
					return answer
				})
			})
		}
	}
}

// replay has the conversation of c.
func replay(t *testing.T, c oracletest.Case, send func(d *driver, b []byte) []byte) {
	t.Helper()
	if slices.Contains(c.Args, "-B") {
		t.Skip("which protocol is spoken is decided elsewhere")
	}
	env := newEnv(t, c.Args...)
	env.CrawlerOff.Store(slices.Contains(c.Args, "no_lru_crawler"))
	if slices.Contains(c.Args, "-M") && !refuses(env.Store) {
		t.Skip("the engine evicts all the same")
	}
	clients := map[int]*driver{}
	client := func(n int) *driver {
		if clients[n] == nil {
			clients[n] = newDriver(t, env)
		}
		return clients[n]
	}
	for _, s := range append(c.Setup, oracletest.Step{Conn: c.Conn, Send: c.Send, Want: c.Want}) {
		env.Clock.Set(env.Clock.Now() + s.Advance)
		d := client(s.Conn)
		if got := send(d, s.Send); !bytes.Equal(got, s.Want) {
			t.Errorf("%.300q\n got %.400q\nwant %.400q", s.Send, got, s.Want)
		}
	}
	if d := client(c.Conn); d.closed != c.Closed && !strings.HasPrefix(c.Name, "shutdown") {
		t.Errorf("closed %v, want %v", d.closed, c.Closed)
	}
}

// refuses reports whether a store whose eviction is off has an end.
func refuses(s *engine.Store) bool {
	value := make([]byte, 900_000)
	for i := range 200 {
		r := s.Lock([]byte{byte(i), 'x'}, oracletest.Now)
		err := r.Put(engine.Value{}, value)
		r.Unlock()
		if err != nil {
			s.FlushAll(oracletest.Now, oracletest.Now)
			return true
		}
	}
	return false
}
