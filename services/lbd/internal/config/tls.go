package config

import (
	"slices"
	"time"

	"github.com/everup/everup/services/lbd/internal/certs"
	"github.com/everup/everup/shared/conf"
)

// TLS is a section of `tls`: how clients are met at the listeners that name it.
type TLS struct {
	Certificates []Certificate   `yaml:"certificates" single:"true" required:"true" max:"4096" doc:"Certificates with their keys. New files are taken within seconds, without a reload."`
	Default      string          `yaml:"default" max:"253" doc:"Name whose certificate is shown to clients that ask for a name without one, or for none; empty means the first certificate."`
	StrictSNI    bool            `yaml:"strict_sni" default:"false" doc:"Refuse such clients (unrecognized_name) instead."`
	Policy       string          `yaml:"policy" default:"intermediate" enum:"intermediate|modern" doc:"intermediate: TLS 1.3, and 1.2 with ephemeral keys and authenticated encryption. modern: TLS 1.3 alone."`
	Min          string          `yaml:"min_version" enum:"1.2|1.3" doc:"Lowest version; empty means the policy's."`
	Max          string          `yaml:"max_version" enum:"1.2|1.3" doc:"Highest version; empty means 1.3."`
	Curves       []string        `yaml:"curves" single:"true" enum:"x25519mlkem768|x25519|p256|p384|p521" max:"5" doc:"Groups for the key exchange; empty means all, and some more with post-quantum keys."`
	Clients      *ClientCerts    `yaml:"clients" doc:"Certificates of clients; absent means that none are asked for."`
	Tickets      Tickets         `yaml:"tickets" doc:"Session tickets. All lbd of a fleet take each other's: their keys come from the fleet's secret and the time."`
	Expiry       []conf.Duration `yaml:"expiry" single:"true" default:"[30d, 7d, 1d]" max:"8" doc:"How long before a certificate's end that is told, but not before a third of its life is left."`
}

// Certificate is one of a section `tls`. In the file it may be cert alone.
type Certificate struct {
	Cert  string   `yaml:"cert" short:"true" required:"true" max:"4096" doc:"File of the certificate with its chain (PEM), or a directory: the files *.pem and *.crt in it, and subdirectories with fullchain.pem and privkey.pem."`
	Key   string   `yaml:"key" max:"4096" doc:"File of its key (PEM); empty means that it is in cert, or beside it: x.key or x.pem.key for x.pem."`
	OCSP  string   `yaml:"ocsp" max:"4096" doc:"File of the OCSP answer to staple (DER); empty means x.pem.ocsp for x.pem, if that is there."`
	Names []string `yaml:"names" single:"true" max:"1024" doc:"Names to show it for, *.name for all names of one more label; empty means those in the certificate."`
}

// ClientCerts is the section `clients` of a section `tls`.
type ClientCerts struct {
	Mode string `yaml:"mode" default:"required" enum:"optional|required" doc:"required: clients without a good certificate are refused. optional: those with one that is not good are; rules tell by tls_client who has one."`
	CA   string `yaml:"ca" required:"true" max:"4096" doc:"File of the authorities (PEM) that clients' certificates must come from."`
	CRL  string `yaml:"crl" max:"4096" doc:"File of their lists of revoked certificates (PEM or DER). One that should have been renewed stays in force, and is told of."`
}

// Tickets is the section `tickets` of a section `tls`. In the file it may be enabled alone.
type Tickets struct {
	Enabled bool          `yaml:"enabled" short:"true" default:"true" doc:"Let clients resume sessions."`
	Rotate  conf.Duration `yaml:"rotate" default:"12h" min:"1m" max:"3d" doc:"How long a key is used; it is accepted for as long again. All lbd of a fleet need the same."`
}

// Options is the section in the terms of package certs.
func (t *TLS) Options() certs.Options {
	o := certs.Options{
		Strict: t.StrictSNI, Policy: certs.Policy{Preset: t.Policy, Min: t.Min, Max: t.Max, Curves: t.Curves},
		Tickets: certs.Tickets{Off: !t.Tickets.Enabled, Rotate: t.Tickets.Rotate.Std()},
	}
	o.Default, _ = certs.CheckName(t.Default)
	for _, c := range t.Certificates {
		s := certs.Source{Cert: c.Cert, Key: c.Key, OCSP: c.OCSP}
		for _, n := range c.Names {
			name, _ := certs.CheckName(n)
			s.Names = append(s.Names, name)
		}
		o.Certificates = append(o.Certificates, s)
	}
	if c := t.Clients; c != nil {
		o.Clients = &certs.Clients{Required: c.Mode == "required", CA: c.CA, CRL: c.CRL}
	}
	for _, e := range t.Expiry {
		o.Expiry = append(o.Expiry, e.Std())
	}
	slices.SortFunc(o.Expiry, func(a, b time.Duration) int { return int(b/time.Second - a/time.Second) })
	return o
}

// Validate checks what is written and, unless that is not wanted, the files that it names.
func (t *TLS) Validate(r *conf.Report) {
	ok := true
	for i, c := range t.Certificates {
		at := r.At("certificates").At(i)
		if slices.ContainsFunc(t.Certificates[:i], func(o Certificate) bool { return o.Cert == c.Cert && o.Key == c.Key && slices.Equal(o.Names, c.Names) }) {
			at.At("cert").Errorf("%q is listed twice", c.Cert)
		}
		for j, n := range c.Names {
			if _, good := certs.CheckName(n); !good {
				ok = false
				at.At("names").At(j).Hintf("write www.example.com or *.example.com", "%q is no host name", n)
			}
		}
	}
	if _, good := certs.CheckName(t.Default); t.Default != "" && !good {
		ok = false
		r.At("default").Hintf("write www.example.com", "%q is no host name", t.Default)
	}
	if err := t.Options().Policy.Check(); err != nil {
		r.At("policy").Errorf("%v", err)
	}
	for i, e := range t.Expiry {
		if e <= 0 {
			r.At("expiry").At(i).Errorf("is not before the end")
		}
	}
	if ok && !r.Offline() {
		tellFiles(r, certs.Check(t.Options(), time.Now()))
	}
}

// tellFiles reports files that cannot be used. What works all the same is told by the daemon, as health.
func tellFiles(r *conf.Report, problems []certs.Problem) {
	for _, p := range problems {
		if p.Kind != certs.Broken {
			continue
		}
		at := r
		for _, elem := range p.At {
			at = at.At(elem)
		}
		at.Errorf("%s", p)
	}
}

// TLSNames returns the names of the sections in order.
func (c *Config) TLSNames() []string { return texts(sortedNames(c.TLS)) }

// Fronts returns all sections in the terms of package certs, by name.
func (c *Config) Fronts() map[string]certs.Options {
	out := make(map[string]certs.Options, len(c.TLS))
	for name, t := range c.TLS {
		out[string(name)] = t.Options()
	}
	return out
}

// Backs returns how members are met by TLS, by pool.
func (c *Config) Backs() map[string]certs.BackOptions {
	out := map[string]certs.BackOptions{}
	for name, p := range c.Pools {
		if p.TLS != nil {
			out[string(name)] = p.TLS.options(p.HTTP2)
		}
	}
	return out
}
