package text

import (
	"fmt"
	"strings"
	"testing"

	"github.com/everup/everup/services/cached/internal/oracletest"
)

// counters are those of `stats` that commands move and the text protocol is answerable for.
const counters = "cmd_get cmd_set cmd_touch cmd_meta get_hits get_misses delete_misses delete_hits incr_misses incr_hits " +
	"decr_misses decr_hits cas_misses cas_hits cas_badval touch_hits touch_misses store_too_large"

// TestCounters has each command move the same counters as in memcached.
func TestCounters(t *testing.T) {
	memcached := oracletest.Start(t, oracletest.Options{})
	d := newDriver(t, newEnv(t))
	ask := func(in string) string {
		t.Helper()
		out, err := oracletest.Exchange(memcached.Network, memcached.Addr, []byte(in))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	steps := []string{
		"set k 0 0 1\r\n1\r\n", "get k none\r\n", "gets k k\r\n", "gat 0 k none\r\n", "mg k\r\n", "mg none\r\n", "mg k T0\r\n", "mg none T0\r\n",
		"mg new1 N30\r\n", "mg new2 N30 T30\r\n", "ms k 1\r\n1\r\n", "ms k 1 MA\r\n1\r\n", "ms none 1 MA\r\n1\r\n", "ms k 1 C1\r\n1\r\n",
		"ms none 1 C1\r\n1\r\n", "add k 0 0 1\r\n1\r\n", "set k 0 0 1\r\n12\r\n", "ms k 1\r\n12\r\n", "set k 0 0 1\r\n5\r\n", "ma k\r\n", "ma k MD\r\n",
		"ma none\r\n", "ma none MD\r\n", "ma new3 N0\r\n", "md none\r\n", "md k C1\r\n", "md k I\r\n", "md k\r\n", "me k\r\n", "me new1\r\n", "mn\r\n",
		"cas none 0 0 1 1\r\n1\r\n", "cas new3 0 0 1 1\r\n1\r\n", "incr none 1\r\n", "decr none 1\r\n", "incr new3 1\r\n", "decr new3 1\r\n",
		"touch new3 0\r\n", "touch none 0\r\n", "delete new3\r\n", "delete new3\r\n", "set k 0 0 1\r\nx\r\n", "incr k 1\r\n", "replace none 0 0 1\r\n1\r\n",
		"mg k v Oaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", "mg none Oaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
		fmt.Sprintf("set k 0 0 2000000\r\n%s\r\n", strings.Repeat("x", 2000000)), "get k\r\n", "verbosity 0\r\n", "get k " + strings.Repeat("x", 251) + "\r\n",
	}
	want, got := ask("stats\r\n"), string(d.send([]byte("stats\r\n")))
	for _, in := range steps {
		ask(in)
		d.send([]byte(in))
		nextWant, nextGot := ask("stats\r\n"), string(d.send([]byte("stats\r\n")))
		for name := range strings.FieldsSeq(counters) {
			w, g := count(t, nextWant, name)-count(t, want, name), count(t, nextGot, name)-count(t, got, name)
			if w != g {
				t.Errorf("%.60q: %s moved by %d, in memcached by %d", in, name, g, w)
			}
		}
		want, got = nextWant, nextGot
	}
	sameNames(t, want, got)
	sameNames(t, ask("stats settings\r\n"), string(d.send([]byte("stats settings\r\n"))))
}

// count reads one line of statistics.
func count(t *testing.T, stats, name string) (n int) {
	t.Helper()
	_, after, ok := strings.Cut(stats, "STAT "+name+" ")
	if _, err := fmt.Sscan(after, &n); !ok || err != nil {
		t.Fatalf("no %s in %.100q", name, stats)
	}
	return n
}

// sameNames checks that got has all lines that want has, in their order. What depends on how memcached was built or started may be
// missing there.
func sameNames(t *testing.T, want, got string) {
	t.Helper()
	rest := got
	for line := range strings.Lines(want) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "STAT "), " ")
		_, after, ok := strings.Cut(rest, "STAT "+name+" ")
		if name = strings.TrimSpace(name); name != "END" && !ok {
			t.Errorf("%s is missing, or not in memcached's place", name)
			continue
		}
		rest = after
	}
}
