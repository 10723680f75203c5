package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/shared/buildinfo"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
)

const probeTimeout = 5 * time.Second

func (s *Server) registerBuiltin() {
	s.Handle("GET /v1/{$}", "This list of calls.", s.listCalls)
	s.Handle("GET /v1/version", "Version and build of the daemon.", s.version)
	s.Handle("GET /v1/health", "Health items, worst first, and readiness.", s.healthCall)
	s.Handle("GET /v1/log", "Last log lines, oldest first: ?n=100 of at most 1000.", s.recentLog)
	s.Handle("GET /v1/log/level", "Lowest level that is logged.", s.logLevel)
	s.Handle("POST /v1/log/level", `Sets the lowest level that is logged, until the next reload or start: {"level":"debug"}.`, s.setLogLevel)
	s.Handle("GET /metrics", "Metrics as Prometheus text.", s.metrics)
	s.handle("GET /healthz", "200 while the process makes progress, else 503.", s.healthz, s.probes, probeTimeout)
	s.handle("GET /readyz", "200 while traffic may come, else 503 with the reasons; JSON by Accept.", s.readyz, s.probes, probeTimeout)
}

func (s *Server) listCalls(context.Context, *Request) (any, error) {
	return struct {
		Service string     `json:"service"`
		Calls   []CallInfo `json:"calls"`
	}{s.service, s.calls}, nil
}

// Version is the answer of GET /v1/version.
type Version struct {
	Service string `json:"service"`
	buildinfo.Info
}

func (s *Server) version(context.Context, *Request) (any, error) {
	return Version{s.service, buildinfo.Read()}, nil
}

// Health is the answer of GET /v1/health.
type Health struct {
	Service string          `json:"service"`
	Level   health.Level    `json:"level"` // the worst
	Ready   bool            `json:"ready"`
	Reasons []string        `json:"reasons,omitempty"` // why not ready
	Items   []health.Status `json:"items"`
}

func (s *Server) healthCall(context.Context, *Request) (any, error) {
	h := Health{Service: s.service, Items: s.health.Snapshot()}
	h.Ready, h.Reasons = s.health.Ready()
	if len(h.Items) > 0 {
		h.Level = h.Items[0].Level
	}
	return h, nil
}

// LogLines is the answer of GET /v1/log.
type LogLines struct {
	Lines []json.RawMessage `json:"lines"`
}

func (s *Server) recentLog(_ context.Context, r *Request) (any, error) {
	l, err := s.logOrFault()
	if err != nil {
		return nil, err
	}
	n := 100
	if q := r.Query.Get("n"); q != "" {
		if n, err = strconv.Atoi(q); err != nil || n < 0 {
			return nil, fault.New(fault.Invalid, "admin: n=%q: want a number from 0", q)
		}
	}
	return LogLines{l.Recent(n)}, nil
}

// LogLevel is the body of POST /v1/log/level, and the answer of both calls of that name.
type LogLevel struct {
	Level string `json:"level"`
}

func (s *Server) logLevel(context.Context, *Request) (any, error) {
	l, err := s.logOrFault()
	if err != nil {
		return nil, err
	}
	return LogLevel{l.Level()}, nil
}

func (s *Server) setLogLevel(_ context.Context, r *Request) (any, error) {
	l, err := s.logOrFault()
	if err != nil {
		return nil, err
	}
	var in LogLevel
	if err := json.Unmarshal(r.Body, &in); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, `admin: body: want {"level":"debug"}`)
	}
	if err := l.SetLevel(in.Level); err != nil {
		return nil, err
	}
	return LogLevel{l.Level()}, nil
}

func (s *Server) logOrFault() (Log, error) {
	if l := s.logs.Load(); l != nil {
		return *l, nil
	}
	return nil, fault.New(fault.Unsupported, "admin: this daemon gives no access to its log")
}

func (s *Server) metrics(context.Context, *Request) (any, error) {
	var b bytes.Buffer
	if err := s.reg.WriteText(&b); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "admin: print metrics")
	}
	return Raw{metric.ContentType, b.Bytes()}, nil
}

// probeResult is the answer of /healthz and /readyz: a line of text for each reason, or JSON for who asks for it.
type probeResult struct {
	word    string // said when all is well
	reasons []string
}

// Probe is the JSON answer of /healthz and /readyz.
type Probe struct {
	OK      bool     `json:"ok"`
	Reasons []string `json:"reasons,omitempty"`
}

func (p probeResult) write(w http.ResponseWriter, hr *http.Request) int {
	status, text := http.StatusOK, p.word
	if len(p.reasons) > 0 {
		status, text = http.StatusServiceUnavailable, "not "+p.word+"\n"+strings.Join(p.reasons, "\n")
	}
	if strings.Contains(hr.Header.Get("Accept"), "application/json") {
		b, err := json.MarshalIndent(Probe{len(p.reasons) == 0, p.reasons}, "", "  ")
		if err != nil {
			return writeError(w, fault.Wrap(fault.Internal, err, "admin: encode probe"))
		}
		return send(w, status, "application/json", append(b, '\n'))
	}
	return send(w, status, "text/plain; charset=utf-8", []byte(text+"\n"))
}

func (s *Server) healthz(context.Context, *Request) (any, error) {
	p := probeResult{word: "alive"}
	if f := s.liveness.Load(); f != nil {
		if err := (*f)(); err != nil {
			p.reasons = []string{err.Error()}
		}
	}
	return p, nil
}

func (s *Server) readyz(context.Context, *Request) (any, error) {
	_, reasons := s.health.Ready()
	return probeResult{"ready", reasons}, nil
}

// maxProfile bounds a profile or trace in seconds.
const maxProfile = 120

// registerDebug adds pprof to the unix socket; Call and TCP do not have it.
func (s *Server) registerDebug() {
	s.calls = append(s.calls, CallInfo{"GET /debug/pprof/", "Profiles of the Go runtime, on the unix socket only."})
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/":        pprof.Index,
		"/debug/pprof/cmdline": pprof.Cmdline,
		"/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol":  pprof.Symbol,
		"/debug/pprof/trace":   pprof.Trace,
	} {
		s.debug.Handle("GET "+path, s.profile(h))
	}
}

// profile bounds a pprof handler in number and time.
func (s *Server) profile(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		const call = "GET /debug/pprof/"
		if sec, err := strconv.ParseFloat(hr.FormValue("seconds"), 64); err == nil && !(sec <= maxProfile) {
			s.count(call, writeError(w, fault.New(fault.Invalid, "admin: seconds=%v: at most %d", sec, maxProfile)))
			return
		}
		if !s.slots.take() {
			s.count(call, writeBusy(w, fault.New(fault.Full, "admin: %d calls are running, try again", maxCalls)))
			return
		}
		defer s.slots.free()
		s.count(call, http.StatusOK)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxProfile*time.Second + writeTimeout)) // always there on a socket
		h(w, hr)
	})
}
