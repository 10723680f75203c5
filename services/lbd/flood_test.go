package lbd

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// tunnel is an upgraded connection through lbd.
type tunnel struct {
	net.Conn
	in *bufio.Reader
}

// dial makes a connection to lbd.
type dial func() (net.Conn, error)

func plainly(addr string) dial { return func() (net.Conn, error) { return net.Dial("tcp", addr) } }

func openTunnel(to dial) (*tunnel, error) {
	c, err := to()
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(2 * patience))
	io.WriteString(c, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	t := &tunnel{c, bufio.NewReader(c)}
	res, err := http.ReadResponse(t.in, nil)
	if err == nil && res.StatusCode != 101 {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return t, err
}

// echo reports whether what is sent comes back.
func (t *tunnel) echo(text string) error {
	if _, err := io.WriteString(t, text+"\n"); err != nil {
		return err
	}
	got, err := t.in.ReadString('\n')
	if err == nil && got != text+"\n" {
		err = fmt.Errorf("%q came back for %q", got, text)
	}
	return err
}

// flood asks again and again on connections that are kept as long as lbd wants, until stop. It counts answers and failures.
type flood struct {
	wg       sync.WaitGroup
	stop     chan struct{}
	answered atomic.Int64
	mu       sync.Mutex
	failed   []error
}

func startTraffic(to dial, connections int) *flood {
	l := &flood{stop: make(chan struct{})}
	for range connections {
		l.wg.Go(func() {
			var c *tunnel
			for {
				select {
				case <-l.stop:
					if c != nil {
						c.Close()
					}
					return
				default:
				}
				var err error
				c, err = l.ask(to, c)
				l.note(err)
			}
		})
	}
	return l
}

// ask does one request; nobody tries it again. It returns the connection for the next one, nil if it ended.
func (l *flood) ask(to dial, c *tunnel) (*tunnel, error) {
	if c == nil {
		conn, err := to()
		if err != nil {
			return nil, err
		}
		c = &tunnel{conn, bufio.NewReader(conn)}
	}
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(c.in, nil)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
	}
	if err == nil && string(body) != "page" {
		err = fmt.Errorf("status %d: %q", res.StatusCode, body)
	}
	if err != nil || res.Close {
		c.Close()
		c = nil
	}
	return c, err
}

// note counts a request.
func (l *flood) note(err error) {
	if err == nil {
		l.answered.Add(1)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, err)
}

// more waits for so many answers more.
func (l *flood) more(t *testing.T, n int64) {
	t.Helper()
	want := l.answered.Load() + n
	labtest.Eventually(t, patience, "requests are answered", func() error {
		if got := l.answered.Load(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

func (l *flood) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	t.Logf("%d requests", l.answered.Load())
	for _, err := range l.failed {
		t.Errorf("a request failed: %v", err)
	}
}

// startStreams asks again and again by HTTP/2, eight requests at once on as many connections as the server wants.
func startStreams(addr string, config *tls.Config) *flood {
	l := &flood{stop: make(chan struct{})}
	config = config.Clone()
	config.NextProtos = nil // the transport names its own
	tr := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: tr, Timeout: patience}
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
					l.note(getByHTTP2(client, "https://"+addr+"/"))
				}
			}
		})
	}
	l.wg.Go(func() {
		asking.Wait()
		tr.CloseIdleConnections()
	})
	return l
}

func getByHTTP2(client *http.Client, url string) error {
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.ProtoMajor != 2 || string(body) != "page") {
		err = fmt.Errorf("%s: status %d: %q", res.Proto, res.StatusCode, body)
	}
	return err
}

// startTalk has something echoed by each again and again.
func startTalk(all []*tunnel) *flood {
	l := &flood{stop: make(chan struct{})}
	for _, c := range all {
		l.wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				err := c.echo(strings.Repeat(fmt.Sprint(n, " "), 200))
				l.note(err)
				if err != nil {
					return
				}
			}
		})
	}
	return l
}
