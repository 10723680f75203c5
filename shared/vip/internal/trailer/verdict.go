package trailer

import "strconv"

// Verdict is what is thought of a trailer. It counts from 0 without gaps, so that it may index an array of counters.
type Verdict uint8

// The verdicts. The first after Accepted are those of Keys.Open, in the order of its checks; the last two a Window's.
const (
	Accepted  Verdict = iota
	Short             // shorter than the packet's header, or than its address count says
	Missing           // the packet ends where a trailer is to begin
	Malformed         // something follows the packet that is no trailer of this format
	Forged            // no key of ours made it for this packet, source and destination
	Replayed          // not newer than what was heard from its sender
	Stale             // the first heard from its sender, and not within MaxSkew of our clock

	Verdicts // their number
)

var verdictNames = [Verdicts]string{
	"accepted", "short", "auth_missing", "auth_malformed", "auth_forged", "auth_replayed", "auth_stale",
}

// String returns the verdict as a metric's label has it, beside those of vrrp.Reason.
func (v Verdict) String() string {
	if v < Verdicts {
		return verdictNames[v]
	}
	return "verdict_" + strconv.Itoa(int(v))
}
