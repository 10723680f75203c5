package deploy_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// `make fuzz` runs every fuzz target there is.
func TestFuzzFindsAll(t *testing.T) {
	var want []string
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	for _, top := range []string{"shared", "services", "deploy"} {
		err := filepath.WalkDir(filepath.Join("..", top), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, m := range target.FindAllSubmatch(b, -1) {
				want = append(want, strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")+" "+string(m[1]))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("scripts/fuzz", "-l").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" || len(want) < 20 {
		t.Errorf("%d targets (-there +found):\n%s", len(want), d)
	}
}
