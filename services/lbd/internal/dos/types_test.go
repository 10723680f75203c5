package dos

import (
	"testing"

	"github.com/everup/everup/shared/fault"
)

func TestTypes(t *testing.T) {
	types, err := NewTypes([]string{"image/*", "Text/CSS", "~ ^video/|font"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(value string, want bool) {
		t.Helper()
		if got := types.Has([]byte(value)); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	f("image/png", true)
	f(" IMAGE/PNG ; q=1", true)
	f("image/", false)
	f("images/png", false)
	f("text/css; charset=utf-8", true)
	f("text/cssx", false)
	f("text/html", false)
	f("Video/mp4", true)
	f("application/font-woff", true)
	f("text/html; x=font", false)
	f("", false)
	other := []byte("application/octet-stream")
	if n := testing.AllocsPerRun(100, func() { types.Has(other) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParseTypeRefuses(t *testing.T) {
	for _, s := range []string{"", "image", "image/", "/png", "*/*", "image/p*", "image/png; q=1", "~ (", "a b/c"} {
		if _, err := ParseType(s); fault.Of(err) != fault.Invalid {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzTypes(f *testing.F) {
	f.Add("image/*", "image/png; x")
	f.Add("~ ^a.*b$", "aab")
	f.Add("text/css", "TEXT/CSS")
	f.Fuzz(func(t *testing.T, pattern, value string) {
		types, err := NewTypes([]string{pattern})
		if err != nil {
			return
		}
		got := types.Has([]byte(value))
		if again := types.Has([]byte(" " + value + " ;x=1")); got && !again {
			t.Errorf("%q has %q, and not with parameters", pattern, value)
		}
	})
}
