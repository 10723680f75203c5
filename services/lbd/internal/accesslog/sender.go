package accesslog

import (
	"context"

	"github.com/everup/everup/shared/syslog"
)

// sender takes lines to a syslog server.
type sender struct {
	*syslog.Sender
	node, pid string
}

func (s *sender) take(e *Entry, line []byte) {
	s.Send(&syslog.Message{
		Facility: syslog.FacilityLocal0, Severity: severity(e.Status), Time: e.Time,
		Host: s.node, App: "lbd", Proc: s.pid, ID: "access", Bytes: line,
	})
}

func severity(status int) int {
	if status >= 500 {
		return syslog.SeverityWarning
	}
	return syslog.SeverityInfo
}

func (s *sender) reopen() {}

func (s *sender) run(ctx context.Context) { s.Sender.Run(ctx) }
