package cached

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/deploy/bench/cached/server"
	"github.com/everup/everup/deploy/bench/report"
)

const (
	latencyRate  = 50_000 // requests per second; half of it where the peer cannot hold this
	latencyTime  = 4 * time.Second
	latencyLimit = 80 * time.Second // for all runs at one rate
)

// tailSample is one open-loop run of one side: nanoseconds.
type tailSample struct {
	p50, p99, p999, max float64
	late                float64 // 99.9 % of the requests were sent at most so much later than they were due
	cpu                 float64 // of the server per request
	held                bool    // the server kept up
}

// latency measures percentiles in an open loop.
func (b *bench) latency(ctx context.Context) error {
	d := pick(b, latencyTime, latencyTime/8)
	b.section("Latency", fmt.Sprintf("Open loop over TCP, `-t 1`, 50 connections, Poisson arrivals, 90 %% gets, values of %d bytes, %v each. Latency counts from when a request "+
		"was due. sent late: what of it is the generator's own doing.", speedSize, d))
	rows := [][]string{{"rate", "server", "p50", "p99", "p99.9", "max", "CPU/op", "sent late p99.9"}}
	for _, rate := range []float64{latencyRate, latencyRate / 2} {
		samples, err := b.latencyRuns(ctx, rate, d)
		if err != nil {
			return err
		}
		for i, of := range samples {
			rows = append(rows, b.latencyRow(rate, i, of))
		}
		held := report.Mid(samples[0], func(s tailSample) float64 { return map[bool]float64{true: 1}[s.held] }) == 1
		if held || rate < latencyRate {
			b.latencyBars(rate, samples)
			break
		}
	}
	b.table(rows)
	b.fewer()
	return nil
}

func (b *bench) latencyBars(rate float64, samples [2][]tailSample) {
	add := func(name string, of func(tailSample) float64) {
		r := report.Mid(samples[1], of) / report.Mid(samples[0], of)
		b.bar(fmt.Sprintf("%s at %.0f op/s", name, rate), report.Ratio(r), "≤ 1.0x", r <= 1)
	}
	add("p99", func(s tailSample) float64 { return s.p99 })
	add("p99.9", func(s tailSample) float64 { return s.p999 })
}

func (b *bench) latencyRow(rate float64, i int, of []tailSample) []string {
	name := b.sides[i].name
	if report.Mid(of, func(s tailSample) float64 { return map[bool]float64{true: 1}[s.held] }) < 1 {
		name += " (did not keep up)"
	}
	return []string{
		fmt.Sprintf("%.0f/s", rate), name,
		report.Micros(report.Mid(of, func(s tailSample) float64 { return s.p50 })), report.Micros(report.Mid(of, func(s tailSample) float64 { return s.p99 })),
		report.Micros(report.Mid(of, func(s tailSample) float64 { return s.p999 })), report.Micros(report.Mid(of, func(s tailSample) float64 { return s.max })),
		report.Micros(report.Mid(of, func(s tailSample) float64 { return s.cpu })), report.Micros(report.Mid(of, func(s tailSample) float64 { return s.late })),
	}
}

// latencyRuns runs both sides in turn, on servers that are new each time.
func (b *bench) latencyRuns(ctx context.Context, rate float64, d time.Duration) ([2][]tailSample, error) {
	var samples [2][]tailSample
	err := b.repeat(ctx, latencyLimit, func(run int) error {
		for _, i := range order(run) {
			s, err := b.latencyRun(ctx, b.sides[i], rate, d)
			if err != nil {
				return fmt.Errorf("%s: %w", b.sides[i].name, err)
			}
			samples[i] = append(samples[i], s)
		}
		return nil
	})
	return samples, err
}

func (b *bench) latencyRun(ctx context.Context, who side, rate float64, d time.Duration) (tailSample, error) {
	var got tailSample
	err := b.with(ctx, who, "tcp", 50, []string{"-m", "1024", "-c", "1024", "-t", "1"}, func(s *server.Server, c *load.Client) error {
		if err := fill(ctx, c, 0, b.speedKeys(), load.Fixed(speedSize)); err != nil {
			return err
		}
		w := load.Workload{GetShare: 0.9, Keys: b.speedKeys(), Sizes: load.Fixed(speedSize), Rate: rate, Duration: d / 10}
		if _, err := c.Run(ctx, w); err != nil {
			return err
		}
		w.Duration = d
		before, err := s.CPU()
		if err != nil {
			return err
		}
		r, err := c.Run(ctx, w)
		if err != nil {
			return err
		}
		after, err := s.CPU()
		q := func(p float64) float64 { return float64(r.Latency.Quantile(p)) }
		got = tailSample{
			p50: q(0.5), p99: q(0.99), p999: q(0.999), max: float64(r.Latency.Max()), late: float64(r.Late.Quantile(0.999)),
			cpu:  float64(after-before) / float64(r.Requests),
			held: q(0.5) < 1e6 && r.Duration < d+100*time.Millisecond,
		}
		return err
	})
	return got, err
}

// with runs f on a new server with so many connections and stops it.
func (b *bench) with(ctx context.Context, who side, network string, connections int, args []string, f func(*server.Server, *load.Client) error) error {
	s, err := b.start(ctx, who, network, args...)
	if err != nil {
		return err
	}
	defer s.Kill()
	c, err := load.Dial(ctx, s.Network, s.Address, connections, 1)
	if err != nil {
		return err
	}
	err = f(s, c)
	c.Close()
	if err != nil {
		return err
	}
	return s.Stop(syscall.SIGTERM, stopLimit)
}
