package traffic

import (
	"sync/atomic"
	"time"
)

// classes of status: 1xx to 5xx at 1 to 5, anything else at 0.
const classes = 6

// ClassNames are the classes as labels have them.
func ClassNames() []string { return []string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"} }

// maxShards bounds the memory of a cell: with more workers some share.
const maxShards = 8

// Cell counts the requests of one route or member: by Begin and End, or, where none is told to be under way, by Count alone.
type Cell struct {
	shards [maxShards]atomic.Pointer[shard] // made when first counted in
}

// shard is what one worker has counted. It is a multiple of a cache line.
type shard struct {
	class    [classes]atomic.Uint64
	took     atomic.Uint64 // ns
	sent     atomic.Uint64
	received atomic.Uint64
	retries  atomic.Uint64
	begun    atomic.Uint64
	dropped  atomic.Uint64
	buckets  [buckets]atomic.Uint64
	_        [(8 - (buckets+classes+6)%8) % 8]uint64
}

// shard returns a worker's.
func (c *Cell) shard(worker int) *shard {
	p := &c.shards[uint(worker)%maxShards]
	if s := p.Load(); s != nil {
		return s
	}
	p.CompareAndSwap(nil, new(shard))
	return p.Load()
}

// Request is what is counted of a request that is over.
type Request struct {
	Status         int
	Took           time.Duration
	Sent, Received int64
	Retries        int
}

// Begin counts a request in. End or Drop counts it out.
func (c *Cell) Begin(worker int) { c.shard(worker).begun.Add(1) }

// Drop counts a request out that nothing else is known of.
func (c *Cell) Drop(worker int) { c.shard(worker).dropped.Add(1) }

// End counts a request out that Begin has counted in.
func (c *Cell) End(worker int, r *Request) { c.shard(worker).count(r) }

// Count counts a request.
func (c *Cell) Count(worker int, r *Request) { c.shard(worker).count(r) }

func (s *shard) count(r *Request) {
	class := r.Status / 100
	if class < 1 || class >= classes {
		class = 0
	}
	s.class[class].Add(1)
	s.buckets[bucketOf(r.Took)].Add(1)
	s.took.Add(uint64(max(r.Took, 0)))
	if r.Sent > 0 {
		s.sent.Add(uint64(r.Sent))
	}
	if r.Received > 0 {
		s.received.Add(uint64(r.Received))
	}
	if r.Retries > 0 {
		s.retries.Add(uint64(r.Retries))
	}
}

// Counts are what a Cell has counted.
type Counts struct {
	Class    [classes]uint64 `json:"class"` // by class of status: others, 1xx to 5xx
	Sent     uint64          `json:"sent"`
	Received uint64          `json:"received"`
	Retries  uint64          `json:"retries"`
	Took     time.Duration   `json:"took"` // all together
	InFlight int64           `json:"in_flight"`
	Buckets  [buckets]uint64 `json:"buckets"`
}

// Requests is the number of all.
func (c *Counts) Requests() (n uint64) {
	for _, k := range c.Class {
		n += k
	}
	return n
}

// Histogram fills counts for Bounds and returns the sum in seconds.
func (c *Counts) Histogram(counts []uint64) float64 {
	fold(&c.Buckets, counts)
	return c.Took.Seconds()
}

// read adds what was counted to n.
func (c *Cell) read(n *Counts) {
	for i := range c.shards {
		s := c.shards[i].Load()
		if s == nil {
			continue
		}
		ended := s.dropped.Load() // before begun: a request that ends meanwhile counts as under way
		for k := range s.class {
			count := s.class[k].Load()
			n.Class[k] += count
			ended += count
		}
		if begun := s.begun.Load(); begun > 0 {
			n.InFlight += int64(begun) - int64(ended)
		}
		for k := range s.buckets {
			n.Buckets[k] += s.buckets[k].Load()
		}
		n.Took += time.Duration(s.took.Load())
		n.Sent += s.sent.Load()
		n.Received += s.received.Load()
		n.Retries += s.retries.Load()
	}
}

// add adds b to c.
func (c *Counts) add(b *Counts) {
	for k := range b.Class {
		c.Class[k] += b.Class[k]
	}
	for k := range b.Buckets {
		c.Buckets[k] += b.Buckets[k]
	}
	c.Took += b.Took
	c.Sent += b.Sent
	c.Received += b.Received
	c.Retries += b.Retries
	c.InFlight += b.InFlight
}

// since takes what was counted at an earlier time off. A counter that went back has begun anew.
func (c *Counts) since(a *Counts) Counts {
	d := *c
	for k := range d.Class {
		d.Class[k] = less(c.Class[k], a.Class[k])
	}
	for k := range d.Buckets {
		d.Buckets[k] = less(c.Buckets[k], a.Buckets[k])
	}
	d.Took = time.Duration(less(uint64(c.Took), uint64(a.Took)))
	d.Sent, d.Received, d.Retries = less(c.Sent, a.Sent), less(c.Received, a.Received), less(c.Retries, a.Retries)
	return d
}

func less(now, before uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}
