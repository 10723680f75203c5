package supervise

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"

	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/fault"
)

const (
	// MaxLog is the size at which a log file becomes <name>.1; so a child's logs take at most twice as much.
	MaxLog = 16 << 20
	// maxTail bounds what is remembered of a child's last output, to be shown when it does not come up.
	maxTail = 2 << 10
	// maxScan bounds a line that is looked at for errors; the rest of a longer one only goes to the file.
	maxScan = 16 << 10
)

// LogFile takes what a child writes: all of it goes to a file of bounded size, and each error line to report. It is safe
// for concurrent use, as a new life may begin while the last of the old one is read.
type LogFile struct {
	path   string
	max    int64
	report func(line string)

	mu   sync.Mutex
	file *os.File
	size int64
	line []byte // the line that is not complete yet
	tail []byte // the last bytes of all
}

// OpenLog opens or makes the file at path, which is rotated at max bytes. report gets each error line in short; it must not call back.
func OpenLog(path string, max int64, report func(string)) (*LogFile, error) {
	l := &LogFile{path: path, max: max, report: report}
	return l, l.openLocked()
}

func (l *LogFile) openLocked() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "supervise: open log")
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(fault.Wrap(fault.Of(err), err, "supervise: open log %s", l.path), f.Close())
	}
	l.file, l.size = f, st.Size()
	return nil
}

// Write never fails: a full disk must not stop the child, whose pipe would break.
func (l *LogFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(p)) > l.max {
		l.rotateLocked()
	}
	if l.file != nil {
		n, _ := l.file.Write(p) // what does not fit on the disk is lost
		l.size += int64(n)
	}
	l.tail = append(l.tail, p...)
	if over := len(l.tail) - maxTail; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
	l.scanLocked(p)
	return len(p), nil
}

// rotateLocked makes the file <name>.1. If the new one cannot be opened what comes is not kept until the next attempt.
func (l *LogFile) rotateLocked() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
	if os.Rename(l.path, l.path+".1") != nil {
		os.Truncate(l.path, 0) // the bound counts more than the old lines
	}
	l.openLocked() // tried again with the next write over the bound
}

func (l *LogFile) scanLocked(p []byte) {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.line = append(l.line, p[:min(len(p), maxScan-len(l.line))]...)
			return
		}
		l.line = append(l.line, p[:min(i, maxScan-len(l.line))]...)
		if text, bad := errorOf(l.line); bad {
			l.report(text)
		}
		l.line, p = l.line[:0], p[i+1:]
	}
}

// Tail returns the last lines, at most 2 KiB.
func (l *LogFile) Tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(string(l.tail))
}

// Close closes the file.
func (l *LogFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return fault.Wrap(fault.Internal, f.Close(), "supervise: close log %s", l.path)
}

// errorOf returns the short form of an error line: of a daemon's JSON line with level error or worse the message and
// the cause, of a Go panic its first line.
func errorOf(line []byte) (string, bool) {
	if bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: ")) {
		return short(string(line)), true
	}
	if len(line) == 0 || line[0] != '{' {
		return "", false
	}
	var l struct{ Level, Msg, Err string }
	if json.Unmarshal(line, &l) != nil {
		return "", false
	}
	switch l.Level {
	case "error", "fatal", "panic":
	default:
		return "", false
	}
	if l.Err != "" {
		l.Msg += ": " + l.Err
	}
	return short(l.Msg), true
}

// short cuts a text to what fits on two lines of a terminal.
func short(s string) string {
	const most = 200
	s = cli.Clean(s)
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
