package conf

import (
	"encoding"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
)

// FuzzParse reads arbitrary bytes: no panic, errors with places that exist, and what is accepted is
// written as a configuration that reads the same.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(data), "----------\n")
		input, _, _ = strings.Cut(input, "=== ")
		f.Add([]byte(input))
	}
	opts := Options{
		Env:      func(name string) (string, bool) { return name, name != "UNSET" },
		ReadFile: func(name string) ([]byte, error) { return []byte(name), nil },
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s site
		doc, err := Parse("f.yaml", data, &s, opts)
		if err != nil {
			checkErrors(t, data, err)
			return
		}
		checkRewritten(t, doc, &s, opts)
	})
}

// checkErrors checks that each error is complete, in order and inside the file.
func checkErrors(t *testing.T, data []byte, err error) {
	errs, ok := errors.AsType[Errors](err)
	if !ok || len(errs) == 0 || !errors.Is(err, fault.Config) {
		t.Fatalf("the error is %T %v", err, err)
	}
	lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") +
		strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029") + strings.Count(string(data), "\u0085") + 1
	if len(data) > 1 && (data[0] >= 0xfe || data[0] == 0) {
		lines = len(data) // UTF-16
	}
	for i, e := range errs {
		if e.File != "f.yaml" || e.Line < 1 || e.Line > lines+1 || e.Col < 1 || e.Msg == "" {
			t.Errorf("error %d of %d lines: %+v", i, lines, *e)
		}
		if i > 0 && e.Line < errs[i-1].Line {
			t.Errorf("error %d is out of order: %v", i, err)
		}
	}
}

// checkRewritten checks that WriteEffective reads back to the same values.
func checkRewritten(t *testing.T, doc *Document, s *site, opts Options) {
	var b strings.Builder
	if err := doc.WriteEffective(&b, true); err != nil {
		t.Fatal(err)
	}
	var again site
	if _, err := Parse("again.yaml", []byte(b.String()), &again, opts); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if s.Token != "" {
		s.Token = redacted
	}
	if changes := Diff(s, &again); len(changes) > 0 {
		t.Errorf("read back differently: %q\n%s", changes, b.String())
	}
}

// roundTrip checks that what a type accepts prints as a text that it reads as the same value.
func roundTrip[T any, P interface {
	*T
	encoding.TextUnmarshaler
	encoding.TextMarshaler
}](t *testing.T, text []byte) {
	var v, again T
	if P(&v).UnmarshalText(text) != nil {
		return
	}
	printed, err := P(&v).MarshalText()
	if err != nil {
		t.Fatalf("%q is read but not printed: %v", text, err)
	}
	if err := P(&again).UnmarshalText(printed); err != nil || !reflect.DeepEqual(v, again) {
		t.Errorf("%q is read as %v, printed as %q and read as %v, %v", text, v, printed, again, err)
	}
}

func fuzzText(f *testing.F, check func(t *testing.T, text []byte), seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) { check(t, text) })
}

func FuzzDuration(f *testing.F) {
	fuzzText(f, roundTrip[Duration], "0", "250ms", "1m30s", "7d", "1.5s", "106751d23h47m16s854ms775us807ns", "5", "-1s")
}

func FuzzSize(f *testing.F) {
	fuzzText(f, roundTrip[Size], "0", "512", "64k", "1MiB", "1kB", "1.5g", "9223372036854775807", "0x10")
}

func FuzzAddr(f *testing.F) {
	fuzzText(f, roundTrip[Addr], "8080", ":80", "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:1", "unix:/run/x", "a.b:1", "::1")
}

func FuzzPrefix(f *testing.F) {
	fuzzText(f, roundTrip[Prefix], "10.0.0.0/8", "::/0", "::ffff:1.2.3.4", "192.0.2.1", "10.1.0.0/8")
}
