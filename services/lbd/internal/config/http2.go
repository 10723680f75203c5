package config

import (
	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/shared/conf"
)

// HTTP2 is the section `http2` of a listener. In the file it may be enabled alone.
type HTTP2 struct {
	Enabled bool         `yaml:"enabled" short:"true" default:"true" doc:"Whether it is spoken."`
	Streams int          `yaml:"streams" default:"100" min:"1" max:"10000" doc:"Requests of a connection at once; further ones are refused (REFUSED_STREAM), which clients may send again."`
	Window  conf.Size    `yaml:"window" default:"64KiB" min:"64KiB" max:"16MiB" doc:"Content of a request that is kept until its member takes it: an upload gets no further than so much in a round trip."`
	Grown   conf.Size    `yaml:"max_window" default:"4MiB" max:"64MiB" doc:"The window of an upload that it holds up grows to as much while the member keeps up, within buffers.windows; a smaller one than window means that none grows."`
	Shared  conf.Size    `yaml:"connection_window" default:"0" max:"1GiB" doc:"The same for all requests of a connection together, and once more for windows that grow; 0 means streams times window, 64MiB at most. With less than streams times window, requests whose members are slow keep others of their connection waiting."`
	Allow   HTTP2Allowed `yaml:"allow" doc:"How often in a second a client may do what costs lbd more than itself, and ten times as often at once; who does so more ends its connection (ENHANCE_YOUR_CALM)."`
}

// HTTP2Allowed is the section `allow` of a section `http2`.
type HTTP2Allowed struct {
	Resets   int `yaml:"resets" default:"50" min:"1" max:"1000000" doc:"Requests that it gives up, or makes lbd reset by faults of its own (rapid reset, MadeYouReset), less one for each that was answered; at least streams of them at once. The same for requests beyond streams."`
	Pings    int `yaml:"pings" default:"100" min:"1" max:"1000000" doc:"PING, less two for each frame of content."`
	Settings int `yaml:"settings" default:"5" min:"1" max:"1000000" doc:"SETTINGS."`
	Updates  int `yaml:"window_updates" default:"500" min:"1" max:"1000000" doc:"WINDOW_UPDATE, less four for each frame of content."`
	Empty    int `yaml:"empty" default:"10" min:"1" max:"1000000" doc:"DATA without content, less one for each frame of content."`
	Idle     int `yaml:"meaningless" default:"100" min:"1" max:"1000000" doc:"Frames that change nothing, such as PRIORITY, unknown ones and those of requests that are over, less four for each frame of content."`
}

// maxShared bounds what connection_window is where the file does not say.
const maxShared = 64 << 20

// Multiplexing returns what is spoken of HTTP/2 at the address, nil for nothing.
func (l *Listener) Multiplexing() *HTTP2 {
	switch {
	case l.HTTP2 != nil && !l.HTTP2.Enabled, l.HTTP2 == nil && l.TLS == "":
		return nil
	case l.HTTP2 != nil:
		return l.HTTP2
	}
	h := new(HTTP2)
	conf.SetDefaults(h)
	return h
}

// Bound puts the section's bounds into o.
func (h *HTTP2) Bound(o *http2.Options) {
	o.MaxStreams, o.StreamWindow, o.ConnWindow = h.Streams, int32(h.Window), int32(h.Shared)
	if h.Shared == 0 {
		o.ConnWindow = int32(min(int64(h.Streams)*int64(h.Window), maxShared))
	}
	o.MaxWindow = int32(h.Grown)
	a := &h.Allow
	o.Allow = http2.Allowances{
		Resets: http2.Allow(a.Resets), Settings: http2.Allow(a.Settings), Pings: http2.Allow(a.Pings),
		Updates: http2.Allow(a.Updates), Empty: http2.Allow(a.Empty), Idle: http2.Allow(a.Idle),
	}
	o.Allow.Resets.Burst = max(o.Allow.Resets.Burst, int32(h.Streams)) // who leaves a page gives up all of it
}

// Validate checks the windows against each other.
func (h *HTTP2) Validate(r *conf.Report) {
	if h.Shared != 0 && h.Shared < h.Window {
		r.At("connection_window").Hintf("give 0 for what streams and window come to", "is %s, less than window, which is %s", h.Shared, h.Window)
	}
}
