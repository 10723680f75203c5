package traffic

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a Table. Other is the name of what has no place in it, None that of what has no name: requests that no route took, or
// that reached no member.
const (
	MaxRoutes  = 1024
	MaxPools   = 256
	MaxMembers = 4096 // of all pools
	Other      = "other"
	None       = "none"
)

// Pool is the cells of one pool. Safe for concurrent use.
type Pool struct {
	t       *Table
	name    string
	members atomic.Pointer[map[string]*Cell] // replaced whole under Table.mu
	none    Cell                             // requests that reached no member
	other   Cell                             // of members beyond the bound
	gone    Counts                           // of members that are gone; guarded by Table.mu
}

// Table holds cells by name. Safe for concurrent use.
type Table struct {
	none  Cell // requests that no route took
	other Cell // routes beyond the bound

	mu        sync.Mutex
	gone      Counts // of routes that are gone
	routes    map[string]*Cell
	pools     map[string]*Pool
	otherPool *Pool
	members   int
	overflow  uint64
}

// NewTable returns an empty table.
func NewTable() *Table {
	t := &Table{routes: map[string]*Cell{}, pools: map[string]*Pool{}}
	t.otherPool = t.newPool(Other)
	return t
}

// Route returns the cell of a route; empty: of requests that no route took.
func (t *Table) Route(name string) *Cell {
	if name == "" {
		return &t.none
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.routes[name]; c != nil {
		return c
	}
	if len(t.routes) >= MaxRoutes {
		t.overflow++
		return &t.other
	}
	c := new(Cell)
	t.routes[name] = c
	return c
}

// Pool returns the cells of a pool.
func (t *Table) Pool(name string) *Pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.pools[name]; p != nil {
		return p
	}
	if len(t.pools) >= MaxPools {
		t.overflow++
		return t.otherPool
	}
	p := t.newPool(name)
	t.pools[name] = p
	return p
}

func (t *Table) newPool(name string) *Pool {
	p := &Pool{t: t, name: name}
	p.members.Store(&map[string]*Cell{})
	return p
}

// Member returns the cell of a member; empty: of requests that reached none.
func (p *Pool) Member(name string) *Cell {
	if name == "" {
		return &p.none
	}
	if c := (*p.members.Load())[name]; c != nil {
		return c
	}
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	was := *p.members.Load()
	if c := was[name]; c != nil {
		return c
	}
	if p.t.members >= MaxMembers {
		p.t.overflow++
		return &p.other
	}
	p.t.members++
	next := maps.Clone(was)
	next[name] = new(Cell)
	p.members.Store(&next)
	return next[name]
}

// Keep forgets the routes and pools, and the members of each pool, that are not wanted any more. What still counts in them counts unseen;
// what a route or member has counted stays in the sums.
func (t *Table) Keep(routes []string, pools map[string][]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wanted := make(map[string]bool, len(routes))
	for _, r := range routes {
		wanted[r] = true
	}
	for name, c := range t.routes {
		if !wanted[name] {
			c.read(&t.gone)
			delete(t.routes, name)
		}
	}
	t.gone.InFlight = 0
	for name, p := range t.pools {
		p.keepLocked(pools[name])
		if _, ok := pools[name]; !ok {
			delete(t.pools, name)
		}
	}
}

func (p *Pool) keepLocked(members []string) {
	was := *p.members.Load()
	next := make(map[string]*Cell, len(was))
	for _, m := range members {
		if c := was[m]; c != nil {
			next[m] = c
		}
	}
	if len(next) == len(was) {
		return
	}
	for m, c := range was {
		if next[m] == nil {
			c.read(&p.gone)
			p.t.members--
		}
	}
	p.gone.InFlight = 0
	p.members.Store(&next)
}

// Overflow returns how often a cell was asked for that had no place.
func (t *Table) Overflow() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.overflow
}

// Row is what was counted for one route or member.
type Row struct {
	Name string `json:"name"`
	Counts
}

// PoolRows is what was counted for a pool. The member None is requests that reached none.
type PoolRows struct {
	Name    string `json:"name"`
	Members []Row  `json:"members"`
	Gone    Counts `json:"gone"` // of members that are not there any more
}

// Snapshot is what was counted until a time.
type Snapshot struct {
	Time   time.Time  `json:"time"`
	Routes []Row      `json:"routes"` // by name, then None and Other where they count anything
	Pools  []PoolRows `json:"pools"`
	Gone   Counts     `json:"gone"` // of routes that are not there any more
}

// Sum returns the counts of all routes, those that are gone included.
func (s *Snapshot) Sum() (c Counts) {
	c = s.Gone
	for i := range s.Routes {
		c.add(&s.Routes[i].Counts)
	}
	return c
}

// Sum returns the counts of all members, those that are gone included.
func (p *PoolRows) Sum() (c Counts) {
	c = p.Gone
	for i := range p.Members {
		c.add(&p.Members[i].Counts)
	}
	return c
}

// Read returns what was counted until now.
func (t *Table) Read(now time.Time) *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &Snapshot{Time: now, Routes: []Row{}, Pools: []PoolRows{}, Gone: t.gone}
	for _, name := range slices.Sorted(maps.Keys(t.routes)) {
		s.Routes = append(s.Routes, row(name, t.routes[name]))
	}
	s.Routes = appendUsed(s.Routes, None, &t.none)
	s.Routes = appendUsed(s.Routes, Other, &t.other)
	for _, name := range slices.Sorted(maps.Keys(t.pools)) {
		s.Pools = append(s.Pools, t.pools[name].read())
	}
	if rows := t.otherPool.read(); len(rows.Members) > 0 {
		s.Pools = append(s.Pools, rows)
	}
	return s
}

func (p *Pool) read() PoolRows {
	rows := PoolRows{Name: p.name, Members: []Row{}, Gone: p.gone}
	members := *p.members.Load()
	for _, name := range slices.Sorted(maps.Keys(members)) {
		rows.Members = append(rows.Members, row(name, members[name]))
	}
	rows.Members = appendUsed(rows.Members, None, &p.none)
	rows.Members = appendUsed(rows.Members, Other, &p.other)
	return rows
}

func row(name string, c *Cell) Row {
	r := Row{Name: name}
	c.read(&r.Counts)
	return r
}

// appendUsed appends a row that counts anything.
func appendUsed(rows []Row, name string, c *Cell) []Row {
	if r := row(name, c); r.Requests() > 0 || r.InFlight > 0 {
		rows = append(rows, r)
	}
	return rows
}
