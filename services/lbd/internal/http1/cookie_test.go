package http1

import (
	"fmt"
	"testing"
)

func TestNextCookie(t *testing.T) {
	f := func(list, want string) {
		t.Helper()
		got := ""
		for rest := []byte(list); len(rest) > 0; {
			var name, value []byte
			name, value, rest = NextCookie(rest)
			got += fmt.Sprintf("[%s|%s]", name, value)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", list, got, want)
		}
	}
	f("", "")
	f("a=b", "[a|b]")
	f("a=b; c=d=e;\tf=", "[a|b][c|d=e][f|]")
	f("a; =b;;c=\"d\"", "[|a][|b][|][c|\"d\"]")
	f(" a = b ;", "[a | b]")
}

func TestIsToken(t *testing.T) {
	for c := range 256 {
		alnum := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		want := alnum || in(byte(c), "!#$%&'*+-.^_`|~")
		if got := IsToken([]byte{'a', byte(c)}); got != want {
			t.Errorf("%d: %v", c, got)
		}
	}
	if IsToken("") || !IsToken("X-Name") {
		t.Error("of texts it is not as it should be")
	}
}
