package accesslog

import (
	"context"
	"io"
	"os"
	"strconv"
	"sync"

	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/syslog"
)

// queued is how many lines wait for a slow writer.
const queued = 4096

// Log takes entries to a syslog sender and a writer, each optional. Safe for concurrent use.
type Log struct {
	host    string
	pid     string
	sender  *syslog.Sender
	out     io.Writer
	lines   chan []byte
	dropped *metric.Counter
}

// New returns a log that sends to sender as host, and writes to out; either may be nil. Run writes.
func New(host string, sender *syslog.Sender, out io.Writer, reg *metric.Registry) *Log {
	l := &Log{host: host, pid: strconv.Itoa(os.Getpid()), sender: sender, out: out, lines: make(chan []byte, queued)}
	l.dropped = reg.Counter("access_log_dropped_total", "Lines not written to standard output because it was too slow.")
	return l
}

// Log takes e. It never blocks and keeps nothing of e.
func (l *Log) Log(e *Entry) {
	if l.sender == nil && l.out == nil {
		return
	}
	text := e.Append(make([]byte, 0, 512))
	if l.sender != nil {
		l.sender.Send(&syslog.Message{
			Facility: syslog.FacilityLocal0, Severity: severity(e.Status), Time: e.Time,
			Host: l.host, App: "lbd", Proc: l.pid, ID: "access", Text: string(text),
		})
	}
	if l.out == nil {
		return
	}
	select {
	case l.lines <- append(text, '\n'):
	default:
		l.dropped.Inc()
	}
}

func severity(status int) int {
	if status >= 500 {
		return syslog.SeverityWarning
	}
	return syslog.SeverityInfo
}

// Run sends and writes until ctx ends, then writes what waits.
func (l *Log) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if l.sender != nil {
		wg.Go(func() { l.sender.Run(ctx) })
	}
	for {
		select {
		case b := <-l.lines:
			l.write(b)
		case <-ctx.Done():
			l.flush()
			return nil
		}
	}
}

func (l *Log) flush() {
	for {
		select {
		case b := <-l.lines:
			l.write(b)
		default:
			return
		}
	}
}

// write counts a line that the writer refuses.
func (l *Log) write(b []byte) {
	if _, err := l.out.Write(b); err != nil {
		l.dropped.Inc()
	}
}
