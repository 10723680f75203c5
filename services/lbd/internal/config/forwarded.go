package config

import (
	"slices"

	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/shared/conf"
)

// RequestID is the section `request_id`.
type RequestID struct {
	Accept string `yaml:"accept" default:"trusted" enum:"trusted|always|never" doc:"Whose X-Request-Id is kept, if it is of up to 128 letters, digits and -_.:/+=@; others get a new one (a UUID of version 7)."`
	Answer bool   `yaml:"answer" default:"false" doc:"Tell clients the id in X-Request-Id."`
}

// Forwarded is the section `forwarded` of a pool. In the file it may be true or false alone.
type Forwarded struct {
	Enabled   bool     `yaml:"enabled" short:"true" default:"true" doc:"false: tell members nothing of this. The client's own X-Forwarded-*, Forwarded and X-Request-Id pass only from trusted proxies, X-Request-Id from all."`
	Fields    []string `yaml:"fields" single:"true" default:"[for, proto, host]" max:"4" enum:"for|proto|host|port" doc:"Which of X-Forwarded-For, -Proto, -Host and -Port are sent."`
	RFC7239   string   `yaml:"rfc7239" default:"none" enum:"none|address|hidden" doc:"Send Forwarded (RFC 7239), with the client's address, or hidden: with an identifier that stays the same while lbd runs."`
	RequestID bool     `yaml:"request_id" default:"true" doc:"Send X-Request-Id."`
	Trace     string   `yaml:"trace" default:"pass" enum:"pass|make|drop" doc:"What becomes of traceparent and tracestate (W3C Trace Context). pass: valid ones pass. make: who has none gets a traceparent. drop: none is sent."`
	Sampled   int      `yaml:"trace_sampled" default:"0" min:"0" max:"100" doc:"Of the traces that make begins so many per cent are marked to be recorded."`
	Via       bool     `yaml:"via" default:"false" doc:"Send Via."`
}

// Validate checks what belongs together.
func (f *Forwarded) Validate(r *conf.Report) {
	if f.RFC7239 == "hidden" && slices.Contains(f.Fields, "for") {
		r.At("rfc7239").Hintf("give fields: [proto, host]", "is hidden, but X-Forwarded-For tells the address")
	}
	if f.Sampled > 0 && f.Trace != "make" {
		r.At("trace_sampled").Hintf("give trace: make", "is for traces that lbd begins")
	}
}

// Inform returns what members are told, in the terms of package engine.
func (f *Forwarded) Inform() (in engine.Inform) {
	if !f.Enabled {
		return 0
	}
	bits := map[string]engine.Inform{"for": engine.InformFor, "proto": engine.InformProto, "host": engine.InformHost, "port": engine.InformPort}
	for _, name := range f.Fields {
		in |= bits[name]
	}
	set := func(on bool, bit engine.Inform) {
		if on {
			in |= bit
		}
	}
	set(f.RFC7239 != "none", engine.InformForwarded)
	set(f.RFC7239 == "hidden", engine.InformHidden)
	set(f.RequestID, engine.InformID)
	set(f.Via, engine.InformVia)
	set(f.Trace == "drop", engine.InformNoTrace)
	return in
}
