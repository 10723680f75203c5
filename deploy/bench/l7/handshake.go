package l7

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"

	"bufio"

	"github.com/everup/everup/deploy/bench/report"
)

// handshakes measures what a connection over TLS costs that asks once and ends.
func (b *bench) handshakes(ctx context.Context) error {
	count := pick(b, 2000, 200)
	b.section("TLS handshakes", fmt.Sprintf("%d connections, one after the other, each with one request for 1 KiB; certificate of ECDSA P-256, client crypto/tls, TLS 1.3. "+
		"CPU time of the proxy for each connection.", count))
	table := [][]string{{"handshake", "proxy", "CPU", "lbd to it"}}
	for _, resumed := range []bool{false, true} {
		samples := make([][]sample, len(b.proxies))
		for run := range b.Runs {
			for _, i := range b.order(run) {
				s, err := b.start(ctx, &b.proxies[i])
				if err != nil {
					return err
				}
				got, err := b.measure(ctx, s, row{load: b.connects(count, resumed)})
				s.Kill()
				if err != nil {
					return fmt.Errorf("%s: %w", b.proxies[i].name, err)
				}
				samples[i] = append(samples[i], got)
			}
		}
		name := "full"
		if resumed {
			name = "resumed"
		}
		cpu := func(s sample) float64 { return s.cpu }
		own := report.Mid(samples[b.subject()], cpu)
		for i, of := range samples {
			beside := ""
			if i != b.subject() {
				beside = report.Ratio(own / report.Mid(of, cpu))
			}
			table = append(table, []string{name, b.proxies[i].name, report.Micros(report.Mid(of, cpu)), beside})
			name = ""
		}
	}
	report.Table(b.out, table)
	return nil
}

// connects makes connections over TLS, each with a request.
func (b *bench) connects(count int, resumed bool) func(context.Context, *bench, addresses) (outcome, error) {
	return func(ctx context.Context, b *bench, at addresses) (outcome, error) {
		config := &tls.Config{RootCAs: b.keys.pool, NextProtos: []string{"http/1.1"}}
		if resumed {
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		}
		began := time.Now()
		for n := range count {
			did, err := connectOnce(ctx, at.https, config)
			if err != nil {
				return outcome{}, err
			}
			if want := resumed && n > 0; did != want {
				return outcome{}, fmt.Errorf("connection %d: resumed is %v", n, did)
			}
		}
		return outcome{ops: count, took: time.Since(began)}, nil
	}
}

// connectOnce connects, asks and reads the answer, with which the ticket for the next time comes.
func connectOnce(ctx context.Context, addr string, config *tls.Config) (resumed bool, err error) {
	d := tls.Dialer{Config: config}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET /1k HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"); err != nil {
		return false, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return false, err
	}
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && (res.StatusCode != 200 || n != int64(sizes()["/1k"])) {
		err = fmt.Errorf("status %d with %d bytes", res.StatusCode, n)
	}
	return conn.(*tls.Conn).ConnectionState().DidResume, err
}
