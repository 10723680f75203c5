package lbd

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/conf"
)

// Every example of lbd's is a configuration.
func TestExamples(t *testing.T) {
	dirs, err := filepath.Glob("../../deploy/examples/lbd-*")
	if err != nil || len(dirs) < 3 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".yaml") {
				return err
			}
			var c Config
			o := conf.Options{
				Environ: func() []string { return nil }, Env: func(string) (string, bool) { return "x", true },
				ReadFile: func(string) ([]byte, error) { return []byte("a-secret-of-enough-bytes"), nil },
				Offline:  true, // certificates are not shipped
			}
			if _, err := conf.Load(path, &c, o); err != nil {
				t.Error(err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
