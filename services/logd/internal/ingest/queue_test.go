package ingest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/services/logd/internal/record"
)

func rec(text string) *record.Record {
	return &record.Record{Message: parse.Message{Raw: []byte(text), Text: []byte(text)}}
}

func TestQueueBounds(t *testing.T) {
	q := NewQueue(2, 1<<20)
	if !q.TryPut(rec("a")) || !q.TryPut(rec("b")) || q.TryPut(rec("c")) {
		t.Fatal("bound of messages not kept")
	}
	q = NewQueue(100, 2*rec("aa").Size())
	if !q.TryPut(rec("aa")) || !q.TryPut(rec("bb")) || q.TryPut(rec("c")) {
		t.Fatal("bound of bytes not kept")
	}
	q = NewQueue(100, 1)
	if !q.TryPut(rec("larger than the bound")) || q.TryPut(rec("b")) {
		t.Fatal("one message must always fit, a second not")
	}
}

func TestQueuePutWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(1, 1<<20)
		q.TryPut(rec("a"))
		done := make(chan bool)
		go func() { done <- q.Put(t.Context(), rec("b")) }()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("Put did not wait")
		default:
		}
		if batch, _ := q.Take(); len(batch) != 1 || string(batch[0].Text) != "a" {
			t.Fatalf("took %v", batch)
		}
		if !<-done {
			t.Fatal("Put gave up")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if q.Put(ctx, rec("c")) {
			t.Fatal("Put took a message into a full queue")
		}
	})
}

func TestQueueClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(1, 1<<20)
		q.TryPut(rec("a"))
		done := make(chan bool)
		go func() { done <- q.Put(t.Context(), rec("b")) }()
		synctest.Wait()
		q.Close()
		if <-done {
			t.Fatal("Put into a closed queue")
		}
		if batch, more := q.Take(); len(batch) != 1 || !more {
			t.Fatalf("what was queued before Close is lost: %v %v", batch, more)
		}
		if batch, more := q.Take(); len(batch) != 0 || more {
			t.Fatalf("after the last: %v %v", batch, more)
		}
	})
}

// TestQueueCloseIsSeenByTheTaker closes while the token of an earlier message is still there: the taker must be woken once more.
func TestQueueCloseIsSeenByTheTaker(t *testing.T) {
	q := NewQueue(10, 1<<20)
	q.TryPut(rec("a"))
	q.Close()
	for range 2 {
		select {
		case <-q.Ready():
		default:
			t.Fatal("no token: the taker would wait for ever")
		}
		if _, more := q.Take(); !more {
			return
		}
	}
	t.Fatal("the end was not seen")
}
