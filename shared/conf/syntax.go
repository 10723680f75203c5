package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxLocate is the largest file whose syntax error is located by parsing again; in a larger one only the
// parser's own line is known.
const maxLocate = 128 << 10

// parserLine is how the YAML library begins a message.
var parserLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// parseYAML returns the document of a source, nil for an empty one.
func (l *loader) parseYAML(src Source, rank int) (*yaml.Node, bool) {
	start := position{rank: rank, file: src.Name, line: 1, col: 1}
	if len(src.Data) > maxFileSize {
		l.errs.add(start, nil, fmt.Sprintf("the file is larger than %v", Size(maxFileSize)), "")
		return nil, false
	}
	dec := yaml.NewDecoder(bytes.NewReader(src.Data))
	doc, err := nextDocument(dec)
	if err == nil && doc != nil {
		var second *yaml.Node
		if second, err = nextDocument(dec); second != nil {
			at := start
			at.line, at.col = second.Line, second.Column
			l.errs.add(at, nil, "a second document begins", "a configuration is one document: remove the ---")
			return nil, false
		}
	}
	if err != nil {
		start.line, start.col = locateSyntax(src.Data, err)
		l.errs.add(start, nil, "YAML syntax: "+parserLine.ReplaceAllString(err.Error(), ""), syntaxHint(err.Error(), src.Data, start.line))
		return nil, false
	}
	return doc, true
}

// nextDocument reads one document; nil without an error is the end.
func nextDocument(dec *yaml.Decoder) (doc *yaml.Node, err error) {
	// The library panics on a few malformed streams where it means to return an error.
	defer func() {
		if p := recover(); p != nil {
			doc, err = nil, fmt.Errorf("yaml: cannot be parsed: %v", p)
		}
	}()
	doc = new(yaml.Node)
	if err := dec.Decode(doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return doc, nil
}

// locateSyntax finds where the syntax error lies. The library tells at best the line where the surrounding
// construct begins, so the shortest beginning of the file that fails in the same way is searched for: first by lines, then
// by characters of the last line.
func locateSyntax(data []byte, failure error) (line, col int) {
	if len(data) > maxLocate {
		line = 1
		if m := parserLine.FindStringSubmatch(failure.Error()); m != nil && m[1] != "" {
			fmt.Sscan(m[1], &line)
		}
		return line, 1
	}
	problem := parserLine.ReplaceAllString(failure.Error(), "")
	fails := func(n int) bool {
		dec := yaml.NewDecoder(bytes.NewReader(data[:n]))
		for range 2 {
			doc, err := nextDocument(dec)
			if err != nil {
				return parserLine.ReplaceAllString(err.Error(), "") == problem
			}
			if doc == nil {
				break
			}
		}
		return false
	}
	starts := lineStarts(data)
	k := sort.Search(len(starts)-1, func(k int) bool { return fails(starts[k+1]) })
	k = min(k, len(starts)-2)
	text := data[starts[k]:starts[k+1]]
	n := sort.Search(len(text), func(n int) bool { return fails(starts[k] + n) })
	n = max(n-1, len(text)-len(bytes.TrimLeft(text, " ")))
	return k + 1, utf8.RuneCount(text[:min(n, len(bytes.TrimRight(text, "\r\n")))]) + 1
}

// lineStarts returns the offsets where lines begin, and the end.
func lineStarts(data []byte) []int {
	starts := []int{0}
	for i, c := range data {
		if c == '\n' && i+1 < len(data) {
			starts = append(starts, i+1)
		}
	}
	return append(starts, len(data))
}

// syntaxHint names the commonest cause of a problem, by its text and by the line where it lies.
func syntaxHint(problem string, data []byte, line int) string {
	switch {
	case strings.Contains(problem, "mapping values are not allowed"):
		return `quote text that holds ": "; indent the keys of a section alike`
	case strings.Contains(problem, "unexpected end of stream"):
		return "the quote that opens here is not closed"
	case strings.Contains(problem, "expected ',' or"):
		return "the bracket that opens here is not closed"
	}
	starts := lineStarts(data)
	if line >= len(starts) {
		return ""
	}
	text := string(data[starts[line-1]:starts[line]])
	trimmed := strings.TrimLeft(text, " ")
	switch {
	case strings.HasPrefix(trimmed, "\t"):
		return "indent with spaces, not tabs"
	case strings.Contains(trimmed, ": @"), strings.Contains(trimmed, ": `"), strings.Contains(trimmed, ": %"):
		return "quote the text"
	}
	return ""
}
