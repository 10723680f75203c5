package text

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForesee(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		turn := &turn{client: newDriver(t, newEnv(t)).s.(*client), in: []byte(in)}
		var keys []string
		pos := 0
		for {
			from, to, end := turn.foreseeOne(pos)
			if end < 0 {
				break
			}
			keys = append(keys, in[from:to])
			pos = end
		}
		if diff := cmp.Diff(want, append(keys, in[pos:])); diff != "" {
			t.Errorf("%q: keys and the rest: %s", in, diff)
		}
		turn.foresee()
		if turn.seen != 0 && turn.seen != pos {
			t.Errorf("%q: seen up to %d, want %d", in, turn.seen, pos)
		}
	}
	f("get a\r\nmg b\r\ngets c\r\n", "a", "b", "c", "")
	f("set a 1 0 5\r\nget x\r\nmg b v k\r\n", "a", "b", "")
	f("set a 0 0 5 noreply\r\n12345\r\n", "set a 0 0 5 noreply\r\n12345\r\n")
	f("get a\r\nset b 0 0 99\r\n12345\r\n", "a", "set b 0 0 99\r\n12345\r\n")
	f("get a\r\nset b 0 0 4294967296\r\n12345\r\n", "a", "set b 0 0 4294967296\r\n12345\r\n")
	f("get a\r\nget b c\r\n", "a", "get b c\r\n")
	f("get a\r\nget b\n", "a", "get b\n")
	f("get a\r\nget bbbb", "a", "get bbbb")
	f("mg a\r\nmg b v\n", "a", "mg b v\n")
	f("get a\r\nget  \r\n", "a", "get  \r\n")
	f("get a\r\ndelete b\r\n", "a", "delete b\r\n")
	long := "get " + strings.Repeat("k", maxKey+1) + "\r\n"
	f("get a\r\n"+long, "a", long)
}
