package labtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// netnsDir is where ip-netns(8) keeps the named network namespaces.
const netnsDir = "/run/netns"

// marker begins the name of every namespace of a lab.
const marker = "evl"

// newPrefix returns "evl-<pid>-<start>-<random>": the process that owns the lab, told apart from a later one with the
// same number by its start time in clock ticks, and the lab in it.
func newPrefix(random string) string {
	pid := os.Getpid()
	start, _ := startTime(pid)
	return fmt.Sprintf("%s-%d-%d-%s", marker, pid, start, strings.ToLower(random))
}

// owner returns the process that a namespace's name tells.
func owner(name string) (pid int, start uint64, ok bool) {
	part := strings.Split(name, "-")
	if len(part) < 4 || part[0] != marker {
		return 0, 0, false
	}
	pid, err := strconv.Atoi(part[1])
	if err != nil || pid <= 0 {
		return 0, 0, false
	}
	start, err = strconv.ParseUint(part[2], 10, 64)
	return pid, start, err == nil
}

// stale says whether the namespace is a lab's whose process is gone.
func stale(name string) bool {
	pid, start, ok := owner(name)
	if !ok {
		return false
	}
	now, err := startTime(pid)
	return err != nil || now != start
}

// startTime returns field 22 of /proc/PID/stat. A zombie counts as gone.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), ") ") // the command's name may hold spaces and brackets of its own
	for ok && strings.Contains(rest, ") ") {
		_, rest, _ = strings.Cut(rest, ") ")
	}
	field := strings.Fields(rest)
	if len(field) < 20 || field[0] == "Z" || field[0] == "X" {
		return 0, fs.ErrNotExist
	}
	return strconv.ParseUint(field[19], 10, 64)
}

// Sweep removes the namespaces, and ends the processes in them, that labs of dead test processes have left. New calls
// it; it is safe beside labs that live.
func Sweep() error {
	names, err := namespaces()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if !stale(name) {
			continue
		}
		s, err := openSpace(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another test process swept it
		}
		if err != nil { // a name without a namespace behind it: half made or half removed
			errs = append(errs, ipCommand("netns", "del", name))
			continue
		}
		errs = append(errs, s.remove())
	}
	return errors.Join(errs...)
}

// namespaces returns the names of all named network namespaces.
func namespaces() ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}
