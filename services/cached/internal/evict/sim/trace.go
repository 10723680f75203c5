package sim

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Recorded is a recorded trace and the capacities it is known by.
type Recorded struct {
	Name, File string
	Capacities []uint64
}

// Recordings lists the traces of the traces directory's README with the capacities it gives.
func Recordings() []Recorded {
	return []Recorded{
		{"OLTP", "OLTP.lis.zst", []uint64{1000, 10000}},
		{"orm-night", "orm-night.trace.xz", []uint64{512, 2048}},
		{"web07", "web07.trace.xz", []uint64{512, 2048}},
		{"loop", "loop.trace.gz", []uint64{256, 512}},
		{"multi3", "multi3.trace.gz", []uint64{1000, 2000}},
		{"sprite", "sprite.trace.gz", []uint64{500, 1000}},
	}
}

// ErrNoTraces says that this machine has no recorded traces.
var ErrNoTraces = errors.New("no recorded traces: set EVERUP_DATA to the directory that holds traces/")

// TraceDir finds the recorded traces: $EVERUP_DATA/traces, else ../shared/data/traces beside the repository that holds the working directory.
func TraceDir() (string, error) {
	if d := os.Getenv("EVERUP_DATA"); d != "" {
		return existing(filepath.Join(d, "traces"))
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find traces: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return existing(filepath.Join(filepath.Dir(dir), "shared", "data", "traces"))
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", ErrNoTraces
		}
		dir = up
	}
}

func existing(dir string) (string, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return "", fmt.Errorf("%s: %w", dir, ErrNoTraces)
	}
	return dir, nil
}

// Load reads one recorded trace.
func Load(dir string, r Recorded) (*Trace, error) {
	f, err := os.Open(filepath.Join(dir, r.File))
	if err != nil {
		return nil, fmt.Errorf("load trace %s: %w", r.Name, err)
	}
	defer f.Close()
	in, err := decompress(f, r.File)
	if err != nil {
		return nil, fmt.Errorf("load trace %s: %w", r.Name, err)
	}
	var d Densifier
	if err := parser(r.File)(bufio.NewReaderSize(in, 1<<16), &d); err != nil {
		return nil, fmt.Errorf("load trace %s: %w", r.Name, err)
	}
	return d.Trace(r.Name), nil
}

func decompress(f io.Reader, name string) (io.Reader, error) {
	switch filepath.Ext(name) {
	case ".zst":
		return zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
	case ".gz":
		return gzip.NewReader(f)
	case ".xz":
		return xz.NewReader(bufio.NewReader(f))
	}
	return f, nil
}

func parser(name string) func(*bufio.Reader, *Densifier) error {
	switch {
	case strings.Contains(name, ".lis"):
		return readARC
	case strings.HasSuffix(name, ".xz"):
		return readInt32
	}
	return readLIRS
}

// readARC reads lines of "start count 0 n".
func readARC(in *bufio.Reader, d *Densifier) error {
	for {
		var start, count, x, n uint64
		if _, err := fmt.Fscan(in, &start, &count, &x, &n); err != nil {
			return endOf(err)
		}
		for i := range count {
			d.Add(start + i)
		}
	}
}

// readInt32 reads big-endian 32-bit keys.
func readInt32(in *bufio.Reader, d *Densifier) error {
	var b [4]byte
	for {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return endOf(err)
		}
		d.Add(uint64(binary.BigEndian.Uint32(b[:])))
	}
}

// readLIRS reads a number a line; a line "*" is ignored.
func readLIRS(in *bufio.Reader, d *Densifier) error {
	for {
		var word string
		if _, err := fmt.Fscan(in, &word); err != nil {
			return endOf(err)
		}
		if word == "*" {
			continue
		}
		var key uint64
		if _, err := fmt.Sscan(word, &key); err != nil {
			return fmt.Errorf("key %q: %w", word, err)
		}
		d.Add(key)
	}
}

func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Densifier numbers keys in the order in which they come first.
type Densifier struct {
	number map[uint64]uint32
	keys   []uint32
}

// Add appends a request for key.
func (d *Densifier) Add(key uint64) {
	if d.number == nil {
		d.number = make(map[uint64]uint32)
	}
	n, ok := d.number[key]
	if !ok {
		n = uint32(len(d.number))
		d.number[key] = n
	}
	d.keys = append(d.keys, n)
}

// Trace of all that was added.
func (d *Densifier) Trace(name string) *Trace {
	return &Trace{Name: name, Keys: d.keys, Unique: len(d.number)}
}
