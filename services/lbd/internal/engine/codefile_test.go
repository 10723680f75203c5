package engine

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/files"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/rule"
)

// TestCodedFiles: a file comes whole in each coding, by each way it can take, and its header says the same to HEAD.
func TestCodedFiles(t *testing.T) { overAll(t, testCodedFiles) }

func testCodedFiles(t *testing.T, o *over) {
	policy := compresses(t)
	r, tr := serveFiles(t, o, func(p *Plan) { policy(nil, p) })
	sizes := []int{100, bufferLen, bufferLen + 1, 100_000, 1_000_000}
	for _, n := range sizes {
		tr.write(t, fmt.Sprintf("%d.html", n), rows(n))
	}
	for _, coding := range []string{"gzip", "br", "zstd", "identity"} {
		for _, version := range []string{"1.1", "1.0"} {
			for _, n := range sizes {
				name := fmt.Sprintf("%s HTTP/%s %d bytes", coding, version, n)
				var heads [2]http.Header
				for i, method := range []string{"GET", "HEAD"} {
					c, in := r.dial(t)
					fmt.Fprintf(c, "%s /%d.html HTTP/%s\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n", method, n, version, coding)
					res, err := http.ReadResponse(in, &http.Request{Method: method})
					if err != nil {
						t.Fatal(err)
					}
					heads[i] = res.Header
					if method == "HEAD" {
						continue
					}
					if got := decoded(t, coding, res.Body); !bytes.Equal(got, rows(n)) {
						t.Errorf("%s: other content, %d bytes", name, len(got))
					}
					if chunked := len(res.TransferEncoding) > 0; chunked != (coding != "identity" && version == "1.1") {
						t.Errorf("%s: Transfer-Encoding %q", name, res.TransferEncoding)
					}
				}
				if heads[0].Del("Connection"); heads[0].Get("Vary") != "Accept-Encoding" || heads[0].Get("Content-Encoding") != strings.TrimPrefix(coding, "identity") {
					t.Errorf("%s: %v", name, heads[0])
				}
				if heads[1].Del("Connection"); coding == "identity" && heads[1].Get("Content-Length") != fmt.Sprint(n) {
					t.Errorf("%s: HEAD says %v", name, heads[1])
				}
				for _, h := range heads {
					h.Del("Date")
				}
				if diff := cmp.Diff(heads[0], heads[1]); diff != "" {
					t.Errorf("%s: -GET +HEAD\n%s", name, diff)
				}
			}
		}
	}
}

// The head of a file's answer, line by line.
func TestCodedFileHeads(t *testing.T) {
	policy := compresses(t)
	var edits atomic.Pointer[[]rule.Edit]
	edits.Store(new([]rule.Edit))
	r, tr := serveFiles(t, new(over), func(p *Plan) { policy(nil, p); p.Response, p.Tell = *edits.Load(), false })
	old := time.Date(2026, 11, 20, 8, 30, 15, 0, time.UTC)
	for name, n := range map[string]int{"a.html": 200, "small.html": 99, "a.png": 200, "both.css": 200, "both.css.gz": 20} {
		tr.write(t, name, rows(n))
		os.Chtimes(filepath.Join(tr.dir, name), old, old)
	}
	f := func(request string, want ...string) {
		t.Helper()
		c, in := r.dial(t)
		first, fields, _ := strings.Cut(request, "\n")
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: a\r\n%s\r\n", first, strings.ReplaceAll(fields, "\n", "\r\n"))
		var got []string
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				break
			}
			if line = strings.TrimSuffix(line, "\r\n"); !strings.HasPrefix(line, "Date: ") && !strings.HasPrefix(line, "X-Content-Type-Options: ") {
				got = append(got, line)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: -want +got\n%s", request, d)
		}
	}
	const ok, html, changed = "HTTP/1.1 200 OK", "Content-Type: text/html; charset=utf-8", "Last-Modified: Fri, 20 Nov 2026 08:30:15 GMT"
	const tag, gz = `"dmzwbjx55iio-5k"`, "\nAccept-Encoding: gzip\n"
	const strong, weak, vary, coded, ranges = "ETag: " + tag, "ETag: W/" + tag, "Vary: Accept-Encoding", "Content-Encoding: gzip", "Accept-Ranges: bytes"
	f("GET /a.html"+gz, ok, html, weak, changed, coded, vary, "Transfer-Encoding: chunked")
	f("GET /a.html\n", ok, html, strong, changed, ranges, vary, "Content-Length: 200")
	f("GET /a.png"+gz, ok, "Content-Type: image/png", strong, changed, ranges, "Content-Length: 200")
	f("GET /small.html"+gz, ok, html, `ETag: "dmzwbjx55iio-2r"`, changed, ranges, "Content-Length: 99")
	// Parts are of the file as it is.
	f("GET /a.html"+gz+"Range: bytes=0-9\n", "HTTP/1.1 206 Partial Content", html, "Content-Range: bytes 0-9/200", strong, changed, ranges, vary, "Content-Length: 10")
	f("GET /a.html"+gz+"Range: bytes=0-9\nIf-Range: "+tag+"\n", "HTTP/1.1 206 Partial Content", html, "Content-Range: bytes 0-9/200", strong, changed, ranges, vary, "Content-Length: 10")
	f("GET /a.html"+gz+"Range: bytes=0-9\nIf-Range: W/"+tag+"\n", ok, html, weak, changed, coded, vary, "Transfer-Encoding: chunked")
	f("GET /a.html"+gz+"Range: bytes=200-\n", "HTTP/1.1 416 Range Not Satisfiable", "Content-Range: bytes */200", "Cache-Control: no-store", "Content-Type: text/plain; charset=utf-8", "Content-Length: 26")
	// Conditions come back by the tag that was told.
	f("GET /a.html"+gz+"If-None-Match: W/"+tag+"\n", "HTTP/1.1 304 Not Modified", weak, vary)
	f("HEAD /a.html"+gz+"If-None-Match: W/"+tag+"\n", "HTTP/1.1 304 Not Modified", weak, vary)
	f("GET /a.html\nIf-None-Match: "+tag+"\n", "HTTP/1.1 304 Not Modified", strong, vary)
	f("GET /a.html"+gz+"If-None-Match: \"x\"\n", ok, html, weak, changed, coded, vary, "Transfer-Encoding: chunked")
	f("GET /a.html"+gz+"If-Match: W/"+tag+"\n", "HTTP/1.1 412 Precondition Failed", "Cache-Control: no-store", "Content-Type: text/plain; charset=utf-8", "Content-Length: 24")
	// A rule's fields come before a file's.
	changes := responseEdits(t, rule.Edits{Remove: []string{"ETag"}, Set: map[string]string{"Vary": "*"}})
	edits.Store(&changes)
	f("GET /a.html"+gz, ok, html, changed, coded, vary, "Vary: *", "Transfer-Encoding: chunked")
	edits.Store(new([]rule.Edit))
	// Without an encoder a file goes as it is.
	r.o.Encoders.SetLimit(1)
	f("GET /a.html"+gz, ok, html, strong, changed, ranges, vary, "Content-Length: 200")
}

// responseEdits are what a rule makes of changes of the answer's headers.
func responseEdits(t testing.TB, e rule.Edits) []rule.Edit {
	t.Helper()
	table, problems := rule.Compile([]rule.Rule{{ResponseHeaders: e, Deny: true}}, nil, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	h, lim, in := new(http1.Head), http1.DefaultLimits(), []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if done, why := h.ParseRequest(in, &lim); !done {
		t.Fatal(why)
	}
	v := new(rule.Verdict)
	table.Decide(&rule.HTTP1{Head: h, Bytes: in}, new(rule.Facts), v)
	return v.Response
}

// TestCodedListing: a list of a directory is compressed, too, and a sibling that was compressed beforehand is not once more.
func TestCodedListing(t *testing.T) {
	policy := compresses(t)
	dir, gate := t.TempDir(), files.NewGate(10)
	d := files.OpenDir(dir, gate)
	t.Cleanup(d.CloseDir)
	for i := range 50 {
		os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%d", i)), nil, 0o644)
	}
	os.WriteFile(filepath.Join(dir, "a.css"), rows(1000), 0o644)
	os.WriteFile(filepath.Join(dir, "a.css.gz"), []byte("not looked at"), 0o644)
	served := files.New(d, files.Options{Listing: true, Precompressed: []encoding.Coding{encoding.Gzip}})
	r := start(t, &site{plan: func(r *Request, p *Plan) {
		*p = Plan{Read: 5 * time.Second, Write: 5 * time.Second, File: new(files.Answer)}
		served.Answer(&files.Request{Head: r.Head, Bytes: r.Bytes, Path: r.Text(r.Head.Target.Path), Now: time.Now()}, p.File)
		p.Status = p.File.Status
		policy(nil, p)
	}})
	f := func(path, accept, coding, want string) {
		t.Helper()
		c, in := r.dial(t)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n", path, accept)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.Header.Get("Content-Encoding") != accept || fmt.Sprint(res.Header["Vary"]) != "[Accept-Encoding]" {
			t.Fatalf("%s: %v, %v", path, res, err)
		}
		if got := string(decoded(t, coding, res.Body)); !strings.Contains(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	f("/", "gzip", "gzip", "file49")
	f("/a.css", "gzip", "", "not looked at")
	f("/a.css", "br", "br", string(rows(1000)))
	if c := r.o.Encoders.Counts(); c.Begun[encoding.Gzip] != 1 || c.Begun[encoding.Brotli] != 1 {
		t.Errorf("%+v", c)
	}
}

// TestCodedFileShrinks: an end of what is missing is not made up.
func TestCodedFileShrinks(t *testing.T) {
	policy := compresses(t)
	var path atomic.Pointer[string]
	r, tr := serveFiles(t, new(over), func(p *Plan) {
		policy(nil, p)
		os.Truncate(*path.Load(), 50_000) // it is open, and its head is decided
	})
	path.Store(new(filepath.Join(tr.dir, "f.html")))
	tr.write(t, "f.html", rows(100_000))
	c, in := r.dial(t)
	io.WriteString(c, "GET /f.html HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	if _, err := io.ReadAll(res.Body); err != io.ErrUnexpectedEOF {
		t.Errorf("%v", err)
	}
	<-r.site.done
	r.site.mu.Lock()
	defer r.site.mu.Unlock()
	if rec := r.site.records[0]; rec.Reason != FileError {
		t.Errorf("%+v", rec)
	}
}

// TestCodedFilesH2: many files at once, by HTTP/2.
func TestCodedFilesH2(t *testing.T) { h2All(t, testCodedFilesH2) }

func testCodedFilesH2(t *testing.T, o *over) {
	policy := compresses(t)
	tr := &tree{dir: t.TempDir()}
	d := files.OpenDir(tr.dir, files.NewGate(100))
	t.Cleanup(d.CloseDir)
	served := files.New(d, files.Options{})
	r := o.startH2(t, &site{plan: func(r *Request, p *Plan) {
		*p = Plan{Read: 5 * time.Second, Write: 5 * time.Second, File: new(files.Answer)}
		served.Answer(&files.Request{Head: r.Head, Bytes: r.Bytes, Path: r.Text(r.Head.Target.Path), Now: time.Now()}, p.File)
		p.Status = p.File.Status
		policy(nil, p)
	}})
	const size = 300_000
	tr.write(t, "f.html", rows(size))
	c, url := r.h2(t)
	type answer struct {
		coding string
		body   []byte
	}
	answers := make(chan answer, 40)
	var wg sync.WaitGroup
	for _, coding := range []string{"gzip", "br", "zstd", ""} {
		for range 10 {
			wg.Go(func() {
				req, _ := http.NewRequest("GET", url+"/f.html", nil)
				req.Header.Set("Accept-Encoding", coding)
				res, err := c.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if err != nil || res.Header.Get("Content-Encoding") != coding || (res.ContentLength < 0) != (coding != "") {
					t.Errorf("%s: %v, %v", coding, res.Header, err)
				}
				answers <- answer{coding, body}
			})
		}
	}
	wg.Wait()
	close(answers)
	for a := range answers {
		if got := decoded(t, a.coding, bytes.NewReader(a.body)); !bytes.Equal(got, rows(size)) {
			t.Errorf("%s: other content", a.coding)
		}
	}
}

// paper is a sink that takes all.
type paper struct{ bytes.Buffer }

func (p *paper) framed() bool { return false }

func (p *paper) write(ahead, data, after []byte) (int, error) {
	for _, b := range [][]byte{ahead, data, after} {
		p.Write(b)
	}
	return len(ahead) + len(data) + len(after), nil
}

func (p *paper) finish(*http1.Chunks) error { return nil }

// TestCodingCounts: what is compressed before the head goes out is part of a turn's share, too, so that requests behind each other do not
// make a turn long.
func TestCodingCounts(t *testing.T) {
	w := &worker{e: &Engine{o: Options{Encoders: encoding.NewPool(8 << 20)}}}
	data := rows(10_000)
	f := flow{w: w}
	f.begin(nil, new(paper), &buffer{b: data, w: len(data)}, http1.Framing{Kind: http1.Length, Length: int64(len(data))}, []byte("head"), true)
	f.coder = w.e.o.Encoders.Get(encoding.Spec{Coding: encoding.Gzip})
	defer f.release()
	if err := f.prime(); err != nil {
		t.Fatal(err)
	}
	budget := turnBytes
	if err := f.pump(&budget); err != nil || !f.done {
		t.Fatal(f.done, err)
	}
	if spent := turnBytes - budget; spent < codingEffort*len(data) {
		t.Errorf("%d of the budget are spent on %d bytes", spent, len(data))
	}
}
