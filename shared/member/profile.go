package member

import (
	"time"

	"github.com/everup/everup/shared/fault"
)

// profile is one choice of timings. The time in which a death is known follows from them: one probe interval to
// reach the victim in the round, one to conclude, then the suspicion time suspicion × max(1, log10 n) × probe, which is
// stretched to suspicionMax times that while fewer than suspicion−2 others confirm.
type profile struct {
	probe        time.Duration // one peer is probed per interval
	probeTimeout time.Duration // wait for the direct answer before others are asked
	suspicion    int
	suspicionMax int
	gossip       time.Duration // news is sent to three peers per interval
	pushPull     time.Duration // whole state is exchanged with one peer per interval
	rejoin       time.Duration // members that are missing are tried per interval
}

// profileOf returns the profile named in the configuration; the empty name is lan.
func profileOf(timing string) (profile, error) {
	const ms = time.Millisecond
	switch timing {
	case "", "lan":
		return profile{200 * ms, 100 * ms, 3, 2, 50 * ms, 5 * time.Second, time.Second}, nil
	case "fast":
		return profile{100 * ms, 50 * ms, 4, 2, 25 * ms, 5 * time.Second, time.Second}, nil
	case "calm":
		return profile{1000 * ms, 500 * ms, 4, 4, 200 * ms, 15 * time.Second, 2 * time.Second}, nil
	}
	return profile{}, fault.New(fault.Config, "cluster.timing: %q is not lan, fast or calm", timing)
}
