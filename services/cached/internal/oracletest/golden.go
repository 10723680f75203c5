package oracletest

import (
	"bytes"
	"embed"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Case is a conversation of a golden file and what memcached answers in it.
type Case struct {
	Name    string
	Args    []string // memcached's flags beside those for socket, user and thread
	Differs string   // the name of the Difference that cached shows here; "" where it answers as memcached does

	// Setup goes before, each step when the answer of the one before has come.
	Setup []Step

	Send   []byte // to be sent in one write, on connection Conn
	Want   []byte // all that is answered to Send
	Conn   int    // 1 unless said otherwise
	Closed bool   // the server hangs up after Want; else it waits for more

	comment []string // with the case in the file
	steps   []rawStep
}

// Step is a part of a conversation.
type Step struct {
	Conn    int   // which connection, from 1; it is opened when first used
	Advance int64 // seconds that pass on the server's clock before it
	Send    []byte
	Want    []byte
}

// rawStep is a step as the file has it.
type rawStep struct {
	directives []string
	send, want []string
}

//go:embed testdata/*.golden
var goldenFiles embed.FS

// Users is the content of the file that {users} stands for in a case's Args.
const Users = "user:pass\nother:word\ntwo:colons:here\n"

// Cases returns the cases of text, meta, binary or auth.
func Cases(t testing.TB, name string) []Case {
	t.Helper()
	src, err := goldenFiles.ReadFile("testdata/" + name + ".golden")
	if err != nil {
		t.Fatalf("oracletest: %v", err)
	}
	f, err := parseGolden(name, src, Now)
	if err != nil {
		t.Fatalf("oracletest: %v", err)
	}
	return f.cases
}

// goldenFile is a parsed file. The decoded bytes of its cases hold one time for {now}.
type goldenFile struct {
	name   string
	binary bool
	header []string // comment above the first case
	cases  []Case
}

// parseGolden reads a file.
func parseGolden(name string, src []byte, now int64) (*goldenFile, error) {
	f := &goldenFile{name: name, binary: name == "binary"}
	var comment []string
	for i, line := range strings.Split(string(src), "\n") {
		if err := f.line(line, &comment); err != nil {
			return nil, fmt.Errorf("%s.golden:%d: %w", name, i+1, err)
		}
	}
	names := map[string]bool{}
	for i := range f.cases {
		c := &f.cases[i]
		if names[c.Name] {
			return nil, fmt.Errorf("%s.golden: %s: a second case of that name", name, c.Name)
		}
		names[c.Name] = true
		if err := f.decode(c, now); err != nil {
			return nil, fmt.Errorf("%s.golden: %s: %w", name, c.Name, err)
		}
	}
	return f, nil
}

// line takes the next line of a file.
func (f *goldenFile) line(line string, comment *[]string) error {
	word, rest, _ := strings.Cut(line, " ")
	if word == "==" {
		f.cases = append(f.cases, Case{Name: rest, Conn: 1, comment: *comment})
		*comment = nil
		return nil
	}
	if strings.HasPrefix(line, "#") {
		*comment = append(*comment, line)
		return nil
	}
	if len(f.cases) == 0 {
		if line != "" {
			return fmt.Errorf("%q before the first case", line)
		}
		f.header, *comment = append(f.header, *comment...), nil
		return nil
	}
	c := &f.cases[len(f.cases)-1]
	switch {
	case line == "":
	case word == "args:":
		c.Args = strings.Fields(rest)
	case word == "differs:":
		c.Differs = rest
	case word == "closed":
		c.Closed = true
	case word == ">":
		if s := c.last(); s == nil || len(s.want) > 0 {
			c.steps = append(c.steps, rawStep{})
		}
		c.last().send = append(c.last().send, rest)
	case word == "<":
		if c.last() == nil {
			return fmt.Errorf("an answer before anything was sent")
		}
		c.last().want = append(c.last().want, rest)
	case word[0] == '@', word[0] == '+', word == "--":
		if s := c.last(); s == nil || len(s.send) > 0 {
			c.steps = append(c.steps, rawStep{})
		}
		c.last().directives = append(c.last().directives, line)
	default:
		return fmt.Errorf("unknown line %q", line)
	}
	return nil
}

func (c *Case) last() *rawStep {
	if len(c.steps) == 0 {
		return nil
	}
	return &c.steps[len(c.steps)-1]
}

// decode fills in the bytes of a case.
func (f *goldenFile) decode(c *Case, now int64) error {
	steps, err := f.decodeSteps(c.steps, now)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		return fmt.Errorf("sends nothing")
	}
	last := steps[len(steps)-1]
	c.Setup, c.Send, c.Want, c.Conn = steps[:len(steps)-1], last.Send, last.Want, last.Conn
	if last.Advance != 0 {
		c.Setup = append(c.Setup, Step{Conn: last.Conn, Advance: last.Advance})
	}
	return nil
}

func (f *goldenFile) decodeSteps(raw []rawStep, now int64) ([]Step, error) {
	var steps []Step
	conn := 1
	for _, r := range raw {
		s := Step{}
		for _, d := range r.directives {
			if d == "--" {
				continue
			}
			n, err := strconv.Atoi(d[1:])
			if err != nil {
				return nil, err
			}
			if d[0] == '@' {
				conn = n
			} else {
				s.Advance += int64(n)
			}
		}
		s.Conn = conn
		var err error
		if s.Send, err = f.bytes(r.send, now); err != nil {
			return nil, err
		}
		if s.Want, err = f.bytes(r.want, now); err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// bytes reads the lines of one write or one answer.
func (f *goldenFile) bytes(lines []string, now int64) (all []byte, err error) {
	for _, l := range lines {
		var b []byte
		if f.binary {
			b, err = unhex(l)
		} else {
			b, err = unescape(l, now)
		}
		if err != nil {
			return nil, fmt.Errorf("%.60q: %w", l, err)
		}
		all = append(all, b...)
	}
	return all, nil
}

// answer replaces what step i of a case is answered with what was heard at a time; {now} is put where that time is meant.
func (f *goldenFile) answer(c *Case, i int, heard []byte, now int64) {
	r := &c.steps[i]
	r.want = nil
	if f.binary {
		r.want = packetLines(heard)
		return
	}
	for _, l := range bytes.SplitAfter(heard, []byte("\n")) {
		if len(l) > 0 {
			r.want = append(r.want, maskNow(escape(l), now))
		}
	}
}

// format writes the file again.
func (f *goldenFile) format() []byte {
	var out bytes.Buffer
	lines := func(prefix string, ls []string) {
		for _, l := range ls {
			out.WriteString(prefix + l + "\n")
		}
	}
	lines("", f.header)
	for _, c := range f.cases {
		out.WriteByte('\n')
		lines("", c.comment)
		lines("== ", []string{c.Name})
		if len(c.Args) > 0 {
			lines("args: ", []string{strings.Join(c.Args, " ")})
		}
		if c.Differs != "" {
			lines("differs: ", []string{c.Differs})
		}
		for _, s := range c.steps {
			lines("", s.directives)
			lines("> ", s.send)
			lines("< ", s.want)
		}
		if c.Closed {
			lines("", []string{"closed"})
		}
	}
	return out.Bytes()
}
