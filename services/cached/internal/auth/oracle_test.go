package auth

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// files are contents of a -Y file and logins, as the text protocol writes them, to try with each.
var files = []struct {
	content string
	logins  []string
	differs string // why the last login ends otherwise here
}{
	{"bob:secret\n", []string{"bob secret", "bob secre", "bob secretx", "bo secret", "bobb secret", "x x"}, ""},
	{"bob:secret\r\nann:x\r\n", []string{"bob secret", "ann x"}, ""},
	{"bob:secret\n\nann:x\n", nil, ""},
	{"\nbob:secret\n", nil, ""},
	{"# comment\nbob:secret\n", nil, ""},
	{"# a:b\nbob:secret\n", []string{"bob secret"}, ""},
	{"u:a:b\n", []string{"u a:b", "u a"}, ""},
	{"user:\n", []string{"user x"}, ""},
	{":pass\n", []string{"x pass"}, ""},
	{numbered(10), []string{"u0 p0", "u7 p7", "u8 p8", "u9 p9"}, ""},
	{numbered(8) + "garbage\n", []string{"u7 p7"}, ""},
	{numbered(7) + "garbage\n", nil, ""},
	{long(252) + "v:b\n", []string{"u " + strings.Repeat("a", 252), "v b"}, ""},
	{long(253) + "v:b\n", []string{"u " + strings.Repeat("a", 253), "v b"}, ""},
	{long(254) + "v:b\n", []string{"u " + strings.Repeat("a", 254), "u " + strings.Repeat("a", 253), "v b"}, ""},
	{long(300) + "v:b\n", []string{"u " + strings.Repeat("a", 300), "u " + strings.Repeat("a", 253), "v b"}, ""},
	{"u:a\x00b\nv:c\n", []string{"u a", "v c"}, ""},
	{"\x00:a\n", nil, ""},
	{"u:a\rb\nv:c\n", []string{"u a", "v c"}, ""},
	{"u:a\nu:b\n", []string{"u a", "u b", "u c"}, ""},
	{"", []string{"a b"}, ""},
	{strings.Repeat("x", 300) + ":y\n", nil, ""},
	{"bob:secret", []string{"bob secret"}, "memcached 1.6.18 loses the last character where the line end is missing"},
}

func numbered(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf("u%d:p%d\n", i, i)
	}
	return s
}

func long(n int) string { return "u:" + strings.Repeat("a", n) + "\n" }

// TestOracle compares whether memcached starts with a file, and who may log in.
func TestOracle(t *testing.T) {
	labtest.Needs(t, "memcached")
	for i, c := range files {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "auth")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			socket := filepath.Join(dir, "s")
			u, _, err := ParseFile([]byte(c.content))
			if started := serve(t, path, socket); started != (err == nil) {
				t.Fatalf("%q: memcached starts: %v; error here: %v", c.content, started, err)
			}
			for j, l := range c.logins {
				want := theirs(t, socket, l)
				if c.differs != "" && j == len(c.logins)-1 {
					want = !want
				}
				if got := check(u, l); got != want {
					t.Errorf("%q: login %q: %v, want %v", c.content, l, got, want)
				}
			}
		})
	}
}

// serve starts memcached and waits until it listens or has ended.
func serve(t *testing.T, path, socket string) (started bool) {
	t.Helper()
	cmd := exec.Command("memcached", "-u", "root", "-s", socket, "-Y", path, "-t", "1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait() // that it ended is all that counts
		close(done)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() // fails only if it is dead
		<-done
	})
	labtest.Eventually(t, 20*time.Second, "memcached listens or ends", func() error {
		select {
		case <-done:
			return nil
		default:
		}
		c, err := net.Dial("unix", socket)
		if err == nil {
			started = true
			c.Close()
		}
		return err
	})
	return started
}

// theirs says whether memcached takes a login.
func theirs(t *testing.T, socket, login string) bool {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "set x 0 0 %d\r\n%s\r\n", len(login), login)
	answer, err := bufio.NewReader(c).ReadString('\n')
	switch answer {
	case "STORED\r\n":
		return true
	case "CLIENT_ERROR authentication failure\r\n":
		return false
	}
	t.Fatalf("login %q: %q, %v", login, answer, err)
	return false
}
