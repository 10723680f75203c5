package mcflags

import (
	"crypto/tls"
	"math"
)

// tlsSuboptions are those of TLS. They count only with -Z.
func tlsSuboptions() []suboption {
	all := []suboption{
		{"ssl_chain_cert", needsArgument, tlsText(func(t *TLS) *string { return &t.Cert }), ""},
		{"ssl_key", needsArgument, tlsText(func(t *TLS) *string { return &t.Key }), ""},
		{"ssl_ca_cert", needsArgument, tlsText(func(t *TLS) *string { return &t.CA }), ""},
		{"ssl_ciphers", needsArgument, tlsText(func(t *TLS) *string { return &t.Ciphers }), ""},
		{"ssl_keyformat", needsArgument, (*parser).tlsKeyFormat, ""},
		{"ssl_verify_mode", needsArgument, (*parser).tlsVerify, ""},
		{"ssl_min_version", needsArgument, (*parser).tlsMinVersion, ""},
		{"ssl_wbuf_size", needsArgument, sized(func(k *Kept) *int64 { return &k.TLSBuf }, 1<<10), bounded},
		{"ssl_session_cache", noArgument, func(p *parser, _ string) error { p.Kept.TLSSessionCache = true; return nil }, "sessions are resumed by tickets in any case"},
		{"ssl_kernel_tls", noArgument, func(p *parser, _ string) error { p.Kept.TLSKernel = true; return nil }, "the kernel's TLS is not used"},
	}
	for i := range all {
		set := all[i].set
		all[i].set = func(p *parser, v string) error { p.tlsGiven = true; return set(p, v) }
	}
	return all
}

func tlsText(of func(*TLS) *string) func(*parser, string) error {
	return func(p *parser, v string) error { return p.text(of(&p.TLS), v) }
}

func (p *parser) tlsKeyFormat(v string) error {
	n, err := p.strict(v, span{math.MinInt32, math.MaxInt32, "is not a number of 32 bits"})
	p.TLS.KeyFormat = KeyFormat(n)
	if err == nil && p.TLS.KeyFormat != PEM && p.TLS.KeyFormat != DER {
		p.note(p.at, "only 1 (PEM) and 2 (DER) are known; the key is read as PEM")
	}
	return err
}

func (p *parser) tlsVerify(v string) error {
	n, err := p.strict(v, span{0, 3, "is not one of 0 (none), 1 (request), 2 (require) and 3 (once)"})
	p.TLS.Verify = VerifyMode(n)
	return err
}

func (p *parser) tlsMinVersion(v string) error {
	n, err := p.strict(v, span{0, 3, "is not one of 0 (TLS 1.0), 1 (1.1), 2 (1.2) and 3 (1.3)"})
	p.TLS.MinVersion = tlsVersion(n)
	return err
}

// tlsVersion is the version that ssl_min_version calls n.
func tlsVersion(n int64) uint16 { return tls.VersionTLS10 + uint16(n) }
