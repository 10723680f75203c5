package cached

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/deploy/bench/cached/server"
	"github.com/everup/everup/deploy/bench/report"
)

const (
	restartItems = 10_000_000
	saveLimit    = 2 * time.Minute  // for a planned stop that keeps the items
	restartLimit = 20 * time.Second // for all restarts of one side
)

// restart stops a full server in order (SIGUSR1, memcached's way to keep its memory file) and starts it again, several times.
func (b *bench) restart(ctx context.Context) error {
	items := pick(b, restartItems, restartItems/50)
	b.section("Warm restart", fmt.Sprintf("%d items, keys of %d bytes, values of %d, `-m 4096 -t 1 -e` a file on tmpfs; SIGUSR1, wait for the end and the next full second, start again. stop: until the process has ended; "+
		"back: from exec to the first right answer, and the server's CPU time until then; in brackets the shortest and the longest; before: items that the server counted before the first stop; kept: of all keys, each asked for once after the last restart.", items, keyBytes, valueBytes))
	rows := [][]string{{"server", "stop", "back", "CPU", "before", "kept", "lost"}}
	for i, who := range b.sides {
		row, err := b.restartOf(ctx, who, items, i == 1)
		if err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
		rows = append(rows, append([]string{who.name}, row...))
	}
	b.table(rows)
	b.fewer()
	return nil
}

// restarted is one restart, in seconds.
type restarted struct{ stop, back, cpu float64 }

func (b *bench) restartOf(ctx context.Context, who side, items int, barred bool) ([]string, error) {
	dir, err := os.MkdirTemp(b.Shm, "bench-cached")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	args := []string{"-m", "4096", "-c", "1024", "-t", "1", "-e", filepath.Join(dir, "items")}
	s, err := b.start(ctx, who, "unix", args...)
	if err != nil {
		return nil, err
	}
	defer func() { s.Kill() }()
	if err := fillDeep(ctx, s, items); err != nil {
		return nil, err
	}
	before, err := s.Stat("curr_items") // fewer than were set: not the restart's doing
	if err != nil {
		return nil, err
	}
	var all []restarted
	err = b.repeat(ctx, restartLimit, func(int) error {
		began := time.Now()
		if err := s.Stop(syscall.SIGUSR1, saveLimit); err != nil {
			return err
		}
		stop := time.Since(began)
		if err := nextSecond(ctx); err != nil {
			return err
		}
		next, err := b.start(ctx, who, "unix", args...)
		if err != nil {
			return err
		}
		s = next
		back, err := answered(ctx, s, items)
		if err != nil {
			return err
		}
		cpu, err := s.CPU()
		all = append(all, restarted{stop.Seconds(), back.Seconds(), cpu.Seconds()})
		return err
	})
	if err != nil {
		return nil, err
	}
	r, err := askAll(ctx, s, items)
	if err != nil {
		return nil, err
	}
	if barred {
		b.restartBars(all, r, before)
	}
	stop, back := figures(all, func(r restarted) float64 { return r.stop }), figures(all, func(r restarted) float64 { return r.back })
	return []string{stop, back, figures(all, func(r restarted) float64 { return r.cpu }), fmt.Sprint(before), fmt.Sprint(r.Hits), fmt.Sprint(r.Misses)}, s.Stop(syscall.SIGTERM, saveLimit)
}

func (b *bench) restartBars(all []restarted, r *load.Result, before int64) {
	back := report.Mid(all, func(r restarted) float64 { return r.back })
	lost := before - int64(r.Hits)
	b.bar("warm restart: items lost", fmt.Sprint(lost), "0", lost == 0)
	b.bar(fmt.Sprintf("warm restart: %d items back", r.Gets), fmt.Sprintf("%.2f s, %d of them", back, r.Hits), "≤ 2 s", back <= 2 && lost == 0)
}

// figures are the median of one figure and its spread.
func figures(all []restarted, of func(restarted) float64) string {
	low, high := report.Spread(all, of)
	return fmt.Sprintf("%.2f s (%.2f–%.2f)", report.Mid(all, of), low, high)
}

// everything asks for every key once, from many at a time.
func everything(items int) load.Workload {
	return load.Workload{GetShare: 1, Order: load.Sequential, Keys: items, Sizes: load.Fixed(valueBytes), Multiget: 100, CheckEvery: 16}
}

// answered asks for one key and returns how long after exec the right answer was there.
func answered(ctx context.Context, s *server.Server, items int) (time.Duration, error) {
	c, err := load.Dial(ctx, s.Network, s.Address, 1, 1)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	one := everything(items)
	one.Order, one.Multiget, one.CheckEvery, one.Requests = load.Uniform, 1, 1, 1
	r, err := c.Run(ctx, one)
	if err == nil && r.Checked != 1 {
		err = fmt.Errorf("%d of %d hits", r.Hits, r.Gets)
	}
	return time.Since(s.Began()), err
}

func askAll(ctx context.Context, s *server.Server, items int) (*load.Result, error) {
	c, err := load.Dial(ctx, s.Network, s.Address, 4, 1)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Run(ctx, everything(items))
}

// nextSecond waits for the clock's next full second: memcached 1.6.18 takes no file whose stop_time is not in the past, in full seconds,
// and starts empty ("restart incompatible due to setting for [stop_time]").
func nextSecond(ctx context.Context) error {
	t := time.NewTimer(1050*time.Millisecond - time.Duration(time.Now().Nanosecond()))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fillDeep fills an empty server, with as many requests on the way as makes it fast.
func fillDeep(ctx context.Context, s *server.Server, items int) error {
	c, err := load.Dial(ctx, s.Network, s.Address, 8, 1)
	if err != nil {
		return err
	}
	defer c.Close()
	return fillAt(ctx, c, 256, 0, items, load.Fixed(valueBytes))
}
