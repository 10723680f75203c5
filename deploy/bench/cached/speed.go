package cached

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/deploy/bench/cached/server"
	"github.com/everup/everup/deploy/bench/report"
)

// What all rows of speed and latency have in common.
const (
	speedSize  = 100
	speedTime  = 2 * time.Second
	speedLimit = 30 * time.Second // for all runs of a row
)

func (b *bench) speedKeys() int { return pick(b, 200_000, 20_000) }

// config is a way of starting the servers.
type config struct {
	name    string
	network string
	args    []string
	rows    []speedRow
}

// speedRow is one load.
type speedRow struct {
	name string
	work load.Workload
	bar  func(b *bench, peer, subject []sample)
}

// sample is what one run of one row says of one side.
type sample struct {
	ops  float64 // keys set or asked for, per second
	cpu  float64 // nanoseconds of the server per key
	busy float64 // share of the time in which the server ran
	load float64 // nanoseconds of the generator per key
	gen  float64 // share of the time in which the generator ran
	p50  float64 // nanoseconds
	p99  float64
}

func mixed(keys, depth int) load.Workload {
	return load.Workload{Depth: depth, GetShare: 0.9, Keys: keys, Sizes: load.Fixed(speedSize), Duration: speedTime}
}

func (b *bench) configs() []config {
	speedKeys := b.speedKeys()
	one := []string{"-m", "1024", "-c", "1024", "-t", "1"}
	many := load.Workload{GetShare: 1, Multiget: 100, Keys: speedKeys, Sizes: load.Fixed(speedSize), Duration: speedTime}
	meta, binary := mixed(speedKeys, 1), mixed(speedKeys, 1)
	meta.Protocol, binary.Protocol = load.Meta, load.Binary
	throughput := func(what string) func(*bench, []sample, []sample) {
		return func(b *bench, peer, subject []sample) { b.throughputBar(what, peer, subject) }
	}
	return []config{
		{"TCP, `-t 1`", "tcp", one, []speedRow{
			{"depth 1, 50 connections", mixed(speedKeys, 1), (*bench).cpuBar},
			{"depth 16", mixed(speedKeys, 16), throughput("throughput, pipeline depth 16")},
			{"multiget of 100", many, throughput("throughput, multiget of 100")},
			{"depth 1, meta", meta, nil}, {"depth 1, binary", binary, nil},
		}},
		{"unix socket, `-t 1`", "unix", one, []speedRow{{"depth 1", mixed(speedKeys, 1), nil}, {"depth 16", mixed(speedKeys, 16), nil}}},
		{"TCP, default threads", "tcp", one[:4], []speedRow{{"depth 1", mixed(speedKeys, 1), nil}, {"depth 16", mixed(speedKeys, 16), nil}}},
	}
}

// chosen are the configs with those loads that Options.Loads names.
func (b *bench) chosen() []config {
	var out []config
	for _, c := range b.configs() {
		c.rows = slices.DeleteFunc(c.rows, func(r speedRow) bool { return !strings.Contains(c.name+", "+r.name, b.Loads) })
		if len(c.rows) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func (b *bench) cpuBar(peer, subject []sample) {
	cpu := func(s sample) float64 { return s.cpu }
	r := report.Mid(subject, cpu) / report.Mid(peer, cpu)
	b.bar("CPU/op, TCP, depth 1", report.Ratio(r), "≤ 0.95x", r <= 0.95)
}

// throughputBar counts what came through. Where the load was the limit, or others had the core, that is less than the server could do, and
// the figure per second of its CPU time is named too.
func (b *bench) throughputBar(what string, peer, subject []sample) {
	ops := func(s sample) float64 { return s.ops }
	r := report.Mid(subject, ops) / report.Mid(peer, ops)
	figure := report.Ratio(r)
	if busy := report.Mid(subject, func(s sample) float64 { return s.busy }); busy < 0.95 {
		figure += fmt.Sprintf(" with the server busy for %.0f %%; per second of its CPU time %s", busy*100,
			report.Ratio(report.Mid(peer, func(s sample) float64 { return s.cpu })/report.Mid(subject, func(s sample) float64 { return s.cpu })))
	}
	b.bar(what, figure, "≥ 4x", r >= 4)
}

// speed measures throughput and CPU time per key in a closed loop. In each run all servers are new.
func (b *bench) speed(ctx context.Context) error {
	b.section("Speed", fmt.Sprintf("Closed loop of 50 connections, %d keys of 16 bytes drawn uniformly, values of %d bytes, 90 %% gets (multiget: all), %v each. "+
		"op/s, CPU/op: keys set or asked for, and the server's user and system time for each; load: the same of the generator; busy: share of the time in which "+
		"each ran (where neither ran all the time, others had the cores); in brackets smallest and largest.", b.speedKeys(), speedSize, pick(b, speedTime, speedTime/10)))
	rows := [][]string{{"load", "server", "op/s", "ratio", "CPU/op", "ratio", "busy, server / load", "load CPU/op", "p50", "p99"}}
	for _, c := range b.chosen() {
		samples := make([][2][]sample, len(c.rows))
		run := func(n int) error { return b.speedRun(ctx, c, n, samples) }
		if err := b.repeat(ctx, speedLimit*time.Duration(len(c.rows)), run); err != nil {
			return err
		}
		for i, r := range c.rows {
			rows = append(rows, b.speedRows(c.name+", "+r.name, samples[i])...)
			if r.bar != nil {
				r.bar(b, samples[i][0], samples[i][1])
			}
		}
	}
	b.table(rows)
	b.fewer()
	return nil
}

// speedRun starts both sides and puts each load on one and the other.
func (b *bench) speedRun(ctx context.Context, c config, run int, samples [][2][]sample) error {
	var servers [2]*server.Server
	for _, i := range order(run) {
		s, err := b.start(ctx, b.sides[i], c.network, c.args...)
		if err != nil {
			return err
		}
		defer s.Kill()
		if err := fillAlone(ctx, s, b.speedKeys(), load.Fixed(speedSize)); err != nil {
			return err
		}
		servers[i] = s
	}
	for row, r := range c.rows {
		for _, i := range order(run + row) {
			got, err := b.measure(ctx, servers[i], r.work)
			if err != nil {
				return fmt.Errorf("%s, %s, %s: %w", b.sides[i].name, c.name, r.name, err)
			}
			samples[row][i] = append(samples[row][i], got)
		}
	}
	for _, s := range servers {
		if err := s.Stop(syscall.SIGTERM, stopLimit); err != nil {
			return err
		}
	}
	return nil
}

// stopLimit bounds how long a server takes to stop that has nothing to save.
const stopLimit = 20 * time.Second

// measure opens connections, warms them for a tenth of the time and then measures.
func (b *bench) measure(ctx context.Context, s *server.Server, w load.Workload) (sample, error) {
	c, err := load.Dial(ctx, s.Network, s.Address, 50, 1)
	if err != nil {
		return sample{}, err
	}
	defer c.Close()
	w.Duration = pick(b, w.Duration, w.Duration/10)
	warm := w
	warm.Duration /= 10
	if _, err := c.Run(ctx, warm); err != nil {
		return sample{}, err
	}
	before, err := s.CPU()
	if err != nil {
		return sample{}, err
	}
	r, err := c.Run(ctx, w)
	if err != nil {
		return sample{}, err
	}
	after, err := s.CPU()
	if err != nil {
		return sample{}, err
	}
	if r.Misses > 0 || r.Refused > 0 {
		return sample{}, fmt.Errorf("%d misses, %d refused (%s) though there is memory for all", r.Misses, r.Refused, r.Refusal)
	}
	return newSample(r, after-before), nil
}

func newSample(r *load.Result, cpu time.Duration) sample {
	ops := float64(r.Gets + r.Sets)
	return sample{
		ops: ops / r.Duration.Seconds(), cpu: float64(cpu) / ops, busy: cpu.Seconds() / r.Duration.Seconds(), load: float64(r.CPU) / ops, gen: r.CPU.Seconds() / r.Duration.Seconds(),
		p50: float64(r.Latency.Quantile(0.5)), p99: float64(r.Latency.Quantile(0.99)),
	}
}

// speedRows returns the two rows of one load.
func (b *bench) speedRows(name string, samples [2][]sample) [][]string {
	var rows [][]string
	ops, cpu := func(s sample) float64 { return s.ops }, func(s sample) float64 { return s.cpu }
	for i, of := range samples {
		opsRatio, cpuRatio := "", ""
		if i == 1 {
			opsRatio, cpuRatio = report.Ratio(report.Mid(of, ops)/report.Mid(samples[0], ops)), report.Ratio(report.Mid(of, cpu)/report.Mid(samples[0], cpu))
		}
		low, high := report.Spread(of, cpu)
		rows = append(rows, []string{
			name, b.sides[i].name, report.Thousands(report.Mid(of, ops)), opsRatio,
			fmt.Sprintf("%s (%.2f–%.2f)", report.Micros(report.Mid(of, cpu)), low/1e3, high/1e3), cpuRatio,
			fmt.Sprintf("%.0f / %.0f %%", 100*report.Mid(of, func(s sample) float64 { return s.busy }), 100*report.Mid(of, func(s sample) float64 { return s.gen })),
			report.Micros(report.Mid(of, func(s sample) float64 { return s.load })),
			report.Micros(report.Mid(of, func(s sample) float64 { return s.p50 })), report.Micros(report.Mid(of, func(s sample) float64 { return s.p99 })),
		})
		name = ""
	}
	return rows
}

// fillAlone fills a server over connections that are closed when it returns.
func fillAlone(ctx context.Context, s *server.Server, keys int, sizes load.Sizes) error {
	c, err := load.Dial(ctx, s.Network, s.Address, 8, 1)
	if err != nil {
		return err
	}
	defer c.Close()
	return fill(ctx, c, 0, keys, sizes)
}

// fill sets the keys, each once.
func fill(ctx context.Context, c *load.Client, first uint32, keys int, sizes load.Sizes) error {
	return fillAt(ctx, c, 32, first, keys, sizes)
}

// fillAt is fill with so many requests of each connection on the way.
func fillAt(ctx context.Context, c *load.Client, depth int, first uint32, keys int, sizes load.Sizes) error {
	r, err := c.Run(ctx, load.Workload{Depth: depth, Order: load.Sequential, FirstKey: first, Keys: keys, Sizes: sizes})
	if err != nil {
		return err
	}
	if r.Refused > 0 {
		return fmt.Errorf("%d of %d sets refused: %s", r.Refused, keys, r.Refusal)
	}
	return nil
}
