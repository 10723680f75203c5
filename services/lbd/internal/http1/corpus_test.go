package http1

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// corpusCase is a line of a corpus.
type corpusCase struct {
	want, raw, about string
}

func readCorpus(t testing.TB, file string) (out []corpusCase) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		part := strings.SplitN(s.Text(), "\t", 3)
		if len(part) != 3 {
			t.Fatalf("%s: %q", file, s.Text())
		}
		raw, err := strconv.Unquote(part[1])
		if err != nil {
			t.Fatalf("%s: %s: %v", file, part[1], err)
		}
		out = append(out, corpusCase{part[0], raw, part[2]})
	}
	return out
}

// outcome says what became of a head, in the corpus's words.
func outcome(done bool, why Refusal, f Framing) string {
	switch {
	case why != OK:
		return why.String()
	case !done:
		return "incomplete"
	}
	switch f.Kind {
	case Length:
		return fmt.Sprint("length ", f.Length)
	case Chunked:
		return "chunked"
	case UntilClose:
		return "until close"
	}
	return "none"
}

// parseBytewise gives the parser one byte more each time.
func parseBytewise(raw []byte, parse func([]byte) (bool, Refusal)) (done bool, why Refusal) {
	for i := range raw {
		if done, why = parse(raw[:i+1]); done || why != OK {
			return done, why
		}
	}
	return done, why
}

func TestRequests(t *testing.T) {
	lim := DefaultLimits()
	cases := readCorpus(t, "testdata/requests.txt")
	if len(cases) < 150 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		var h Head
		done, why := h.ParseRequest([]byte(c.raw), &lim)
		if got := outcome(done, why, h.Body); got != c.want {
			t.Errorf("%s: %q is %s, want %s", c.about, c.raw, got, c.want)
		}
		var slow Head
		done, why = parseBytewise([]byte(c.raw), func(b []byte) (bool, Refusal) { return slow.ParseRequest(b, &lim) })
		if got := outcome(done, why, slow.Body); got != c.want {
			t.Errorf("%s: byte by byte %q is %s, want %s", c.about, c.raw, got, c.want)
		}
		if done && (slow.Len != h.Len || len(slow.Fields) != len(h.Fields)) {
			t.Errorf("%s: byte by byte the head is another", c.about)
		}
	}
}
