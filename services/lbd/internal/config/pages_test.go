package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/services/lbd/internal/page"
	"github.com/everup/everup/shared/conf"
	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/files"
)

// TestServingErrors: what is wrong with files, pages and maintenance is said at its place.
func TestServingErrors(t *testing.T) {
	f := func(yaml string, want ...string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("f", []byte(yaml), &c, conf.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if d := cmp.Diff(strings.Join(want, "\n"), got); d != "" {
			t.Errorf("%s (-want +got)\n%s", yaml, d)
		}
	}
	f("error_pages: {404: /etc/x.html, 4xx: {html: 'a {{status}}'}, '503': {file: /y}}\nmaintenance: {on: true, page: /m.html, exempt: 10.0.0.0/8}\n")
	f("error_pages: {200: /x, 6xx: /y}\n",
		"f:1:20: error_pages.200: is no status of an error (write a status from 400 to 599, or 4xx or 5xx)",
		"f:1:29: error_pages.6xx: is no status of an error (write a status from 400 to 599, or 4xx or 5xx)")
	f("error_pages: {404: x.html, 500: {html: '{{staus}}'}, 501: {}, 502: {file: /a, html: b}}\n",
		`f:1:20: error_pages.404.file: "x.html" is no clean absolute path`,
		"f:1:40: error_pages.500.html: {{staus is no variable (there are {{status}}, {{reason}}, {{why}}, {{host}}, {{request_id}}, {{retry_after}})",
		"f:1:59: error_pages.501: give file or html", "f:1:68: error_pages.502: file and html exclude each other")
	f("maintenance: {page: {html: '{{x}}'}, retry_after: 0s}\n",
		"f:1:28: maintenance.page.html: {{x is no variable (there are {{status}}, {{reason}}, {{why}}, {{host}}, {{request_id}}, {{retry_after}})",
		"f:1:51: maintenance.retry_after: is 0s, must be from 1s to 30d")
	f("routes: [{files: {root: /srv, precompressed: [br, gz], max_age: 4000d}}]\n",
		`f:1:51: routes[0].files.precompressed[1]: "gz" is not one of br, zstd, gzip`,
		"f:1:65: routes[0].files.max_age: is 4000d, must be at most 3650d")
	f("routes: [{files: {root: /srv, compress: {codings: [gzip, gzip]}}}]\n",
		`f:1:58: routes[0].files.compress.codings[1]: "gzip" is listed twice`)
	f("routes: [{files: {root: /srv, fallback: index.html}}]\n",
		`f:1:41: routes[0].files.fallback: "index.html" is no clean path below root (write it like /index.html)`)
	f("routes: [{intercept: true, path: /f, files: {root: /srv}}, {maintenance: true, path: /x, deny: true}]\n",
		"f:1:22: routes[0].intercept: has no meaning here (give a pool)",
		"f:1:74: routes[1].maintenance: is for routes with a name, by which it is switched off (give name)")
}

// TestFilesOptions: the section in the terms of package files.
func TestFilesOptions(t *testing.T) {
	var c Config
	yaml := "routes: [{files: {root: /srv, precompressed: [gzip, br], max_age: 1h, hidden: true, fallback: /app/index.html}}]\n"
	if _, err := conf.Parse("f", []byte(yaml), &c, conf.Options{}); err != nil {
		t.Fatal(err)
	}
	want := files.Options{
		Index: []string{"index.html"}, Hidden: true, Precompressed: []encoding.Coding{encoding.Gzip, encoding.Brotli}, Fallback: "/app/index.html", MaxAge: 3600e9,
	}
	if d := cmp.Diff(want, c.Routes[0].Files.Options()); d != "" {
		t.Error(d)
	}
}

// TestPagesAreRead: a page is a regular file of bounded size.
func TestPagesAreRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	set, err := ErrorPages{"404": {File: write("404.html", "gone {{status}}")}, "5xx": {HTML: "broken"}}.Set()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(set.Find(404).Append(nil, &page.Vars{Status: 404})); got != "gone 404" || set.Find(403) != nil || set.Find(599) == nil {
		t.Errorf("%q", got)
	}
	f := func(file, want string) {
		t.Helper()
		if _, err := (ErrorPages{"404": {File: file}}).Set(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	f(dir+"/none", "error_pages.404: stat")
	f(dir, "is no regular file")
	f("/dev/zero", "is no regular file")
	f(write("big", strings.Repeat("x", page.MaxSize+1)), "big: a page of 65537 bytes")
	f(write("bad", "{{x}}"), "bad: {{x is no variable")
	if set, err := (ErrorPages{}).Set(); set != nil || err != nil {
		t.Error(set, err)
	}
}
