package console

import (
	"encoding/json"
	"time"

	"github.com/everup/everup/shared/health"
)

// status is what the page reads of a daemon.Status. It came over the bus, from a daemon that may be of another version.
type status struct {
	Node    string `json:"node"`
	Service string `json:"service"`
	Version struct {
		Version string `json:"version"`
	} `json:"version"`
	Since   time.Time       `json:"since"`
	Ready   bool            `json:"ready"`
	Reasons []string        `json:"reasons"`
	Worst   string          `json:"worst"`
	Health  []finding       `json:"health"`
	Bus     string          `json:"bus"`
	Detail  json.RawMessage `json:"detail"`
}

// finding is what the page reads of a health.Status.
type finding struct {
	ID     string    `json:"id"`
	Title  string    `json:"title"`
	Level  string    `json:"level"`
	Detail string    `json:"detail"`
	Hint   string    `json:"hint"`
	Since  time.Time `json:"since"`
	Count  uint64    `json:"count"`
}

// readStatus reads one answer; ok is false where it says not who it is of.
func readStatus(raw json.RawMessage) (s status, ok bool) {
	if json.Unmarshal(raw, &s) != nil {
		return s, false
	}
	return s, s.Node != "" && s.Service != ""
}

// level reads a level by its name; one that is not known is a warning, which is seen.
func level(name string) health.Level {
	var l health.Level
	if l.UnmarshalText([]byte(name)) != nil {
		return health.Warn
	}
	return l
}

// pool is what the page reads of a load balancer's detail: who balances says so under the key pools.
type pool struct {
	Name    string    `json:"name"`
	Pool    string    `json:"pool"` // another word for it
	Balance string    `json:"balance"`
	Members []backend `json:"members"`
}

// backend is a member of a pool.
type backend struct {
	Addr    string `json:"addr"`
	Member  string `json:"member"` // another word for it
	State   string `json:"state"`
	Weight  *int   `json:"weight"`
	Active  *int   `json:"active"` // requests under way
	Drained bool   `json:"drained"`
	Suspect bool   `json:"suspect"`
	Detail  string `json:"detail"`
}

// readPools returns the pools in a service's detail, if it has any that can be read.
func readPools(detail json.RawMessage) []pool {
	var d struct {
		Pools []pool `json:"pools"`
	}
	if len(detail) == 0 || json.Unmarshal(detail, &d) != nil {
		return nil
	}
	return d.Pools
}

// fact is a line that a service tells of itself for people, under the key summary of its detail.
type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// maxFacts bounds the facts shown of one daemon.
const maxFacts = 12

// readFacts returns what a service tells of itself, if it tells anything.
func readFacts(detail json.RawMessage) []fact {
	var d struct {
		Summary []fact `json:"summary"`
	}
	if len(detail) == 0 || json.Unmarshal(detail, &d) != nil {
		return nil
	}
	return d.Summary[:min(len(d.Summary), maxFacts)]
}
