package conf

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/everup/everup/shared/fault"
)

// Bounds of what is read.
const (
	maxFileSize  = 16 << 20
	maxTotalSize = 64 << 20
	maxOverlays  = 1000
	maxValueFile = 1 << 20
)

// Source is a file that was read.
type Source struct {
	Name string
	Data []byte
}

// readSources reads the main file and its overlays.
func readSources(main string) ([]Source, error) {
	overlays, err := overlayNames(main)
	if err != nil {
		return nil, err
	}
	var out []Source
	total := 0
	for _, name := range append([]string{main}, overlays...) {
		data, err := readBounded(name, maxFileSize)
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "conf: read configuration")
		}
		if total += len(data); total > maxTotalSize {
			return nil, fault.New(fault.Config, "conf: read configuration: %s and its overlays are larger than %v", main, Size(maxTotalSize))
		}
		out = append(out, Source{name, data})
	}
	return out, nil
}

// overlayNames lists <dir>/<base>.d/*.yaml in name order.
func overlayNames(main string) ([]string, error) {
	dir := strings.TrimSuffix(main, filepath.Ext(main)) + ".d"
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "conf: read overlays")
	}
	var out []string
	for _, e := range list {
		if name := e.Name(); !e.IsDir() && strings.HasSuffix(name, ".yaml") && !strings.HasPrefix(name, ".") {
			out = append(out, filepath.Join(dir, name))
		}
	}
	if len(out) > maxOverlays {
		return nil, fault.New(fault.Config, "conf: read overlays: %s holds more than %d files", dir, maxOverlays)
	}
	return out, nil
}

// readBounded reads a whole file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.Config, "%s is larger than %v", name, Size(limit))
	}
	return data, nil
}
