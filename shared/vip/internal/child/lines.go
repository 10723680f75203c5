package child

import (
	"io"
	"strings"
	"time"

	"github.com/everup/everup/shared/limit"
	"github.com/rs/zerolog"
)

const (
	maxLine   = 4 << 10 // bytes of a line; the rest of a longer one is left out
	lineRate  = 20      // lines per second, after
	lineBurst = 400     // so many at once: a crash's stacks
)

// logLines logs what r gives, line by line, until its end. Lines above the rate are left out and counted.
func logLines(log zerolog.Logger, r io.Reader) {
	rate, err := limit.NewRate(lineRate, time.Second, lineBurst)
	if err != nil {
		panic("BUG: vip: " + err.Error())
	}
	l := lineLogger{log: log, rate: rate, begin: time.Now()}
	buf := make([]byte, maxLine)
	for {
		n, err := r.Read(buf)
		l.take(buf[:n])
		if err != nil {
			break
		}
	}
	l.flush()
	if l.dropped > 0 {
		log.Warn().Int("lines", l.dropped).Msg("the VRRP process wrote more than is logged")
	}
}

// lineLogger cuts bytes into lines.
type lineLogger struct {
	log     zerolog.Logger
	rate    limit.Rate
	bucket  limit.Bucket
	begin   time.Time
	line    []byte
	dropped int
}

func (l *lineLogger) take(b []byte) {
	for _, c := range b {
		if c == '\n' {
			l.flush()
		} else if len(l.line) < maxLine {
			l.line = append(l.line, c)
		}
	}
}

// flush logs the line, without what a terminal would act on.
func (l *lineLogger) flush() {
	text := strings.TrimSpace(strings.ToValidUTF8(string(l.line), "?"))
	l.line = l.line[:0]
	if text == "" {
		return
	}
	if ok, _ := l.bucket.Allow(l.rate, int64(time.Since(l.begin)), 1); !ok {
		l.dropped++
		return
	}
	l.log.Warn().Str("line", text).Msg("the VRRP process says")
}
