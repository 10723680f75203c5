package config

import (
	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/shared/conf"
)

// Content is what a pool does with bodies.
type Content struct {
	Compress        *Compress        `yaml:"compress" doc:"Compress answers for clients that can decode them; absent means no, {} takes what suits most."`
	BufferRequests  *BufferRequests  `yaml:"buffer_requests" doc:"Ask a member only when all of the request is here, so that slow uploads hold none and any try can be made again; absent means that a body is passed on as it comes."`
	BufferResponses *BufferResponses `yaml:"buffer_responses" doc:"Take answers off members as fast as they come, so that slow clients hold none. Streams of events, and answers with X-Accel-Buffering: no, are passed on as they come. Absent means that a member waits for its client."`
}

// Compress is the section `compress` of a pool, and of files.
type Compress struct {
	Codings []string  `yaml:"codings" single:"true" default:"[zstd, br, gzip]" enum:"zstd|br|gzip" max:"3" doc:"Codings to use, the best one first; the client's own preference comes before it."`
	Types   []string  `yaml:"types" single:"true" max:"256" doc:"Types of answers that are compressed, such as text/html, text/*, application/*+json; empty means text, JSON, XML, JavaScript, WebAssembly, SVG and fonts that are not compressed yet."`
	Min     conf.Size `yaml:"min_size" default:"1KiB" min:"1" max:"1GiB" doc:"Smaller answers go out as they are, where their length is known."`
	Level   string    `yaml:"level" default:"default" enum:"fast|default|best" doc:"How hard to try: best takes up to three times as long as fast for answers that are smaller by a tenth to a fifth."`
}

// Validate checks the types and the codings against each other.
func (c *Compress) Validate(r *conf.Report) {
	for i, s := range c.Types {
		if _, err := encoding.ParseTypes([]string{s}); err != nil {
			r.At("types").At(i).Errorf("%v", err)
		}
	}
	for i, s := range c.Codings {
		for _, o := range c.Codings[:i] {
			if o == s {
				r.At("codings").At(i).Errorf("%q is listed twice", s)
			}
		}
	}
}

// Policy returns what the section says, nil for none. A section that was validated has a policy.
func (c *Compress) Policy() (*encoding.Policy, error) {
	if c == nil {
		return nil, nil
	}
	types := c.Types
	if len(types) == 0 {
		types = encoding.DefaultTypes()
	}
	set, err := encoding.ParseTypes(types)
	if err != nil {
		return nil, err
	}
	p := &encoding.Policy{Types: set, Min: int64(c.Min)}
	p.Level, _ = encoding.ParseLevel(c.Level)
	for _, name := range c.Codings {
		if coding, ok := encoding.ParseCoding(name); ok {
			p.Prefer = append(p.Prefer, coding)
		}
	}
	return p, nil
}

// BufferRequests is the section `buffer_requests` of a pool.
type BufferRequests struct {
	Memory conf.Size `yaml:"memory" default:"64KiB" max:"64MiB" doc:"What of one request's body is kept in memory; the rest goes to a file."`
	Max    conf.Size `yaml:"max" default:"1GiB" min:"1KiB" max:"1TiB" doc:"Largest body of a request, 413 beyond it."`
}

// BufferResponses is the section `buffer_responses` of a pool.
type BufferResponses struct {
	Memory conf.Size `yaml:"memory" default:"64KiB" max:"64MiB" doc:"What of one answer waits in memory; the rest goes to a file."`
	Max    conf.Size `yaml:"max" default:"1GiB" min:"16KiB" max:"1TiB" doc:"What of one answer may wait; beyond it the member waits for the client."`
}

// Buffers is the section `buffers`: memory and files that requests share.
type Buffers struct {
	Windows     conf.Size `yaml:"windows" default:"64MiB" max:"64GiB" doc:"By how much the windows of uploads by HTTP/2 may be larger than their address's window, in all; beyond it they stay as they are. As much content may wait in memory for members that no longer keep up."`
	Dir         string    `yaml:"dir" max:"4096" doc:"Directory for what is buffered and does not fit in memory; its files have no name and vanish with the daemon. Empty means the directory buffers of state. Changes with a restart."`
	Memory      conf.Size `yaml:"memory" default:"64MiB" max:"64GiB" doc:"Memory for requests and answers that are buffered, in all; beyond it they go to files at once."`
	Files       conf.Size `yaml:"files" default:"4GiB" max:"64TiB" doc:"Files of requests and answers that are buffered, in all. Beyond it a request is answered 503, and a member waits for its client."`
	Compression conf.Size `yaml:"compression" default:"256MiB" max:"64GiB" doc:"Memory for compressing, in all; one answer takes 0.9 to 5.4 MiB while it is on its way. Beyond it answers go out as they are."`
}
