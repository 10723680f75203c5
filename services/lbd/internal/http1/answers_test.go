package http1

import (
	"strconv"
	"strings"
	"testing"
)

func TestResponses(t *testing.T) {
	lim := DefaultLimits()
	for _, c := range readCorpus(t, "testdata/responses.txt") {
		var h, slow Head
		done, why := h.ParseResponse([]byte(c.raw), &lim)
		if got := outcome(done, why, h.Response(false, false)); got != c.want {
			t.Errorf("%s: %q is %s, want %s", c.about, c.raw, got, c.want)
		}
		done, why = parseBytewise([]byte(c.raw), func(b []byte) (bool, Refusal) { return slow.ParseResponse(b, &lim) })
		if got := outcome(done, why, slow.Response(false, false)); got != c.want {
			t.Errorf("%s: byte by byte %q is %s, want %s", c.about, c.raw, got, c.want)
		}
	}
}

// TestResponseFraming: RFC 9112 section 6.3, where the request decides.
func TestResponseFraming(t *testing.T) {
	lim := DefaultLimits()
	f := func(raw string, head, connect bool, want string) {
		t.Helper()
		var h Head
		done, why := h.ParseResponse([]byte(raw), &lim)
		if got := outcome(done, why, h.Response(head, connect)); got != want {
			t.Errorf("%q: %s, want %s", raw, got, want)
		}
	}
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, false, "none")
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, false, "none")
	f("HTTP/1.1 200 OK\r\n\r\n", true, false, "none")
	f("HTTP/1.1 200 OK\r\n\r\n", false, true, "none")
	f("HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n", false, true, "length 5")
}

// chunkOutcome decodes in pieces of n bytes, and says what came out in the corpus's words.
func chunkOutcome(raw string, n int) (string, int) {
	var c Chunks
	var data strings.Builder
	used := 0
	for used < len(raw) && !c.Done() {
		piece := raw[used:min(used+n, len(raw))]
		d, took, why := c.Next([]byte(piece))
		data.Write(d)
		used += took
		if why != OK {
			return "!" + why.String(), used
		}
	}
	if !c.Done() {
		return "incomplete", used
	}
	out := strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(data.String())
	c.Trailers(func(name, value []byte) { out += " +" + string(name) + "=" + string(value) })
	return strings.TrimPrefix(out, " "), used
}

func TestChunks(t *testing.T) {
	for _, c := range readCorpus(t, "testdata/chunks.txt") {
		for _, n := range []int{1, 2, 3, 1 << 20} {
			if got, _ := chunkOutcome(c.raw, n); got != c.want {
				t.Errorf("%s: %q in pieces of %d is %s, want %s", c.about, c.raw, n, got, c.want)
			}
		}
		if !strings.HasPrefix(c.want, "!") {
			if got, used := chunkOutcome(c.raw+"GET", 1<<20); got != c.want || used != len(c.raw) {
				t.Errorf("%s: %s, and %d bytes are taken of %d", c.about, got, used, len(c.raw))
			}
		}
	}
}

// TestChunkBounds: what a peer can make the decoder do or keep for nothing.
func TestChunkBounds(t *testing.T) {
	f := func(raw string, want string) {
		t.Helper()
		if got, _ := chunkOutcome(raw, 1<<20); got != want {
			t.Errorf("%.40q… is %.40s, want %.40s", raw, got, want)
		}
	}
	ext := func(n int) string { return "1;" + strings.Repeat("x", n) + "\r\na\r\n" }
	f(ext(200)+"0\r\n\r\n", "a")
	f(ext(256)+"0\r\n\r\n", "a")
	f(ext(257)+"0\r\n\r\n", "!chunk-line-too-long")
	f(strings.Repeat(ext(200), 40)+"0\r\n\r\n", strings.Repeat("a", 40))
	f(strings.Repeat(ext(200), 50)+"0\r\n\r\n", "!bad-chunk-extension")
	f("0\r\n"+strings.Repeat("A: 1\r\n", 32)+"\r\n", strings.TrimPrefix(strings.Repeat(" +A=1", 32), " "))
	f("0\r\n"+strings.Repeat("A: 1\r\n", 33)+"\r\n", "!trailer-too-large")
	f("0\r\nA: "+strings.Repeat("x", maxTrailer)+"\r\n\r\n", "!trailer-too-large")
	f("7fffffffffffffff\r\na", "incomplete")
}

func TestBody(t *testing.T) {
	f := func(framing Framing, in, content, rest string, left int64) {
		t.Helper()
		var b Body
		b.Begin(framing)
		if got := b.Left(); got != left {
			t.Errorf("%v: %d left, want %d", framing, got, left)
		}
		p, got := []byte(in), ""
		for len(p) > 0 && !b.Done() {
			d, n, why := b.Next(p)
			if why != OK {
				t.Fatal(why)
			}
			got += string(d)
			p = p[n:]
		}
		if got != content || string(p) != rest {
			t.Errorf("%v: content %q and %q left, want %q and %q", framing, got, p, content, rest)
		}
	}
	f(Framing{}, "GET", "", "GET", 0)
	f(Framing{Length, 3}, "abcGET", "abc", "GET", 3)
	f(Framing{Length, 0}, "GET", "", "GET", 0)
	f(Framing{Kind: UntilClose}, "abc", "abc", "", -1)
	f(Framing{Kind: Chunked}, "1\r\na\r\n0\r\n\r\nGET", "a", "GET", -1)
	var b Body
	b.Begin(Framing{Length, 10})
	b.Skip(4)
	if b.Left() != 6 || b.Done() {
		t.Errorf("%d left after Skip", b.Left())
	}
}

func TestWrite(t *testing.T) {
	lim := DefaultLimits()
	raw := []byte("GET /x?y HTTP/1.1\r\nHOST: a\r\nx-A:  b \r\n\r\n")
	var h Head
	if done, why := h.ParseRequest(raw, &lim); !done {
		t.Fatal(why)
	}
	out := AppendRequestLine(nil, h.Method.In(raw), h.Target.Raw.In(raw))
	for i := range h.Fields {
		out = h.Fields[i].Append(out, raw)
	}
	out = AppendLength(AppendField(out, "Via", []byte("1.1 x")), 12)
	if want := "GET /x?y HTTP/1.1\r\nHOST: a\r\nx-A: b\r\nVia: 1.1 x\r\nContent-Length: 12\r\n"; string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if got := string(AppendStatusLine(nil, 404, nil)) + string(AppendStatusLine(nil, 799, nil)) + string(AppendStatusLine(nil, 200, []byte("Fine"))); got !=
		"HTTP/1.1 404 Not Found\r\nHTTP/1.1 799 \r\nHTTP/1.1 200 Fine\r\n" {
		t.Errorf("%q", got)
	}
	var c Chunks
	body := string(AppendChunkHead(nil, 11)) + "hello world\r\n"
	c.Next([]byte("0\r\nA: 1\r\n\r\n"))
	if got, _ := chunkOutcome(body+string(AppendLastChunk(nil, &c)), 1<<20); got != "hello world +A=1" {
		t.Error(got)
	}
}

func TestRefusalNames(t *testing.T) {
	seen := map[string]bool{}
	for r := OK; r < refusals; r++ {
		if n := r.String(); n == "" || seen[n] || r.Status() < 200 {
			t.Errorf("refusal %d: %q, status %d", r, n, r.Status())
		}
		seen[r.String()] = true
	}
	if got := refusals.String(); got != "refusal-"+strconv.Itoa(int(refusals)) || refusals.Status() != 400 {
		t.Error(got)
	}
}
