package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/lbd/internal/guard"
)

// Tunnels are the upgraded connections that are open. The zero value is usable; safe for concurrent use.
type Tunnels struct {
	mu   sync.Mutex
	all  map[*tunnel]struct{}
	none chan struct{} // closed when the last one ends; nil: nobody waits
}

// tunnel relays between a client and a member after an upgrade.
type tunnel struct {
	client   net.Conn
	from     io.Reader // client, and what net/http had read of it already
	member   io.ReadWriteCloser
	idle     *time.Timer
	patience time.Duration
	sent     atomic.Int64 // to the client
	received atomic.Int64
}

// Len is the number of open tunnels.
func (t *Tunnels) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

// CloseAll cuts all tunnels.
func (t *Tunnels) CloseAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for x := range t.all {
		x.close()
	}
}

// Wait waits until no tunnel is open, or ctx ends.
func (t *Tunnels) Wait(ctx context.Context) error {
	t.mu.Lock()
	if len(t.all) == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.none == nil {
		t.none = make(chan struct{})
	}
	none := t.none
	t.mu.Unlock()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Tunnels) add(x *tunnel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[*tunnel]struct{}{}
	}
	t.all[x] = struct{}{}
}

func (t *Tunnels) remove(x *tunnel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, x)
	if len(t.all) == 0 && t.none != nil {
		close(t.none)
		t.none = nil
	}
}

// upgrade passes 101 on and relays bytes until both sides have ended, one fails, or nothing has moved for too long.
func (x *exchange) upgrade(a *attempt) {
	asked, given := upgradeOf(x.r.Header), upgradeOf(a.res.Header)
	member, ok := a.res.Body.(io.ReadWriteCloser)
	if !ok || asked == "" || !strings.EqualFold(asked, given) {
		x.refuse(http.StatusBadGateway, reasonBadUpgrade)
		return
	}
	conn, rw, err := x.rc.Hijack()
	if err != nil {
		x.refuse(http.StatusInternalServerError, reasonBadUpgrade)
		return
	}
	defer conn.Close()
	if g := guard.FromContext(x.r.Context()); g != nil {
		g.Release() // what follows is no HTTP
	}
	x.entry.Status = http.StatusSwitchingProtocols
	x.w.status = http.StatusSwitchingProtocols
	conn.SetDeadline(time.Now().Add(x.live.Write))
	if _, err := conn.Write(switching(a.res.Header, given)); err != nil {
		x.entry.Reason = reasonClientGone
		return
	}
	conn.SetDeadline(time.Time{})
	t := &tunnel{client: conn, from: rw, member: member, patience: x.live.Tunnel}
	x.h.Tunnels.add(t)
	defer x.h.Tunnels.remove(t)
	t.run()
	x.w.sent = t.sent.Load()
	x.body.got.Add(t.received.Load())
}

// switching is the head of the 101 answer.
func switching(h http.Header, protocol string) []byte {
	dropHopByHop(h)
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{protocol}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	h.Write(&b) // into memory: cannot fail
	b.WriteString("\r\n")
	return b.Bytes()
}

func (t *tunnel) run() {
	t.idle = time.AfterFunc(t.patience, t.close)
	defer t.idle.Stop()
	defer t.close()
	var up sync.WaitGroup
	up.Go(func() { t.pump(t.member, t.from, &t.received) })
	t.pump(t.client, t.member, &t.sent)
	up.Wait()
}

// pump copies one direction and passes its end on; where the other side cannot be told an end, or the copy failed, all is
// closed.
func (t *tunnel) pump(to io.Writer, from io.Reader, count *atomic.Int64) {
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)
	for {
		n, err := from.Read(*buf)
		if n > 0 {
			t.idle.Reset(t.patience)
			if _, werr := to.Write((*buf)[:n]); werr != nil {
				t.close()
				return
			}
			count.Add(int64(n))
		}
		if err == nil {
			continue
		}
		if half, ok := to.(interface{ CloseWrite() error }); !ok || err != io.EOF || half.CloseWrite() != nil {
			t.close()
		}
		return
	}
}

func (t *tunnel) close() {
	t.client.Close()
	t.member.Close()
}
