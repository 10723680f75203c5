package text

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/oracletest"
	"github.com/everup/everup/services/cached/internal/session"
)

// TestAgainstMemcached asks memcached and this package the same made-up things.
func TestAgainstMemcached(t *testing.T) {
	subject := oracletest.Subject{
		Name: "text", Start: serve, Deliberate: deliberate(), Kinds: []oracletest.Kind{oracletest.Text, oracletest.Meta},
	}
	n := uint64(300)
	if testing.Short() {
		n = 60
	}
	p := oracletest.NewPair(t, subject)
	for _, k := range subject.Kinds {
		compared := 0
		for seed := range n {
			s := oracletest.Generate(k, seed)
			var writes [][]byte
			if !s.Lockstep && seed%4 == 0 && !longLine.Match(s.Bytes()) {
				writes = oracletest.Split(s.Bytes(), seed)
			}
			if p.Check(s, writes, string(k)) {
				compared++
			}
			if t.Failed() {
				return
			}
		}
		t.Logf("%s: %d of %d conversations compared", k, compared, n)
	}
}

// longLine matches a line that may or may not arrive before it is found too long.
var longLine = regexp.MustCompile(`[^\n]{1000}[^\n]{1000}`)

// deliberate are the differences that are meant. Which replies memcached throws away is looked at less closely: all that it
// sends must be answered, in its order.
func deliberate() []oracletest.Difference {
	all := oracletest.Differences()
	for i := range all {
		if all[i].Name == "discarded replies" {
			all[i].Same = func(memcached, cached []byte) bool {
				for line := range bytes.Lines(cached) {
					memcached = bytes.TrimPrefix(memcached, line)
				}
				return len(memcached) == 0
			}
		}
	}
	return append(all, oracletest.Difference{
		Name: "base64 keys",
		Why:  "A reply has the key in base64 when the request had; in memcached, when the command that stored the item had.",
		Sent: regexp.MustCompile(`(?m)^ *m[gsdae] +[^ \n]+ +(?:[^\n]* )?b`).Match,
	}, oracletest.Difference{
		Name: "withheld replies",
		Why:  "While memcached waits for a value, or closes for a line that is too long, replies to what was pipelined before are not sent; cached sends them.",
		Sent: func([]byte) bool { return true },
		Same: func(memcached, cached []byte) bool {
			return bytes.HasPrefix(cached, bytes.TrimSuffix(memcached, []byte("<closed>")))
		},
	})
}

// serve serves this package's protocol on a socket until the test ends.
func serve(t testing.TB) *oracletest.Server {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	env := newEnv(t)
	env.Started = time.Now().Unix()
	for range 1000 { // memcached's flush takes a number, so that the small ones that are made up name no item; here it does not
		r := env.Store.Lock([]byte("a"), env.Started)
		_ = r.Put(engine.Value{}, nil)
		r.Unlock()
	}
	var mu sync.Mutex // steps one session at a time, as one loop does
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				carry(conn, newDriver(t, env), env, &mu)
			})
		}
	})
	return &oracletest.Server{Name: "text", Network: "unix", Addr: l.Addr().String()}
}

// carry carries a connection's bytes to and from its session.
func carry(conn net.Conn, d *driver, env *session.Env, mu *sync.Mutex) {
	buf := make([]byte, 64<<10)
	for !d.closed && !d.watches {
		n, err := conn.Read(buf)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				d.t.Log(err)
			}
			return
		}
		mu.Lock()
		env.Clock.Set(time.Now().Unix())
		answer := d.send(buf[:n])
		mu.Unlock()
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
