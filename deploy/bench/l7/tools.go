package l7

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/shared/fault"
)

// wrk runs wrk with 64 connections.
func wrk(ctx context.Context, b *bench, url string, args ...string) (outcome, error) {
	d := pick(b, speedTime, time.Second)
	args = append([]string{"-t1", "-c64", "-d" + strconv.Itoa(int(d.Seconds())) + "s"}, append(args, url)...)
	out, err := exec.CommandContext(ctx, "wrk", args...).CombinedOutput()
	if err != nil {
		return outcome{}, fault.Wrap(fault.Unavailable, err, "wrk: %s", out)
	}
	return parseWrk(string(out))
}

var (
	wrkTotal  = regexp.MustCompile(`(\d+) requests in ([0-9.]+(?:us|ms|s|m))`)
	wrkErrors = regexp.MustCompile(`(?m)^\s*(Socket errors:.*|Non-2xx or 3xx responses:.*)$`)
	h2Total   = regexp.MustCompile(`requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded`)
	h2Took    = regexp.MustCompile(`finished in ([0-9.]+(?:us|ms|s))`)
)

// parseWrk reads what wrk prints.
func parseWrk(out string) (outcome, error) {
	if bad := wrkErrors.FindString(out); bad != "" {
		return outcome{}, fault.New(fault.Unavailable, "wrk: %s", strings.TrimSpace(bad))
	}
	m := wrkTotal.FindStringSubmatch(out)
	if m == nil {
		return outcome{}, fault.New(fault.Unavailable, "wrk: %q", out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return outcome{}, err
	}
	took, err := time.ParseDuration(m[2])
	return outcome{ops: n, took: took}, err
}

// upload posts 64 KiB again and again.
func upload(ctx context.Context, b *bench, at addresses) (outcome, error) {
	return post(ctx, b, at, "/upload")
}

// uploadKept is upload to a pool of lbd's whose requests all go on connections that are kept, as those of the others do.
func uploadKept(ctx context.Context, b *bench, at addresses) (outcome, error) {
	return post(ctx, b, at, keptPath)
}

// keptPath is what is posted to a pool with reuse: always.
const keptPath = "/upload/kept"

func post(ctx context.Context, b *bench, at addresses, path string) (outcome, error) {
	script, err := config(b.dir, "upload.lua", "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", 65536)\n")
	if err != nil {
		return outcome{}, err
	}
	return wrk(ctx, b, "http://"+at.http+path, "-s", filepath.Clean(script))
}

// h2load runs h2load with 10 connections of 10 streams each.
func h2load(ctx context.Context, b *bench, url string) (outcome, error) {
	n := pick(b, 60_000, 4_000)
	if strings.HasSuffix(url, "/64k") {
		n /= 4
	}
	out, err := exec.CommandContext(ctx, "h2load", "-n", strconv.Itoa(n), "-c", "10", "-m", "10", url).CombinedOutput()
	if err != nil {
		return outcome{}, fault.Wrap(fault.Unavailable, err, "h2load: %s", out)
	}
	return parseH2load(string(out))
}

// parseH2load reads what h2load prints.
func parseH2load(out string) (outcome, error) {
	m, t := h2Total.FindStringSubmatch(out), h2Took.FindStringSubmatch(out)
	if m == nil || t == nil {
		return outcome{}, fault.New(fault.Unavailable, "h2load: %q", out)
	}
	if m[1] != m[2] {
		return outcome{}, fault.New(fault.Unavailable, "h2load: %s of %s requests succeeded", m[2], m[1])
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return outcome{}, err
	}
	took, err := time.ParseDuration(t[1])
	return outcome{ops: n, took: took}, err
}
