package text

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/everup/everup/shared/fault"
)

// Days returns the days that root has directories of, earliest first.
func Days(root *os.Root) ([]Day, error) {
	var out []Day
	years, err := readDir(root, ".")
	if err != nil {
		return nil, err
	}
	for _, y := range years {
		months, err := subdirs(root, y, "", 4)
		if err != nil {
			return nil, err
		}
		for _, m := range months {
			days, err := subdirs(root, m, y.Name(), 2)
			if err != nil {
				return nil, err
			}
			for _, d := range days {
				if day, ok := ParseDay(path.Join(y.Name(), m.Name(), d.Name())); ok && d.IsDir() {
					out = append(out, day)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Day) int {
		if a.Before(b) {
			return -1
		}
		if b.Before(a) {
			return 1
		}
		return 0
	})
	return out, nil
}

// subdirs lists the directory e below parent if it is one whose name has n bytes, as years and months have.
func subdirs(root *os.Root, e fs.DirEntry, parent string, n int) ([]fs.DirEntry, error) {
	if !e.IsDir() || len(e.Name()) != n {
		return nil, nil
	}
	return readDir(root, path.Join(parent, e.Name()))
}

// Remove deletes day's directory with its files, and the month's and year's when they are empty then.
func Remove(root *os.Root, day Day) error {
	dir := day.Dir()
	if err := root.RemoveAll(dir); err != nil {
		return fault.Wrap(fault.Of(err), err, "text: remove %s", dir)
	}
	for p := path.Dir(dir); p != "."; p = path.Dir(p) {
		if left, err := readDir(root, p); err != nil || len(left) > 0 {
			break
		}
		if err := root.Remove(p); err != nil {
			return fault.Wrap(fault.Of(err), err, "text: remove %s", p)
		}
	}
	return nil
}

// Files returns the names of day's log files in order; none when there is no such day.
func Files(root *os.Root, day Day) ([]string, error) {
	entries, err := readDir(root, day.Dir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.Of(err), err, "text: list %s", day.Dir())
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && path.Ext(e.Name()) == suffix {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

func readDir(root *os.Root, dir string) ([]fs.DirEntry, error) {
	return fs.ReadDir(root.FS(), dir)
}
