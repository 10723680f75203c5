package labtest

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"sync"
)

// Bounds of what is kept of one process.
const (
	maxLines    = 20_000
	maxLineLen  = 64 << 10 // a longer line is cut there
	maxFileSize = 64 << 20 // what follows is not written to the file
	tailLines   = 60
)

// output is where a process writes: the last lines in memory, the first bytes in a file. It tells waiters of new lines.
type output struct {
	mu      sync.Mutex
	file    *os.File
	written int
	part    []byte   // of the line that is not ended yet
	lines   []string // the last maxLines, at most twice as many for a moment
	dropped int      // lines before those
	more    chan struct{}
	closed  bool
}

func newOutput(file *os.File) *output { return &output{file: file, more: make(chan struct{})} }

// Write takes bytes from the process. It never fails, as that would block the process.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil && o.written < maxFileSize {
		n, _ := o.file.Write(b)
		o.written += n
	}
	for rest := b; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		o.part = append(o.part, line[:min(len(line), maxLineLen-len(o.part))]...)
		if ended {
			o.endLineLocked()
		}
		rest = after
	}
	return len(b), nil
}

func (o *output) endLineLocked() {
	o.lines = append(o.lines, string(o.part))
	o.part = o.part[:0]
	if len(o.lines) >= 2*maxLines {
		o.dropped += maxLines
		o.lines = append([]string(nil), o.lines[maxLines:]...)
	}
	o.wakeLocked()
}

func (o *output) wakeLocked() {
	close(o.more)
	o.more = make(chan struct{})
}

// close ends the last line and wakes the waiters for good.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.part) > 0 {
		o.endLineLocked()
	}
	o.closed = true
	o.wakeLocked()
	o.file.Close()
	o.file = nil
}

// find returns the first kept line from number *mark on that matches. When there is none it moves *mark past the lines
// it has seen and returns a channel that is closed when there are more, nil when there never will be.
func (o *output) find(mark *int, re *regexp.Regexp) (line string, ok bool, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, line := range o.lines[max(0, min(*mark-o.dropped, len(o.lines))):] {
		if re.MatchString(line) {
			return line, true, nil
		}
	}
	*mark = o.dropped + len(o.lines)
	if o.closed {
		return "", false, nil
	}
	return "", false, o.more
}

func (o *output) mark() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped + len(o.lines)
}

// tail returns the last n lines.
func (o *output) tail(n int) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.lines[max(0, len(o.lines)-n):]...)
}

// String returns all kept lines and the begun one.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.lines) == 0 {
		return string(o.part)
	}
	return strings.Join(o.lines, "\n") + "\n" + string(o.part)
}
