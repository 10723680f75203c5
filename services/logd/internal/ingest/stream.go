package ingest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/services/logd/internal/record"
	"github.com/everup/everup/shared/fault"
)

// acceptPause is waited after a failed accept, as when the process is out of file descriptors.
const acceptPause = 100 * time.Millisecond

// ServeStreams accepts and receives from ln until stop ends, then reads what has already arrived, waits for its connections
// and returns; it closes ln. When abandon ends, connections no longer wait for room in the queue.
func (s *Sink) ServeStreams(stop, abandon context.Context, ln net.Listener) error {
	defer context.AfterFunc(stop, func() { ln.Close() })()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer ln.Close()
	open := make(chan struct{}, maxConnections)
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
		case stop.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fault.Wrap(fault.Internal, err, "ingest: accept on %s", ln.Addr())
		default:
			s.Log.Warn().Err(err).Msg("cannot accept a connection")
			if !pause(stop, acceptPause) {
				return nil
			}
			continue
		}
		if len(open) >= min(s.limits.Load().Connections, maxConnections) {
			s.Metrics.Refused.With("connections").Inc()
			conn.Close()
			continue
		}
		open <- struct{}{}
		s.Metrics.Connections.Add(1)
		conns.Go(func() {
			s.serveConn(stop, abandon, conn)
			s.Metrics.Connections.Add(-1)
			<-open
		})
	}
}

// maxConnections is the largest limit of connections that can be set.
const maxConnections = 1 << 16

// serveConn receives from one connection until it ends, breaks the framing, is too slow, or stop ends.
func (s *Sink) serveConn(stop, abandon context.Context, conn net.Conn) {
	defer conn.Close()
	d := &deadlines{conn: conn, limits: s.limits.Load}
	defer context.AfterFunc(stop, d.stop)()
	peer := peerOf(conn)
	p := &parse.Parser{Location: s.Location}
	f := NewFramer(conn, s.limits.Load().Message, d.before)
	for {
		fr, err := f.Next()
		if err != nil {
			s.ended(stop, conn, err)
			return
		}
		s.accept(abandon, p, fr.Data, fr.Truncated, true, record.TCP, peer)
		d.done()
	}
}

// ended counts a connection that did not end by the peer's will.
func (s *Sink) ended(stop context.Context, conn net.Conn, err error) {
	reason := ""
	switch {
	case errors.Is(err, io.EOF), stop.Err() != nil:
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = "slow"
	case fault.Of(err) == fault.Unsupported:
		reason = "compressed"
	case fault.Of(err) == fault.Invalid:
		reason = "framing"
	default:
		reason = "broken"
	}
	s.Metrics.Refused.With(reason).Inc()
	s.Log.Debug().Err(err).Stringer("peer", conn.RemoteAddr()).Msg("connection ended")
}

func peerOf(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// deadlines sets a connection's read deadline: idle between messages, and one time for a whole message inside, so that a sender cannot
// hold a connection by a byte now and then.
type deadlines struct {
	conn   net.Conn
	limits func() *Limits

	mu    sync.Mutex
	frame time.Time // when the message under way must be complete; zero between messages
	end   time.Time // when reading ends at the latest; zero unless stopped
}

// before is the framer's hook.
func (d *deadlines) before(partial bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, l := time.Now(), d.limits()
	if !d.end.IsZero() {
		d.conn.SetReadDeadline(d.lastLocked(now))
		return
	}
	if !partial {
		d.frame = time.Time{}
		d.conn.SetReadDeadline(now.Add(l.Idle))
		return
	}
	if d.frame.IsZero() {
		d.frame = now.Add(l.Frame)
	}
	d.conn.SetReadDeadline(d.frame)
}

// done says that a message is complete: the next has its own time.
func (d *deadlines) done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frame = time.Time{}
}

// stop lets the connection read what has arrived: as long as something comes within lastCall, but no longer than
// lastCallMost, for a sender that never pauses.
func (d *deadlines) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.end = now.Add(lastCallMost)
	d.conn.SetReadDeadline(d.lastLocked(now))
}

func (d *deadlines) lastLocked(now time.Time) time.Time {
	if t := now.Add(lastCall); t.Before(d.end) {
		return t
	}
	return d.end
}
