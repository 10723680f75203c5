package oracletest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Now is the Unix time that stands for {now} in what Cases returns: replay with a clock that begins there.
const Now = 1_800_000_000

// runLength is the shortest run of one byte that is written as {n*x}.
const runLength = 24

// unescape reads the text form; now stands for {now}.
func unescape(s string, now int64) ([]byte, error) {
	var out []byte
	for len(s) > 0 {
		switch s[0] {
		case '{':
			end := strings.IndexByte(s, '}')
			if end < 0 {
				return nil, fmt.Errorf("no } after %.20q", s)
			}
			b, err := brace(s[1:end], now, func(s string) ([]byte, error) { return unescape(s, now) })
			if err != nil {
				return nil, err
			}
			out, s = append(out, b...), s[end+1:]
		case '\\':
			b, rest, err := backslash(s[1:])
			if err != nil {
				return nil, err
			}
			out, s = append(out, b), rest
		default:
			out, s = append(out, s[0]), s[1:]
		}
	}
	return out, nil
}

// backslash reads what follows a backslash.
func backslash(s string) (b byte, rest string, err error) {
	if s == "" {
		return 0, "", fmt.Errorf("a backslash ends the line")
	}
	switch s[0] {
	case 'r':
		return '\r', s[1:], nil
	case 'n':
		return '\n', s[1:], nil
	case 't':
		return '\t', s[1:], nil
	case '\\', '{':
		return s[0], s[1:], nil
	case 'x':
		if len(s) >= 3 {
			n, err := strconv.ParseUint(s[1:3], 16, 8)
			return byte(n), s[3:], err
		}
	}
	return 0, "", fmt.Errorf("unknown escape \\%.3s", s)
}

// brace reads the inside of braces: "now", "now+5", "now-5", "2147483647-now" or "3*x".
func brace(s string, now int64, inner func(string) ([]byte, error)) ([]byte, error) {
	if d, ok := strings.CutPrefix(s, "now"); ok {
		if d == "" {
			d = "0"
		}
		n, err := strconv.ParseInt(d, 10, 64)
		return strconv.AppendInt(nil, now+n, 10), err
	}
	if d, ok := strings.CutSuffix(s, "-now"); ok {
		n, err := strconv.ParseInt(d, 10, 64)
		return strconv.AppendInt(nil, n-now, 10), err
	}
	count, unit, _ := strings.Cut(s, "*")
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 16<<20 {
		return nil, fmt.Errorf("{%s}: want {count*bytes}", s)
	}
	b, err := inner(unit)
	return []byte(strings.Repeat(string(b), n)), err
}

// escape is the inverse of unescape, but for {now}.
func escape(b []byte) string {
	var out strings.Builder
	for i := 0; i < len(b); {
		n := 1
		for i+n < len(b) && b[i+n] == b[i] {
			n++
		}
		one := escapeByte(b[i])
		if n >= runLength {
			fmt.Fprintf(&out, "{%d*%s}", n, one)
		} else {
			n = 1
			out.WriteString(one)
		}
		i += n
	}
	return out.String()
}

func escapeByte(c byte) string {
	switch c {
	case '\r':
		return `\r`
	case '\n':
		return `\n`
	case '\t':
		return `\t`
	case '\\', '{':
		return `\` + string(c)
	case '}':
		return `\x7d` // so that it ends no brace
	}
	if c < ' ' || c > '~' {
		return fmt.Sprintf(`\x%02x`, c)
	}
	return string(c)
}

// unhex reads the binary form.
func unhex(s string) ([]byte, error) {
	s, _, _ = strings.Cut(s, "#")
	s = strings.NewReplacer(" ", "", "|", "").Replace(s)
	var out []byte
	for len(s) > 0 {
		end := strings.IndexByte(s, '{')
		if end < 0 {
			end = len(s)
		}
		b, err := hex.DecodeString(s[:end])
		if err != nil {
			return nil, err
		}
		out, s = append(out, b...), s[end:]
		if s == "" {
			break
		}
		if end = strings.IndexByte(s, '}'); end < 0 {
			return nil, fmt.Errorf("no } after %.20q", s)
		}
		if b, err = brace(s[1:end], 0, unhex); err != nil {
			return nil, err
		}
		out, s = append(out, b...), s[end+1:]
	}
	return out, nil
}

// hexes writes bytes in hexadecimal, with runs shortened.
func hexes(b []byte) string {
	var out strings.Builder
	for i := 0; i < len(b); {
		n := 1
		for i+n < len(b) && b[i+n] == b[i] {
			n++
		}
		if n >= runLength {
			fmt.Fprintf(&out, "{%d*%02x}", n, b[i])
		} else {
			n = 1
			fmt.Fprintf(&out, "%02x", b[i])
		}
		i += n
	}
	return out.String()
}
