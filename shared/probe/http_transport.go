package probe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
)

// newTransport returns a Transport for one request, which connects to t and to nothing else. Its connection
// ends with ctx, whatever the Transport thinks of dials in the background.
func newTransport(ctx context.Context, d dialer, t Target, tc *tls.Config, p *http.Protocols) *http.Transport {
	return &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			c, err := d.dial(ctx, "tcp", t)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		TLSClientConfig:        tc,
		Protocols:              p,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxConnsPerHost:        1,
		MaxResponseHeaderBytes: 32 << 10,
	}
}
