package cached

import (
	"context"
	"fmt"
	"syscall"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/deploy/bench/cached/server"
)

// idle measures what a connection costs that has asked once and then rests.
func (b *bench) idle(ctx context.Context) error {
	counts := pick(b, []int{10_000, 100_000}, []int{1_000})
	b.section("Idle connections", "Over a unix socket, `-t 1`, each connection has asked for one key. Memory of the process; the kernel's own for the sockets is not in it.")
	rows := [][]string{{"connections", "server", "RSS before", "RSS with them", "per connection"}}
	for _, n := range counts {
		if err := files(uint64(n) + 1000); err != nil {
			fmt.Fprintf(b.out, "%d connections: not measured, the limit of open files cannot be raised: %v\n\n", n, err)
			continue
		}
		for _, who := range b.sides {
			row, err := b.idleOf(ctx, who, n)
			if err != nil {
				return fmt.Errorf("%s, %d connections: %w", who.name, n, err)
			}
			rows = append(rows, row)
		}
	}
	b.table(rows)
	return nil
}

// files raises the limit of open files of this process and of those it will start.
func files(n uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: max(l.Cur, n), Max: max(l.Max, n)})
}

func (b *bench) idleOf(ctx context.Context, who side, n int) ([]string, error) {
	var row []string
	err := b.with(ctx, who, "unix", 1, []string{"-m", "64", "-c", fmt.Sprint(n + 100), "-t", "1"}, func(s *server.Server, _ *load.Client) error {
		before, err := s.Memory()
		if err != nil {
			return err
		}
		c, err := load.Dial(ctx, s.Network, s.Address, n, 1)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Run(ctx, load.Workload{GetShare: 1, Keys: 1000, Sizes: load.Fixed(valueBytes), Requests: n}); err != nil {
			return err
		}
		after, err := s.Memory()
		row = []string{fmt.Sprint(n), who.name, mebibytes(before.RSS), mebibytes(after.RSS), fmt.Sprintf("%.0f B", float64(after.RSS-before.RSS)/float64(n))}
		return err
	})
	return row, err
}
