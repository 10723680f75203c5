// Command fixed serves event loops with a session that parses `get k` and gives every key the same value of 100 bytes: what it
// costs beside a memcached under the same load is the carrier.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/loop"
	"github.com/everup/everup/services/cached/internal/session"
)

// fixed is the session. Commands that do not begin with "get " are answered by ERROR.
type fixed struct{ p *session.Peer }

var answer = append([]byte("VALUE k 0 100\r\n"), append(bytes.Repeat([]byte("v"), 100), "\r\nEND\r\n"...)...)

func (s *fixed) Step(in []byte, out *session.Out) (n int, next session.Next) {
	for done := 0; ; done++ {
		if done == session.Turn {
			return n, session.Yield
		}
		if len(out.Buf) > session.OutHigh {
			return n, session.Flush
		}
		end := bytes.IndexByte(in[n:], '\n')
		if end < 0 {
			return n, session.More
		}
		s.p.Meter.Begin()
		if bytes.HasPrefix(in[n:], []byte("get ")) {
			out.Buf = append(out.Buf, answer...)
		} else {
			out.Buf = append(out.Buf, "ERROR\r\n"...)
		}
		s.p.Meter.End(session.Get)
		n += end + 1
	}
}

func (s *fixed) Body() []byte { return nil }
func (s *fixed) Filled(int)   {}
func (s *fixed) Detached(context.Context, net.Conn, []byte) ([]byte, bool) {
	return nil, false
}
func (s *fixed) State() string { return "conn_read" }
func (s *fixed) End()          {}

func main() {
	listen := flag.String("listen", "127.0.0.1:22211", "TCP address, or path of a unix socket")
	threads := flag.Int("t", 1, "event loops")
	procs := flag.Int("procs", 0, "GOMAXPROCS; 0: as loop.Procs says")
	last := flag.Duration("for", 30*time.Second, "time to run")
	profile := flag.String("profile", "", "file for a CPU profile")
	flag.Parse()
	if err := run(*listen, *threads, *procs, *last, *profile); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(listen string, threads, procs int, last time.Duration, profile string) error {
	if procs == 0 {
		procs = loop.Procs(threads)
	}
	runtime.GOMAXPROCS(procs)
	network, transport := "tcp", session.TCP
	if listen[0] == '/' {
		network, transport = "unix", session.Unix
	}
	l, err := net.Listen(network, listen)
	if err != nil {
		return err
	}
	defer l.Close()
	g, err := loop.New(loop.Options{
		Threads: threads, Listeners: []loop.Listener{{Net: l, Transport: transport}}, Gate: conns.NewGate(200_000, true),
		Factory: func(_ byte, p *session.Peer) session.Session { return &fixed{p} },
		Hooks:   loop.Hooks{Bug: func(what any, stack []byte) { fmt.Fprintf(os.Stderr, "BUG: %v\n%s", what, stack) }},
	})
	if err != nil {
		return err
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, last)
	defer cancel()
	defer func() { fmt.Fprintf(os.Stderr, "connections by loop: %v\n", g.Stats().Loops) }()
	return g.Run(ctx)
}
