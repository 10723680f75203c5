package config

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/files"
	"github.com/everup/everup/shared/conf"
)

// Files is the section `files` of a route.
type Files struct {
	Root          string        `yaml:"root" required:"true" doc:"Directory that the path is looked up in. Symbolic links lead to what is below it, or nowhere; an absolute one leads nowhere."`
	Index         []string      `yaml:"index" single:"true" default:"[index.html]" max:"16" doc:"Files that stand for a directory, in order."`
	Listing       bool          `yaml:"listing" default:"false" doc:"List a directory that has none of them, up to 1000 entries; else it is answered 403."`
	Hidden        bool          `yaml:"hidden" default:"false" doc:"Serve names that begin with a dot, too; else they are answered 404, but for /.well-known."`
	Precompressed []string      `yaml:"precompressed" single:"true" enum:"br|zstd|gzip" max:"3" doc:"Look for FILE.br, FILE.zst and FILE.gz beside FILE, and serve the one that the client likes best, unless it is older than FILE; of those it likes alike the one named first."`
	Fallback      string        `yaml:"fallback" max:"4096" doc:"Path below root of the file that is served in place of one that is missing, such as /index.html for a single-page application; empty means 404."`
	Compress      *Compress     `yaml:"compress" doc:"Compress files for clients that can decode them, where no sibling that was compressed beforehand is served; absent means no, {} takes what suits most. Parts of files (Range) go as they are."`
	MaxAge        conf.Duration `yaml:"max_age" default:"0" max:"3650d" doc:"For how long clients may use an answer without asking again (Cache-Control: max-age); 0 says nothing of it."`
}

// Options are those of package files.
func (f *Files) Options() files.Options {
	o := files.Options{Index: f.Index, Listing: f.Listing, Hidden: f.Hidden, Fallback: f.Fallback, MaxAge: f.MaxAge.Std()}
	for _, name := range f.Precompressed {
		if c, ok := encoding.ParseCoding(name); ok {
			o.Precompressed = append(o.Precompressed, c)
		}
	}
	return o
}

// Validate checks what is not the rules' to check.
func (f *Files) Validate(r *conf.Report) {
	if b := f.Fallback; b != "" && (b[0] != '/' || path.Clean(b) != b || strings.ContainsRune(b, 0)) {
		r.At("fallback").Hintf("write it like /index.html", "%q is no clean path below root", b)
	}
}

func cleanAbsolute(name string) bool { return filepath.IsAbs(name) && filepath.Clean(name) == name }
