package l7

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/everup/everup/deploy/bench/report"
)

const idleConnections = 5000

// idle measures what a connection costs that has asked once and then rests.
func (b *bench) idle(ctx context.Context) error {
	count := pick(b, idleConnections, 500)
	b.section("Idle connections", fmt.Sprintf("Memory of the proxy (PSS) before and with %d connections of keep-alive, plain, each of which has asked for 1 KiB once.", count))
	table := [][]string{{"proxy", "before", "with them", "per connection"}}
	for i := range b.proxies {
		var all []rested
		for range b.Runs {
			r, err := b.idleOf(ctx, &b.proxies[i], count)
			if err != nil {
				return fmt.Errorf("%s: %w", b.proxies[i].name, err)
			}
			all = append(all, r)
		}
		each := func(r rested) float64 { return (r.after - r.before) / float64(count) }
		low, high := report.Spread(all, each)
		table = append(table, []string{
			b.proxies[i].name, report.Mebibytes(int64(report.Mid(all, func(r rested) float64 { return r.before }))), report.Mebibytes(int64(report.Mid(all, func(r rested) float64 { return r.after }))),
			fmt.Sprintf("%.0f B (%.0f–%.0f)", report.Mid(all, each), low, high),
		})
		if i == b.subject() {
			m := report.Mid(all, each)
			b.bars = append(b.bars, bar{"memory per idle connection", fmt.Sprintf("%.2f kB", m/1000), "≤ 1.5 kB", m <= 1500})
		}
	}
	report.Table(b.out, table)
	return nil
}

// rested is the memory of a proxy in one run.
type rested struct{ before, after float64 }

func (b *bench) idleOf(ctx context.Context, p *proxy, count int) (rested, error) {
	s, err := b.start(ctx, p)
	if err != nil {
		return rested{}, err
	}
	defer s.Kill()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	ask := func() error {
		c, err := net.Dial("tcp", s.at.http)
		if err != nil {
			return err
		}
		conns = append(conns, c)
		return askOnce(c)
	}
	if err := ask(); err != nil { // what the first request costs is not the connections'
		return rested{}, err
	}
	before, err := s.Memory()
	if err != nil {
		return rested{}, err
	}
	for range count {
		if err := ask(); err != nil {
			return rested{}, err
		}
	}
	after, err := s.Memory()
	return rested{float64(before.PSS), float64(after.PSS)}, err
}

// askOnce asks for 1 KiB and reads it.
func askOnce(c net.Conn) error {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 2048), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
