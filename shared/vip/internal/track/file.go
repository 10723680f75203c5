package track

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// maxFile bounds what is read of a file.
const maxFile = 64

// readFile reads the number in a file: 1 if it is empty, 0 if it is not there. It does not wait, as it would for a pipe.
func readFile(path string) Reading {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return Reading{Known: true}
	}
	if err != nil {
		return Reading{Why: cause(err)}
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return Reading{Why: "is no regular file"}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return Reading{Why: cause(err)}
	}
	return parseNumber(string(b))
}

// parseNumber reads what a file holds.
func parseNumber(s string) Reading {
	s = strings.TrimSpace(s)
	if s == "" {
		return Reading{Known: true, N: 1}
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return Reading{Why: "holds no whole number"}
	}
	return Reading{Known: true, N: int(n)}
}

// cause is an error without operation and path.
func cause(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return err.Error()
}
