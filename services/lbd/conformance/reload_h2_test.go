package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/everup/everup/shared/labtest"
)

// muxed is a connection of HTTP/2 that many clients share. There is no other: one that lbd ends, or tells to go away, fails all of them.
type muxed struct {
	*http2.ClientConn
	base string // of URLs
}

// dialMuxed connects, over TLS if there is a configuration for it.
func dialMuxed(t *testing.T, addr string, config *tls.Config) *muxed {
	t.Helper()
	var c net.Conn
	var err error
	m := &muxed{base: "http://" + addr}
	if config == nil {
		c, err = net.Dial("tcp", addr)
	} else {
		m.base = "https://" + addr
		c, err = tls.Dial("tcp", addr, config)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	tr := &http2.Transport{AllowHTTP: true, DisableCompression: true}
	if m.ClientConn, err = tr.NewClientConn(c); err != nil {
		t.Fatal(err)
	}
	return m
}

// ask sends a request with the body, if there is one.
func (m *muxed) ask(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, m.base+path, body)
	if err != nil {
		return nil, err
	}
	res, err := m.RoundTrip(req)
	if err == nil && res.StatusCode != http.StatusOK {
		res.Body.Close()
		err = fmt.Errorf("%s %s", res.Proto, res.Status)
	}
	return res, err
}

func (m *muxed) get(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, err := m.ask(ctx, "GET", path, nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func (m *muxed) close() {}

// upload is a request whose content comes bit by bit.
type upload struct {
	body   *io.PipeWriter
	sent   int
	sum    uint32
	answer chan string
}

// startUpload begins one, which ends with ctx.
func startUpload(ctx context.Context, m *muxed) *upload {
	r, w := io.Pipe()
	u := &upload{body: w, answer: make(chan string, 1)}
	go func() {
		res, err := m.ask(ctx, "PUT", "/echo", r)
		if err != nil {
			r.CloseWithError(err)
			u.answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		u.answer <- fmt.Sprint(string(b), err)
	}()
	return u
}

// more sends some more, and waits until it was taken.
func (u *upload) more(b []byte) error {
	u.sent += len(b)
	u.sum = crc32.Update(u.sum, crc32.IEEETable, b)
	_, err := u.body.Write(b)
	return err
}

// end sends no more and checks that all has come.
func (u *upload) end() error {
	u.body.Close()
	answer := <-u.answer
	if want := fmt.Sprintf("%d bytes, sum %08x", u.sent, u.sum); !strings.Contains(answer, want) {
		return fmt.Errorf("the answer to %s is %q", want, answer)
	}
	return nil
}

// TestReloadUnderHTTP2 reloads again and again, with other routes, pools, members, protocols to these and certificates each time. Of a thousand requests
// a second none fails, downloads and uploads under way go on, and all of it on the connections of before the first.
func TestReloadUnderHTTP2(t *testing.T) {
	t.Parallel()
	reloads := 6
	if testing.Short() {
		reloads = 2
	}
	a, b := startOrigin(t).named("a"), startOrigin(t).named("b")
	certs := [2]*labtest.Certs{labtest.NewCerts(t), labtest.NewCerts(t)}
	plain, secure := labtest.FreeAddr(t), labtest.FreeAddr(t)
	config := func(n int) string {
		pool := func(n int) string {
			return poolYAML([]string{"http2: true,", ""}[n/2%2], []string{a.addr, b.addr}[n%2])
		}
		return fmt.Sprintf("listen: [{addr: %q, http2: true}, {addr: %q, http2: true, tls: web}]\ntls: {web: {certificates: [%s]}}\n"+
			"routes: [{name: r%d, path: [/who, /old%d], pool: p%d}, {name: s%d, pool: q%d}]\npools: {p%d: %s, q%d: %s}\n",
			plain, secure, certificate(certs[n%2]), n, n, n, n, n, n, pool(n), n, pool(n+1))
	}
	p := startProgram(t, plain, config(0))
	trust := certs[0].Client()
	trust.NextProtos = []string{"h2"}
	conns := []*muxed{dialMuxed(t, plain, nil), dialMuxed(t, plain, nil), dialMuxed(t, secure, trust), dialMuxed(t, secure, trust)}
	load := startCrowdOf(t, "/who", 40, 1000, func(i int) getter { return conns[i%len(conns)] })
	var downloads []io.Reader
	var uploads []*upload
	piece := video()[:100<<10]
	move := func(download int64) {
		t.Helper()
		for i, d := range downloads {
			if n, err := io.CopyN(io.Discard, d, download); err != nil {
				t.Fatalf("download %d ended after %d bytes more: %v", i, n, err)
			}
		}
		for i, u := range uploads {
			if err := u.more(piece); err != nil {
				t.Fatalf("upload %d: %v", i, err)
			}
		}
	}
	for _, m := range conns {
		res, err := m.ask(t.Context(), "GET", "/endless", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		downloads = append(downloads, res.Body)
	}
	for n := range reloads {
		if n > 0 {
			p.reload(config(n))
		}
		for _, m := range conns { // at each time some more: those from before live on
			uploads = append(uploads, startUpload(t.Context(), m))
		}
		move(256 << 10)
		load.more(t, 200)
		if got := shown(t, secure); !bytes.Equal(got, certs[n%2].Leaf.Certificate[0]) {
			t.Errorf("reload %d: another certificate is shown", n)
		}
	}
	move(6 << 20) // more than the client's window and all buffers on the way hold
	for i, u := range uploads {
		if err := u.end(); err != nil {
			t.Errorf("upload %d: %v", i, err)
		}
	}
	load.judge(t)
	if load.from("a") == 0 || load.from("b") == 0 {
		t.Errorf("the reloads changed nothing: answers %v", load.by)
	}
	for i, m := range conns {
		if s := m.State(); s.Closed || s.Closing {
			t.Errorf("connection %d: %+v", i, s)
		}
	}
}

// shown returns the certificate that a server shows.
func shown(t *testing.T, addr string) []byte {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) // whatever it is
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Raw
}

// TestReloadUnderH2load reloads for as long as h2load asks, which opens no connection anew.
func TestReloadUnderH2load(t *testing.T) {
	t.Parallel()
	labtest.Needs(t, "h2load")
	requests := 8000
	if testing.Short() {
		requests = 2000
	}
	a, b := startOrigin(t).named("a"), startOrigin(t).named("b")
	certs := labtest.NewCerts(t)
	plain, secure := labtest.FreeAddr(t), labtest.FreeAddr(t)
	config := func(n int) string {
		return fmt.Sprintf("listen: [{addr: %q, http2: true}, {addr: %q, http2: true, tls: web}]\ntls: {web: {certificates: [%s]}}\nroutes: [{pool: p%d}]\npools: {p%d: %s}\n",
			plain, secure, certificate(certs), n, n, poolYAML("", []string{a.addr, b.addr}[n%2]))
	}
	p := startProgram(t, plain, config(0))
	n := 0
	for _, url := range []string{"http://" + plain + "/who", "https://" + secure + "/who"} {
		var out []byte
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			out, err = exec.Command("h2load", "-n", fmt.Sprint(requests), "-c", "8", "-m", "20", url).CombinedOutput()
		}()
		before := n
		for under := true; under; {
			n++
			p.reload(config(n))
			select {
			case <-done:
				under = false
			default:
			}
		}
		t.Logf("%s: %d requests under %d reloads", url, requests, n-before)
		for _, want := range []string{
			fmt.Sprintf("%[1]d total, %[1]d started, %[1]d done, %[1]d succeeded, 0 failed, 0 errored, 0 timeout", requests),
			fmt.Sprintf("status codes: %d 2xx, 0 3xx, 0 4xx, 0 5xx", requests),
		} {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%s: %v, want %s\n%s", url, err, want, out)
			}
		}
	}
}
