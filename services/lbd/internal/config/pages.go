package config

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/everup/everup/services/lbd/internal/page"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// ErrorPages are pages by status. They are read when the configuration is.
type ErrorPages map[string]ErrorPage

// ErrorPage is a page that an error is answered with, where the client asks for HTML.
type ErrorPage struct {
	File string `yaml:"file" short:"true" doc:"Absolute path of a file with HTML, up to 64 KiB. {{status}}, {{reason}}, {{why}}, {{host}}, {{request_id}} and {{retry_after}} are filled in."`
	HTML string `yaml:"html" max:"65536" doc:"The HTML itself, in place of file."`
}

// page reads the page.
func (p *ErrorPage) page() (*page.Page, error) {
	if p.File == "" {
		return page.Parse(p.HTML)
	}
	b, err := readBounded(p.File)
	if err != nil {
		return nil, err
	}
	made, err := page.Parse(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.File, err)
	}
	return made, nil
}

// readBounded reads a regular file up to a byte more than a page may have.
func readBounded(path string) ([]byte, error) {
	if st, err := os.Stat(path); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, page.MaxSize+1))
}

// Set reads the pages; nil if there are none.
func (e ErrorPages) Set() (*page.Set, error) {
	var out *page.Set
	for _, key := range slices.Sorted(maps.Keys(e)) {
		p := e[key]
		made, err := p.page()
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "lbd: error_pages.%s", key)
		}
		if out == nil {
			out = &page.Set{}
		}
		if !out.Add(key, made) {
			return nil, fault.New(fault.Config, "lbd: error_pages.%s: no status", key)
		}
	}
	return out, nil
}

// validate reports keys that are no status.
func (e ErrorPages) validate(r *conf.Report) {
	for _, key := range slices.Sorted(maps.Keys(e)) {
		if !new(page.Set).Add(key, nil) {
			r.At(key).Hintf("write a status from 400 to 599, or 4xx or 5xx", "is no status of an error")
		}
	}
}

// Validate checks the page. A file is not read: it may be on another host than the one that checks the configuration.
func (p *ErrorPage) Validate(r *conf.Report) {
	switch {
	case p.File != "" && p.HTML != "":
		r.Errorf("file and html exclude each other")
	case p.File == "" && p.HTML == "":
		r.Errorf("give file or html")
	case p.File != "" && !cleanAbsolute(p.File):
		r.At("file").Errorf("%q is no clean absolute path", p.File)
	case p.HTML != "":
		if _, err := page.Parse(p.HTML); err != nil {
			r.At("html").Errorf("%s", err)
		}
	}
}
