package conf

import (
	"encoding"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestDuration(t *testing.T) {
	f := func(text string, want time.Duration, printed string) {
		t.Helper()
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want || d.String() != printed {
			t.Errorf("%q is %v (%s), %v; want %v (%s)", text, d.Std(), d, err, want, printed)
		}
	}
	f("0", 0, "0")
	f("0s", 0, "0")
	f("250ms", 250*time.Millisecond, "250ms")
	f("5s", 5*time.Second, "5s")
	f("1m30s", 90*time.Second, "1m30s")
	f("90s", 90*time.Second, "1m30s")
	f("2h", 2*time.Hour, "2h")
	f("7d", 7*24*time.Hour, "7d")
	f("1.5s", 1500*time.Millisecond, "1s500ms")
	f("0.1us", 100, "100ns")
	f("106751d", 106751*24*time.Hour, "106751d")

	bad := func(text string) {
		t.Helper()
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, d)
		}
	}
	for _, text := range []string{
		"", "5", "s", "-5s", "+5s", "5 s", "05s", "1e3s", "5s1m", "5s5s", "5sec", "1_0s", "0x5s", ".5s", "5.s",
		"0.1ns", "106752d", "1h ", "5S", strings.Repeat("1", 70) + "s",
	} {
		bad(text)
	}
	if got := Duration(-1500 * time.Millisecond).String(); got != "-1s500ms" {
		t.Errorf("a negative duration prints as %s", got)
	}
	if got := Duration(-1 << 63).String(); !strings.HasPrefix(got, "-106751d") {
		t.Errorf("the least duration prints as %s", got)
	}
}

func TestSize(t *testing.T) {
	f := func(text string, want Size, printed string) {
		t.Helper()
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want || s.String() != printed {
			t.Errorf("%q is %d (%s), %v; want %d (%s)", text, s, s, err, want, printed)
		}
	}
	f("0", 0, "0")
	f("512", 512, "512")
	f("512B", 512, "512")
	f("64k", 64<<10, "64KiB")
	f("64K", 64<<10, "64KiB")
	f("64KiB", 64<<10, "64KiB")
	f("1MiB", 1<<20, "1MiB")
	f("1.5 MiB", 3<<19, "1536KiB")
	f("2g", 2<<30, "2GiB")
	f("3T", 3<<40, "3TiB")
	f("1kB", 1000, "1000")
	f("1MB", 1000000, "1000000")
	f("9223372036854775807", 1<<63-1, "9223372036854775807")
	for _, text := range []string{
		"", "k", "-1", "+1", "0512", "0x10", "1e3", "1_000", "10mb", "10kib", "10 k b", "1.5", "0.3k", "8388608t", "9223372036854775808", "1  k",
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %d", text, s)
		}
	}
}

func TestAddr(t *testing.T) {
	f := func(text, want, host string, port uint16, loopback bool) {
		t.Helper()
		var a Addr
		err := a.UnmarshalText([]byte(text))
		h, p, ok := a.HostPort()
		if err != nil || string(a) != want || h != host || p != port || !ok || a.Loopback() != loopback {
			t.Errorf("%q is %q with (%q, %d, %t), loopback %t, %v", text, a, h, p, ok, a.Loopback(), err)
		}
	}
	f("8080", ":8080", "", 8080, false)
	f(":0", ":0", "", 0, false)
	f("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", 80, true)
	f("127.9.9.9:80", "127.9.9.9:80", "127.9.9.9", 80, true)
	f("10.0.0.1:80", "10.0.0.1:80", "10.0.0.1", 80, false)
	f("localhost:80", "localhost:80", "localhost", 80, true)
	f("localhost.example.org:80", "localhost.example.org:80", "localhost.example.org", 80, false)
	f("[::1]:443", "[::1]:443", "::1", 443, true)
	f("[::ffff:127.0.0.1]:443", "[::ffff:127.0.0.1]:443", "::ffff:127.0.0.1", 443, true)
	f("[fe80::1%eth0]:443", "[fe80::1%eth0]:443", "fe80::1%eth0", 443, false)
	f("my_host.example.:65535", "my_host.example.:65535", "my_host.example.", 65535, false)

	var a Addr
	if err := a.UnmarshalText([]byte("unix:/run/x.sock")); err != nil {
		t.Fatal(err)
	}
	path, unix := a.Unix()
	if _, _, ok := a.HostPort(); path != "/run/x.sock" || !unix || ok || !a.Loopback() {
		t.Errorf("%q: path %q, unix %t, has a port %t", a, path, unix, ok)
	}
	if Addr("").Loopback() {
		t.Error("an empty address is loopback")
	}
	for _, text := range []string{
		"", ":", "localhost", "host:", "host:http", "host:080", "host:65536", "host:+80", "::1", "::1:80", "[::1]", "[::1]80",
		"[localhost]:80", "10.0.0.1.2:80", "10.0.0.256:80", "127.1:80", "22:30", "-a:80", "a..b:80", "a b:80", "http://a:80", "*:80", "0123", "unix:", "unix:x",
		"unix:/" + strings.Repeat("x", 107), strings.Repeat("a", 64) + ":80", "a:80:80", "\x00:80",
	} {
		var a Addr
		if err := a.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %q", text, a)
		}
	}
}

func TestPrefixAndName(t *testing.T) {
	f := func(to encoding.TextUnmarshaler, text, want string) {
		t.Helper()
		got := ""
		if to.UnmarshalText([]byte(text)) == nil {
			got = strings.TrimPrefix(fmt.Sprint(to), "&")
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	f(new(Prefix), "10.0.0.0/8", "10.0.0.0/8")
	f(new(Prefix), "10.0.0.1", "10.0.0.1/32")
	f(new(Prefix), "::ffff:10.0.0.1", "10.0.0.1/32")
	f(new(Prefix), "2001:db8::/32", "2001:db8::/32")
	f(new(Prefix), "10.0.0.1/8", "")
	f(new(Prefix), "10.0.0.0/08", "")
	f(new(Prefix), "", "")
	f(new(Name), "web-1_a", "web-1_a")
	f(new(Name), "0123", "0123")
	f(new(Name), strings.Repeat("a", 63), strings.Repeat("a", 63))
	f(new(Name), strings.Repeat("a", 64), "")
	f(new(Name), "", "")
	f(new(Name), "-a", "")
	f(new(Name), "Web", "")
	f(new(Name), "wéb", "")
}

// No way of printing a secret shows it.
func TestSecretIsNotPrinted(t *testing.T) {
	const hidden = "hunter2"
	s := Secret(hidden)
	holder := struct {
		S Secret
		P *Secret
		L []Secret
		M map[string]Secret
	}{s, &s, []Secret{s}, map[string]Secret{"k": s}}
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%f", "%c"} {
		printed = append(printed, fmt.Sprintf(verb, s), fmt.Sprintf(verb, holder))
	}
	asJSON, err1 := json.Marshal(holder)
	asYAML, err2 := yaml.Marshal(holder)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	printed = append(printed, string(asJSON), string(asYAML), s.String())
	for _, p := range printed {
		if strings.Contains(p, hidden) || strings.Contains(p, "68756e74") {
			t.Errorf("the secret is printed: %s", p)
		}
	}
	if !strings.Contains(string(asJSON), redacted) || s.Reveal() != hidden {
		t.Errorf("JSON is %s, the secret itself %q", asJSON, s.Reveal())
	}
}
