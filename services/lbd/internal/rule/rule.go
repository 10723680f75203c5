package rule

import (
	"net/netip"
	"time"
)

// Bounds of a table. Compile reports what goes beyond them.
const (
	MaxRules   = 1024
	MaxTags    = 64
	MaxPattern = 1024 // bytes of a regular expression
	maxProgram = 256  // instructions of one, about: each may cost a step for each byte
	maxValues  = 1024 // of one condition
	maxHosts   = 16384
)

// Rule is a rule as the operator wrote it. Without an outcome (Pool, Files, Redirect, Answer, Deny, Drop or Split) its effects are kept
// and the next rules are looked at.
type Rule struct {
	Name string // for people
	Match
	Not []Match // each as a whole must not match

	Tags            []string // set for later rules
	RequestHeaders  Edits    // of what is forwarded
	ResponseHeaders Edits    // of the answer, also one of lbd's own
	HSTS            string   // value of Strict-Transport-Security, sent only over TLS
	Limits          []Limit
	Tarpit          time.Duration // how long requests wait, 0: they do not
	Plain           bool          // the answer is not compressed

	Pool     string // forward
	Strip    bool   // take the path condition that matched off the path
	Rewrite  Rewrite
	Files    *Files
	Redirect *Redirect
	Answer   *Answer
	Split    *Split
	Deny     bool // 403
	Drop     bool // close without an answer
}

// Match is a set of conditions: all that are given must hold, and each holds if one of its values matches.
//
// Values are texts, or "~ " and a regular expression (RE2). A host is a name or *.name, which stands for every name below it. A
// path is a beginning ("/files" stands for itself and what is below it, "/files/" for what is below it), or "= " and a whole path. Other
// values are whole texts, case-sensitive; "*" means any value; "= " keeps what follows from being read otherwise. A user agent's
// text is contained in it, in any letter case.
type Match struct {
	Host       []string
	Path       []string
	Method     []string
	Scheme     []string // http, https
	Header     map[string][]string
	Cookie     map[string][]string
	Query      map[string][]string
	UserAgent  []string
	From       []netip.Prefix
	ServerName []string            // TLS SNI, as Host
	TLSClient  []string            // Facts.Certificate.Name; "*": any certificate that was verified
	DoS        map[string][]string // none, suspect, hard: what the detector of the name thinks of the client
	Tagged     []string
}

// Rewrite changes what is forwarded. Empty texts change nothing.
type Rewrite struct {
	Path      string
	Query     string
	DropQuery bool
	Host      string
}

// Edits changes header fields: first Remove, then Set, then Add.
type Edits struct {
	Set    map[string]string // in place of all fields of the name
	Add    map[string]string
	Remove []string
}

// Files says what to serve from a directory.
type Files struct {
	Root    string
	Index   []string // names tried for a directory
	Listing bool     // list a directory that has no index
}

// Redirect sends the client elsewhere.
type Redirect struct {
	To     string // begins with /, http://, https://, $scheme://, $path or $target
	Status int    // 301, 302, 303, 307 or 308
}

// Answer is a fixed answer.
type Answer struct {
	Status int
	Type   string // Content-Type
	Body   string
}

// Split shares requests out among pools by weight.
type Split struct {
	Parts  []Part
	Key    string // requests of equal key go to the same pool; empty: by chance
	Cookie string // a cookie of this name that holds a pool's name decides; it is set for who has none
}

// Part is one pool of a Split.
type Part struct {
	Pool   string
	Weight int // 0: only by cookie
}

// Problem is something wrong with rules.
type Problem struct {
	At   []any // keys and indexes from the rule's list: 3, "header", "X-Debug", 0
	Msg  string
	Hint string

	Kind, Name string   // instead of Msg: Name is an unknown Kind ("tag")
	Known      []string // and these are known
}

// Kind is what becomes of a request.
type Kind uint8

// The kinds.
const (
	None    Kind = iota // no rule decides: 404
	Refused             // by Verdict.Refusal
	Forward             // to Verdict.Pool
	Serve               // Verdict.Files
	Send                // a redirection to Verdict.Location
	Fixed               // Verdict.Answer
	Denied              // 403
	Dropped             // close without an answer
	Limited             // by Verdict.Limit: Status, with Retry-After
)

// String returns the name as `lbd explain` shows it.
func (k Kind) String() string {
	switch k {
	case Refused:
		return "refuse"
	case Forward:
		return "forward"
	case Serve:
		return "files"
	case Send:
		return "redirect"
	case Fixed:
		return "answer"
	case Denied:
		return "deny"
	case Dropped:
		return "drop"
	case Limited:
		return "limit"
	}
	return "none"
}

// Refusal is why a request is refused without or despite a rule; 0 is no refusal.
type Refusal uint8

// The refusals.
const (
	OK Refusal = iota
	BadEscape
	ControlByte
	DotSegments
	BadRewrite // what a rule puts together is no path or host
	TooLong    // what a rule puts together is too long
)

// String returns the reason for the access log.
func (r Refusal) String() string {
	switch r {
	case BadEscape:
		return "bad-escape"
	case ControlByte:
		return "control-byte"
	case DotSegments:
		return "dot-segments"
	case BadRewrite:
		return "bad-rewrite"
	case TooLong:
		return "rewrite-too-long"
	}
	return "ok"
}

// Status returns the status to answer with.
func (r Refusal) Status() int {
	if r == TooLong {
		return 414
	}
	return 400
}
