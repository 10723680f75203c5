package l7

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/everup/everup/deploy/bench/report"
)

const (
	latencyRate  = 3000 // requests per second over all connections
	latencyConns = 64
	latencyTime  = 4 * time.Second
)

// tail is what one run of the open loop shows.
type tail struct{ p50, p99, p999, max float64 } // nanoseconds

// latency measures answers' times in an open loop: requests are due at fixed times, and what is late counts from then.
func (b *bench) latency(ctx context.Context) error {
	d := pick(b, latencyTime, latencyTime/8)
	b.section("Latency", fmt.Sprintf("Open loop: %d requests for 1 KiB a second over %d connections for %v; the time from when a request was due until its answer was read. Each proxy is new, and was asked likewise for a quarter of that time before.", latencyRate, latencyConns, d))
	samples := make([][]tail, len(b.proxies))
	for run := range b.Runs {
		for _, i := range b.order(run) {
			s, err := b.start(ctx, &b.proxies[i])
			if err != nil {
				return err
			}
			got, err := openLoop(ctx, s.at.http, d/4) // what the first requests after a start cost is not measured
			if err == nil {
				got, err = openLoop(ctx, s.at.http, d)
			}
			s.Kill()
			if err != nil {
				return fmt.Errorf("%s: %w", b.proxies[i].name, err)
			}
			samples[i] = append(samples[i], got)
		}
	}
	table := [][]string{{"proxy", "p50", "p99", "p99.9", "max"}}
	for i, of := range samples {
		row := []string{b.proxies[i].name}
		for _, f := range []func(tail) float64{
			func(t tail) float64 { return t.p50 }, func(t tail) float64 { return t.p99 }, func(t tail) float64 { return t.p999 }, func(t tail) float64 { return t.max },
		} {
			row = append(row, report.Micros(report.Mid(of, f)))
		}
		table = append(table, row)
	}
	report.Table(b.out, table)
	return nil
}

// openLoop asks at the rate for so long. Each connection has its share of the times, evenly apart.
func openLoop(ctx context.Context, addr string, d time.Duration) (tail, error) {
	each := time.Second * latencyConns / latencyRate
	var (
		wg   sync.WaitGroup
		took [latencyConns][]time.Duration
		errs [latencyConns]error
	)
	start := time.Now().Add(50 * time.Millisecond)
	for n := range latencyConns {
		wg.Go(func() {
			first := start.Add(each * time.Duration(n) / latencyConns)
			took[n], errs[n] = onTime(ctx, addr, first, each, start.Add(d))
		})
	}
	wg.Wait()
	all := slices.Concat(took[:]...)
	if err := errors.Join(errs[:]...); err != nil || len(all) == 0 {
		return tail{}, fmt.Errorf("%d answers: %w", len(all), err)
	}
	slices.Sort(all)
	q := func(p float64) float64 { return float64(all[int(p*float64(len(all)-1))]) }
	return tail{q(0.5), q(0.99), q(0.999), q(1)}, nil
}

// onTime asks on one connection at the times that are due until the end.
func onTime(ctx context.Context, addr string, due time.Time, each time.Duration, end time.Time) ([]time.Duration, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(end.Add(10 * time.Second))
	length, err := lengthOf(c)
	if err != nil {
		return nil, err
	}
	answer := make([]byte, length)
	var took []time.Duration
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ; due.Before(end); due = due.Add(each) {
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if _, err := io.WriteString(c, small); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
			return nil, fmt.Errorf("answered %.40q", answer)
		}
		took = append(took, time.Since(due))
	}
	return took, nil
}

const small = "GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n"

// lengthOf asks once and returns how many bytes an answer has, head and all: the same each time.
func lengthOf(c net.Conn) (int, error) {
	if _, err := io.WriteString(c, small); err != nil {
		return 0, err
	}
	var all bytes.Buffer
	res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &all)), nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return all.Len(), err
}
