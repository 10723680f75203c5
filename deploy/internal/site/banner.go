package site

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Banner tells where everything is and how to try it. program is how the everup command was called.
func (s *Suite) Banner(program string) string {
	url := s.URL()
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	more := func(format string, args ...any) { row("", format, args...) }
	b.WriteString("everup is up: five daemons, and two instances of a demo site behind lbd.\n\n")
	row("site", "%s/", url)
	row("files", "curl -T README.md %s/files/readme", url)
	more("curl -i %s/files/readme", url)
	row("DNS", "dig @127.0.0.1 -p %d www.demo.test", PortDNS+s.Offset)
	more("dig @127.0.0.1 -p %d storaged.service.everup.internal SRV", PortDNS+s.Offset)
	row("cache", `printf 'set k 0 60 5\r\nhello\r\nget k\r\nquit\r\n' | nc 127.0.0.1 %d`, PortCache+s.Offset)
	row("syslog", "logger --tcp --server 127.0.0.1 --port %d --rfc5424 'hello, logd'", PortSyslog+s.Offset)
	row("events", "nats sub --server nats://%s 'everup.%s.event.>'", s.Addr(PortBus), Fleet)
	more(`(printf 'CONNECT {}\r\nSUB everup.%s.event.> 1\r\n'; cat) | nc 127.0.0.1 %d`, Fleet, PortBus+s.Offset)
	row("console", "http://%s/", s.Addr(PortConsole))
	row("look", "%s status | %s events -f | %s logs -f", program, program, program)
	row("break", "kill -9 %d   (lbd; it comes back)", s.Pid("lbd"))
	row("logs", "%s", filepath.Join(near(s.Log), "*.log"))
	b.WriteString("\nCtrl-C stops everything; a second Ctrl-C at once.\n")
	return b.String()
}

// near returns path relative to the working directory where it lies below it.
func near(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}
