package bus

import (
	"fmt"

	"github.com/rs/zerolog"
)

// serverLog is the embedded server's log: ours, one level lower, since what matters is told by the bus itself. What the server
// calls fatal is a failed listen; it must not end the process.
type serverLog struct {
	log   zerolog.Logger
	fatal chan string // the first fatal message
}

func newServerLog(log zerolog.Logger) *serverLog {
	return &serverLog{log: log, fatal: make(chan string, 1)}
}

func (l *serverLog) write(level zerolog.Level, format string, v []any) {
	if e := l.log.WithLevel(level); e.Enabled() && l.log.GetLevel() <= level {
		e.Msg("bus: server: " + redactURLs(fmt.Sprintf(format, v...)))
	}
}

func (l *serverLog) Noticef(format string, v ...any) { l.write(zerolog.DebugLevel, format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.write(zerolog.DebugLevel, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.write(zerolog.InfoLevel, format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.write(zerolog.TraceLevel, format, v) }
func (l *serverLog) Tracef(format string, v ...any)  { l.write(zerolog.TraceLevel, format, v) }

func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- redactURLs(fmt.Sprintf(format, v...)):
	default:
	}
	l.write(zerolog.DebugLevel, format, v)
}
