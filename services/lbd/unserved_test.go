package lbd

import (
	"strings"
	"testing"
)

// What the daemon does not do yet is refused by name: an address must not be open without the TLS that was asked for.
func TestRefusesWhatItDoesNotDo(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		l, err := tryParse(t.TempDir(), yaml)
		if err != nil {
			t.Fatal(err)
		}
		_, err = compile(l.Config)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
	}
	pool := func(more string) string { return "pools: {web: {from: {service: s}, " + more + "}}\n" }
	f(pool("connect: 1s"), "")
	f(pool("http2: true"), "lbd: pools.web.http2: ")
	f("listen: [{addr: ':2', http2: true}]\n", "lbd: listen[0].http2: ")
}
