package conformance

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// front is an lbd with an address for each way to speak with it, before an origin and files of its own.
type front struct {
	plain, secure, proxied string // addresses
	certs                  [2]*labtest.Certs
}

// names are whom the certificates of a front are for.
func names() [2]string { return [2]string{"one.test", "two.test"} }

func startFront(t *testing.T, o *origin) *front {
	t.Helper()
	f := &front{plain: labtest.FreeAddr(t), secure: labtest.FreeAddr(t), proxied: labtest.FreeAddr(t)}
	for i, name := range names() {
		f.certs[i] = labtest.NewCerts(t, name)
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "video"), string(video()))
	startProgram(t, f.plain, fmt.Sprintf(`listen:
  - %q
  - {addr: %q, tls: web, http2: false}
  - {addr: %q, proxy_protocol: {mode: require, from: [127.0.0.0/8]}}
tls: {web: {certificates: [%s, %s]}}
routes:
  - {path: /files, strip_prefix: true, files: {root: %q}}
  - {tls_name: two.test, path: /name, answer: {body: "second\n"}}
  - {path: /name, answer: {body: "first\n"}}
  - {pool: web}
pools:
  web: %s
`, f.plain, f.secure, f.proxied, certificate(f.certs[0]), certificate(f.certs[1]), root, poolYAML("", o.addr)))
	return f
}

// resolve has curl take a name of a certificate for an address, and believe that certificate alone.
func (f *front) resolve(i int) []string {
	_, port, _ := net.SplitHostPort(f.secure)
	return []string{"--resolve", names()[i] + ":" + port + ":127.0.0.1", "--cacert", f.certs[i].CAFile}
}

// url is a page over TLS.
func (f *front) url(i int, path string) string {
	_, port, _ := net.SplitHostPort(f.secure)
	return "https://" + names()[i] + ":" + port + path
}

// curl runs curl, and returns what it wrote without the heads' lines that differ by nature.
func curl(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	cmd := exec.Command("curl", append([]string{"-q", "-sS", "--max-time", "20"}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s(%v)", out, err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(strings.ToLower(line), "date: ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// What the origin says of requests without content, and of those with all of video.
const (
	noContent  = "length 0, 0 bytes, sum 00000000"
	withLength = "length 1048576, 1048576 bytes, sum c0f68319"
	inChunks   = "chunked, 1048576 bytes, sum c0f68319"
	expects    = "; Expect: 100-continue" // what curl says by itself in HTTP/1.1 where much is to come
)

// echo is what the origin says of a request.
func echo(method, framing, scheme, host string) string {
	return fmt.Sprintf("%s HTTP/1.1: %s; %s %s for 127.0.0.1", method, framing, scheme, host)
}

// question has curl, with video at its standard input, write what it got, then "|", the status, the version and what more says; that
// is to be what is wanted.
type question func(want, more string, args ...string)

func asker(t *testing.T) question {
	return func(want, more string, args ...string) {
		t.Helper()
		args = append([]string{"-w", "|%{http_code} %{http_version}" + more}, args...)
		if got := curl(t, video(), args...); got != want {
			t.Errorf("curl %s\ngot:  %.500q\nwant: %.500q", strings.Join(args, " "), got, want)
		}
	}
}

// TestCurl has curl ask in the ways that it knows, and compares all that it shows.
func TestCurl(t *testing.T) {
	t.Parallel()
	labtest.Needs(t, "curl")
	f := startFront(t, startOrigin(t))
	big := write(t, filepath.Join(t.TempDir(), "upload"), string(video()))
	ask := asker(t)
	f.versions(ask)
	f.uploads(ask, big)
	f.answers(ask)
	f.ranges(ask)
	f.overTLS(t, ask, big)
	f.behindProxy(t, ask)
}

// versions: a client that offers HTTP/2 by Upgrade is served in HTTP/1.1, and the member is told nothing of the offer.
func (f *front) versions(ask question) {
	plain := "http://" + f.plain
	ask(echo("GET", noContent, "http", f.plain)+"|200 1.1", "", "--http1.0", plain+"/echo")
	ask(echo("GET", noContent, "http", f.plain)+"|200 1.1", "", "--http1.1", plain+"/echo")
	ask(echo("GET", noContent, "http", f.plain)+"|200 1.1", "", "--http2", plain+"/echo")
	ask("piece 0\npiece 1\npiece 2\n|200 1.1 ", " %header{transfer-encoding}", "--raw", "--http1.0", plain+"/stream")
	ask("piece 0\npiece 1\npiece 2\n|200 1.1 chunked", " %header{transfer-encoding}", "--http1.1", plain+"/stream")
	two := []string{plain + "/name", plain + "/name"}
	ask("first\n|200 1.1 1first\n|200 1.1 0", " %{num_connects}", two...)
	ask("first\n|200 1.1 1first\n|200 1.1 1", " %{num_connects}", append(two, "-H", "Connection: close")...)
	ask("first\n|200 1.1 1first\n|200 1.1 1", " %{num_connects}", append(two, "--http1.0")...)
}

// uploads come with and without a length; some are refused before they are sent.
func (f *front) uploads(ask question, big string) {
	plain := "http://" + f.plain
	ask(echo("PUT", withLength, "http", f.plain)+expects+"|200 1.1 1048576", " %{size_upload}", "-T", big, plain+"/echo")
	ask(echo("PUT", inChunks, "http", f.plain)+expects+"|200 1.1", "", "-T", "-", plain+"/echo")
	ask(echo("POST", inChunks, "http", f.plain)+"|200 1.1", "", "-H", "Transfer-Encoding: chunked", "--data-binary", "@"+big, plain+"/echo")
	ask(echo("POST", withLength, "http", f.plain)+"|200 1.1", "", "--http2", "--data-binary", "@"+big, plain+"/echo")
	expect := []string{"-H", "Expect: 100-continue", "--expect100-timeout", "30"} // longer than curl may last here
	ask(echo("PUT", withLength, "http", f.plain)+expects+"|200 1.1 1048576", " %{size_upload}", append(expect, "-T", big, plain+"/echo")...)
	ask("too much\n|413 1.1 0", " %{size_upload}", append(expect, "-T", big, plain+"/refuse")...)
}

// answers of several kinds.
func (f *front) answers(ask question) {
	plain := "http://" + f.plain
	// Heads alone, and answers without content.
	ask("HTTP/1.1 200 OK\r\nContent-Length: 72890\r\nContent-Type: text/plain\r\nEtag: \"1\"\r\n\r\n|200 1.1 0", " %{size_download}", "-I", plain+"/text")
	ask("|204 1.1", "", plain+"/empty")

	// Codings that the member chose pass; the bytes are the member's.
	ask(string(prose())+"|200 1.1 gzip", " %header{content-encoding}", "--compressed", plain+"/gzip")

	// Trailers of answers.
	ask("HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-Count\r\nContent-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\ncontent\n"+
		"X-Count: 1\r\nX-Sum: abc\r\n|200 1.1", "", "-i", plain+"/trailers")
}

// ranges are of a member's content, and of a file.
func (f *front) ranges(ask question) {
	plain := "http://" + f.plain
	for _, url := range []string{plain + "/video", plain + "/files/video"} {
		v := string(video())
		length := " %header{content-range} %header{content-length}"
		ask(v[:100]+"|206 1.1 bytes 0-99/1048576 100", length, "-r", "0-99", url)
		ask(v[524288:1048576]+"|206 1.1 bytes 524288-1048575/1048576 524288", length, "-r", "524288-", url)
		ask(v[1048476:]+"|206 1.1 bytes 1048476-1048575/1048576 100", length, "-r", "-100", url)
		ask("|416 1.1 bytes */1048576", " %header{content-range}", "-r", "2000000-", "-o", "/dev/null", url)
		ask("|200 1.1  1048576", length, "-o", "/dev/null", url)
	}
	ask("|200 1.1 1048576", " %header{content-length}", "-r", "0-99", "-I", "-o", "/dev/null", plain+"/files/video") // ranges are of GET (RFC 9110, section 14.2)
}

// overTLS tells which certificate and which route a name has.
func (f *front) overTLS(t *testing.T, ask question, big string) {
	t.Helper()
	for i, name := range names() {
		answer := [2]string{"first\n", "second\n"}[i]
		host := strings.TrimSuffix(strings.TrimPrefix(f.url(i, ""), "https://"), "/")
		ask(answer+"|200 1.1 0", " %{ssl_verify_result}", append(f.resolve(i), f.url(i, "/name"))...)
		ask(echo("GET", noContent, "https", host)+"|200 1.1", "", append(f.resolve(i), "--tls-max", "1.2", f.url(i, "/echo"))...)
		ask(echo("PUT", withLength, "https", host)+expects+"|200 1.1", "", append(f.resolve(i), "-T", big, f.url(i, "/echo"))...)
		if got := curl(t, nil, "--resolve", f.resolve(i)[1], "--cacert", f.certs[1-i].CAFile, f.url(i, "/name")); !strings.Contains(got, "exit status 35") && !strings.Contains(got, "exit status 60") {
			t.Errorf("%s with the authority of another name: %q", name, got)
		}
	}
}

// behindProxy has curl say who it is by the PROXY protocol.
func (f *front) behindProxy(t *testing.T, ask question) {
	t.Helper()
	plain, proxied := "http://"+f.plain, "http://"+f.proxied
	ask(echo("GET", noContent, "http", f.proxied)+"|200 1.1", "", "--haproxy-protocol", proxied+"/echo")
	if got := curl(t, nil, proxied+"/echo"); !strings.Contains(got, "exit status 52") && !strings.Contains(got, "exit status 56") {
		t.Errorf("without the header: %q", got)
	}
	ask("400 Bad Request\n|400 1.1", "", "--haproxy-protocol", plain+"/echo")
}
