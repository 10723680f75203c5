package examples

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// answering is an application that says who it is.
func answering(t *testing.T, h *labtest.Host) {
	t.Helper()
	l, err := h.Listen("tcp", ":8080")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", h.Name, r.Host, r.Header.Get("X-Forwarded-Proto"))
	})}
	ended := make(chan struct{})
	go func() { defer close(ended); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-ended })
}

// place puts files where the example has them; what is there is replaced as those who care do.
func place(t *testing.T, to string, from ...string) {
	t.Helper()
	var all []byte
	for _, f := range from {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+"~", all, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+"~", to); err != nil {
		t.Fatal(err)
	}
}

// TestTLS runs lbd-tls and does what its README tells of.
func TestTLS(t *testing.T) {
	labtest.Needs(t, "curl", "openssl")
	lab := labtest.New(t)
	lb := newNode(t, lab.Host("lb"), "lbd", "lbd-tls")
	answering(t, lab.Host("web"))
	answering(t, lab.Host("shop"))
	client := lab.Host("client")
	www, shop := labtest.NewCerts(t, "www.example.com"), labtest.NewCerts(t, "shop.example.com")
	one, chain, key := lb.dir+"/tls/www.example.com.pem", lb.dir+"/tls/shop.example.com/fullchain.pem", lb.dir+"/tls/shop.example.com/privkey.pem"
	place(t, one, www.CertFile, www.KeyFile)
	place(t, chain, shop.CertFile)
	if out, err := lb.host.Output(program(t, "lbd"), "check", "-c", lb.dir+"/lbd.yaml"); err == nil || !strings.Contains(out, "tls.web.certificates[1].key: "+key+" cannot be read") {
		t.Errorf("lbd check without a key: %v: %s", err, out)
	}
	place(t, key, shop.KeyFile)
	lb.command("check")
	lb.start()
	const at = "10.77.0.1"
	lb.host.WaitTCP(at+":443", patience)

	curl := func(ca, url string, more ...string) string {
		t.Helper()
		return client.Run("curl", append([]string{"-sS", "-i", "-m", "10", "--cacert", ca, "--connect-to", "::" + at + ":", url}, more...)...)
	}
	has := func(got string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("it lacks %q:\n%s", w, got)
			}
		}
	}
	const hsts = "\r\nstrict-transport-security: max-age=31536000\r\n"
	has(curl(www.CAFile, "http://www.example.com/x?y"), "HTTP/1.1 308 ", "Location: https://www.example.com/x?y\r\n")
	has(curl(www.CAFile, "http://www.example.com/.well-known/acme-challenge/x"), "HTTP/1.1 200 ", "web www.example.com http")
	has(curl(www.CAFile, "https://www.example.com/"), "HTTP/2 200 ", hsts, "web www.example.com https")
	has(curl(shop.CAFile, "https://shop.example.com/"), "HTTP/2 200 ", hsts, "shop shop.example.com https")
	has(curl(shop.CAFile, "https://shop.example.com/", "--http1.1"), "HTTP/1.1 200 ", "Strict-Transport-Security: max-age=31536000\r\n", "shop shop.example.com https")
	has(curl(www.CAFile, "https://www.example.com/", "-H", "Host: other.example.com"), "HTTP/2 404 ", hsts)
	has(lb.command("certificates"), "www.example.com (default)", "shop.example.com", chain)

	// Renewed, first a half of it.
	next := labtest.NewCerts(t, "shop.example.com")
	place(t, chain, next.CertFile)
	has(curl(shop.CAFile, "https://shop.example.com/"), "HTTP/2 200 ")
	place(t, key, next.KeyFile)
	labtest.Eventually(t, patience, "the new certificate is shown", func() error {
		out, err := client.Output("openssl", "s_client", "-connect", at+":443", "-servername", "shop.example.com", "-CAfile", next.CAFile)
		if !strings.Contains(out, "Verify return code: 0 (ok)") {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
	has(curl(next.CAFile, "https://shop.example.com/"), "HTTP/2 200 ", "shop shop.example.com https")
}
