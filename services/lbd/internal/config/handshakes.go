package config

import "github.com/everup/everup/shared/conf"

// Handshakes is the section `handshakes`.
type Handshakes struct {
	Rate  int `yaml:"rate" default:"100" min:"0" max:"1000000" doc:"TLS handshakes that a source, which is an IPv4 address or an IPv6 network of 64 bits, may begin in a second; one too many is closed before anything is computed for it. 0 means no bound."`
	Burst int `yaml:"burst" default:"500" min:"1" max:"1000000" doc:"How many it may begin at once after a pause."`
	Most  int `yaml:"max_at_once" default:"1000" min:"1" max:"1000000" doc:"Handshakes under way at once on each processor, with all clients and members together; further ones are refused (connection_failures_total, reason busy)."`
}

// Validate checks that the burst is no less than the rate.
func (h *Handshakes) Validate(r *conf.Report) {
	if h.Burst < h.Rate {
		r.At("burst").Errorf("is less than rate")
	}
}
