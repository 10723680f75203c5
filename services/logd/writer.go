package logd

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/everup/everup/services/logd/internal/ingest"
	"github.com/everup/everup/services/logd/internal/record"
	"github.com/everup/everup/services/logd/internal/tail"
	"github.com/everup/everup/services/logd/internal/text"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
)

// writer moves records from the queue into the files and then into the ring. While the files cannot be written it holds
// what it has and tries again; so the queue fills, and TCP senders wait. It is one goroutine.
type writer struct {
	queue *ingest.Queue
	store *text.Store
	ring  *tail.Ring
	every time.Duration // between syncs
	disk  *health.Item
	emit  func(kind, object string, data any)

	written, bytes, mended, overflowed, replaced, failures *metric.Counter

	lost    *metric.Counter // given up at the stop
	counted text.Stats      // what of the store's is in the metrics
	failing bool
	dir     string
}

// retryEvery is the time between attempts while the files cannot be written.
const retryEvery = time.Second

func newWriter(r *metric.Registry) *writer {
	return &writer{
		written:    r.Counter("written_lines_total", "Lines written to files."),
		bytes:      r.Counter("written_bytes_total", "Bytes written to files."),
		mended:     r.Counter("mended_files_total", "Files whose last line, torn by a crash or a full disk, was cut off."),
		overflowed: r.Counter("overflow_lines_total", "Lines that went to _other.log, because there were too many hosts."),
		replaced:   r.Counter("replaced_files_total", "Files that were moved or removed while they were open."),
		failures:   r.Counter("write_failures_total", "Failed attempts to write or sync files."),
	}
}

// run works until the queue is closed and empty. When abandon ends, lines that cannot be written are given up.
func (w *writer) run(abandon context.Context) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	defer w.count()
	for {
		select {
		case <-w.queue.Ready():
			batch, more := w.queue.Take()
			if len(batch) > 0 {
				w.write(abandon, batch)
			}
			if !more {
				return w.close()
			}
		case <-tick.C:
			w.report(w.store.Sync())
			w.count()
		}
	}
}

// write writes batch, as often as it takes, and shows it to followers.
func (w *writer) write(abandon context.Context, batch []record.Record) {
	rest := batch
	for {
		n, err := w.store.Append(rest)
		rest = rest[n:]
		w.report(err)
		if err == nil {
			break
		}
		if !sleep(abandon, retryEvery) {
			w.lost.Add(uint64(len(rest)))
			return
		}
	}
	w.ring.Add(batch)
	w.count()
}

// report turns the outcome of an attempt into health and events.
func (w *writer) report(err error) {
	if err == nil {
		if w.failing {
			w.failing = false
			w.emit("disk-ok", w.dir, nil)
		}
		w.disk.OK()
		return
	}
	w.failures.Inc()
	hint := "messages wait in memory and at their senders; datagrams are dropped"
	if errors.Is(err, fault.Full) {
		hint = "free room or lower keep; until then " + hint
	}
	w.disk.Fail(err.Error(), hint)
	if !w.failing {
		w.failing = true
		w.emit("disk-full", w.dir, map[string]string{"error": err.Error(), "class": fault.Of(err).String()})
	}
}

// count brings the store's counts into the metrics.
func (w *writer) count() {
	now, old := w.store.Stats, w.counted
	w.written.Add(now.Lines - old.Lines)
	w.bytes.Add(now.Bytes - old.Bytes)
	w.mended.Add(now.Mended - old.Mended)
	w.overflowed.Add(now.Overflowed - old.Overflowed)
	w.replaced.Add(now.Replaced - old.Replaced)
	w.counted = now
}

// close writes what it can; what the store still holds then is lost and counted.
func (w *writer) close() error {
	err := w.store.Close()
	w.lost.Add(uint64(w.store.Held()))
	return err
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retainEvery is how often expired days are looked for.
const retainEvery = 10 * time.Minute

// retain deletes expired days until ctx ends. The current day is never deleted.
func retain(ctx context.Context, root *os.Root, loc *time.Location, keep func() time.Duration, removed func(text.Day, error)) {
	for {
		days, err := text.Days(root)
		if err != nil {
			removed(text.Day{}, err)
		}
		for _, d := range text.Expired(days, time.Now(), keep(), loc) {
			removed(d, text.Remove(root, d))
		}
		if !sleep(ctx, retainEvery) {
			return
		}
	}
}
