package l7

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/everup/everup/deploy/bench/report"
)

const (
	speedTime = 3 * time.Second // of one load on one proxy
	stopLimit = 20 * time.Second
)

// row is one load of a closed loop.
type row struct {
	name string
	load func(ctx context.Context, b *bench, at addresses) (outcome, error)
	at   func(addresses) string // what of a proxy it needs
	bar  float64                // of CPU/op beside HAProxy; 0: none
	goal string
}

// outcome is what a load says of itself.
type outcome struct {
	ops  int
	took time.Duration
	p99  time.Duration
}

// sample is what one run of a row says of one proxy.
type sample struct {
	ops  float64 // per second
	cpu  float64 // nanoseconds of the proxy per operation
	busy float64 // share of the time in which the proxy ran
}

func plain(a addresses) string { return a.http }
func h2c(a addresses) string   { return a.h2c }
func https(a addresses) string { return a.https }

func rows() []row {
	get := func(at func(addresses) string, scheme, path string, args ...string) func(context.Context, *bench, addresses) (outcome, error) {
		return func(ctx context.Context, b *bench, a addresses) (outcome, error) {
			return wrk(ctx, b, scheme+"://"+at(a)+path, args...)
		}
	}
	streams := func(at func(addresses) string, scheme, path string) func(context.Context, *bench, addresses) (outcome, error) {
		return func(ctx context.Context, b *bench, a addresses) (outcome, error) {
			return h2load(ctx, b, scheme+"://"+at(a)+path)
		}
	}
	return []row{
		{"HTTP/1.1, 1 KiB", get(plain, "http", "/1k"), plain, 1, "≤ 1.0x HAProxy"},
		{"HTTP/1.1, 64 KiB", get(plain, "http", "/64k"), plain, 1, "≤ 1.0x HAProxy"},
		{"HTTP/1.1, 1 MiB", get(plain, "http", "/1m"), plain, 0, ""},
		{"HTTP/1.1, upload of 64 KiB", upload, plain, 0, ""},
		{"HTTP/1.1, upload of 64 KiB, lbd with reuse: always", uploadKept, plain, 0, ""},
		{"HTTP/2, 1 KiB", streams(h2c, "http", "/1k"), h2c, 1.2, "≤ 1.2x HAProxy"},
		{"HTTP/2, 64 KiB", streams(h2c, "http", "/64k"), h2c, 0, ""},
		{"HTTP/1.1 over TLS, 1 KiB", get(https, "https", "/1k"), https, 0, ""},
		{"HTTP/1.1 over TLS, 64 KiB", get(https, "https", "/64k"), https, 0, ""},
		{"HTTP/2 over TLS, 1 KiB", streams(https, "https", "/1k"), https, 0, ""},
	}
}

// chosen are the rows that Options.Rows names.
func (b *bench) chosen() []row {
	return slices.DeleteFunc(rows(), func(r row) bool { return !strings.Contains(r.name, b.Rows) })
}

// speed measures throughput and CPU time per operation in a closed loop. In each run all proxies are new.
func (b *bench) speed(ctx context.Context) error {
	b.section("Speed", fmt.Sprintf("Closed loop: HTTP/1.1 by wrk with 64 connections, HTTP/2 by h2load with 10 connections of 10 streams, %v each. CPU/op: user and system time of the "+
		"proxy for each request, in brackets smallest and largest; busy: share of the time in which it ran.", pick(b, speedTime, speedTime/10)))
	table := [][]string{{"load", "proxy", "op/s", "CPU/op", "lbd to it", "busy"}}
	chosen := b.chosen()
	samples := make([][][]sample, len(chosen))
	for i := range samples {
		samples[i] = make([][]sample, len(b.proxies))
	}
	for run := range b.Runs {
		if err := b.speedRun(ctx, run, chosen, samples); err != nil {
			return err
		}
	}
	for i, r := range chosen {
		table = append(table, b.speedRows(r, samples[i])...)
	}
	report.Table(b.out, table)
	return nil
}

// speedRun starts all proxies and puts each load on one after the other.
func (b *bench) speedRun(ctx context.Context, run int, chosen []row, samples [][][]sample) error {
	servers := make([]*running, len(b.proxies))
	for i := range b.proxies {
		s, err := b.start(ctx, &b.proxies[i])
		if err != nil {
			return err
		}
		defer s.Kill()
		servers[i] = s
	}
	for n, r := range chosen {
		for _, i := range b.order(run + n) {
			got, err := b.measure(ctx, servers[i], r)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", b.proxies[i].name, r.name, err)
			}
			samples[n][i] = append(samples[n][i], got)
		}
	}
	for _, s := range servers {
		if err := s.Stop(syscall.SIGTERM, stopLimit); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measure(ctx context.Context, s *running, r row) (sample, error) {
	before, err := s.CPU()
	if err != nil {
		return sample{}, err
	}
	got, err := r.load(ctx, b, s.at)
	if err != nil {
		return sample{}, err
	}
	after, err := s.CPU()
	if err != nil {
		return sample{}, err
	}
	if got.ops == 0 {
		return sample{}, fmt.Errorf("no operation was done")
	}
	cpu := after - before
	return sample{ops: float64(got.ops) / got.took.Seconds(), cpu: float64(cpu) / float64(got.ops), busy: cpu.Seconds() / got.took.Seconds()}, nil
}

// speedRows returns the rows of one load.
func (b *bench) speedRows(r row, samples [][]sample) [][]string {
	var out [][]string
	cpu := func(s sample) float64 { return s.cpu }
	own := report.Mid(samples[b.subject()], cpu)
	name := r.name
	for i, of := range samples {
		beside := ""
		if i != b.subject() {
			beside = report.Ratio(own / report.Mid(of, cpu))
		}
		if b.proxies[i].name == "haproxy" && r.bar > 0 {
			q := own / report.Mid(of, cpu)
			b.bars = append(b.bars, bar{"CPU/op, " + r.name, report.Ratio(q), r.goal, q <= r.bar})
		}
		low, high := report.Spread(of, cpu)
		out = append(out, []string{
			name, b.proxies[i].name, report.Thousands(report.Mid(of, func(s sample) float64 { return s.ops })),
			fmt.Sprintf("%s (%.1f–%.1f)", report.Micros(report.Mid(of, cpu)), low/1e3, high/1e3), beside,
			report.Percent(report.Mid(of, func(s sample) float64 { return s.busy })),
		})
		name = ""
	}
	return out
}
