package http1

import (
	"bytes"
	"testing"
)

// FuzzRequest: whatever comes, cut anywhere, the outcome is the same as whole; and what is taken, written again, is taken as
// the same.
func FuzzRequest(f *testing.F) {
	for _, c := range readCorpus(f, "testdata/requests.txt") {
		f.Add([]byte(c.raw), uint16(7))
	}
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		lim := Limits{Head: 4096, Line: 1024, Fields: 32}
		var whole, parts Head
		done, why := whole.ParseRequest(raw, &lim)
		at := int(cut) % (len(raw) + 1)
		done2, why2 := parts.ParseRequest(raw[:at], &lim)
		if !done2 && why2 == OK {
			done2, why2 = parts.ParseRequest(raw, &lim)
		}
		if done != done2 || why != why2 || whole.Body != parts.Body {
			t.Fatalf("whole %v %s %v, cut at %d %v %s %v", done, why, whole.Body, at, done2, why2, parts.Body)
		}
		if !done {
			return
		}
		if whole.Len > len(raw) || len(whole.Fields) > lim.Fields || !bytes.HasSuffix(raw[:whole.Len], []byte("\r\n\r\n")) {
			t.Fatalf("a head of %d bytes", whole.Len)
		}
		again := rewrite(&whole, raw)
		var h Head
		if done, why := h.ParseRequest(again, &Limits{Head: 1 << 16, Line: 1 << 12, Fields: 64}); !done || h.Body != whole.Body || h.Len != len(again) {
			t.Fatalf("%q written again as %q: %s", raw[:whole.Len], again, why)
		}
		if bytes.ContainsAny(bytes.ReplaceAll(again, []byte("\r\n"), nil), "\r\n\x00") {
			t.Fatalf("%q holds what ends a line elsewhere", again)
		}
	})
}

func rewrite(h *Head, raw []byte) []byte {
	out := append([]byte(nil), h.Method.In(raw)...)
	out = append(out, ' ')
	out = append(out, h.Target.Raw.In(raw)...)
	if h.Version == HTTP10 {
		out = append(out, " HTTP/1.0\r\n"...)
	} else {
		out = append(out, " HTTP/1.1\r\n"...)
	}
	for i := range h.Fields {
		out = h.Fields[i].Append(out, raw)
	}
	return append(out, "\r\n"...)
}

// FuzzResponse is FuzzRequest for answers.
func FuzzResponse(f *testing.F) {
	for _, c := range readCorpus(f, "testdata/responses.txt") {
		f.Add([]byte(c.raw), uint16(7))
	}
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		lim := Limits{Head: 4096, Line: 1024, Fields: 32}
		var whole, parts Head
		done, why := whole.ParseResponse(raw, &lim)
		at := int(cut) % (len(raw) + 1)
		done2, why2 := parts.ParseResponse(raw[:at], &lim)
		if !done2 && why2 == OK {
			done2, why2 = parts.ParseResponse(raw, &lim)
		}
		if done != done2 || why != why2 || whole.Response(false, false) != parts.Response(false, false) {
			t.Fatalf("whole %v %s, cut at %d %v %s", done, why, at, done2, why2)
		}
		if done && (whole.Status < 100 || whole.Status > 999) {
			t.Fatalf("status %d", whole.Status)
		}
	})
}

// FuzzChunks: cut anywhere the outcome is the same, and content that was decoded, written as one chunk, decodes to itself.
func FuzzChunks(f *testing.F) {
	for _, c := range readCorpus(f, "testdata/chunks.txt") {
		f.Add(c.raw, uint8(1))
	}
	f.Fuzz(func(t *testing.T, raw string, n uint8) {
		want, used := chunkOutcome(raw, 1<<30)
		got, used2 := chunkOutcome(raw, int(n)+1)
		if got != want || used != used2 && want[:min(1, len(want))] != "!" {
			t.Fatalf("%q in pieces of %d: %q after %d, whole %q after %d", raw, int(n)+1, got, used2, want, used)
		}
	})
}
