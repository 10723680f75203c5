package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
)

// frames reads all of r; a truncated frame is marked by a '~', an error other than io.EOF stands last.
func frames(r io.Reader, limit int) []string {
	f := NewFramer(r, limit, nil)
	var out []string
	for {
		fr, err := f.Next()
		if err != nil {
			if err != io.EOF {
				out = append(out, "error: "+fault.Of(err).String())
			}
			return out
		}
		s := string(fr.Data)
		if fr.Truncated {
			s += "~"
		}
		out = append(out, s)
	}
}

var framings = []struct {
	in   string
	want []string
}{
	{"<13>a\n<13>b\n", []string{"<13>a", "<13>b"}},
	{"<13>a\r\n<13>b", []string{"<13>a", "<13>b"}},
	{"<13>a\x00<13>b\x00", []string{"<13>a", "<13>b"}},
	{"5 <13>a6 <13>bb", []string{"<13>a", "<13>bb"}},
	{"7 <13>a\nb<13>c\n5 <13>d\n", []string{"<13>a\nb", "<13>c", "<13>d"}},
	{"6 <13>a\n<13>b\n", []string{"<13>a\n", "<13>b"}},
	{"\n\n\r\n<13>a\n\n", []string{"<13>a"}},
	{"92 bottles\n", []string{"92 bottles"}},
	{"2026-11-22 t\n", []string{"2026-11-22 t"}},
	{"12345678 <1\n", []string{"12345678 <1"}},
	{"5 <13>a12345678 <13>b", []string{"<13>a", "error: invalid"}},
	{"9 <13>a", []string{"<13>a~"}},
	{"9 ", []string{"9 "}},
	{"20 <13>0123456789012345<13>b\n", []string{"<13>01234567~", "<13>b"}},
	{"<13>012345678\n<13>b\n", []string{"<13>01234567~", "<13>b"}},
	{"<13>01234567\n<13>b\n", []string{"<13>01234567", "<13>b"}},
	{"<13>0123456789", []string{"<13>01234567~"}},
	{"\x78\x9cabc", []string{"error: unsupported"}},
	{"x\n", []string{"x"}},
	{"", nil},
}

func TestFramer(t *testing.T) {
	for _, c := range framings {
		if diff := cmp.Diff(c.want, frames(strings.NewReader(c.in), 12)); diff != "" {
			t.Errorf("%q: %s", c.in, diff)
		}
		if diff := cmp.Diff(c.want, frames(iotest.OneByteReader(strings.NewReader(c.in)), 12)); diff != "" && c.in[0] != 0x78 {
			t.Errorf("%q byte by byte: %s", c.in, diff)
		}
	}
}

// TestFramerSplitAnywhere cuts a stream of both framings in two at every byte.
func TestFramerSplitAnywhere(t *testing.T) {
	var stream bytes.Buffer
	var want []string
	for i := range 20 {
		msg := fmt.Sprintf("<13>message %d %s", i, strings.Repeat("x", i*7))
		want = append(want, msg)
		if i%3 == 0 {
			fmt.Fprintf(&stream, "%d %s", len(msg), msg)
		} else {
			fmt.Fprintf(&stream, "%s\n", msg)
		}
	}
	all := stream.Bytes()
	for cut := range all {
		r := io.MultiReader(bytes.NewReader(all[:cut]), bytes.NewReader(all[cut:]))
		if diff := cmp.Diff(want, frames(r, 4096)); diff != "" {
			t.Fatalf("cut at %d: %s", cut, diff)
		}
	}
}

// TestFramerBeforeSaysPartial checks what the deadlines rest on: an idle wait is told from a wait inside a frame.
func TestFramerBeforeSaysPartial(t *testing.T) {
	var seen []bool
	r := iotest.OneByteReader(strings.NewReader("ab\nc"))
	f := NewFramer(r, 100, func(partial bool) { seen = append(seen, partial) })
	for {
		if _, err := f.Next(); errors.Is(err, io.EOF) {
			break
		}
	}
	if diff := cmp.Diff([]bool{false, true, true, false, true}, seen); diff != "" {
		t.Error(diff)
	}
}

func FuzzFramer(f *testing.F) {
	for _, c := range framings {
		f.Add([]byte(c.in), uint8(12))
	}
	f.Fuzz(func(t *testing.T, in []byte, limit uint8) {
		max := int(limit) + 1
		fr := NewFramer(bytes.NewReader(in), max, nil)
		total := 0
		for {
			frame, err := fr.Next()
			if err != nil {
				break
			}
			if len(frame.Data) > max {
				t.Fatalf("frame of %d bytes, limit %d", len(frame.Data), max)
			}
			total += len(frame.Data)
		}
		if total > len(in) || len(fr.buf) > max+startBuffer {
			t.Fatalf("%d bytes of frames out of %d, buffer %d", total, len(in), len(fr.buf))
		}
	})
}
