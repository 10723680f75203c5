package load_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/shared/labtest"
)

// memcached starts a memcached on a unix socket and, where a port is given, on that of 127.0.0.1 instead.
func memcached(t *testing.T, args ...string) string {
	t.Helper()
	labtest.Needs(t, "memcached")
	socket := filepath.Join(t.TempDir(), "s")
	cmd := exec.Command("memcached", append([]string{"-u", "root", "-s", socket, "-m", "64", "-t", "1"}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	labtest.Eventually(t, 10*time.Second, "memcached listens", func() error {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err
	})
	return socket
}

func dial(t *testing.T, network, address string, connections, loops int) *load.Client {
	t.Helper()
	c, err := load.Dial(t.Context(), network, address, connections, loops)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func run(t *testing.T, c *load.Client, w load.Workload) *load.Result {
	t.Helper()
	r, err := c.Run(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Every protocol, depth, number of keys a get and kind of value: what was set is there, and nothing else.
func TestClosedLoopAgainstMemcached(t *testing.T) {
	for _, protocol := range []load.Protocol{load.Text, load.Meta, load.Binary} {
		for _, depth := range []int{1, 16} {
			for _, multiget := range []int{1, 10} {
				for _, sizes := range []load.Sizes{load.Fixed(0), load.Fixed(100), {Min: 1, Max: 300_000}} {
					name := fmt.Sprintf("protocol=%d/depth=%d/multiget=%d/sizes=%d", protocol, depth, multiget, sizes.Max)
					t.Run(name, func(t *testing.T) {
						keys := 200
						fill := load.Workload{Protocol: protocol, Depth: depth, Order: load.Sequential, FirstKey: 1000, Keys: keys,
							Sizes: sizes, Flags: 3, CheckEvery: 1, Seed: 1}
						c := dial(t, "unix", memcached(t), 6, 2)
						if r := run(t, c, fill); r.Stored != keys || r.Requests != keys || r.Refused != 0 {
							t.Fatalf("stored %d of %d, refused %d %s", r.Stored, keys, r.Refused, r.Refusal)
						}
						read := fill
						read.GetShare, read.Multiget, read.FirstKey = 1, multiget, 900
						r := run(t, c, read)
						if r.Hits != 100 || r.Misses != 100 || r.Gets != keys || r.Checked != 100 {
							t.Errorf("hits %d, misses %d, checked %d", r.Hits, r.Misses, r.Checked)
						}
						read.CheckEvery = 7
						if r := run(t, c, read); r.Hits != 100 || r.Misses != 100 || r.Checked < 100/7-6 || r.Checked > 100/7 { // each connection counts alone
							t.Errorf("again: hits %d, misses %d, checked %d", r.Hits, r.Misses, r.Checked)
						}
						if mean := float64(r.Values) / 100; sizes.Min == sizes.Max && mean != float64(sizes.Min) {
							t.Errorf("values of %v bytes", mean)
						}
						if r.Latency.Count() != uint64(r.Requests) || r.Calls.Read == 0 || r.In == 0 || r.Out == 0 || r.Duration <= 0 {
							t.Errorf("%+v", r.Calls)
						}
					})
				}
			}
		}
	}
}

// A cache that is too small: what is missed is set again, so that the popular keys are there.
func TestRefill(t *testing.T) {
	c := dial(t, "unix", memcached(t), 4, 1)
	w := load.Workload{Order: load.Zipf, Skew: 1, Keys: 20_000, Sizes: load.Fixed(100), GetShare: 1, Refill: true, Requests: 40_000, Depth: 4, Seed: 9}
	first, then := run(t, c, w), run(t, c, w)
	if first.Stored == 0 || first.Requests != 40_000 || first.Hits == 0 || then.Misses > first.Misses/5 {
		t.Errorf("at first %d hits, %d misses, %d stored; then %d misses", first.Hits, first.Misses, first.Stored, then.Misses)
	}
}

func TestTCPAndDuration(t *testing.T) {
	labtest.Needs(t, "memcached")
	port := labtest.FreePort(t)
	cmd := exec.Command("memcached", "-u", "root", "-l", "127.0.0.1", "-p", fmt.Sprint(port), "-U", "0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address := fmt.Sprintf("127.0.0.1:%d", port)
	labtest.Eventually(t, 10*time.Second, "memcached listens", func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})
	r := run(t, dial(t, "tcp", address, 10, 1), load.Workload{Keys: 1000, Sizes: load.Fixed(10), GetShare: 0.9, Duration: 200 * time.Millisecond})
	share := float64(r.Gets) / float64(r.Requests)
	if r.Duration < 200*time.Millisecond || r.Duration > 5*time.Second || math.Abs(share-0.9) > 0.05 || r.CPU <= 0 {
		t.Errorf("%d requests in %v, %v gets, %v CPU", r.Requests, r.Duration, share, r.CPU)
	}
}

// An open loop sends as many as its rate says, no matter how they are spaced.
func TestRate(t *testing.T) {
	c := dial(t, "unix", memcached(t), 8, 2)
	for _, arrivals := range []load.Arrivals{load.Even, load.Poisson} {
		const rate, d = 20_000, 500 * time.Millisecond
		r := run(t, c, load.Workload{Rate: rate, Arrivals: arrivals, Duration: d, Keys: 100, Sizes: load.Fixed(10), GetShare: 0.5})
		want := rate * d.Seconds()
		bound := 2.0
		if arrivals == load.Poisson {
			bound = 5 * math.Sqrt(want)
		}
		if math.Abs(float64(r.Requests)-want) > bound || r.Latency.Count() != uint64(r.Requests) || r.Late.Count() != uint64(r.Requests) {
			t.Errorf("arrivals %d: %d requests, want %v", arrivals, r.Requests, want)
		}
		if r.Duration < d*9/10 {
			t.Errorf("arrivals %d: over after %v", arrivals, r.Duration)
		}
	}
}

// listen serves each connection of a unix socket with f, until the test ends.
func listen(t *testing.T, f func(c net.Conn, lines *bufio.Scanner)) string {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f(c, bufio.NewScanner(c))
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return socket
}

// A server that answers nothing for the first 1000 requests, 100 ms long, and then all at once: every request that fell due
// meanwhile is charged with the time it waited, 50 ms in the mean. A generator that waits for answers before it sends
// would see one slow request.
func TestNoCoordinatedOmission(t *testing.T) {
	socket := listen(t, func(c net.Conn, lines *bufio.Scanner) {
		for n := 1; lines.Scan(); n++ {
			switch {
			case n == 1000:
				io.WriteString(c, strings.Repeat("END\r\n", 1000))
			case n > 1000:
				io.WriteString(c, "END\r\n")
			}
		}
	})
	c := dial(t, "unix", socket, 1, 1)
	r := run(t, c, load.Workload{Rate: 10_000, Arrivals: load.Even, Requests: 2000, Keys: 10, GetShare: 1})
	c.Close()
	slow := 0.0 // share of requests that took 20 ms or longer: 800 of 2000, and more where the machine is slow
	for q := 1.0; q > 0 && r.Latency.Quantile(q) >= int64(20*time.Millisecond); q -= 0.001 {
		slow += 0.001
	}
	if r.Requests != 2000 || slow < 0.395 || r.Latency.Max() < int64(99*time.Millisecond) {
		t.Errorf("%d requests, %.1f %% of them 20 ms or slower, the slowest %v", r.Requests, slow*100, time.Duration(r.Latency.Max()))
	}
}

func TestFaultsAreLoud(t *testing.T) {
	f := func(want string, answer func(c net.Conn, lines *bufio.Scanner)) {
		t.Helper()
		c := dial(t, "unix", listen(t, answer), 1, 1)
		_, err := c.Run(t.Context(), load.Workload{Keys: 10, GetShare: 1, Requests: 100})
		c.Close()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(`no answer to a get: "ERROR"`, func(c net.Conn, lines *bufio.Scanner) {
		lines.Scan()
		io.WriteString(c, "ERROR\r\n")
		lines.Scan()
	})
	f("the server closed a connection", func(c net.Conn, lines *bufio.Scanner) { lines.Scan() })
}

func TestCancel(t *testing.T) {
	asked := make(chan struct{})
	socket := listen(t, func(c net.Conn, lines *bufio.Scanner) {
		lines.Scan()
		close(asked)
		lines.Scan()
	})
	c := dial(t, "unix", socket, 1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := c.Run(ctx, load.Workload{Keys: 10, GetShare: 1, Requests: 100}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	c.Close()
}

func TestOneProtocolAConnection(t *testing.T) {
	c := dial(t, "unix", memcached(t), 1, 1)
	run(t, c, load.Workload{Keys: 1, Requests: 1})
	if _, err := c.Run(t.Context(), load.Workload{Keys: 1, Requests: 1, Protocol: load.Binary}); err == nil {
		t.Error("binary on a connection that began with text")
	}
	run(t, c, load.Workload{Keys: 1, Requests: 1, Protocol: load.Meta})
}

func TestDialFails(t *testing.T) {
	if _, err := load.Dial(t.Context(), "unix", filepath.Join(t.TempDir(), "none"), 1, 1); err == nil {
		t.Error("connected to nothing")
	}
	if _, err := load.Dial(t.Context(), "unix", "x", 1, 2); err == nil {
		t.Error("two loops share one connection")
	}
}
