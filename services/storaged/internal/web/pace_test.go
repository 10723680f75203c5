package web

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceDeadline(t *testing.T) {
	start := time.Unix(1000, 0)
	p := Pace{Idle: 30 * time.Second, Grace: 10 * time.Second, Rate: 100}
	f := func(p Pace, at time.Duration, n int64, want time.Duration) {
		t.Helper()
		if got := p.deadline(start, start.Add(at), n).Sub(start); got != want {
			t.Errorf("after %v with %d bytes: %v, want %v", at, n, got, want)
		}
	}
	f(p, 0, 0, 10*time.Second)
	f(p, 5*time.Second, 1000, 20*time.Second)
	f(p, 5*time.Second, 1_000_000, 35*time.Second)
	f(Pace{Idle: 30 * time.Second}, 5*time.Second, 0, 35*time.Second)
}

// TestPacedReader feeds a pipe in virtual time: steady feeding goes on, a trickle and a silence end.
func TestPacedReader(t *testing.T) {
	f := func(every time.Duration, bytes int, wantEnd time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			start := time.Now()
			p := &pacedReader{r: server, set: server.SetReadDeadline, start: start, pace: Pace{Idle: 5 * time.Second, Grace: 10 * time.Second, Rate: 100}}
			go func() {
				for range 60 {
					if _, err := client.Write(make([]byte, bytes)); err != nil {
						return
					}
					time.Sleep(every)
				}
				client.Close()
			}()
			_, err := io.Copy(io.Discard, p)
			took := time.Since(start)
			server.Close()
			if wantEnd == 0 {
				if err != nil {
					t.Errorf("%d bytes every %v: %v after %v", bytes, every, err, took)
				}
			} else if !errors.Is(err, os.ErrDeadlineExceeded) || took != wantEnd {
				t.Errorf("%d bytes every %v: %v after %v, want the end at %v", bytes, every, err, took, wantEnd)
			}
			time.Sleep(time.Minute)
		})
	}
	f(time.Second, 200, 0)
	f(time.Second, 1, 10*time.Second+110*time.Millisecond) // 11 bytes came in the first ten seconds and a little
	f(time.Minute, 2000, 5*time.Second)
}

// TestSlowUploadIsEnded is the same through the server.
func TestSlowUploadIsEnded(t *testing.T) {
	r := newRig(t, func(l *Limits) { l.Pace = Pace{Idle: 50 * time.Millisecond} })
	c, err := net.Dial("tcp", r.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(c, "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf of it")
	buf := make([]byte, 12)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "HTTP/1.1 408" {
		t.Errorf("%q, %v", buf, err)
	}
}
