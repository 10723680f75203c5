package state

import (
	"bufio"
	"io"
	"testing"
)

// lines reads what a helper process prints.
type lines struct {
	*bufio.Scanner
	t *testing.T
}

func newLines(t *testing.T, r io.Reader) *lines { return &lines{bufio.NewScanner(r), t} }

// until waits for the line want.
func (l *lines) until(want string) {
	l.t.Helper()
	for l.Scan() {
		if l.Text() == want {
			return
		}
	}
	l.t.Fatalf("the helper ended without saying %q", want)
}
