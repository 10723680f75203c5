package cached

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/stats"
	"github.com/everup/everup/shared/labtest"
)

// command of RESP, as clients write it.
func respOf(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func TestProtocolsShareTheItems(t *testing.T) {
	redis, socket := labtest.FreeAddr(t), filepath.Join(openDir(t), "s")
	labtest.LeakCheck(t)
	in := prepared(t, "n1", fmt.Sprintf("resp: {listen: ['%s']}\n", redis))
	in.fixed = strings.Replace(in.fixed, "listen: [", "listen: ['unix:"+socket+"', ", 1)
	in.run(t)
	text, resp, local, bin := in.dial(t), dial(t, "tcp", redis), dial(t, "unix", socket), in.dial(t)

	resp.ask(respOf("SET", "n", "41", "EX", "100"), "+OK")
	text.ask("get n\r\nincr n 1\r\n", "VALUE n 0 2", "41", "END", "42")
	if status, body := bin.packet(0x00, "n", ""); status != 0 || body != "\x00\x00\x00\x0042" {
		t.Errorf("binary get: %d, %q", status, body)
	}
	resp.ask(respOf("INCRBY", "n", "8"), ":50")
	local.ask("mg n v\r\n", "VA 2", "50")
	local.ask("set s 7 0 5\r\nhello\r\n", "STORED")
	resp.ask(respOf("GET", "s"), "$5", "hello")
	resp.ask(respOf("DEL", "s", "n"), ":2")
	text.ask("get s n\r\n", "END")
	if got := text.stats(); got["curr_connections"] != "4" || got["curr_items"] != "0" {
		t.Errorf("%s connections, %s items", got["curr_connections"], got["curr_items"])
	}
	conns := text.stats("conns")
	var all []string
	for k, v := range conns {
		if strings.HasSuffix(k, ":addr") {
			all = append(all, v)
		}
	}
	if joined := strings.Join(all, " "); strings.Count(joined, "unix:"+socket) != 1 || !strings.Contains(joined, "tcp:"+redis) {
		t.Errorf("stats conns: %s", joined)
	}
}

// datagram asks over UDP and returns the answer's payload, "" for none.
func datagram(t *testing.T, c net.Conn, text string, answered bool) string {
	t.Helper()
	if _, err := c.Write(append([]byte{7, 9, 0, 0, 0, 1, 0, 0}, text...)); err != nil {
		t.Fatal(err)
	}
	if !answered {
		return ""
	}
	c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	if err != nil || n < 8 || !bytes.Equal(buf[:2], []byte{7, 9}) {
		t.Fatalf("after %q: %q, %v", text, buf[:n], err)
	}
	return string(buf[8:n])
}

func TestUDP(t *testing.T) {
	f := func(t *testing.T, trusted string) (*instance, net.Conn) {
		t.Helper()
		addr := labtest.FreeAddr(t)
		in := start(t, fmt.Sprintf("udp: {listen: ['%s'], trusted: [%s]}\n", addr, trusted))
		c, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		in.dial(t).ask("set big 0 0 1000\r\n"+strings.Repeat("x", 1000)+"\r\nset a 0 0 1\r\nx\r\n", "STORED", "STORED")
		return in, c
	}
	t.Run("trusted", func(t *testing.T) {
		in, c := f(t, "127.0.0.0/8")
		for _, x := range []struct{ ask, want string }{
			{"set u 0 0 1\r\ny\r\n", "STORED\r\n"}, {"get u\r\n", "VALUE u 0 1\r\ny\r\nEND\r\n"}, {"delete u\r\n", "DELETED\r\n"},
			{"get big\r\n", "VALUE big 0 1000\r\n" + strings.Repeat("x", 1000) + "\r\nEND\r\n"},
		} {
			if got := datagram(t, c, x.ask, true); got != x.want {
				t.Errorf("%q: %q, want %q", x.ask, got, x.want)
			}
		}
		if got := in.dial(t).stats(); got["cmd_set"] != "3" {
			t.Errorf("cmd_set is %s", got["cmd_set"])
		}
	})
	t.Run("untrusted", func(t *testing.T) {
		in, c := f(t, "192.0.2.0/24")
		ask := "get big\r\n"
		if got := datagram(t, c, ask, true); len(got) > len(ask) || strings.Contains(got, "xxx") {
			t.Errorf("a stranger gets %d bytes for %d: %q", len(got), len(ask), got)
		}
		datagram(t, c, "set u 0 0 1\r\ny\r\n", false)
		datagram(t, c, "flush_all\r\n", false)
		cookie := strings.TrimSpace(strings.TrimPrefix(datagram(t, c, "cookie "+strings.Repeat("p", 32)+"\r\n", true), "COOKIE "))
		if got := datagram(t, c, "cookie "+cookie+"\r\nget big\r\n", true); !strings.HasPrefix(got, "VALUE big 0 1000\r\n") {
			t.Errorf("with cookie %q: %q", cookie, got)
		}
		if got := in.dial(t).stats(); got["cmd_set"] != "2" || got["curr_items"] != "2" || got["cmd_flush"] != "0" {
			t.Errorf("a stranger changed something: %v", got)
		}
		var out strings.Builder
		if err := in.Env().Metrics.WriteText(&out); err != nil || !strings.Contains(out.String(), `everup_cached_datagrams_dropped_total{reason="amplifies"} 1`) {
			t.Errorf("no drop is counted: %v\n%s", err, grepLines(out.String(), "datagrams"))
		}
	})
}

func grepLines(text, word string) (out string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			out += line
		}
	}
	return out
}

func TestWatchers(t *testing.T) {
	in := start(t, "memory: 8MiB\n")
	watch := func(topics string) *client {
		t.Helper()
		c := in.dial(t)
		c.ask("watch "+topics+"\r\n", "OK")
		return c
	}
	sees := func(w *client, expr string) {
		t.Helper()
		re := regexp.MustCompile(`^ts=\d+\.\d{6} gid=\d+ ` + expr + `\n$`)
		for {
			line, err := w.r.ReadString('\n')
			if err != nil {
				t.Fatalf("waiting for %s: %v", expr, err)
			}
			if re.MatchString(line) {
				return
			}
			if !strings.HasPrefix(line, "ts=") && !strings.HasPrefix(line, "skipped=") {
				t.Fatalf("line %q", line)
			}
		}
	}
	fetchers, mutations, deletions, evictions, events := watch("fetchers"), watch("mutations"), watch("deletions"), watch("evictions"), watch("connevents")
	c := in.dial(t)
	c.ask("set a%20b 0 0 1\r\nx\r\nget a%20b\r\nget no\r\ndelete a%20b\r\n", "STORED", "VALUE a%20b 0 1", "x", "END", "END", "DELETED")
	sees(fetchers, `type=item_get key=a%2520b status=found clsid=1 cfd=\d+ size=1`)
	sees(fetchers, `type=item_get key=no status=not_found clsid=0 cfd=\d+ size=0`)
	sees(mutations, `type=item_store key=a%2520b status=stored cmd=set ttl=0 clsid=1 cfd=\d+ size=1`)
	sees(deletions, `type=deleted key=a%2520b cmd=delete clsid=1 cfd=\d+ size=1`)
	sees(events, `type=conn_new rip=127\.0\.0\.1 rport=\d+ transport=tcp cfd=\d+`)
	for i := range 200 {
		c.ask(fmt.Sprintf("set e%d 0 100 100000\r\n%s\r\n", i, strings.Repeat("x", 100_000)), "STORED")
	}
	sees(evictions, `type=eviction key=e\d+ fetch=no ttl=\d+ la=\d+ clsid=\d+ size=100\d\d\d`)
	c.ask("quit\r\n")
	sees(events, `type=conn_close rip=127\.0\.0\.1 rport=\d+ transport=tcp reason=normal cfd=\d+`)
	if got := in.dial(t).stats()["log_watchers"]; got != "5" {
		t.Errorf("%s watchers", got)
	}
}

// A dump lists what was there all the time, each key once, whatever others write meanwhile.
func TestDumpWhileOthersWrite(t *testing.T) {
	in := start(t, "")
	c := in.dial(t)
	var sets, stored []string
	for i := range 5000 {
		sets = append(sets, fmt.Sprintf("set fixed%d 0 0 1\r\nx\r\n", i))
		stored = append(stored, "STORED")
	}
	c.ask(strings.Join(sets, ""), stored...)
	done := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 2 {
		other := in.dial(t)
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				fmt.Fprintf(other, "set moving%d-%d 0 0 2\r\nyy\r\ndelete moving%d-%d\r\n", w, i%3000, w, (i+1500)%3000)
				for range 2 {
					if _, err := other.r.ReadString('\n'); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 3 {
		io.WriteString(c, "lru_crawler metadump all\r\n")
		seen := map[string]int{}
		for {
			line, err := c.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "END\r\n" {
				break
			}
			key, rest, _ := strings.Cut(strings.TrimPrefix(line, "key="), " ")
			if !strings.HasPrefix(rest, "exp=-1 la=") {
				t.Fatalf("line %q", line)
			}
			seen[key]++
		}
		for i := range 5000 {
			if n := seen[fmt.Sprintf("fixed%d", i)]; n != 1 {
				t.Fatalf("fixed%d is listed %d times", i, n)
			}
		}
	}
	close(done)
	writers.Wait()
	c.ask("version\r\n", "VERSION "+stats.Version)
}
