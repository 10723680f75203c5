package lbd

import (
	"os"
	"path/filepath"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/spool"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/metric"
)

// content is what a pool does with bodies. It is not changed once it is in use.
type content struct {
	compress  *encoding.Policy
	requests  *engine.Buffering
	responses *engine.Buffering
}

// contents are what a configuration does with bodies.
type contents struct {
	pools map[string]*content // by name
	files []*encoding.Policy  // by route; nil: files go as they are, or there are none
}

func newContents(c *Config) (*contents, error) {
	out := &contents{make(map[string]*content, len(c.Pools)), make([]*encoding.Policy, len(c.Routes))}
	for name, p := range c.Pools {
		policy, err := p.Compress.Policy()
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "lbd: pools.%s.compress", name)
		}
		out.pools[string(name)] = &content{policy, requestsOf(p), responsesOf(p)}
	}
	for i := range c.Routes {
		f := c.Routes[i].Files
		if f == nil {
			continue
		}
		var err error
		if out.files[i], err = f.Compress.Policy(); err != nil {
			return nil, fault.Wrap(fault.Config, err, "lbd: routes[%d].files.compress", i)
		}
	}
	return out, nil
}

func requestsOf(p *config.Pool) *engine.Buffering {
	if b := p.BufferRequests; b != nil {
		return &engine.Buffering{Memory: int64(b.Memory), Max: int64(b.Max)}
	}
	return nil
}

func responsesOf(p *config.Pool) *engine.Buffering {
	if b := p.BufferResponses; b != nil {
		return &engine.Buffering{Memory: int64(b.Memory), Max: int64(b.Max)}
	}
	return nil
}

// plan fills in what becomes of bodies.
func (c *content) plan(p *engine.Plan, plain bool) {
	p.BufferRequest, p.BufferResponse = c.requests, c.responses
	if !plain {
		p.Compress = c.compress
	}
}

// makeBuffers makes what the engine buffers and compresses with.
func (s *Service) makeBuffers(c *Config) error {
	dir := c.Buffers.Dir
	if dir == "" {
		dir = filepath.Join(s.env.State.Path(), "buffers")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Wrap(fault.Config, err, "lbd: buffers.dir")
	}
	s.spools, s.encoders = spool.New(dir, spool.Limits{}), encoding.NewPool(0)
	s.setBuffers(c)
	return nil
}

// setBuffers puts their bounds in force.
func (s *Service) setBuffers(c *Config) {
	s.spools.SetLimits(spool.Limits{Memory: int64(c.Buffers.Memory), Files: int64(c.Buffers.Files)})
	s.encoders.SetLimit(int64(c.Buffers.Compression))
}

// registerContent makes the metrics of buffers and compression.
func (s *Service) registerContent(r *metric.Registry) {
	r.GaugeFunc("buffers", "Requests and answers that are buffered.", func() float64 { return float64(s.spools.Counts().Spools) })
	r.GaugeFunc("buffer_memory_bytes", "Memory of what is buffered.", func() float64 { return float64(s.spools.Counts().Memory) })
	r.GaugeFunc("buffer_file_bytes", "Size of the files of what is buffered.", func() float64 { return float64(s.spools.Counts().Files) })
	full := func(bound string, n func(spool.Counts) int64) {
		r.CounterFunc("buffer_full_total", "Times that something found no room in a buffer: its own bound, that of all, or an error of a file.",
			func() uint64 { return uint64(n(s.spools.Counts())) }, metric.Label{Name: "bound", Value: bound})
	}
	full("own", func(c spool.Counts) int64 { return c.Limited })
	full("all", func(c spool.Counts) int64 { return c.Full })
	full("file", func(c spool.Counts) int64 { return c.Failed })
	for _, name := range encoding.CodingNames() {
		coding, _ := encoding.ParseCoding(name)
		r.CounterFunc("compressed_answers_total", "Answers that were compressed.",
			func() uint64 { return uint64(s.encoders.Counts().Begun[coding]) }, metric.Label{Name: "coding", Value: name})
	}
	r.CounterFunc("compression_skipped_total", "Answers that went out as they are because all memory for compressing was in use.",
		func() uint64 { return uint64(s.encoders.Counts().Refused) })
	r.GaugeFunc("compression_memory_bytes", "Memory of encoders, in use and free.", func() float64 { return float64(s.encoders.Counts().Memory) })
}
