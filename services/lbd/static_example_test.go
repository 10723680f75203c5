package lbd

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStaticExample runs the example of a site of files, in another place.
func TestStaticExample(t *testing.T) {
	const example = "../../deploy/examples/lbd-static"
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(example, "lbd.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	shop := backend(t, "the shop")
	moved := strings.NewReplacer("0.0.0.0:80", "127.0.0.1:0", "/srv/shop", dir, "192.168.0.100:8080", shop.addr).Replace(string(text))
	for name, content := range map[string]string{"www/assets/main.css.gz": "zipped", "downloads/list.csv": "a,b\n", "downloads/long.csv": strings.Repeat("a,b\n", 1000)} {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := start(t, moved)
	f := func(path, accept string, status int, want string) http.Header {
		t.Helper()
		req, _ := http.NewRequest("GET", b.url(path), nil)
		req.Host = "shop.test"
		req.Header.Set("Accept", accept)
		req.Header.Set("Accept-Encoding", "gzip")
		res, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %q, %v", path, res.StatusCode, body, err)
		}
		return res.Header
	}
	const html = "text/html"
	f("/", html, 200, "<h1>Shop</h1>")
	f("/product/7", html, 200, "<h1>Shop</h1>")
	if h := f("/assets/main.css", "*/*", 200, "zipped"); h.Get("Cache-Control") != "max-age=31536000" || h.Get("Content-Encoding") != "gzip" {
		t.Errorf("%v", h)
	}
	f("/assets/none.css", html, 404, "nothing at this address of shop.test")
	f("/assets/none.css", "*/*", 404, "404 Not Found\n")
	f("/downloads/", html, 200, `<a href="./list.csv">`)
	f("/downloads/list.csv", "*/*", 200, "a,b\n")
	if h := f("/downloads/long.csv", "*/*", 200, "\x1f\x8b"); h.Get("Content-Encoding") != "gzip" {
		t.Errorf("%v", h)
	}
	f("/api/x", "*/*", 200, "the shop")
	if _, err := b.service().maintain(MaintenanceChange{Object: "shop", On: true}, "test"); err != nil {
		t.Fatal(err)
	}
	f("/api/x", html, 503, "back in 300 seconds")
	f("/", html, 200, "<h1>Shop</h1>")
}
