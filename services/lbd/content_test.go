package lbd

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/conf"
)

// sampled returns the value of a metric's sample.
func sampled(t testing.TB, b *balancer, sample string) string {
	t.Helper()
	var text bytes.Buffer
	if err := b.Env().Metrics.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in %s", sample, text.String())
	return ""
}

// A pool compresses as it is told, a route takes that back, and a reload changes both for the requests that come then.
func TestCompress(t *testing.T) {
	data := strings.Repeat("<p>some text</p>\n", 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		io.WriteString(w, data)
	}))
	defer s.Close()
	yaml := func(pool string) string {
		return "routes: [{path: /secret, compress: false}, {pool: web}]\npools: {web: {members: [{addr: '" + s.Listener.Addr().String() + "'}]" + pool + "}}\n"
	}
	b := start(t, yaml(", compress: {codings: gzip}"))
	c := client(t)
	f := func(path, kind, want, vary string) {
		t.Helper()
		req, _ := http.NewRequest("GET", b.url(path+"?type="+kind), nil)
		req.Header.Set("Accept-Encoding", "gzip, br, zstd")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var in io.Reader = res.Body
		if res.Header.Get("Content-Encoding") == "gzip" {
			if in, err = gzip.NewReader(in); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(in)
		if err != nil || res.Header.Get("Content-Encoding") != want || res.Header.Get("Vary") != vary || want != "br" && string(got) != data {
			t.Errorf("%s %s: %v, %d bytes, %v", path, kind, res.Header, len(got), err)
		}
	}
	f("/a", "text/html", "gzip", "Accept-Encoding")
	f("/a", "image/png", "", "")
	f("/secret/a", "text/html", "", "")
	if got := sampled(t, b, `everup_lbd_compressed_answers_total{coding="gzip"}`); got != "1" {
		t.Errorf("%s answers were compressed", got)
	}
	b.reload(yaml(", compress: {codings: [br, gzip], types: image/png}"))
	f("/a", "text/html", "", "")
	f("/a", "image/png", "br", "Accept-Encoding")
	b.reload(yaml(""))
	f("/a", "image/png", "", "")
	b.reload(yaml(", compress: {}") + "buffers: {compression: 0}\n")
	f("/a", "text/html", "", "Accept-Encoding")
	if got := sampled(t, b, "everup_lbd_compression_skipped_total"); got != "1" {
		t.Errorf("%s answers were not compressed for want of memory", got)
	}
}

// What is buffered goes to the directory of state, and to nobody else's eyes.
func TestBuffers(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, n, r.ContentLength, err)
	}))
	defer s.Close()
	yaml := func(pool string) string {
		return "routes: [{pool: web}]\npools: {web: {members: [{addr: '" + s.Listener.Addr().String() + "'}]" + pool + "}}\n"
	}
	b := start(t, yaml(", buffer_requests: {memory: 16KiB, max: 1MiB}, buffer_responses: {}"))
	st, err := os.Stat(filepath.Join(b.dir, "state", "buffers"))
	if err != nil || st.Mode() != os.ModeDir|0o700 {
		t.Error(st, err)
	}
	post := func(n int) (int, string) {
		t.Helper()
		res, err := client(t).Post(b.url("/"), "text/plain", io.MultiReader(strings.NewReader(strings.Repeat("a", n)))) // of a length that is not told
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, strings.TrimSpace(string(body))
	}
	if code, body := post(300_000); code != 200 || body != "300000 300000 <nil>" {
		t.Error(code, body)
	}
	b.reload(yaml(", buffer_requests: {max: 100KiB}"))
	if code, body := post(300_000); code != 413 {
		t.Error(code, body)
	}
	b.reload(yaml(", buffer_requests: {}") + "buffers: {memory: 16KiB, files: 32KiB}\n")
	if code, body := post(300_000); code != 503 {
		t.Error(code, body)
	}
	for bound, want := range map[string]string{"own": "1", "all": "1", "file": "0"} {
		if got := sampled(t, b, `everup_lbd_buffer_full_total{bound="`+bound+`"}`); got != want {
			t.Errorf("%s: %s", bound, got)
		}
	}
	for _, name := range []string{"buffers", "buffer_memory_bytes", "buffer_file_bytes"} {
		if got := sampled(t, b, "everup_lbd_"+name); got != "0" {
			t.Errorf("%s: %s are left", name, got)
		}
	}
	if _, err := b.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	b.set(yaml("") + "buffers: {dir: /elsewhere}\n")
	if _, err := b.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "buffers.dir changes only with a restart") {
		t.Error(err)
	}
}

// The example does what it says.
func TestContentExample(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, strings.Repeat("text ", 1000))
	}))
	defer s.Close()
	raw, err := os.ReadFile("../../deploy/examples/lbd-content/lbd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	yaml := string(raw)
	var c Config
	if _, err := conf.Parse("lbd.yaml", raw, &c, conf.Options{}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, p := range c.Pools {
		for i, m := range p.Members {
			n++
			to := fmt.Sprintf("127.0.0.1:%d", 1+n) // nobody
			if i == 0 {
				to = s.Listener.Addr().String()
			}
			yaml = strings.Replace(yaml, string(m.Addr), to, 1)
			_ = name
		}
	}
	b := start(t, strings.Replace(yaml, "0.0.0.0:80", "127.0.0.1:0", 1))
	f := func(method, path, want string) {
		t.Helper()
		req, _ := http.NewRequest(method, b.url(path), strings.NewReader("x"))
		req.Header.Set("Accept-Encoding", "br, zstd;q=0.5")
		res, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got := res.Header.Get("Content-Encoding"); res.StatusCode != 200 || got != want {
			t.Errorf("%s: %d %q", path, res.StatusCode, got)
		}
	}
	f("GET", "/news", "br")
	f("GET", "/account/me", "")
	f("PUT", "/upload/x", "")
}
