package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/everup/everup/shared/syslog"
)

// logged calls a's log for each request but health checks.
func (a *App) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			next.ServeHTTP(w, r)
			return
		}
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		start := time.Now()
		next.ServeHTTP(rec, r)
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		if c, err := r.Cookie(sessionCookie); err == nil && validSession(c.Value) {
			rec.session = c.Value
		}
		a.log(Access{
			Time: start, Client: client, Method: r.Method, Path: r.URL.EscapedPath(), Status: rec.status,
			Bytes: rec.bytes, Duration: time.Since(start), Session: rec.session,
		})
	})
}

// recorder notes what a handler answered.
type recorder struct {
	http.ResponseWriter
	status  int
	bytes   int64
	session string
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// ToSyslog returns a log that sends each request by s as RFC 5424.
func ToSyslog(s *syslog.Sender, host, app string) func(Access) {
	pid := strconv.Itoa(os.Getpid())
	return func(a Access) {
		s.Send(&syslog.Message{
			Facility: syslog.FacilityLocal0, Severity: severity(a.Status), Time: a.Time,
			Host: host, App: app, Proc: pid, ID: "access",
			Text: fmt.Sprintf("%s %s %s %d %d %.3fms", a.Client, a.Method, strconv.Quote(a.Path), a.Status, a.Bytes,
				float64(a.Duration.Microseconds())/1000),
		})
	}
}

func severity(status int) int {
	if status >= 500 {
		return syslog.SeverityError
	}
	return syslog.SeverityInfo
}

// jsonVisit writes one visit as a line of JSON.
func jsonVisit(w io.Writer, instance string, visits uint64, err error) {
	out := map[string]any{"instance": instance, "visits": visits}
	if err != nil {
		out = map[string]any{"instance": instance, "error": "sessions are not counted just now"}
	}
	json.NewEncoder(w).Encode(out)
}
