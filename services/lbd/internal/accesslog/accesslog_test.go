package accesslog

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/metric"
)

func entry() *Entry {
	return &Entry{
		Time: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC), Client: "192.0.2.1", Method: "GET", Target: `/a"b\c`, Proto: "HTTP/1.1",
		Host: "x\r\ny", Agent: "café", Status: 200, Sent: 12, Received: 3, Pool: "web", Member: "10.0.0.1:80", Retries: 1,
		Head: 1500 * time.Microsecond, Duration: 2 * time.Second, Reason: "",
	}
}

func TestLine(t *testing.T) {
	want := `192.0.2.1 - - [23/Nov/2026:01:02:03 +0000] "GET /a\x22b\x5cc HTTP/1.1" 200 12 "-" "caf\xc3\xa9" host="x\x0d\x0ay"` +
		` pool=web member=10.0.0.1:80 retries=1 received=3 head=0.001500 duration=2.000000 reason=-`
	if got := string(entry().Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestALongFieldIsCut(t *testing.T) {
	e := entry()
	e.Agent = strings.Repeat("x", 1<<20)
	if n := len(e.Append(nil)); n > maxField+1024 {
		t.Errorf("a line of %d bytes", n)
	}
}

// stuck is a writer that waits until it is released.
type stuck struct{ release chan struct{} }

func (s stuck) Write(b []byte) (int, error) { <-s.release; return len(b), nil }

func TestASlowWriterLosesLinesAndBlocksNobody(t *testing.T) {
	w := stuck{make(chan struct{})}
	l := New("n1", nil, w, metric.NewRegistry("everup_lbd"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	for range queued + 10 {
		l.Log(entry())
	}
	if l.dropped.Value() < 9 {
		t.Errorf("%d lines dropped, want 9 or 10", l.dropped.Value())
	}
	close(w.release)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
