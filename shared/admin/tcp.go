package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/everup/everup/shared/fault"
)

// contentPolicy lets a page load only what this daemon serves, and nobody frame it.
const contentPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// Mount adds a plain http.Handler on the TCP side (the console). It gets GET and HEAD only; calls that it makes
// with the request's context by Call are read-only too. It may replace the headers set for it.
func (s *Server) Mount(prefix string, h http.Handler) {
	call := "mount " + prefix
	s.mounts.Handle(prefix, http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		cw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() { s.count(call, cw.status) }()
		h.ServeHTTP(cw, hr)
	}))
}

// statusWriter remembers the status for the metrics.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// tcpHandler is all that TCP clients reach.
func (s *Server) tcpHandler() http.Handler {
	guarded := http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.serveTCP))
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if err := s.admit(hr); err != nil {
			s.count("none", writeError(w, err))
			return
		}
		guarded.ServeHTTP(w, hr)
	})
}

// admit refuses clients and names that are not ours.
func (s *Server) admit(hr *http.Request) error {
	if !s.allowed(hr.RemoteAddr) {
		return fault.New(fault.Denied, "admin: this address is not in admin.allow")
	}
	if !s.knownHost(hr.Host) {
		return fault.New(fault.Denied, "admin: this host is not known by the name asked for")
	}
	return nil
}

func (s *Server) allowed(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	a := ap.Addr().Unmap().WithZone("")
	for _, p := range *s.allow.Load() {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (s *Server) knownHost(host string) bool {
	name := normalHost(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return (*s.hosts.Load())[name]
}

// normalHost is a Host header without port, brackets, final dot and capitals.
func normalHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func (s *Server) serveTCP(w http.ResponseWriter, hr *http.Request) {
	if hr.Method != http.MethodGet && hr.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		err := fault.New(fault.Denied, "admin: TCP is for reading only; use the unix socket")
		s.count("none", writeFault(w, http.StatusMethodNotAllowed, err))
		return
	}
	switch hr.URL.Path {
	case "/metrics", "/healthz", "/readyz":
		s.dispatch(s.api, w, hr)
	default:
		s.dispatch(s.mounts, w, hr)
	}
}
