package labtest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"testing"
)

// builds remembers what this test process has built.
var builds struct {
	mu   sync.Mutex
	path map[string]string // by package
}

// BuildBinary returns the path of the command's binary: the one in the directory EVERUP_BIN where that is set and has
// it, else one built from the source, once per test process. The package is a full import path.
func BuildBinary(t testing.TB, pkg string) string {
	t.Helper()
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if p := builds.path[pkg]; p != "" {
		return p
	}
	p, err := findOrBuild(pkg)
	if err != nil {
		t.Fatalf("labtest: build %s: %v", pkg, err)
	}
	if builds.path == nil {
		builds.path = map[string]string{}
	}
	builds.path[pkg] = p
	return p
}

func findOrBuild(pkg string) (string, error) {
	if dir := os.Getenv("EVERUP_BIN"); dir != "" {
		p, err := filepath.Abs(filepath.Join(dir, path.Base(pkg)))
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
	}
	dir, err := binDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(pkg))
	target := filepath.Join(dir, fmt.Sprintf("%s-%x", path.Base(pkg), sum[:4]))
	fresh := fmt.Sprintf("%s.%d", target, os.Getpid())
	// Another test process may build the same: each writes its own file and puts it in place at once.
	out, err := exec.Command("go", "build", "-o", fresh, pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return target, os.Rename(fresh, target)
}

// binDir is the user's cache directory for built binaries.
func binDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(wd)) // another checkout must not take this one's binaries
	dir := filepath.Join(cache, "everup-labtest", fmt.Sprintf("%x", sum[:4]))
	return dir, os.MkdirAll(dir, 0o755)
}

// Tool returns the path of a program that the module tools pins, built once for all tests. Where it cannot be built because its source
// is not here and cannot be fetched, the test is skipped as by Needs.
func Tool(t testing.TB, pkg string) string {
	t.Helper()
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if p := builds.path[pkg]; p != "" {
		return p
	}
	p, err := buildTool(pkg)
	if err != nil {
		if os.Getenv("EVERUP_NO_SKIP") == "1" {
			t.Fatalf("SKIP-NEEDS: program %s (and EVERUP_NO_SKIP=1): %v", path.Base(pkg), err)
		}
		t.Skipf("SKIP-NEEDS: program %s: %v", path.Base(pkg), err)
	}
	if builds.path == nil {
		builds.path = map[string]string{}
	}
	builds.path[pkg] = p
	return p
}

func buildTool(pkg string) (string, error) {
	root, err := exec.Command("go", "env", "GOWORK").Output()
	if err != nil {
		return "", err
	}
	dir, err := binDir()
	if err != nil {
		return "", err
	}
	target := filepath.Join(dir, path.Base(pkg))
	fresh := fmt.Sprintf("%s.%d", target, os.Getpid())
	cmd := exec.Command("go", "build", "-o", fresh, pkg)
	cmd.Dir = filepath.Join(filepath.Dir(string(root)), "tools")
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return target, os.Rename(fresh, target)
}
