package logx

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// form is how lines look on the output.
type form struct {
	console bool
	color   bool
	prio    bool // start with "<3>" and the like, which journald reads as the priority (sd-daemon(3))
}

// chooseForm decides by the wish and by what w is. Colours only ever go to a terminal, and not when NO_COLOR is set
// to anything or TERM is dumb. Priorities only go to the journal itself: $JOURNAL_STREAM names w.
func chooseForm(wish string, w io.Writer, env func(string) string) form {
	tty := isTerminal(w)
	f := form{console: wish == "console" || wish != "json" && tty}
	f.color = f.console && tty && env("NO_COLOR") == "" && env("TERM") != "dumb"
	f.prio = isJournal(w, env("JOURNAL_STREAM"))
	return f
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// isJournal reports whether w is the stream "device:inode" that systemd connected to the journal.
func isJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return false
	}
	return stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// append appends the line in its form and a newline; json is its JSON form.
func (f form) append(b []byte, ln line, json []byte) []byte {
	if f.prio {
		b = append(b, '<', '0'+priority(ln.level), '>')
	}
	if f.console {
		return f.appendConsole(b, ln)
	}
	return append(append(b, json...), '\n')
}

// priority maps a level to syslog's (RFC 5424, table 2).
func priority(l zerolog.Level) byte {
	switch l {
	case zerolog.TraceLevel, zerolog.DebugLevel:
		return 7
	case zerolog.WarnLevel:
		return 4
	case zerolog.ErrorLevel:
		return 3
	case zerolog.FatalLevel, zerolog.PanicLevel:
		return 2
	}
	return 6
}

const (
	dim   = "\x1b[2m"
	bold  = "\x1b[1m"
	reset = "\x1b[0m"
)

// tag is a level's three letters and its colour.
func tag(l zerolog.Level) (text, color string) {
	switch l {
	case zerolog.TraceLevel:
		return "TRC", dim
	case zerolog.DebugLevel:
		return "DBG", dim
	case zerolog.InfoLevel:
		return "INF", "\x1b[32m"
	case zerolog.WarnLevel:
		return "WRN", "\x1b[33m"
	case zerolog.ErrorLevel, zerolog.FatalLevel, zerolog.PanicLevel:
		return "ERR", "\x1b[31m"
	}
	return "LOG", ""
}

// appendConsole appends "15:04:05.000 INF comp: message key=value" in local time. node and service are left out:
// the person at the terminal knows them.
func (f form) appendConsole(b []byte, ln line) []byte {
	b = f.paint(b, dim, ln.at.Local().Format("15:04:05.000"))
	b = append(b, ' ')
	text, color := tag(ln.level)
	b = f.paint(b, color, text)
	for _, fl := range ln.fields {
		if string(fl.key) == "comp" {
			b = append(b, ' ')
			b = append(b, printable(unquote(fl.val))...)
			b = append(b, ':')
		}
	}
	if ln.msg != nil {
		b = append(b, ' ')
		b = f.paint(b, bold, clean(unquote(ln.msg)))
	}
	for _, fl := range ln.fields {
		switch string(fl.key) {
		case "node", "service", "comp":
			continue
		}
		b = append(b, ' ')
		b = f.paint(b, dim, clean(string(fl.key))+"=")
		b = append(b, printable(unquote(fl.val))...)
	}
	return append(b, '\n')
}

func (f form) paint(b []byte, color, text string) []byte {
	if !f.color || color == "" {
		return append(b, text...)
	}
	b = append(b, color...)
	b = append(b, text...)
	return append(b, reset...)
}

// clean keeps control characters (a hostile client's escape sequences) off the terminal.
func clean(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// printable is s, quoted where it would not read as one word.
func printable(s string) string {
	if s == "" || strings.ContainsAny(s, " \"=") || clean(s) != s {
		return strconv.Quote(s)
	}
	return s
}
