package spread

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
)

const now = 1_800_000_000

func store(t *testing.T, keys ...string) *engine.Store {
	t.Helper()
	s, err := engine.New(engine.Options{Memory: 16 << 20, MaxItem: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, k := range keys {
		r := s.Lock([]byte(k), now)
		if err := r.Put(engine.Value{}, []byte("v")); err != nil {
			t.Fatal(err)
		}
		r.Unlock()
	}
	return s
}

func TestApply(t *testing.T) {
	var keys []string
	for i := range 5000 {
		keys = append(keys, fmt.Sprintf("user:%d", i))
	}
	keys = append(keys, "session:1", "session:2", "\xff\x00raw")
	f := func(body string, deleted int, left int64, class fault.Class) {
		t.Helper()
		s := store(t, keys...)
		var r Request
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		res, err := Apply(t.Context(), s, r, now)
		if err != nil && fault.Of(err) != class || err == nil && class != 0 {
			t.Errorf("%s: error %v, want class %v", body, err, class)
		}
		if res.Deleted != deleted || s.Stats().Items != left {
			t.Errorf("%s: deleted %d, left %d; want %d, %d", body, res.Deleted, s.Stats().Items, deleted, left)
		}
	}
	f(`{"keys":["session:1","session:3","user:7"]}`, 2, 5001, 0)
	f(`{"keys_base64":["/wByYXc="]}`, 1, 5002, 0)
	f(`{"prefix":"user:"}`, 5000, 3, 0)
	f(`{"prefix":"nobody"}`, 0, 5003, 0)
	f(`{"prefix":""}`, 5003, 0, 0)
	f(`{}`, 0, 5003, fault.Invalid)
	f(`{"keys":["a"],"prefix":"b"}`, 0, 5003, fault.Invalid)
	f(`{"keys":["session:1",""]}`, 0, 5003, fault.Invalid)
	f(`{"keys":["`+strings.Repeat("k", 251)+`"]}`, 0, 5003, fault.Invalid)
}

func TestApplyEndsWithItsContext(t *testing.T) {
	s := store(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	empty := ""
	if _, err := Apply(ctx, s, Request{Prefix: &empty}, now); fault.Of(err) != fault.Timeout {
		t.Errorf("error %v, want a timeout", err)
	}
}

func TestPublisherBatchesAndNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan Batch, 1000)
		p := NewPublisher(now, func(b Batch) { events <- b })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()

		p.Add(session.Change{Key: []byte("k"), Flags: 3, Expires: now + 60, Size: 5, CAS: 9})
		p.Add(session.Change{Key: []byte("\xff"), Deleted: true})
		synctest.Wait()
		if len(events) != 0 {
			t.Error("an event was sent before others could join it")
		}
		time.Sleep(gather)
		synctest.Wait()
		want := []Batch{{Number: 1, Start: now, Changes: []Change{
			{Op: "stored", Key: "k", Flags: 3, Expires: now + 60, Size: 5, CAS: 9},
			{Op: "deleted", Base64: []byte("\xff")},
		}}}
		if d := cmp.Diff(want, []Batch{<-events}); d != "" {
			t.Error(d)
		}

		for i := range maxWaiting + 5 {
			p.Add(session.Change{Key: fmt.Appendf(nil, "%0200d", i), Deleted: true})
		}
		cancel()
		<-done
		close(events)
		total, lost, i := 0, uint64(0), 0
		for b := range events {
			if b.Number != uint64(i+2) {
				t.Errorf("event %d has number %d", i, b.Number)
			}
			data, err := json.Marshal(b)
			if err != nil || len(data) > 64<<10 {
				t.Errorf("event %d has %d bytes, error %v", i, len(data), err)
			}
			total, lost, i = total+len(b.Changes), lost+b.Lost, i+1
		}
		if total != maxWaiting || lost != 5 {
			t.Errorf("sent %d, lost %d; want %d, 5", total, lost, maxWaiting)
		}
		if sent, lost := p.Counts(); sent != maxWaiting+2 || lost != 5 {
			t.Errorf("counted %d sent, %d lost", sent, lost)
		}
	})
}
