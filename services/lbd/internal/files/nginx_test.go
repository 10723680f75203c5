package files

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
	"golang.org/x/sys/unix"
)

const nginxConf = `worker_processes 1; daemon off; pid %[1]s/pid; error_log %[1]s/err.log;
events { worker_connections 64; }
http { access_log off; if_modified_since before; max_ranges 32;
  types { text/plain txt; text/html html; text/css css; } charset utf-8; charset_types text/css text/plain;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  server { listen unix:%[1]s/sock; root %[1]s/root; index index.html; absolute_redirect off; } }
`

// startNginx serves the directory root within dir and returns its socket.
func startNginx(t *testing.T, dir string) string {
	t.Helper()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("nginx", "-c", conf, "-e", filepath.Join(dir, "err.log"))
	var out strings.Builder
	c.Stderr = &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(os.Interrupt)
		c.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	sock := filepath.Join(dir, "sock")
	labtest.Eventually(t, 10*time.Second, "nginx serves", func() error {
		conn, err := net.Dial("unix", sock)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return sock
}

// TestLikeNginx: ranges, conditions and paths have the outcome that nginx gives them, where nginx follows RFC 9110.
func TestLikeNginx(t *testing.T) {
	labtest.Needs(t, "nginx")
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	os.Chmod(filepath.Dir(dir), 0o755) // nginx's worker is another user
	past := time.Date(2026, 11, 20, 8, 30, 15, 0, time.UTC)
	for name, content := range map[string]string{"a.txt": "0123456789abcdefghij", "empty.txt": "", "sub/index.html": "<p>sub</p>", "bare/x.txt": "x", "sp ace+%.txt": "odd"} {
		path := filepath.Join(dir, "root", name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(path, past, past)
	}
	sock := startNginx(t, dir)
	d := OpenDir(filepath.Join(dir, "root"), NewGate(100))
	defer d.CloseDir()
	tree := New(d, Options{Index: []string{"index.html"}})

	f := func(request string) {
		t.Helper()
		path := strings.Fields(request)[1]
		theirs, ours := nginxAnswer(t, sock, request, nginxTag(t, sock, path)), treeAnswer(t, tree, request, treeTag(t, tree, path))
		if theirs != ours {
			t.Errorf("%s\nnginx:\n%s\nlbd:\n%s", request, theirs, ours)
		}
	}
	const before, at, after = "Fri, 20 Nov 2026 08:30:14 GMT", "Fri, 20 Nov 2026 08:30:15 GMT", "Fri, 20 Nov 2026 08:30:16 GMT"
	for _, path := range []string{"/a.txt", "/sub/", "/sub", "/sub?x=1", "/bare/", "/none", "/none/", "/a.txt/", "/sp%20ace+%25.txt", "//a.txt", "/empty.txt"} {
		f("GET " + path)
		f("HEAD " + path)
	}
	for _, r := range []string{
		"0-0", "0-", "2-5", "2-99", "19-", "20-", "20-20", "-3", "-99", "-0", "0-0,-1", "5-7,0-1", "0-9,5-9", "0-,0-0", "0-0,20-30", "20-,30-40",
		"0-0, 2-3 , 4-4", "99999999999999999999-", strings.Repeat("0-0,", 16) + "1-1",
	} { // of what is malformed nginx answers 416, or leaves it out of a list; section 14.2 allows both
		f("GET /a.txt\nRange: bytes=" + r)
		for _, c := range []string{"{}", "W/{}", `"x"`, before, at, after} {
			f("GET /a.txt\nRange: bytes=" + r + "\nIf-Range: " + c)
		}
	}
	f("GET /a.txt\nRange: items=0-0")
	for _, date := range []string{"", before, at, after} {
		for _, tag := range []string{"", "{}", "W/{}", `"x"`, "*", `"x", {}`, `"x",W/{}`} {
			// Where there is a tag nginx still looks at the date, which sections 13.1.3 and 13.1.4 have ignored: dates are those that say the same.
			if match := with("If-Match", tag) + with("If-Unmodified-Since", date); tag == "" || date != before {
				f("GET /a.txt" + match)
				f("GET /a.txt" + match + "\nRange: bytes=1-2")
			}
			if match := with("If-None-Match", tag) + with("If-Modified-Since", date); tag == "" || date == "" {
				f("GET /a.txt" + match)
				f("GET /a.txt" + match + "\nRange: bytes=1-2")
			}
		}
	}
	f("GET /a.txt\nIf-Modified-Since: soon")
}

// with is a field line, if there is a value.
func with(name, value string) string {
	if value == "" {
		return ""
	}
	return "\n" + name + ": " + value
}

func expand(request, tag string) string { return strings.ReplaceAll(request, "{}", tag) }

func roundTrip(t *testing.T, sock, request string) (*http.Response, string) {
	t.Helper()
	line, fields, _ := strings.Cut(request, "\n")
	if fields != "" {
		fields = strings.ReplaceAll(fields, "\n", "\r\n") + "\r\n"
	}
	conn, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n%s\r\n", line, fields)
	method, _, _ := strings.Cut(line, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func nginxTag(t *testing.T, sock, path string) string {
	res, _ := roundTrip(t, sock, "HEAD "+path)
	return res.Header.Get("ETag")
}

func treeTag(t *testing.T, tree *Tree, path string) string {
	var a Answer
	defer a.Close()
	ask(t, tree, "HEAD "+path, &a)
	return string(a.etag)
}

// nginxAnswer is what of nginx's answer is compared.
func nginxAnswer(t *testing.T, sock, request, tag string) string {
	t.Helper()
	res, body := roundTrip(t, sock, expand(request, tag))
	fields := map[string]string{}
	for _, name := range compared {
		if v := res.Header.Get(name); v != "" {
			fields[name] = v
		}
	}
	length := res.ContentLength
	if res.StatusCode == 304 || res.StatusCode == 301 {
		length = 0
	}
	return comparable(res.StatusCode, fields, length, body)
}

func treeAnswer(t *testing.T, tree *Tree, request, tag string) string {
	t.Helper()
	var a Answer
	defer a.Close()
	ask(t, tree, expand(request, tag), &a)
	fields := map[string]string{}
	for _, name := range compared {
		for _, f := range a.Fields {
			if f.Name == name {
				fields[name] = string(f.Value)
			}
		}
	}
	var body strings.Builder
	for _, p := range a.Content {
		b := make([]byte, p.End-p.Off)
		if p.Text == nil {
			if n, err := unix.Pread(a.File.FD, b, p.Off); n != len(b) || err != nil {
				t.Fatal(n, err)
			}
			body.Write(b)
		}
		body.Write(p.Text)
	}
	return comparable(a.Status, fields, a.Length, body.String())
}

var compared = []string{"Content-Type", "Content-Range", "Last-Modified", "Location"}

// comparable leaves out what differs by nature: texts of errors, and the boundary of parts and where it stands.
func comparable(status int, fields map[string]string, length int64, body string) string {
	if status == 304 || status >= 400 || status == 301 {
		delete(fields, "Content-Type")
		delete(fields, "Last-Modified")
		length, body = 0, ""
	}
	if kind, params, _ := mime.ParseMediaType(fields["Content-Type"]); strings.HasPrefix(kind, "multipart/") {
		length, fields["Content-Type"] = 0, kind
		body = strings.TrimPrefix(strings.ReplaceAll(body, params["boundary"], "B"), "\r\n")
	}
	return fmt.Sprintf("%d %v %d %q", status, fields, length, body)
}
