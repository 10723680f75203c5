package logx

import (
	"log"
	"strings"

	"github.com/rs/zerolog"
)

// Std adapts l for libraries that want a *log.Logger; each call becomes one entry at the given level. Line breaks
// within it stay, escaped.
func Std(l zerolog.Logger, level zerolog.Level) *log.Logger {
	return log.New(stdWriter{l, level}, "", 0)
}

type stdWriter struct {
	l     zerolog.Logger
	level zerolog.Level
}

func (w stdWriter) Write(p []byte) (int, error) {
	if s := strings.TrimSpace(string(p)); s != "" {
		w.l.WithLevel(w.level).Msg(s)
	}
	return len(p), nil
}
