package conformance

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// TestCompressedFilesLikeNginx has nginx and lbd compress the same files for the same requests.
func TestCompressedFilesLikeNginx(t *testing.T) {
	t.Parallel()
	labtest.Needs(t, "nginx")
	dir, ours, theirs := t.TempDir(), labtest.FreeAddr(t), labtest.FreeAddr(t)
	root := filepath.Join(dir, "root")
	at := time.Date(2026, 11, 20, 8, 30, 15, 0, time.UTC)
	for name, n := range map[string]int{"long.html": 200_000, "short.html": 999, "even.html": 1000, "long.png": 5000, "both.css": 5000, "both.css.gz": 0, "sub/index.html": 3000} {
		path := filepath.Join(root, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		content := strings.Repeat("<p>0123456789 of "+name+"\n", 1+n/20)[:n]
		if name == "both.css.gz" {
			var b strings.Builder
			w := gzip.NewWriter(&b)
			io.WriteString(w, "compressed beforehand")
			w.Close()
			content = b.String()
		}
		write(t, path, content)
		os.Chtimes(path, at, at)
	}
	run(t, theirs, "nginx", "-c", write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off; master_process off;
pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  types { text/html html; text/css css; image/png png; }
  gzip on; gzip_vary on; gzip_min_length 1000; gzip_types text/css; gzip_http_version 1.0;
  server { listen %[2]s; root %[1]s/root; location = /both.css { gzip_static on; } }
}
`, dir, theirs)))
	files := fmt.Sprintf("root: %q, compress: {codings: gzip, types: [text/html, text/css], min_size: 1000}", root)
	startProgram(t, ours, fmt.Sprintf("listen: [%q]\nroutes: [{path: = /both.css, files: {%[2]s, precompressed: gzip}}, {files: {%[2]s}}]\n", ours, files))

	f := func(request string) {
		t.Helper()
		if want, got := codedAnswer(t, theirs, request), codedAnswer(t, ours, request); want != got {
			t.Errorf("%s\nnginx:\n%s\nlbd:\n%s", request, want, got)
		}
	}
	paths := []string{"/long.html", "/short.html", "/even.html", "/long.png", "/both.css", "/sub/", "/none.html"}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD"} {
			for _, version := range []string{"1.1", "1.0"} {
				for _, accept := range []string{"", "gzip", "gzip;q=0", "br, gzip;q=0.5", "deflate", "identity"} {
					f(method + " " + path + " HTTP/" + version + with("Accept-Encoding", accept))
				}
			}
		}
		for _, since := range []string{"Fri, 20 Nov 2026 08:30:15 GMT", "Fri, 20 Nov 2026 08:30:14 GMT"} {
			f("GET " + path + " HTTP/1.1" + with("Accept-Encoding", "gzip") + with("If-Modified-Since", since))
		}
		f("GET " + path + " HTTP/1.1" + with("Accept-Encoding", "gzip") + with("If-None-Match", "{}"))
		f("GET " + path + " HTTP/1.1" + with("Accept-Encoding", "gzip") + with("If-None-Match", `"x"`))
		f("GET " + path + " HTTP/1.1" + with("If-None-Match", "{}"))
	}
	// Parts differ: nginx compresses all of the file where a client has asked for some bytes of it, lbd gives it those.
	request := "GET /long.html HTTP/1.1" + with("Accept-Encoding", "gzip") + with("Range", "bytes=0-9")
	if got := codedAnswer(t, ours, request); !strings.HasPrefix(got, "206 coding= ") {
		t.Errorf("%s\nlbd:\n%s", request, got)
	}
	if got := codedAnswer(t, theirs, request); !strings.HasPrefix(got, "200 coding=gzip ") {
		t.Errorf("%s\nnginx:\n%s", request, got)
	}
}

// with is a field line, if there is a value.
func with(name, value string) string {
	if value == "" {
		return ""
	}
	return "\n" + name + ": " + value
}

// codedAnswer is what of an answer is compared. {} in the request is the tag that the server has given for it.
func codedAnswer(t *testing.T, addr, request string) string {
	t.Helper()
	if before, after, found := strings.Cut(request, "{}"); found {
		plain, _, _ := strings.Cut(request, "\nIf-None-Match")
		res, _ := fileAnswer(t, addr, plain)
		request = before + res.Header.Get("ETag") + after
	}
	res, body := fileAnswer(t, addr, request)
	if res.StatusCode >= 400 {
		return res.Status
	}
	tag := "strong"
	if strings.HasPrefix(res.Header.Get("ETag"), "W/") {
		tag = "weak"
	}
	how := "length"
	if res.ContentLength < 0 {
		how = "until it ends"
	}
	if len(res.TransferEncoding) > 0 {
		how = "chunks"
	}
	coding, vary, ranges := res.Header.Get("Content-Encoding"), res.Header.Get("Vary"), res.Header.Get("Accept-Ranges")
	switch {
	case res.StatusCode == 304: // nginx judges it as the answer that it is, we as the one in whose place it is (RFC 9110 section 15.4.5)
		vary, how, tag = "", "", ""
	case coding == "gzip" && tag == "strong": // compressed beforehand: nginx gives no parts of it
		ranges = ""
	}
	return fmt.Sprintf("%d coding=%s vary=%s tag=%s ranges=%s %s %d bytes %08x %.30q",
		res.StatusCode, coding, vary, tag, ranges, how, len(body), crc32.ChecksumIEEE([]byte(body)), body)
}

func fileAnswer(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	line, fields, _ := strings.Cut(request, "\n")
	if fields != "" {
		fields = strings.ReplaceAll(fields, "\n", "\r\n") + "\r\n"
	}
	fmt.Fprintf(c, "%s\r\nHost: a.test\r\nConnection: close\r\n%s\r\n", line, fields)
	method, _, _ := strings.Cut(line, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	var in io.Reader = res.Body
	if res.Header.Get("Content-Encoding") == "gzip" && method == "GET" && res.StatusCode == 200 {
		if in, err = gzip.NewReader(in); err != nil {
			t.Fatalf("%s: %v", request, err)
		}
	}
	body, err := io.ReadAll(in)
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	return res, string(body)
}
