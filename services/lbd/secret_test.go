package lbd

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/pki"
	"github.com/everup/everup/shared/state"
)

// Keys without a fleet stay the same for as long as the state directory keeps them, and a damaged file costs no more than the sessions.
func TestSecretIsKept(t *testing.T) {
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	env := &daemon.Env{State: dir, Log: zerolog.Nop()}
	key := func() string {
		t.Helper()
		k, err := keysOf(env)
		if err != nil {
			t.Fatal(err)
		}
		return string(slices.Concat(k.Derive("x", 32)...))
	}
	path := filepath.Join(dir.Path(), secretFile)
	first := key()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if key() != first {
		t.Error("the second look finds other keys")
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := key()
	if second == first || key() != second {
		t.Error("a damaged file is not replaced")
	}
	if env.Keys, err = pki.New("demo", "0123456789abcdef0123"); err != nil {
		t.Fatal(err)
	}
	if got := key(); got == second || got != string(env.Keys.Derive("x", 32)[0]) {
		t.Error("a fleet's keys are not taken")
	}
}
