package config

import (
	"strings"
	"testing"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/shared/conf"
	"github.com/google/go-cmp/cmp"
)

func TestContentErrors(t *testing.T) {
	f := func(pool string, want ...string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("f", []byte("pools:\n  web:\n    from: {service: s}\n    "+pool+"\n"), &c, conf.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != strings.Join(want, "\n") {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", pool, got, strings.Join(want, "\n"))
		}
	}
	f("compress: {}")
	f("compress: {codings: gzip, types: ['text/*', application/json], min_size: 256, level: fast}")
	f("compress: {codings: [gzip, bro]}", `f:4:32: pools.web.compress.codings[1]: "bro" is not one of zstd, br, gzip (did you mean "br"?)`)
	f("compress: {codings: [gzip, gzip]}", `f:4:32: pools.web.compress.codings[1]: "gzip" is listed twice`)
	f("compress: {types: [html, text/h*l]}",
		`f:4:24: pools.web.compress.types[0]: "html" is no media type`,
		`f:4:30: pools.web.compress.types[1]: "text/h*l": * stands for a whole type, or for the beginning of a subtype`)
	f("compress: {level: 9}", `f:4:23: pools.web.compress.level: expected text, found the number 9 (one of fast, default, best)`)
	f("compress: {min_size: 0}", `f:4:26: pools.web.compress.min_size: is 0, must be from 1 to 1GiB`)
	f("buffer_requests: {}\n    buffer_responses: {memory: 0, max: 16KiB}")
	f("buffer_requests: {max: 1}", `f:4:28: pools.web.buffer_requests.max: is 1, must be from 1KiB to 1TiB`)
	f("buffer_request: {}", `f:4:5: pools.web.buffer_request: unknown key (did you mean "buffer_requests"?)`)
}

// TestCompressFiles: files have a section of the same keys.
func TestCompressFiles(t *testing.T) {
	c := parse(t, "routes: [{path: /a, files: {root: /srv, compress: {codings: br, min_size: 2KiB}}}, {path: /b, files: {root: /srv}}]\n")
	p, err := c.Routes[0].Files.Compress.Policy()
	if err != nil || p.Min != 2048 || len(p.Prefer) != 1 || p.Prefer[0] != encoding.Brotli {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := c.Routes[1].Files.Compress.Policy(); p != nil || err != nil {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPolicy(t *testing.T) {
	f := func(yaml string, prefer []encoding.Coding, least int64, level encoding.Level, types map[string]bool) {
		t.Helper()
		c := parse(t, "pools: {web: {from: {service: s}, compress: "+yaml+"}}\n")
		p, err := c.Pools["web"].Compress.Policy()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(prefer, p.Prefer); d != "" || p.Min != least || p.Level != level {
			t.Errorf("%s: %+v", yaml, p)
		}
		for kind, want := range types {
			if got := p.Types.Has([]byte(kind)); got != want {
				t.Errorf("%s has %s: %v", yaml, kind, got)
			}
		}
	}
	f("{}", []encoding.Coding{encoding.Zstd, encoding.Brotli, encoding.Gzip}, 1024, encoding.Middle,
		map[string]bool{"text/html": true, "application/json": true, "application/ld+json": true, "image/png": false, "font/woff2": false})
	f("{codings: gzip, types: '*/*', min_size: 1, level: best}", []encoding.Coding{encoding.Gzip}, 1, encoding.Best,
		map[string]bool{"a/b": true, "image/png": false})
	c := parse(t, "pools: {web: {from: {service: s}}}\n")
	if p, err := c.Pools["web"].Compress.Policy(); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
}
