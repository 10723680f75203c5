package grpc

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
)

func TestIsType(t *testing.T) {
	f := func(value string, want bool) {
		t.Helper()
		if got := IsType([]byte(value)); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	f("application/grpc", true)
	f("Application/gRPC", true)
	f("application/grpc+proto", true)
	f("application/grpc+json; charset=utf-8", true)
	f("application/grpc;x=y", true)
	f("application/grpc ;x=y", true)
	f("application/grpc-web", false)
	f("application/grpc-web+proto", false)
	f("application/grpcx", false)
	f("application/grp", false)
	f("text/plain", false)
	f("", false)
}

// The numbers are those of the protocol.
func TestOf(t *testing.T) {
	for status, want := range map[int]int{
		400: 13, 401: 16, 403: 7, 404: 12, 405: 2, 408: 4, 413: 8, 418: 2, 429: 14, 431: 8, 500: 2, 501: 2, 502: 14, 503: 14, 504: 4, 505: 2,
	} {
		if got := Of(status); got.Code() != want {
			t.Errorf("%d: %d, want %d", status, got.Code(), want)
		}
	}
}

func TestParse(t *testing.T) {
	f := func(value string, want int) {
		t.Helper()
		if got := Parse([]byte(value)).Code(); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
	f("0", 0)
	f("00", 0)
	f("1", 1)
	f("16", 16)
	f("17", 2)
	f("256", 2)
	f(strings.Repeat("9", 100), 2)
	f("", -1)
	f("-1", -1)
	f("1 ", -1)
	f("OK", -1)
	if None.Code() != -1 || OK.Code() != 0 || string(Unauthenticated.Append(nil)) != "16" {
		t.Error("numbers are not as they should be")
	}
}

func TestAppendMessage(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := string(AppendMessage(nil, []byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("", "")
	f("503 Service Unavailable\n", "503 Service Unavailable")
	f("a\r\nb\r\n", "a%0D%0Ab")
	f("100% 'ok'~", "100%25 'ok'~")
	f("ü\x00\x7f", "%C3%BC%00%7F")
	f(strings.Repeat("x", MaxMessage+1), strings.Repeat("x", MaxMessage))
}

// FuzzMessage: what a client decodes is the text, and nothing of it ends the field.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("503 Service Unavailable\n"))
	f.Add([]byte("100%\x00ü\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := AppendMessage(nil, text)
		for _, c := range got {
			if c < ' ' || c > '~' {
				t.Fatalf("%q: %q", text, got)
			}
		}
		want := bytes.TrimRight(text, "\r\n")
		if decoded, err := url.PathUnescape(string(got)); err != nil || decoded != string(want[:min(len(want), MaxMessage)]) {
			t.Fatalf("%q: %q, %v", text, got, err)
		}
	})
}
