package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// HTTPConfig is a check by one request. Redirects are not followed: a 302 is an answer like another.
type HTTPConfig struct {
	Method   string            `yaml:"method" default:"GET" doc:"Request method."`
	Path     string            `yaml:"path" default:"/" doc:"Path, with its query."`
	Host     string            `yaml:"host" doc:"Host header. Default: the target's name, else its address."`
	Headers  map[string]string `yaml:"headers" doc:"Further request headers. They are not secrets: config show prints them."`
	Status   Statuses          `yaml:"status" default:"200-399" doc:"Status codes that are well: numbers and ranges, comma-separated, e.g. 200,204,301-302."`
	Contains string            `yaml:"contains" doc:"Text that the body must contain."`
	Regex    string            `yaml:"regex" doc:"Regular expression (RE2) that the body must match."`
	Absent   string            `yaml:"absent" doc:"Regular expression (RE2) that the body must not match."`
	MaxBody  conf.Size         `yaml:"max_body" default:"64KiB" min:"1" max:"8MiB" doc:"How much of the body is read and searched. Nothing is read where nothing is searched for."`
	Protocol string            `yaml:"protocol" default:"http1" enum:"http1|http2" doc:"HTTP version; http2 without TLS means prior knowledge (h2c)."`
}

// Validate reports patterns, paths and headers that make no request.
func (c *HTTPConfig) Validate(r *conf.Report) {
	checkPattern(r, "regex", c.Regex)
	checkPattern(r, "absent", c.Absent)
	if _, err := c.request(context.Background(), "http", Target{Host: "target"}); err != nil {
		r.Errorf("makes no request: %v", err)
	}
}

// request builds the request to t.
func (c *HTTPConfig) request(ctx context.Context, scheme string, t Target) (*http.Request, error) {
	if !strings.HasPrefix(c.Path, "/") {
		return nil, fault.New(fault.Invalid, "path %q does not begin with /", c.Path)
	}
	u, err := url.ParseRequestURI(c.Path)
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host = scheme, t.String()
	req, err := http.NewRequestWithContext(ctx, c.Method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "everup-probe")
	for k, v := range c.Headers {
		req.Header.Set(k, v)
	}
	req.Host = c.hostHeader(scheme, t)
	return req, nil
}

// hostHeader names the port only where a browser would: when the scheme does not imply it.
func (c *HTTPConfig) hostHeader(scheme string, t Target) string {
	if c.Host != "" {
		return c.Host
	}
	name, port := t.nameOr(""), t.Addr.Port()
	if port == 0 || scheme == "http" && port == 80 || scheme == "https" && port == 443 {
		if strings.Contains(name, ":") {
			return "[" + name + "]"
		}
		return name
	}
	return net.JoinHostPort(name, fmt.Sprint(port))
}

// httpCheck is an HTTPConfig made ready.
type httpCheck struct {
	*HTTPConfig
	scheme        string
	dialer        dialer
	tls           *tlsSection
	regex, absent *regexp.Regexp
}

func newHTTP(cfg *Config, d dialer) (checkFunc, error) {
	h := &httpCheck{HTTPConfig: sectionOr(cfg.HTTP), scheme: string(cfg.Type), dialer: d}
	var errs [3]error
	h.tls, errs[0] = newTLSSection(cfg.TLS)
	h.regex, errs[1] = optionalRegexp(h.Regex)
	h.absent, errs[2] = optionalRegexp(h.Absent)
	return h.check, errors.Join(errs[:]...)
}

func optionalRegexp(s string) (*regexp.Regexp, error) {
	if s == "" {
		return nil, nil
	}
	return regexp.Compile(s)
}

func (h *httpCheck) check(ctx context.Context, t Target) (outcome, error) {
	req, err := h.request(ctx, h.scheme, t)
	if err != nil {
		return outcome{}, err
	}
	tr := h.transport(ctx, t)
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return outcome{}, fault.Wrap(classOf(ctx, err), err, "%s %s", h.Method, h.Path)
	}
	defer resp.Body.Close()
	out := outcome{detail: resp.Proto + " " + resp.Status}
	if resp.TLS != nil {
		out = h.tls.judge(*resp.TLS, time.Now()).prefix(out.detail)
	}
	if !h.Status.Contain(resp.StatusCode) {
		return out, fault.New(fault.Unavailable, "answered %s, wanted %s", resp.Status, h.Status)
	}
	return out, h.checkBody(ctx, resp.Body)
}

// transport is made for one request and keeps nothing after it.
func (h *httpCheck) transport(ctx context.Context, t Target) *http.Transport {
	var p http.Protocols
	name := t
	if host, _, _ := strings.Cut(h.Host, ":"); host != "" {
		name.Host = host
	}
	switch {
	case h.Protocol == "http2" && h.scheme == "https":
		p.SetHTTP2(true)
	case h.Protocol == "http2":
		p.SetUnencryptedHTTP2(true)
	default:
		p.SetHTTP1(true)
	}
	return newTransport(ctx, h.dialer, t, h.tls.config(name), &p)
}

// checkBody searches the body's first MaxBody bytes.
func (h *httpCheck) checkBody(ctx context.Context, body io.Reader) error {
	if h.Contains == "" && h.regex == nil && h.absent == nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(body, int64(h.MaxBody)))
	switch {
	case err != nil:
		return fault.Wrap(classOf(ctx, err), err, "read body after %d bytes", len(b))
	case !bytes.Contains(b, []byte(h.Contains)):
		return fault.New(fault.Unavailable, "body does not contain %q", h.Contains)
	case h.regex != nil && !h.regex.Match(b):
		return fault.New(fault.Unavailable, "body does not match %q", h.Regex)
	case h.absent != nil && h.absent.Match(b):
		return fault.New(fault.Unavailable, "body matches %q", h.Absent)
	}
	return nil
}
