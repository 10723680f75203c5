package l7

import (
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	f := func(out string, want outcome, ok bool) {
		t.Helper()
		got, err := parseWrk(out)
		if got != want || (err == nil) != ok {
			t.Errorf("%q: %+v, %v", out, got, err)
		}
	}
	head := "Running 3s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n"
	f(head+"  107312 requests in 3.00s, 130.90MB read\nRequests/sec:  35753.37\n", outcome{ops: 107312, took: 3 * time.Second}, true)
	f(head+"  812 requests in 300.10ms, 1.90MB read\n", outcome{ops: 812, took: 300100 * time.Microsecond}, true)
	f(head+"  10 requests in 1.00m, 1.90MB read\n", outcome{ops: 10, took: time.Minute}, true)
	f(head+"  107312 requests in 3.00s, 130.90MB read\n  Socket errors: connect 0, read 3, write 0, timeout 0\n", outcome{}, false)
	f(head+"  107312 requests in 3.00s, 130.90MB read\n  Non-2xx or 3xx responses: 12\n", outcome{}, false)
	f("unable to connect to 127.0.0.1:1 Connection refused\n", outcome{}, false)
	f("", outcome{}, false)
}

func TestParseH2load(t *testing.T) {
	f := func(out string, want outcome, ok bool) {
		t.Helper()
		got, err := parseH2load(out)
		if got != want || (err == nil) != ok {
			t.Errorf("%q: %+v, %v", out, got, err)
		}
	}
	f("finished in 2.50s, 24000.00 req/s, 25.00MB/s\nrequests: 60000 total, 60000 started, 60000 done, 60000 succeeded, 0 failed, 0 errored, 0 timeout\n",
		outcome{ops: 60000, took: 2500 * time.Millisecond}, true)
	f("finished in 250.12ms, 24000.00 req/s, 25.00MB/s\nrequests: 4000 total, 4000 started, 4000 done, 4000 succeeded, 0 failed\n",
		outcome{ops: 4000, took: 250120 * time.Microsecond}, true)
	f("finished in 2.50s\nrequests: 60000 total, 60000 started, 60000 done, 59999 succeeded, 1 failed, 0 errored, 0 timeout\n", outcome{}, false)
	f("[ERROR] Could not connect\n", outcome{}, false)
}

func TestOrderChanges(t *testing.T) {
	b := &bench{proxies: make([]proxy, 3)}
	seen := map[int]bool{}
	for run := range 3 {
		seen[b.order(run)[0]] = true
	}
	if len(seen) != 3 || b.subject() != 2 {
		t.Errorf("first were %v, lbd is number %d", seen, b.subject())
	}
}
