package engine

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// TestH2Spec runs h2spec, strictly.
func TestH2Spec(t *testing.T) {
	tool := labtest.Tool(t, "github.com/summerwind/h2spec/cmd/h2spec")
	h2All(t, func(t *testing.T, o *over) {
		r := o.startH2(t, &site{members: []netip.AddrPort{backend(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "hello")
		})}})
		host, port, err := net.SplitHostPort(r.addr)
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"--strict", "--host", host, "--port", port, "--timeout", "5"}
		if o.front != nil {
			args = append(args, "--tls", "--insecure")
		}
		out, err := exec.Command(tool, args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "146 tests, 146 passed, 0 skipped, 0 failed") {
			t.Errorf("%v:\n%s", err, failures(string(out)))
		}
		if n := r.panics.Load(); n != 0 {
			t.Errorf("%d panics", n)
		}
	})
}

// failures is what h2spec says at its end.
func failures(out string) string {
	if i := strings.Index(out, "Failures:"); i >= 0 {
		return out[i:]
	}
	return out[max(0, len(out)-2000):]
}

// TestH2Clients has programs that people use ask for something.
func TestH2Clients(t *testing.T) {
	labtest.Needs(t, "curl", "nghttp", "h2load")
	h2All(t, func(t *testing.T, o *over) {
		s := &site{members: []netip.AddrPort{backend(t, echo)}}
		r := o.startH2(t, s)
		url := "http://" + r.addr
		curl := []string{"curl", "-sS", "--max-time", "10", "-k", "--http2-prior-knowledge"}
		if o.front != nil {
			url, curl[5] = "https://"+r.addr, "--http2"
		}
		f := func(want string, cmd ...string) {
			t.Helper()
			out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%q: %v: %.2000s", cmd, err, out)
			}
		}
		f("200 2", append(curl, "-o", "/dev/null", "-w", "%{http_code} %{http_version}", url+"/")...)
		f("HELLO", append(curl, "-d", "hello", url+"/")...)
		f("200 2 1048576", append(curl, "-o", "/dev/null", "-w", "%{http_code} %{http_version} %{size_download}", url+"/large")...)
		f(":status: 200", "nghttp", "-nv", "--no-verify-peer", url+"/")
		f("status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx", "h2load", "-n", "1000", "-c", "5", "-m", "10", url+"/")
		f("status codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx", "h2load", "-n", "100", "-c", "5", "-m", "10", url+"/large")
	})
}

// TestH2Falls: a client that offers HTTP/1.1 alone over TLS is served that.
func TestH2Falls(t *testing.T) {
	certs := labtest.NewCerts(t)
	o := &over{front: certs, version: tls.VersionTLS13}
	r := o.startH2(t, &site{members: []netip.AddrPort{backend(t, echo)}})
	r.client.NextProtos = nil
	c, url := r.http(t)
	c.Timeout = 10 * time.Second
	res, err := c.Get(url)
	if err != nil || res.ProtoMajor != 1 {
		t.Fatalf("%v, %v", res, err)
	}
	res.Body.Close()
}
