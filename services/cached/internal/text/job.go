package text

import (
	"bytes"
	"context"
	"net"
	"time"

	"github.com/everup/everup/services/cached/internal/session"
)

// job is what a goroutine does with a connection that was detached.
type job interface {
	// run serves conn and reports whether the connection may go on with commands.
	run(ctx context.Context, conn net.Conn) bool
	// drop releases what the job holds; it is called once, run or not.
	drop()
}

// detach hands the connection to j.
func (t *turn) detach(j job) session.Next {
	t.job = j
	t.enter(detached)
	return session.Detach
}

// Detached implements session.Session.
func (c *client) Detached(ctx context.Context, conn net.Conn, rest []byte) (left []byte, back bool) {
	j := c.job
	c.job = nil
	if j == nil {
		return rest, true
	}
	defer j.drop()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	back = j.run(ctx, conn) && ctx.Err() == nil
	c.enter(command)
	return rest, back
}

const (
	// chunk is the length from which a job's buffer is written.
	chunk = 32 << 10
	// patience is how long a job waits for a client that does not read.
	patience = time.Minute
)

// send writes b, which may be long; false when the client has gone or does not read.
func send(conn net.Conn, b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), chunk)
		if conn.SetWriteDeadline(time.Now().Add(patience)) != nil {
			return false
		}
		if _, err := conn.Write(b[:n]); err != nil {
			return false
		}
		b = b[n:]
	}
	return conn.SetWriteDeadline(time.Time{}) == nil
}

// textJob sends a text.
type textJob []byte

func (j textJob) run(_ context.Context, conn net.Conn) bool { return send(conn, j) }

func (j textJob) drop() {}

// connsJob is `stats conns`.
type connsJob struct{ env *session.Env }

func (j *connsJob) run(_ context.Context, conn net.Conn) bool {
	var b bytes.Buffer
	if j.env.Conns != nil {
		for _, p := range j.env.Conns() {
			b.Write(appendStat(b.AvailableBuffer(), p.Name, p.Value))
			if b.Len() >= chunk {
				if !send(conn, b.Bytes()) {
					return false
				}
				b.Reset()
			}
		}
	}
	b.WriteString("END\r\n")
	return send(conn, b.Bytes())
}

func (j *connsJob) drop() {}
