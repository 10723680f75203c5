package conformance

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestCurlHTTP2 asks in HTTP/2, over TLS by ALPN and without by prior knowledge.
func TestCurlHTTP2(t *testing.T) {
	t.Parallel()
	labtest.Needs(t, "curl")
	o, certs := startOrigin(t), labtest.NewCerts(t, "one.test")
	plain, secure, proxied, old := labtest.FreeAddr(t), labtest.FreeAddr(t), labtest.FreeAddr(t), labtest.FreeAddr(t)
	startProgram(t, plain, fmt.Sprintf(`listen:
  - {addr: %q, http2: true}
  - {addr: %q, tls: web}
  - {addr: %q, http2: true, proxy_protocol: {mode: require, from: [127.0.0.0/8]}}
  - {addr: %q, http2: false, tls: web}
tls: {web: {certificates: [%s]}}
routes: [{pool: web}]
pools: {web: %s}
`, plain, secure, proxied, old, certificate(certs), poolYAML("", o.addr)))
	ask := asker(t)
	big := write(t, filepath.Join(t.TempDir(), "upload"), string(video()))
	over := func(addr string) (host string, trust []string) {
		_, port, _ := net.SplitHostPort(addr)
		host = "one.test:" + port
		return host, []string{"--resolve", host + ":127.0.0.1", "--cacert", certs.CAFile}
	}

	// What is not HTTP/2: an offer by Upgrade, a client that does not want it, an address that has none.
	ask(echo("GET", noContent, "http", plain)+"|200 1.1", "", "--http2", "http://"+plain+"/echo")
	ask(echo("GET", noContent, "http", plain)+"|200 1.1", "", "--http1.1", "http://"+plain+"/echo")
	host, trust := over(secure)
	ask(echo("GET", noContent, "https", host)+"|200 1.1", "", append(trust, "--http1.1", "https://"+host+"/echo")...)
	host, trust = over(old)
	ask(echo("GET", noContent, "https", host)+"|200 1.1", "", append(trust, "--http2", "https://"+host+"/echo")...)
	ask(echo("GET", noContent, "http", proxied)+"|200 2", "", "--haproxy-protocol", "--http2-prior-knowledge", "http://"+proxied+"/echo")

	f := func(scheme, host string, how ...string) {
		t.Helper()
		url := scheme + "://" + host
		ask := func(want, more string, args ...string) {
			t.Helper()
			ask(want, more, append(how, args...)...)
		}
		ask(echo("GET", noContent, scheme, host)+"|200 2", "", url+"/echo")
		ask("piece 0\npiece 1\npiece 2\n|200 2", "", url+"/stream")
		ask(echo("PUT", withLength, scheme, host)+"|200 2 1048576", " %{size_upload}", "-T", big, url+"/echo")
		ask(echo("PUT", inChunks, scheme, host)+"|200 2", "", "-T", "-", url+"/echo")
		ask(echo("POST", withLength, scheme, host)+"|200 2", "", "--data-binary", "@"+big, url+"/echo")
		ask("HTTP/2 200 \r\ncontent-length: 72890\r\ncontent-type: text/plain\r\netag: \"1\"\r\n\r\n|200 2 0", " %{size_download}", "-I", url+"/text")
		ask("|204 2", "", url+"/empty")
		ask(string(prose())+"|200 2 gzip", " %header{content-encoding}", "--compressed", url+"/gzip")
		ask("HTTP/2 200 \r\ntrailer: X-Sum, X-Count\r\ncontent-type: text/plain; charset=utf-8\r\n\r\ncontent\nx-count: 1\r\nx-sum: abc\r\n|200 2", "", "-i", url+"/trailers")
		v := string(video())
		ask(v[:100]+"|206 2 bytes 0-99/1048576 100", " %header{content-range} %header{content-length}", "-r", "0-99", url+"/video")
		ask("|416 2 bytes */1048576", " %header{content-range}", "-r", "2000000-", "-o", "/dev/null", url+"/video")
		if scheme == "http" {
			return // curl 7.88 spoils a connection by prior knowledge when it asks again there, whoever serves it
		}
		ask("piece 0\npiece 1\npiece 2\n|200 2 1piece 0\npiece 1\npiece 2\n|200 2 0", " %{num_connects}", url+"/stream", url+"/stream")
		many := []string{"--parallel", "--parallel-max", "20", "--no-progress-meter"}
		for range 20 {
			many = append(many, "-o", "/dev/null", url+"/video")
		}
		args := append([]string{"-w", "%{http_code} %{http_version} %{size_download}\n"}, how...)
		if got, want := curl(t, nil, append(args, many...)...), strings.Repeat("200 2 1048576\n", 20); got != want {
			t.Errorf("twenty at once: %q", got)
		}
	}
	f("http", plain, "--http2-prior-knowledge")
	host, trust = over(secure)
	f("https", host, trust...) // which asks for it unless it is told otherwise
}
