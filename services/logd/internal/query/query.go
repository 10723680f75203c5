// Package query searches the text files. A search is bounded by rows, by bytes read and found, and by time, and says when a bound cut
// it short.
package query

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/services/logd/internal/tail"
	"github.com/everup/everup/services/logd/internal/text"
	"github.com/everup/everup/shared/fault"
)

// Limits bound one search.
type Limits struct {
	Rows  int
	Bytes int64 // read
	Found int   // bytes of the lines found, which are held until the answer is sent
	Time  time.Duration
}

// Request is one search.
type Request struct {
	Filter   tail.Filter
	From, To time.Time // of a line's own time; To is exclusive
	Limits   Limits
}

// Result is what was found, day by day and, within a day, host by host, each in the order of receipt.
type Result struct {
	Lines  []tail.Line `json:"lines"`
	Cut    string      `json:"cut,omitempty"`    // "rows", "bytes", "found" or "time": there may be more
	Bytes  int64       `json:"bytes"`            // read
	Odd    int         `json:"odd,omitempty"`    // lines in the files that are none of ours
	Longer int         `json:"longer,omitempty"` // lines too long to be looked at
}

// maxLine bounds a line of a file: a message of 1 MiB whose every byte is escaped would not fit, any sane one does.
const maxLine = 1 << 20

// errCut ends a search at a bound.
var errCut = errors.New("bound reached")

type search struct {
	Request
	res   Result
	found int          // bytes of res.Lines as they stand in the files
	ended func() error // why the search must end, if it must
	line  *bufio.Reader
}

// Run searches the files below root. Files are by day of receipt and may hold lines whose senders' clocks are off; so it looks at one day
// more on both sides.
func Run(ctx context.Context, root *os.Root, loc *time.Location, r Request) (Result, error) {
	if !r.From.Before(r.To) {
		return Result{}, fault.New(fault.Invalid, "query: from %s is not before to %s", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
	}
	ctx, cancel := context.WithTimeout(ctx, r.Limits.Time)
	defer cancel()
	s := &search{Request: r, ended: ctx.Err, res: Result{Lines: []tail.Line{}}}
	days, err := text.Days(root)
	if err != nil {
		return Result{}, fault.Wrap(fault.Of(err), err, "query: list days")
	}
	first, last := text.DayOf(r.From, loc).Add(-1), text.DayOf(r.To, loc).Add(1)
	for _, d := range days {
		if d.Before(first) || last.Before(d) {
			continue
		}
		if err := s.day(root, d); errors.Is(err, errCut) {
			break
		} else if err != nil {
			return s.res, err
		}
	}
	return s.res, nil
}

func (s *search) day(root *os.Root, d text.Day) error {
	names, err := text.Files(root, d)
	if err != nil {
		return err
	}
	for _, name := range names {
		if s.Filter.Host != "" && name != text.FileName(s.Filter.Host) && !strings.HasPrefix(name, "_") {
			continue
		}
		if err := s.file(root, path.Join(d.Dir(), name)); err != nil {
			return err
		}
	}
	return nil
}

func (s *search) file(root *os.Root, p string) error {
	f, err := root.Open(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // expired meanwhile
	}
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "query: open %s", p)
	}
	defer f.Close()
	s.line = bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := s.next()
		if err == io.EOF {
			return nil // a line without its end is still being written
		}
		if err != nil {
			return err
		}
		if err := s.look(line); err != nil {
			return err
		}
	}
}

// next returns the next line with its end; lines above maxLine are skipped and counted.
func (s *search) next() ([]byte, error) {
	for {
		line, err := s.readLine()
		if err != nil || line != nil {
			return line, err
		}
		s.res.Longer++
	}
}

// readLine returns nil without an error for a line that is too long.
func (s *search) readLine() ([]byte, error) {
	var long []byte
	size := 0
	for {
		part, err := s.line.ReadSlice('\n')
		size += len(part)
		s.res.Bytes += int64(len(part))
		if err := s.bounds(); err != nil {
			return nil, err
		}
		switch {
		case err == nil && size == len(part):
			return part, nil
		case err != nil && err != bufio.ErrBufferFull:
			return nil, err
		case size <= maxLine:
			long = append(long, part...)
		}
		if err == nil {
			if size > maxLine {
				return nil, nil
			}
			return long, nil
		}
	}
}

func (s *search) bounds() error {
	if s.res.Bytes >= s.Limits.Bytes {
		s.res.Cut = "bytes"
		return errCut
	}
	err := s.ended()
	if errors.Is(err, context.DeadlineExceeded) {
		s.res.Cut = "time"
		return errCut
	}
	return fault.Wrap(fault.Canceled, err, "query: search")
}

// look adds line to the result if it is chosen. The text is looked for in the whole line first: that is cheap and rules most out.
func (s *search) look(line []byte) error {
	if len(s.Filter.Contains) > 0 && !bytes.Contains(line, s.Filter.Contains) {
		return nil
	}
	l, ok := text.ParseLine(line)
	if !ok {
		s.res.Odd++
		return nil
	}
	if l.Time.Before(s.From) || !l.Time.Before(s.To) || !s.Filter.Match(l.Host, l.App, l.Severity, l.Text) {
		return nil
	}
	if len(s.res.Lines) >= s.Limits.Rows {
		s.res.Cut = "rows"
		return errCut
	}
	if s.found += len(line); s.found > s.Limits.Found {
		s.res.Cut = "found"
		return errCut
	}
	s.res.Lines = append(s.res.Lines, tail.Line{
		Time: l.Time, Host: string(l.Host), App: string(l.App), PID: string(l.PID), Facility: parse.FacilityName(l.Facility),
		Severity: parse.SeverityName(l.Severity), MsgID: string(l.MsgID), SD: string(l.SD), Text: string(l.Text),
	})
	return nil
}
