package cached

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/everup/everup/deploy/bench/cached/load"
)

const (
	restartItems = 10_000_000
	saveLimit    = 2 * time.Minute // for a planned stop that keeps the items
)

// restart stops a full server in order (SIGUSR1, memcached's way to keep its memory file) and starts it again.
func (b *bench) restart(ctx context.Context) error {
	items := pick(b, restartItems, restartItems/50)
	b.section("Warm restart", fmt.Sprintf("%d items, keys of %d bytes, values of %d, `-m 4096 -t 1 -e` a file on tmpfs; SIGUSR1, wait for the end and the next full second, start again. stop: until the process has ended; "+
		"back: from exec to the first right answer; kept: of all keys, each asked for once.", items, keyBytes, valueBytes))
	rows := [][]string{{"server", "stop", "back", "kept", "lost"}}
	for i, who := range b.sides {
		row, err := b.restartOf(ctx, who, items, i == 1)
		if err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
		rows = append(rows, append([]string{who.name}, row...))
	}
	b.table(rows)
	return nil
}

func (b *bench) restartOf(ctx context.Context, who side, items int, barred bool) ([]string, error) {
	dir, err := os.MkdirTemp(b.Shm, "bench-cached")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	args := []string{"-m", "4096", "-c", "1024", "-t", "1", "-e", filepath.Join(dir, "items")}
	stop, err := b.fillAndStop(ctx, who, items, args)
	if err != nil {
		return nil, err
	}
	if err := nextSecond(ctx); err != nil {
		return nil, err
	}
	s, err := b.start(ctx, who, "unix", args...)
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	c, err := load.Dial(ctx, s.Network, s.Address, 4, 1)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	all := load.Workload{GetShare: 1, Keys: items, Sizes: load.Fixed(valueBytes), CheckEvery: 1, Requests: 1}
	if _, err := c.Run(ctx, all); err != nil {
		return nil, err
	}
	back := time.Since(s.Began())
	all.Order, all.Multiget, all.CheckEvery, all.Requests = load.Sequential, 100, 16, 0
	r, err := c.Run(ctx, all)
	if err != nil {
		return nil, err
	}
	if barred {
		b.bar("warm restart: items lost", fmt.Sprint(r.Misses), "0", r.Misses == 0)
		b.bar(fmt.Sprintf("warm restart: %d items back", items), fmt.Sprintf("%s, %d of them", seconds(back), r.Hits), "≤ 2 s", back <= 2*time.Second && r.Misses == 0)
	}
	return []string{seconds(stop), seconds(back), fmt.Sprint(r.Hits), fmt.Sprint(r.Misses)}, s.Stop(syscall.SIGTERM, saveLimit)
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

// fillAndStop returns how long the planned stop took.
func (b *bench) fillAndStop(ctx context.Context, who side, items int, args []string) (time.Duration, error) {
	s, err := b.start(ctx, who, "unix", args...)
	if err != nil {
		return 0, err
	}
	defer s.Kill()
	if err := fillAlone(ctx, s, items, load.Fixed(valueBytes)); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := s.Stop(syscall.SIGUSR1, saveLimit); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
