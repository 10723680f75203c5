package cached

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/stats"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/labtest"
)

// rss returns what the process keeps in memory now, and the most it ever kept, bytes.
func (p *process) rss() (now, most int64) {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 3 && (f[0] == "VmRSS:" || f[0] == "VmHWM:") {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			if now = kib << 10; f[0] == "VmHWM:" {
				most = now
			}
		}
	}
	return now, most
}

// launchFile runs the suite's configuration of the instance in a process.
func launchFile(t *testing.T, in *instance) *process {
	t.Helper()
	in.configure(t, in.tail)
	return launch(t, nil, "run", "-c", in.file)
}

// counterOf asks the instance's process for a metric.
func counterOf(t *testing.T, in *instance, name string) float64 {
	t.Helper()
	c := admin.Dial(in.socket)
	defer c.Close()
	text, err := c.Get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\neverup_cached_"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	f, err := strconv.ParseFloat(value, 64)
	if !ok || err != nil {
		t.Fatalf("no metric %s: %v", name, err)
	}
	return f
}

// rubbish makes bytes that look like a command for a while, with some of them changed.
func rubbish(r *rand.Rand) []byte {
	starts := []string{
		"", "set k 0 0 100\r\n", "get " + strings.Repeat("k ", 300), "mg k v k t q O123\r\n", "ms k 5 T0\r\nhello\r\n", "\x80\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x05",
		"\x80\x01\xff\xff\xff\x00\x00\x00\xff\xff\xff\xff", "\x80\x21\x00\x05\x00\x00\x00\x00\x00\x00\x00\x20", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\n", "*1000000\r\n$-1\r\n",
		"*2\r\n$1073741824\r\n", "lru_crawler metadump all\r\n", "watch\r\n", "stats detail on\r\nget a:b\r\nstats detail dump\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"cas k 1 2 3 18446744073709551616\r\n", "touch k -99999999999999999999\r\n", "set k 0 0 -1\r\n", "verbosity\r\nflush_all 1 2 3 4\r\n", "\x00\x01\x00\x00\x00\x01\x00\x00get k\r\n",
	}
	b := []byte(starts[r.IntN(len(starts))])
	for range r.IntN(2000) {
		b = append(b, byte(r.Uint32()))
	}
	for range r.IntN(4) {
		if len(b) > 0 {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
	}
	return b
}

// Whatever bytes come to whichever port: an answer or a close; and who behaves is served meanwhile.
func TestRubbishOnEachPort(t *testing.T) {
	certs := labtest.NewCerts(t, "127.0.0.1")
	secure, binary, redis, udp := labtest.FreeAddr(t), labtest.FreeAddr(t), labtest.FreeAddr(t), labtest.FreeAddr(t)
	in := prepared(t, "n1", fmt.Sprintf("resp: {listen: ['%s']}\nudp: {listen: ['%s']}\ntls: {cert: %s, key: %s}\nconnections: 100\n", redis, udp, certs.CertFile, certs.KeyFile))
	in.fixed = strings.Replace(in.fixed, "listen: [", fmt.Sprintf("listen: ['tls:%s', 'proto[binary]:%s', ", secure, binary), 1)
	p := launchFile(t, in)

	good := in.dial(t)
	stop, behaved := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { behaved <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			// Rubbish may flush or delete by chance, but not change what is stored here between two commands of one line.
			fmt.Fprintf(good, "set good%d 0 0 4\r\n%04d\r\n", n, n%10000)
			if line, err := good.r.ReadString('\n'); line != "STORED\r\n" {
				t.Errorf("who behaves got %q, %v", line, err)
				return
			}
			n++
		}
	}()
	throw := func(r *rand.Rand, dial func() (net.Conn, error)) {
		for range 40 {
			c, err := dial()
			if err != nil {
				continue // a handshake refused while all places are taken
			}
			c.SetDeadline(time.Now().Add(time.Second))
			go io.Copy(io.Discard, io.LimitReader(c, 1<<20)) // ends with the connection
			c.Write(rubbish(r))
			c.Close()
		}
	}
	var throwers sync.WaitGroup
	plain := func(network, addr string) func() (net.Conn, error) {
		return func() (net.Conn, error) { return net.Dial(network, addr) }
	}
	for i, dial := range []func() (net.Conn, error){
		plain("tcp", in.addr), plain("tcp", in.addr), plain("tcp", binary), plain("tcp", redis), plain("udp", udp), plain("tcp", secure),
		func() (net.Conn, error) { return tls.Dial("tcp", secure, certs.Client()) },
	} {
		throwers.Go(func() { throw(rand.New(rand.NewPCG(uint64(i), 7)), dial) })
	}
	throwers.Wait()
	close(stop)
	if n := <-behaved; n == 0 {
		t.Error("who behaves was not served")
	}
	good.ask("set g 0 0 1\r\ng\r\nget g\r\n", "STORED", "VALUE g 0 1", "g", "END")
	if n := counterOf(t, in, "faults_total"); n != 0 {
		t.Errorf("%v sessions failed:\n%s", n, grepLines(p.text(), "BUG"))
	}
	labtest.Eventually(t, patience, "all others to be gone", func() error {
		if got := good.stats()["curr_connections"]; got != "1" {
			return fmt.Errorf("%s connections", got)
		}
		return nil
	})
}

// A value that is too large is swallowed, not kept.
func TestTooLargeValueCostsNoMemory(t *testing.T) {
	in := prepared(t, "n1", "memory: 32MiB\n")
	p := launchFile(t, in)
	c := in.dial(t)
	c.ask("set big 0 0 1\r\nx\r\n", "STORED")
	before, _ := p.rss()
	const size = 256 << 20
	block := bytes.Repeat([]byte("x"), 1<<20)
	done := make(chan error, 1)
	go func() {
		_, err := fmt.Fprintf(c, "set big 0 0 %d\r\n", size)
		for n := 0; n < size && err == nil; n += len(block) {
			_, err = c.Write(block)
		}
		if err == nil {
			_, err = io.WriteString(c, "\r\nget big\r\n")
		}
		done <- err
	}()
	c.ask("", "SERVER_ERROR object too large for cache", "END") // the old value went, as in memcached
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, most := p.rss(); most-before > 8<<20 {
		t.Errorf("memory rose by %d KiB for a value that was refused", (most-before)>>10)
	}
}

// Who asks and does not read, or begins and does not end, costs no more than its share, and in the end its connection.
func TestSlowClientsAreBounded(t *testing.T) {
	in := prepared(t, "n1", "memory: 64MiB\nconnections: 500\nwrite_timeout: 1s\n")
	p := launchFile(t, in)
	good := in.dial(t)
	const size = 1_000_000
	good.ask(fmt.Sprintf("set big 0 0 %d\r\n%s\r\n", size, strings.Repeat("x", size)), "STORED")
	for i := range 64 {
		good.ask(fmt.Sprintf("set mid%d 0 0 10000\r\n%s\r\n", i, strings.Repeat("y", 10_000)), "STORED")
	}
	before, _ := p.rss()
	for i := range 40 { // each asks for 1 GB, or for 20 MB in small pieces
		c := in.dial(t)
		c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)) // the server stops reading, too
		ask := strings.Repeat("get big\r\n", 1000)
		if i%2 == 1 {
			ask = strings.Repeat("get mid1 mid2 mid3 mid4 mid5\r\n", 400)
		}
		io.WriteString(c, ask)
	}
	good.ask("get mid1\r\n", "VALUE mid1 0 10000", strings.Repeat("y", 10_000), "END")
	labtest.Eventually(t, patience, "those who do not read to be cut off", func() error {
		if n := counterOf(t, in, "slow_readers_closed_total"); n < 40 {
			return fmt.Errorf("%v are", n)
		}
		return nil
	})
	var writers []*client
	for i := range 100 { // 100 MB announced, where 64 MiB are
		c := in.dial(t)
		fmt.Fprintf(c, "set slow%d 0 0 %d\r\nbegun", i, size)
		writers = append(writers, c)
	}
	good.ask("set ok 0 0 2\r\nok\r\nget ok\r\n", "STORED", "VALUE ok 0 2", "ok", "END")
	if _, most := p.rss(); most > before+64<<20+30<<20 {
		t.Errorf("memory rose from %d to %d KiB", before>>10, most>>10)
	}
	for _, c := range writers {
		c.Close()
	}
	labtest.Eventually(t, patience, "the memory of values that did not arrive to be free", func() error {
		if n := counterOf(t, in, "memory_reserved_bytes"); n != 0 {
			return fmt.Errorf("%v bytes are reserved", n)
		}
		return nil
	})
	good.ask("version\r\n", "VERSION "+stats.Version)
}

func TestConnectionsComeAndGo(t *testing.T) {
	in := start(t, "connections: 50\n")
	var churners sync.WaitGroup
	for range 4 {
		churners.Go(func() {
			for i := range 400 {
				c, err := net.Dial("tcp", in.addr)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(patience))
				switch i % 4 {
				case 0: // not a byte
				case 1:
					io.WriteString(c, "set a 0 0 100000\r\nhalf")
				case 2:
					io.WriteString(c, "get a\r\n")
					if line, err := bufio.NewReader(c).ReadString('\n'); line != "END\r\n" {
						t.Errorf("%q, %v", line, err)
					}
				case 3:
					c.(*net.TCPConn).SetLinger(0) // a reset
				}
				c.Close()
			}
		})
	}
	churners.Wait()
	c := in.dial(t)
	labtest.Eventually(t, patience, "all to be gone", func() error {
		if got := c.stats(); got["curr_connections"] != "1" || got["total_connections"] != "1601" {
			return fmt.Errorf("%s of %s connections, %s rejected", got["curr_connections"], got["total_connections"], got["rejected_connections"])
		}
		return nil
	})
}

// skipTo reads lines up to one that begins so.
func skipTo(r *bufio.Reader, begin string) error {
	for {
		if line, err := r.ReadSlice('\n'); err != nil || bytes.HasPrefix(line, []byte(begin)) {
			return err
		}
	}
}

// RSS ≤ -m + 10 % + 30 MB, whatever the sizes of values are, and when they change after filling.
func TestMemoryBound(t *testing.T) {
	env, args, addr := anyPort(t, "-l", "127.0.0.1", "-m", "64", "-t", "2")
	p := launchMemcached(t, env, args...)
	c := dial(t, "tcp", addr())
	w := bufio.NewWriterSize(c, 256<<10)
	r := rand.New(rand.NewPCG(1, 2))
	for phase, sizes := range [][2]int{{90, 110}, {8000, 12000}, {400_000, 900_000}, {10, 4000}, {100, 100}, {100, 200_000}, {30, 60}} {
		answered := make(chan error, 1)
		go func() { answered <- skipTo(c.r, "VERSION") }()
		written := 0
		for i := 0; written < 100<<20 && i < 300_000; i++ {
			n := sizes[0] + r.IntN(sizes[1]-sizes[0]+1)
			// Read twice, so that it is worth more than what was there before.
			fmt.Fprintf(w, "set p%[1]d-%[2]d 0 0 %[3]d noreply\r\n%[4]s\r\nmg p%[1]d-%[2]d q\r\nmg p%[1]d-%[2]d q\r\n", phase, i, n, strings.Repeat("x", n))
			written += n + 80
		}
		w.WriteString("version\r\n")
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		got := c.stats()
		now, most := p.rss()
		t.Logf("values of %d to %d bytes: %s items, %s bytes of them, RSS %d MiB, at most %d MiB", sizes[0], sizes[1], got["curr_items"], got["bytes"], now>>20, most>>20)
		if bound := int64(64<<20*11/10 + 30_000_000); most > bound {
			t.Errorf("RSS was %d KiB, the bound is %d KiB", most>>10, bound>>10)
		}
		if kept, _ := strconv.Atoi(got["bytes"]); kept < 40<<20 && sizes[0] >= 90 {
			t.Errorf("of 64 MiB %d KiB hold items", kept>>10)
		}
	}
}
