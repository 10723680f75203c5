package accesslog

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/syslog"
)

// Spec is one log: what is written, and where to.
type Spec struct {
	Format *Format
	Sample Sample
	Syslog string // host:port; empty: none
	File   string // path; empty: none
	Stdout bool
}

// Env is what a Log needs.
type Env struct {
	Node    string
	Stdout  io.Writer // for Spec.Stdout
	Metrics *metric.Registry
	Health  *health.Registry
}

// Log takes entries to the places of its logs. Safe for concurrent use.
type Log struct {
	env    Env
	pid    string
	counts counts
	lines  sync.Pool
	now    atomic.Pointer[Set]
	item   *health.Item
	ctx    context.Context
	end    context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	places  map[string]*running
	leaving []*running       // end
	failing map[string]error // by place
	gone    syslog.Counts    // of senders that ended
}

// counts are what all streams have done.
type counts struct{ lines, dropped, failed atomic.Uint64 }

// running is a place with its goroutine.
type running struct {
	place
	sender *syslog.Sender // nil: it is a stream
	end    context.CancelFunc
	ended  chan struct{}
}

// output is a log in force.
type output struct {
	format  *Format
	sampler sampler
	places  []place
}

// Set is what Prepare makes: logs whose places are open.
type Set struct {
	outputs []*output
	places  map[string]*running
	fresh   []string // of places, those that are not the Log's yet
}

// New returns a log that writes nothing. Close it.
func New(env Env) *Log {
	l := &Log{env: env, pid: strconv.Itoa(os.Getpid()), places: map[string]*running{}, failing: map[string]error{}}
	l.lines.New = func() any { b := make([]byte, 0, 1024); return &b }
	l.ctx, l.end = context.WithCancel(context.Background())
	l.item = env.Health.Item("lbd.access-log.unwritten", health.Options{Title: "access logs lose lines"})
	l.register(env.Metrics)
	return l
}

// On reports whether anything is logged.
func (l *Log) On() bool { return l.now.Load() != nil }

// Log takes e. It never blocks and keeps nothing of e.
func (l *Log) Log(e *Entry) {
	s := l.now.Load()
	if s == nil {
		return
	}
	line := l.lines.Get().(*[]byte)
	for _, o := range s.outputs {
		of, ok := o.sampler.takes(e)
		if !ok {
			continue
		}
		*line = o.format.Append((*line)[:0], e, of)
		for _, p := range o.places {
			p.take(e, *line)
		}
	}
	if cap(*line) <= keepLine {
		l.lines.Put(line)
	}
}

// keepLine bounds the buffers that are used again.
const keepLine = 64 << 10

// Prepare opens what specs name and is not open yet. The set goes to Use or to Discard.
func (l *Log) Prepare(specs []Spec) (*Set, error) {
	s := &Set{places: map[string]*running{}}
	for i := range specs {
		o := &output{format: specs[i].Format, sampler: sampler{Sample: specs[i].Sample}}
		for _, key := range keys(&specs[i]) {
			p, err := l.open(s, key)
			if err != nil {
				l.Discard(s)
				return nil, err
			}
			o.places = append(o.places, p.place)
		}
		if len(o.places) > 0 {
			s.outputs = append(s.outputs, o)
		}
	}
	return s, nil
}

// keys name the places of a log.
func keys(s *Spec) (out []string) {
	if s.Syslog != "" {
		out = append(out, "syslog "+s.Syslog)
	}
	if s.File != "" {
		out = append(out, "file "+s.File)
	}
	if s.Stdout {
		out = append(out, "stdout")
	}
	return out
}

// open returns the place of a key, which several logs may share.
func (l *Log) open(s *Set, key string) (*running, error) {
	if p := s.places[key]; p != nil {
		return p, nil
	}
	l.mu.Lock()
	p := l.places[key]
	l.mu.Unlock()
	if p == nil {
		var err error
		if p, err = l.make(key); err != nil {
			return nil, err
		}
		s.fresh = append(s.fresh, key)
	}
	s.places[key] = p
	return p, nil
}

func (l *Log) make(key string) (*running, error) {
	p := &running{}
	kind, at, _ := strings.Cut(key, " ")
	switch kind {
	case "syslog":
		p.sender = syslog.NewSender(at, syslog.Env{Health: l.env.Health, Item: "syslog.unreachable." + at})
		p.place = &sender{Sender: p.sender, node: l.env.Node, pid: l.pid}
	case "file":
		f, err := openFile(at)
		if err != nil {
			return nil, err
		}
		p.place = newStream(key, f, &l.counts, l.told)
	default:
		p.place = newStream(key, l.env.Stdout, &l.counts, l.told)
	}
	return p, nil
}

// Discard closes what was opened for a set that is not used.
func (l *Log) Discard(s *Set) {
	for _, key := range s.fresh {
		if st, ok := s.places[key].place.(*stream); ok {
			st.end()
		}
		l.forget(key)
	}
}

// Use puts a set in force. Places that stay are opened anew, for what they write to may have been moved away; those that go
// write what waits first.
func (l *Log) Use(s *Set) {
	l.mu.Lock()
	old := l.places
	l.places = s.places
	for key, p := range old {
		if s.places[key] != p {
			l.leaving = append(l.leaving, p)
		}
	}
	l.mu.Unlock()
	for _, key := range s.fresh {
		l.start(s.places[key])
	}
	s.fresh = nil
	if len(s.outputs) > 0 {
		l.now.Store(s)
	} else {
		l.now.Store(nil)
	}
	for key, p := range old {
		if s.places[key] == p {
			p.reopen()
			continue
		}
		l.stop(p)
		l.forget(key)
	}
}

// start runs a place.
func (l *Log) start(p *running) {
	ctx, end := context.WithCancel(l.ctx)
	p.end, p.ended = end, make(chan struct{})
	l.wg.Go(func() {
		defer close(p.ended)
		p.run(ctx)
	})
}

// stop ends a place and waits for it.
func (l *Log) stop(p *running) {
	p.end()
	<-p.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaving = slices.DeleteFunc(l.leaving, func(o *running) bool { return o == p })
	if p.sender != nil {
		add(&l.gone, p.sender.Counts())
		l.gone.Waiting = 0
	}
}

// add adds c to all.
func add(all *syslog.Counts, c syslog.Counts) {
	all.Sent += c.Sent
	all.Dropped += c.Dropped
	all.Broken += c.Broken
	all.Waiting += c.Waiting
}

// forget removes what is told of a place.
func (l *Log) forget(key string) {
	if at, ok := strings.CutPrefix(key, "syslog "); ok {
		l.env.Health.Remove("syslog.unreachable." + at)
	}
	l.told(key, nil)
}

// Close writes what waits and ends the goroutines.
func (l *Log) Close() {
	l.now.Store(nil)
	l.end()
	l.wg.Wait()
}

// told is told whether a place takes lines.
func (l *Log) told(place string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.failing[place] == nil {
		return
	}
	if err == nil {
		delete(l.failing, place)
	} else {
		l.failing[place] = err
	}
	if len(l.failing) == 0 {
		l.item.OK()
		return
	}
	var all []error
	for _, key := range slices.Sorted(maps.Keys(l.failing)) {
		all = append(all, l.failing[key])
	}
	l.item.Warn(errors.Join(all...).Error(), "is the disk full, and may lbd write there?")
}

// register makes the metrics.
func (l *Log) register(r *metric.Registry) {
	c := &l.counts
	r.CounterFunc("access_log_lines_total", "Lines of access logs written to files and standard output.", c.lines.Load)
	r.CounterFunc("access_log_dropped_total", "Lines not written to files and standard output because 4 MiB waited there.", c.dropped.Load)
	r.CounterFunc("access_log_failed_total", "Lines that a file or standard output did not take, as when a disk is full.", c.failed.Load)
	r.GaugeFunc("access_log_waiting_bytes", "Bytes that wait for files and standard output.", func() float64 { return float64(l.waiting()) })
	sum := func(f func(syslog.Counts) uint64) func() uint64 { return func() uint64 { return f(l.sent()) } }
	r.CounterFunc("syslog_sent_messages_total", "Messages handed to syslog connections.", sum(func(c syslog.Counts) uint64 { return c.Sent }))
	r.CounterFunc("syslog_dropped_messages_total", "Messages dropped because 4 MiB were waiting for a syslog server.", sum(func(c syslog.Counts) uint64 { return c.Dropped }))
	r.CounterFunc("syslog_broken_connections_total", "Times a connection to a syslog server broke.", sum(func(c syslog.Counts) uint64 { return c.Broken }))
	r.GaugeFunc("syslog_waiting_bytes", "Bytes waiting for syslog servers.", func() float64 { return float64(l.sent().Waiting) })
}

// allLocked returns the places that run.
func (l *Log) allLocked() []*running {
	return slices.AppendSeq(slices.Clone(l.leaving), maps.Values(l.places))
}

// waiting returns the bytes that wait for streams.
func (l *Log) waiting() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.allLocked() {
		if s, ok := p.place.(*stream); ok {
			n += s.waiting()
		}
	}
	return n
}

// sent returns what all senders have done.
func (l *Log) sent() syslog.Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.gone
	for _, p := range l.allLocked() {
		if p.sender != nil {
			add(&all, p.sender.Counts())
		}
	}
	return all
}
