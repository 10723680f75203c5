package engine

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/files"
	"github.com/everup/everup/shared/labtest"
)

// tree is a directory that a rig serves.
type tree struct {
	dir  string
	gate *files.Gate
}

// serveFiles runs an engine that serves a directory of its own.
func serveFiles(t testing.TB, o *over, more func(p *Plan)) (*rig, *tree) {
	t.Helper()
	tr := &tree{dir: t.TempDir(), gate: files.NewGate(100)}
	d := files.OpenDir(tr.dir, tr.gate)
	served := files.New(d, files.Options{Index: []string{"index.html"}})
	s := &site{done: make(chan struct{}, 1000), plan: func(r *Request, p *Plan) {
		*p = Plan{Read: 5 * time.Second, Write: 5 * time.Second, Tell: true, File: new(files.Answer)}
		path := r.Text(r.Head.Target.Path)
		served.Answer(&files.Request{Head: r.Head, Bytes: r.Bytes, Path: path, Now: time.Now(), Random: 1}, p.File)
		p.Status = p.File.Status
		if more != nil {
			more(p)
		}
	}}
	r := o.start(t, s)
	t.Cleanup(func() { // runs before the engine is stopped: what is open is so for a client
		labtest.Eventually(t, 10*time.Second, "files are closed", func() error {
			if n := tr.gate.Open(); n > 0 {
				return fmt.Errorf("%d are open", n)
			}
			return nil
		})
		d.CloseDir()
	})
	return r, tr
}

func (tr *tree) write(t testing.TB, name string, content []byte) {
	t.Helper()
	path := filepath.Join(tr.dir, name)
	old := time.Now().Add(-time.Hour)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	os.Chtimes(path, old, old)
}

// pattern is content whose every place is known.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// TestFiles: content comes whole by each way it can take.
func TestFiles(t *testing.T) { overAll(t, testFiles) }

func testFiles(t *testing.T, o *over) {
	r, tr := serveFiles(t, o, nil)
	for _, n := range []int{0, 1, bufferLen - 1, bufferLen, bufferLen + 1, largeLen, 1 << 20, 5<<20 + 3} {
		tr.write(t, fmt.Sprint(n), pattern(n))
	}
	c, url := r.http(t)
	f := func(method string, n int, ranges string, status int, want []byte) {
		t.Helper()
		req, _ := http.NewRequest(method, fmt.Sprintf("%s/%d", url, n), nil)
		if ranges != "" {
			req.Header.Set("Range", "bytes="+ranges)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status || !bytes.Equal(got, want) || method == "GET" && res.ContentLength != int64(len(want)) {
			t.Errorf("%s %d %s: %s, %d of %d bytes, %v", method, n, ranges, res.Status, len(got), len(want), err)
		}
		if date, err := http.ParseTime(res.Header.Get("Date")); err != nil || time.Since(date) > time.Minute {
			t.Errorf("date %q", res.Header.Get("Date"))
		}
		if method == "HEAD" && res.ContentLength != int64(n) {
			t.Errorf("HEAD %d says %d", n, res.ContentLength)
		}
	}
	for _, n := range []int{0, 1, bufferLen - 1, bufferLen, bufferLen + 1, largeLen, 1 << 20, 5<<20 + 3} {
		b := pattern(n)
		f("GET", n, "", 200, b)
		f("HEAD", n, "", 200, nil)
		if n > 10 {
			f("GET", n, "3-9", 206, b[3:10])
			f("GET", n, "1-", 206, b[1:])
			f("GET", n, "-5", 206, b[n-5:])
		}
	}
	b := pattern(1 << 20)
	part := func(from, to int) string {
		return fmt.Sprintf("--everup1\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s\r\n", from, to-1, len(b), b[from:to])
	}
	want := part(0, 3) + part(100, 500000) + part(1<<20-20000, 1<<20) + part(7, 9) + "--everup1--\r\n"
	f("GET", 1<<20, "0-2,100-499999,-20000,7-8", 206, []byte(want))
}

// TestFilesPipelined: answers with files and without follow each other.
func TestFilesPipelined(t *testing.T) { overAll(t, testFilesPipelined) }

func testFilesPipelined(t *testing.T, o *over) {
	r, tr := serveFiles(t, o, nil)
	small, large := pattern(100), pattern(300000)
	tr.write(t, "s", small)
	tr.write(t, "l", large)
	c, in := r.dial(t)
	const rounds = 20
	go io.WriteString(c, strings.Repeat("GET /s HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\nGET /l HTTP/1.1\r\nHost: a\r\n\r\nHEAD /l HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS /l HTTP/1.1\r\nHost: a\r\n\r\n", rounds))
	for range rounds {
		for _, want := range []struct {
			method string
			status int
			body   []byte
		}{{"GET", 200, small}, {"GET", 404, []byte("404 Not Found\n")}, {"GET", 200, large}, {"HEAD", 200, nil}, {"OPTIONS", 204, nil}} {
			res, err := http.ReadResponse(in, &http.Request{Method: want.method})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != want.status || !bytes.Equal(body, want.body) {
				t.Fatalf("%d with %d bytes, %v", res.StatusCode, len(body), err)
			}
			if res.StatusCode == 204 && (res.Header.Get("Content-Length") != "" || res.Header.Get("Allow") == "") {
				t.Errorf("%v", res.Header)
			}
		}
	}
}

// TestFileShrinks: what is missing is not made up, and the connection ends.
func TestFileShrinks(t *testing.T) { overAll(t, testFileShrinks) }

func testFileShrinks(t *testing.T, o *over) {
	const size = 32 << 20 // more than sockets hold
	r, tr := serveFiles(t, o, nil)
	tr.write(t, "f", make([]byte, size))
	c, in := r.dial(t)
	io.WriteString(c, "GET /f HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.ContentLength != size {
		t.Fatal(res, err)
	}
	if err := os.Truncate(filepath.Join(tr.dir, "f"), 1000); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	if err != io.ErrUnexpectedEOF || n >= size {
		t.Errorf("%d bytes, %v", n, err)
	}
	<-r.site.done
	r.site.mu.Lock()
	defer r.site.mu.Unlock()
	if rec := r.site.records[0]; rec.Reason != FileError || rec.Status != 200 || rec.Sent < n {
		t.Errorf("%+v", rec)
	}
}

// TestFileGrows: no more is sent than was said.
func TestFileGrows(t *testing.T) { overAll(t, testFileGrows) }

func testFileGrows(t *testing.T, o *over) {
	const size = 16 << 20
	r, tr := serveFiles(t, o, nil)
	tr.write(t, "f", make([]byte, size))
	c, in := r.dial(t)
	io.WriteString(c, "GET /f HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(tr.dir, "f"), 2*size); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 404 {
		t.Errorf("%v, %v", res, err)
	}
}

// TestFileClientGoes: a client that goes away leaves nothing open; nor does one that takes nothing, for longer than it may.
func TestFileClientGoes(t *testing.T) { overAll(t, testFileClientGoes) }

func testFileClientGoes(t *testing.T, o *over) {
	r, tr := serveFiles(t, o, func(p *Plan) { p.Write = 300 * time.Millisecond })
	tr.write(t, "f", make([]byte, 32<<20))
	tr.write(t, "s", make([]byte, 10000))
	for _, cut := range []bool{true, false} {
		c, in := r.dial(t)
		io.WriteString(c, "GET /f HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if cut {
			c.Close()
		}
		<-r.site.done
	}
	r.site.mu.Lock()
	defer r.site.mu.Unlock()
	for i, want := range []Reason{ClientGone, ClientSlow} {
		if rec := r.site.records[i]; rec.Reason != want {
			t.Errorf("%s, want %s", rec.Reason, want)
		}
	}
}

// TestSmallFileIsClosed: a slow client of a small file keeps none open.
func TestSmallFileIsClosed(t *testing.T) { overAll(t, testSmallFileIsClosed) }

func testSmallFileIsClosed(t *testing.T, o *over) {
	r, tr := serveFiles(t, o, func(p *Plan) { p.Write = time.Hour })
	tr.write(t, "s", make([]byte, bufferLen-100))
	c, _ := r.dial(t)
	const asked = 2000 // more answers than sockets hold
	io.WriteString(c, strings.Repeat("GET /s HTTP/1.1\r\nHost: a\r\n\r\n", asked))
	<-r.site.done
	labtest.Eventually(t, 10*time.Second, "no file is open", func() error {
		if n := tr.gate.Open(); n > 0 {
			return fmt.Errorf("%d are open", n)
		}
		return nil
	})
}

// TestFileRequestWithBody: content of a request for a file is no request.
func TestFileRequestWithBody(t *testing.T) { overAll(t, testFileRequestWithBody) }

func testFileRequestWithBody(t *testing.T, o *over) {
	r, tr := serveFiles(t, o, nil)
	tr.write(t, "s", []byte("content"))
	c, in := r.dial(t)
	io.WriteString(c, "GET /s HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\nGET /none HTTP/1.1\r\nHost: evil\r\n\r\n123")
	res, err := http.ReadResponse(in, nil)
	if err != nil || !res.Close {
		t.Fatal(res, err)
	}
	if b, err := io.ReadAll(bufio.NewReader(res.Body)); string(b) != "content" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("%q follows, %v", rest, err)
	}
}

// TestFileThroughMemory: a sink that takes no files gets the same bytes.
func TestFileThroughMemory(t *testing.T) {
	content := pattern(200000)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	a := files.Answer{File: files.Object{FD: int(file.Fd())}, Content: []files.Piece{{Text: []byte("head")}, {Off: 10, End: 150010}, {Text: []byte("mid")}, {Off: 0, End: 1}}}
	want := "head" + string(content[10:150010]) + "mid" + string(content[:1])
	for _, size := range []int{1, 7, 4096, 1 << 20} {
		var s fileSource
		s.begin(&a, nil)
		var got []byte
		for b := make([]byte, size); ; {
			n, err := s.read(b)
			got = append(got, b[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if string(got) != want {
			t.Errorf("by %d: %d bytes", size, len(got))
		}
	}
	a.Content = []files.Piece{{Off: 199990, End: 200010}}
	var s fileSource
	s.begin(&a, nil)
	if n, err := s.read(make([]byte, 100)); n != 0 || err != errShrunk {
		t.Errorf("%d, %v", n, err)
	}
}
