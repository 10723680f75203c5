package cached

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/labtest"
)

// scrape returns what Prometheus would get, and its samples by name and labels as they are printed.
func (in *instance) scrape(t *testing.T) (string, map[string]float64) {
	t.Helper()
	c := admin.Dial(in.socket)
	defer c.Close()
	text, err := c.Get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		at := strings.LastIndexByte(line, ' ')
		if out[line[:max(at, 0)]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
			t.Errorf("line %q", line)
		}
	}
	return string(text), out
}

// everything is a configuration with all that has metrics.
func everything(t *testing.T) *instance {
	certs := labtest.NewCerts(t, "127.0.0.1")
	return prepared(t, "n1", fmt.Sprintf("memory: 8MiB\nresp: {listen: ['%s']}\nudp: {listen: ['%s']}\ntls: {cert: %s, key: %s}\nauth: {users: %s, text: false, sasl: false}\n",
		labtest.FreeAddr(t), labtest.FreeAddr(t), certs.CertFile, certs.KeyFile, usersFile(t, "a:b")))
}

func TestMetricsAreWellFormed(t *testing.T) {
	labtest.LeakCheck(t)
	in := everything(t)
	in.run(t)
	text, samples := in.scrape(t)
	form := regexp.MustCompile(`^everup_cached_[a-z0-9_]+$`)
	for _, name := range in.Env().Metrics.Names() {
		if !form.MatchString(name) || strings.Contains(name, "__") {
			t.Errorf("name %s", name)
		}
		if !strings.Contains(text, "\n"+name) {
			continue // a vec that has no sample yet is not printed
		}
		if !strings.Contains(text, "# HELP "+name+" ") || !strings.Contains(text, "# TYPE "+name+" ") {
			t.Errorf("%s has no help or no type", name)
		}
		if strings.Contains(text, "# TYPE "+name+" counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s: counters, and nothing else, end in _total", name)
		}
	}
	for _, name := range []string{
		`commands_total{command="mg"}`, `connections_limit`, `evictions_total{reason="memory"}`, `evictions_total{reason="crowded"}`, `datagrams_received_total`,
		`handshakes_failed_total`, `certificates_age_seconds`, `login_sources`, `watchers`, `memory_free_bytes`, `memory_reserved_bytes`, `changes_lost_total`,
	} {
		if _, ok := samples["everup_cached_"+name]; !ok {
			t.Errorf("no %s", name)
		}
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		cmd := exec.Command(promtool, "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}

func TestMetricsCount(t *testing.T) {
	in := start(t, "memory: 8MiB\n")
	c := in.dial(t)
	const gets = 640
	var asks strings.Builder
	var want []string
	for i := range gets {
		if i%4 == 0 {
			asks.WriteString("get none\r\n")
			want = append(want, "END")
		} else {
			asks.WriteString("get a\r\n")
			want = append(want, "VALUE a 0 1", "x", "END")
		}
	}
	c.ask("set a 0 0 1\r\nx\r\n", "STORED")
	c.ask(asks.String(), want...)
	c.ask("set soon 0 -1 1\r\nx\r\nget soon\r\nnonsense\r\n", "STORED", "END", "ERROR")
	for i := range 150 {
		c.ask(fmt.Sprintf("set big%d 0 0 100000\r\n%s\r\n", i, strings.Repeat("x", 100_000)), "STORED")
	}
	stats := c.stats()
	ratio := float64(gets*3/4) / (gets + 1)
	var m map[string]float64
	labtest.Eventually(t, patience, "the second to end", func() error {
		if _, m = in.scrape(t); m[`everup_cached_hit_ratio{window="24h"}`] == 0 {
			return errors.New("no hit ratio")
		}
		return nil
	})
	f := func(name string, want float64) {
		t.Helper()
		if got, ok := m["everup_cached_"+name]; !ok || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	evictions, _ := strconv.ParseFloat(stats["evictions"], 64)
	f(`commands_total{command="get"}`, gets+1)
	f(`commands_total{command="set"}`, 152)
	f(`get_hits_total`, gets*3/4)
	f(`get_misses_total`, gets/4+1)
	f(`protocol_errors_total`, 1)
	f(`evictions_total{reason="memory"}`, evictions)
	f(`evictions_total{reason="crowded"}`, 0)
	f(`memory_limit_bytes`, 8<<20)
	f(`connections`, 1)
	if evictions == 0 || m["everup_cached_evicted_unread_total"] != evictions {
		t.Errorf("%v evictions, unread %v", evictions, m["everup_cached_evicted_unread_total"])
	}
	if used := m["everup_cached_memory_bytes"]; used == 0 || used > 8<<20 {
		t.Errorf("memory_bytes is %v", used)
	}
	for _, w := range windows() {
		if got := m[fmt.Sprintf(`everup_cached_hit_ratio{window="%s"}`, w.name)]; math.Abs(got-ratio) > 0.001 {
			t.Errorf("hit ratio of %s: %v, want %v", w.name, got, ratio)
		}
	}

	// The histogram is of a sample: never more than all, and its buckets add up.
	count, last := m[`everup_cached_command_duration_seconds_count{command="get"}`], 0.0
	if count < gets/32 || count > gets+1 {
		t.Errorf("%v of %d gets were timed", count, gets+1)
	}
	for _, bound := range latencyBounds() {
		name := fmt.Sprintf(`everup_cached_command_duration_seconds_bucket{command="get",le="%s"}`, strconv.FormatFloat(bound, 'g', -1, 64))
		got, ok := m[name]
		if !ok || got < last {
			t.Errorf("%s is %v after %v", name, got, last)
		}
		last = got
	}
	if inf := m[`everup_cached_command_duration_seconds_bucket{command="get",le="+Inf"}`]; inf != count || m[`everup_cached_command_duration_seconds_sum{command="get"}`] <= 0 {
		t.Errorf("+Inf has %v of %v", inf, count)
	}
}

// A duration is counted in the first bucket whose bound it does not exceed, give or take the width of the meter's own.
func TestLatencyBuckets(t *testing.T) {
	in := start(t, "")
	meter := in.service().loops.Meters()[0]
	bounds := latencyBounds()
	for _, d := range []time.Duration{100 * time.Nanosecond, 900 * time.Nanosecond, 3 * time.Microsecond, time.Millisecond, 700 * time.Millisecond, 5 * time.Second} {
		before, after := make([]uint64, len(bounds)+1), make([]uint64, len(bounds)+1)
		in.service().latency(session.MetaDebug, before)
		meter.Hist(session.MetaDebug).Add(d) // of a command that nobody gives
		in.service().latency(session.MetaDebug, after)
		for i := range after {
			if after[i] == before[i] {
				continue
			}
			upper := math.Inf(1)
			if i < len(bounds) {
				upper = bounds[i]
			}
			if d.Seconds() > upper || upper < math.Inf(1) && d.Seconds() < upper/4 && i > 0 {
				t.Errorf("%v is counted up to %v", d, upper)
			}
		}
	}
}

func TestEstimatedHitRatio(t *testing.T) {
	in := start(t, "memory: 8MiB\n")
	c := in.dial(t)
	// A loop over 16 MB: 8 MiB help little, 32 MiB would hold it all.
	for range 3 {
		var b bytes.Buffer
		for i := range 1600 {
			fmt.Fprintf(&b, "get loop%d\r\nset loop%d 0 0 10000\r\n%s\r\n", i, i, strings.Repeat("x", 10_000))
		}
		done := make(chan error, 1)
		go func() {
			_, err := c.Write(b.Bytes())
			done <- err
		}()
		for stored := 0; stored < 1600; {
			line, err := c.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "STORED\r\n" {
				stored++
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	_, m := in.scrape(t)
	f := func(factor string) float64 { return m[`everup_cached_estimated_hit_ratio{factor="`+factor+`"}`] }
	if f("1") > 0.2 || f("4") < 0.5 {
		t.Errorf("of a loop over twice the memory, %v with what there is and %v with four times as much", f("1"), f("4"))
	}
}

// Scrapes, statuses and statistics are read while clients work.
func TestScrapeUnderLoad(t *testing.T) {
	labtest.LeakCheck(t)
	in := everything(t)
	in.run(t)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 4 {
		c := in.dial(t)
		clients.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				fmt.Fprintf(c, "set k%d 0 1 3000\r\n%03000d\r\nget k%d\r\nmg k%d v\r\nstats\r\nstats conns\r\n", i%5000, i, i%3000, i%100)
				for ends := 0; ends < 2; { // of the statistics
					line, err := c.r.ReadString('\n')
					if err != nil {
						t.Error(err)
						return
					}
					if strings.HasPrefix(line, "STAT ") && strings.Contains(line, "secs_since_last_cmd") || strings.HasPrefix(line, "STAT everup_version") {
						ends++
					}
				}
			}
		})
	}
	for range 20 {
		in.scrape(t)
		in.Service().Status()
		if _, err := in.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	cancel()
	clients.Wait()
}
