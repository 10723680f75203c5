package cached

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/health"
	"github.com/google/go-cmp/cmp"
)

// memoryFile is a path on a tmpfs.
func memoryFile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "cached")
	if err != nil {
		t.Skip("SKIP-NEEDS: /dev/shm")
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "items")
}

// contents are the items of n keys as a client sees them: value, flags, time to live and CAS.
func (c *client) contents(n int) (out []string) {
	c.t.Helper()
	var asks strings.Builder
	for i := range n {
		fmt.Fprintf(&asks, "me k%d\r\nmg k%d f c s v\r\n", i, i)
	}
	go c.Write([]byte(asks.String())) // an error shows below
	for range n {
		item := ""
		for range 3 {
			line, err := c.r.ReadString('\n')
			if err != nil {
				c.t.Fatal(err)
			}
			if item += line; line == "EN\r\n" && strings.HasSuffix(item, "EN\r\nEN\r\n") {
				break // neither is there
			}
		}
		out = append(out, item)
	}
	return out
}

// ending is when every second item expires, Unix seconds.
const ending = 2_000_000_000

// fill stores n items of different sizes, times and flags.
func (c *client) fill(n int) {
	c.t.Helper()
	var asks strings.Builder
	for i := range n {
		size := 10 + i%200
		if i%1000 == 999 {
			size = 100_000
		}
		fmt.Fprintf(&asks, "set k%d %d %d %d\r\n%s\r\n", i, i%7, ending*(i%2), size, strings.Repeat(string(rune('a'+i%26)), size))
	}
	go c.Write([]byte(asks.String())) // an error shows below
	c.ask("", repeat("STORED", n)...)
}

// A planned restart keeps every item with its CAS, flags and time to live.
func TestPlannedRestartKeepsAll(t *testing.T) {
	const n = 20_000
	file := memoryFile(t)
	socket := filepath.Join(openDir(t), "s")
	run := func() (*process, *client) {
		p := launchMemcached(t, nil, "-s", socket, "-e", file, "-m", "64", "-v")
		return p, dial(t, "unix", socket)
	}
	p, c := run()
	c.settings("memory_file=" + file)
	c.fill(n)
	strip := func(all []string) (out []string) {
		now := time.Now().Unix()
		for _, item := range all { // what goes on with the time is left out: the last access, and how far away the end is
			head, rest, _ := strings.Cut(item, " la=")
			_, rest, _ = strings.Cut(rest, " ")
			head, ends, _ := strings.Cut(head, " exp=")
			if away, err := strconv.ParseInt(ends, 10, 64); err == nil && away != -1 && max(now-away, ending)-min(now-away, ending) <= 5 {
				ends = "as it was set"
			}
			out = append(out, head+" "+ends+" "+rest)
		}
		return out
	}
	c.contents(n) // which makes all of them read
	before := strip(c.contents(n))
	c.ask("set last 0 0 1\r\nx\r\n", "STORED")
	p.signal(syscall.SIGUSR1)
	if code := p.exit(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.text())
	}

	p, c = run()
	if got := c.stats(); got["curr_items"] != fmt.Sprint(n+1) {
		t.Errorf("%s items, want %d", got["curr_items"], n+1)
	}
	if d := cmp.Diff(before, strip(c.contents(n))); d != "" {
		t.Errorf("-before +after:\n%.2000s", d)
	}
	p.logs(`"kept":true,"items":20001`)
	// Numbers for cas go on: none is given twice.
	var last, next int
	c.ask("set next 0 0 1\r\nx\r\n", "STORED")
	for key, at := range map[string]*int{"last": &last, "next": &next} {
		fmt.Fprintf(c, "mg %s c\r\n", key)
		if _, err := fmt.Fscanf(c.r, "HD c%d\r\n", at); err != nil {
			t.Fatal(err)
		}
	}
	if next <= last {
		t.Errorf("after the restart the number %d is given, before it %d was", next, last)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// cold checks that the process started empty and says so everywhere.
func (in *instance) cold(t *testing.T, p *process, why string) {
	t.Helper()
	if got := in.dial(t).stats()["curr_items"]; got != "0" {
		t.Errorf("%s: %s items", why, got)
	}
	c := admin.Dial(in.socket)
	defer c.Close()
	var item health.Status
	for _, h := range status(t, c).Health {
		if h.ID == "cached.cold" {
			item = h
		}
	}
	if item.Level != health.Warn || !strings.Contains(item.Detail, why) {
		t.Errorf("%s: the health item is %+v", why, item)
	}
	var events []bus.Event
	if err := c.Do(t.Context(), "GET", "/v1/events", nil, &events); err != nil {
		t.Fatal(err)
	}
	told := false
	for _, e := range events {
		told = told || e.Kind == "cache-restarted" && strings.Contains(string(e.Data), why)
	}
	if !told {
		t.Errorf("%s: no event in %+v", why, events)
	}
	p.logs(`warm restart`)
	if !strings.Contains(p.text(), why) {
		t.Errorf("%s: not in the log:\n%s", why, p.text())
	}
}

// What is not whole is not served: the cache starts empty and says why.
func TestUnplannedRestartStartsEmpty(t *testing.T) {
	file := memoryFile(t)
	in := prepared(t, "n1", "warm: "+file+"\n")
	p := launchFile(t, in)
	if text := p.text(); strings.Contains(text, "cold") {
		t.Errorf("the first start complains:\n%s", text)
	}
	in.dial(t).fill(1000)
	p.cmd.Process.Kill()
	p.exit()
	p = launchFile(t, in)
	in.cold(t, p, "not closed cleanly")

	// A clean end, and then a damaged file.
	for _, damage := range []func(size int64) error{
		func(size int64) error { return os.Truncate(file, size/2) },
		func(int64) error {
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt([]byte("nonsense nonsense nonsense"), 8)
				f.Close()
			}
			return err
		},
		func(int64) error { return os.WriteFile(file, []byte("something else\n"), 0o600) },
	} {
		in.dial(t).fill(1000)
		p.signal(syscall.SIGTERM)
		if code := p.exit(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		info, err := os.Stat(file)
		if err == nil {
			err = damage(info.Size())
		}
		if err != nil {
			t.Fatal(err)
		}
		p = launchFile(t, in)
		in.cold(t, p, "")
	}
	// A clean restart is well again.
	p.signal(syscall.SIGTERM)
	p.exit()
	p = launchFile(t, in)
	c := admin.Dial(in.socket)
	defer c.Close()
	if s := status(t, c); s.Worst != health.OK {
		t.Errorf("after a clean restart: %+v", s.Health)
	}

	// Two do not share a file.
	other := prepared(t, "n2", "warm: "+file+"\n")
	other.configure(t, other.tail)
	if got := command(t, nil, "run", "-c", other.file); got.code == 0 || !strings.Contains(got.errors, file) {
		t.Errorf("a second cache on the same file: %+v", got)
	}
}
