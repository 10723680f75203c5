package config

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/certs"
	"github.com/everup/everup/shared/conf"
)

// MemberTLS is the section `tls` of a pool.
type MemberTLS struct {
	CA         string `yaml:"ca" max:"4096" doc:"File of the authorities (PEM) that members' certificates must come from; empty means those of the system."`
	Cert       string `yaml:"cert" max:"4096" doc:"File of the certificate (PEM) that members are shown when they ask for one."`
	Key        string `yaml:"key" max:"4096" doc:"File of its key (PEM); empty means that it is in cert."`
	ServerName string `yaml:"server_name" max:"253" doc:"Name that members' certificates must be for, sent as SNI; empty means the host of the member's address."`
	Insecure   bool   `yaml:"insecure" default:"false" doc:"Do not verify members' certificates: whoever answers at the address is believed."`
}

// options is the section in the terms of package certs.
func (t *MemberTLS) options(http2 bool) certs.BackOptions {
	return certs.BackOptions{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName, Insecure: t.Insecure, HTTP2: http2}
}

// Validate checks that what is given fits together and, unless that is not wanted, the files.
func (t *MemberTLS) Validate(r *conf.Report) {
	if t.Key != "" && t.Cert == "" {
		r.At("key").Errorf("is without a cert")
	}
	if t.Insecure && t.CA != "" {
		r.At("insecure").Errorf("ca and insecure exclude each other")
	}
	if !r.Offline() {
		tellFiles(r, certs.CheckBack(t.options(false), time.Now()))
	}
}
