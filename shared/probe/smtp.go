package probe

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// SMTPConfig is a check by greeting, EHLO and QUIT (RFC 5321), with STARTTLS (RFC 3207) where asked for. A tls
// section without starttls means TLS from the first byte (port 465, RFC 8314).
type SMTPConfig struct {
	Helo     string `yaml:"helo" default:"localhost" doc:"Name to give in EHLO."`
	STARTTLS bool   `yaml:"starttls" default:"false" doc:"Ask for STARTTLS and check the certificate."`
}

// Validate reports a name that would break the command line.
func (c *SMTPConfig) Validate(r *conf.Report) {
	if c.Helo == "" || strings.ContainsAny(c.Helo, " \t\r\n") {
		r.At("helo").Errorf("%q is not a host name", c.Helo)
	}
}

type smtpCheck struct {
	*SMTPConfig
	dialer   dialer
	implicit *tlsSection // TLS from the first byte, or nil
	starttls *tlsSection // after STARTTLS, or nil
}

func newSMTP(cfg *Config, d dialer) (checkFunc, error) {
	c := &smtpCheck{SMTPConfig: sectionOr(cfg.SMTP), dialer: d}
	if strings.ContainsAny(c.Helo, "\r\n") {
		return nil, fault.New(fault.Config, "helo holds a line break")
	}
	var err error
	if c.STARTTLS {
		c.starttls, err = newTLSSection(cfg.TLS)
	} else {
		c.implicit, err = optionalTLS(cfg.TLS)
	}
	return c.check, err
}

func (c *smtpCheck) check(ctx context.Context, t Target) (outcome, error) {
	nc, err := c.dialer.dial(ctx, "tcp", t)
	if err != nil {
		return outcome{}, err
	}
	defer nc.Close()
	out, err := c.dialogue(ctx, nc, t)
	return out, fault.Wrap(classOf(ctx, err), err, "smtp")
}

func (c *smtpCheck) dialogue(ctx context.Context, nc *conn, t Target) (outcome, error) {
	link, out, err := c.implicit.wrap(ctx, nc, t)
	if err != nil {
		return outcome{}, err
	}
	s := &smtpSession{w: link, in: newLines(link)}
	greeting, err := s.reply("greeting", 220)
	if err == nil {
		_, err = s.command("EHLO "+c.Helo, 250)
	}
	if err == nil && c.STARTTLS {
		s, out, err = c.upgrade(ctx, s, nc, t)
	}
	if err != nil {
		return outcome{}, err
	}
	// The server has shown that it works; how it takes the farewell does not matter.
	_, _ = s.command("QUIT", 221)
	return out.prefix(greeting), nil
}

// upgrade asks for STARTTLS. What the server sent before the handshake and was not read is refused: it could
// be injected (CVE-2011-0411).
func (c *smtpCheck) upgrade(ctx context.Context, s *smtpSession, nc *conn, t Target) (*smtpSession, outcome, error) {
	if _, err := s.command("STARTTLS", 220); err != nil {
		return nil, outcome{}, err
	}
	if s.in.r.Buffered() > 0 {
		return nil, outcome{}, fault.New(fault.Corrupt, "plain text after the answer to STARTTLS")
	}
	tc, out, err := c.starttls.handshake(ctx, nc, t)
	if err != nil {
		return nil, outcome{}, err
	}
	s = &smtpSession{w: tc, in: newLines(tc)}
	_, err = s.command("EHLO "+c.Helo, 250)
	return s, out, err
}

type smtpSession struct {
	w  io.Writer
	in lines
}

// command sends a line and returns the text of its reply, which must have the code want.
func (s *smtpSession) command(line string, want int) (string, error) {
	if _, err := io.WriteString(s.w, line+"\r\n"); err != nil {
		return "", err
	}
	verb, _, _ := strings.Cut(line, " ")
	return s.reply(verb, want)
}

func (s *smtpSession) reply(to string, want int) (string, error) {
	code, text, err := readSMTPReply(s.in)
	if err == nil && code != want {
		err = fault.New(fault.Unavailable, "answered %d %s", code, text)
	}
	return text, fault.Wrap(fault.Of(err), err, "%s", to)
}

// readSMTPReply reads a reply of one or more lines (RFC 5321 section 4.2.1) and returns the text of its last.
func readSMTPReply(in lines) (code int, text string, err error) {
	for {
		line, err := in.next()
		if err != nil {
			return 0, "", err
		}
		n, more, text, ok := parseSMTPLine(line)
		if !ok || code != 0 && n != code {
			return 0, "", fault.New(fault.Corrupt, "answer %q is not SMTP", line[:min(len(line), 80)])
		}
		if code = n; !more {
			return code, text, nil
		}
	}
}

// parseSMTPLine splits "250-text", "250 text" or "250".
func parseSMTPLine(line string) (code int, more bool, text string, ok bool) {
	if len(line) < 3 {
		return 0, false, "", false
	}
	n, err := strconv.ParseUint(line[:3], 10, 16)
	if err != nil || n < 200 || n > 599 {
		return 0, false, "", false
	}
	if len(line) == 3 {
		return int(n), false, "", true
	}
	return int(n), line[3] == '-', line[4:], line[3] == '-' || line[3] == ' '
}
