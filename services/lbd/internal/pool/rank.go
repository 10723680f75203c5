package pool

import "strconv"

// The ranks: a request goes to the first that has a member for it. Of the two levels, primaries and backups, one is in use; a
// member of the other is better than one that has just failed a request.
const (
	rankGood         = iota // of the level in use
	rankUnknown             // likewise
	rankOtherGood           // of the other level
	rankOtherUnknown        // likewise
	rankSuspect             // of the level in use
	rankOtherSuspect
	ranks
)

// rank is a list of members of equal standing.
type rank struct {
	members []*Member
	sum     int  // of the weights in force
	even    bool // they are equal
	limited bool // one of them may have no room
}

func (r *rank) reset() { *r = rank{members: r.members[:0], even: true} }

func (r *rank) add(m *Member) {
	r.even = r.even && (len(r.members) == 0 || r.members[0].weight == m.weight)
	r.limited = r.limited || m.MaxRequests > 0 || m.breaker.state == halfOpen
	r.sum += m.weight
	r.members = append(r.members, m)
}

// level counts the members that are to serve beside or in place of each other.
type level struct {
	by       [good + 1]int
	eligible int
}

func (l *level) able() bool { return l.by[good]+l.by[unknown] > 0 }
func (l *level) well() int  { return l.eligible - l.by[out] }

// rank lists the members by standing, for picks.
func (c *Core) rank() {
	var levels [2]level
	for _, m := range c.members {
		if m.eligible() {
			l := &levels[at(m)]
			l.eligible++
			l.by[m.standing]++
		}
	}
	c.well = levels[0].well() + levels[1].well()
	use := c.levelInUse(&levels)
	c.judgePanic(&levels[use])
	for i := range c.ranks {
		c.ranks[i].reset()
	}
	c.usable = 0
	for _, m := range c.members {
		if r := c.rankOf(m, use); r >= 0 {
			c.usable++
			c.ranks[r].add(m)
		}
	}
	was := c.empty
	if c.empty = c.usable == 0; c.empty && !was {
		c.tell(PoolEmpty, nil, "")
	}
}

// at is the index of the member's level.
func at(m *Member) int {
	if m.Backup {
		return 1
	}
	return 0
}

// rankOf returns the member's rank, -1 if it may not serve.
func (c *Core) rankOf(m *Member, use int) int {
	other := at(m) != use
	switch {
	case !m.eligible():
		return -1
	case c.panicking && !other:
		return rankGood
	}
	switch m.standing {
	case good:
		return choice(other, rankOtherGood, rankGood)
	case unknown:
		return choice(other, rankOtherUnknown, rankUnknown)
	case suspect:
		return choice(other, rankOtherSuspect, rankSuspect)
	}
	return -1
}

// choice returns yes if which, else no.
func choice(which bool, yes, no int) int {
	if which {
		return yes
	}
	return no
}

// levelInUse returns 0 for the primaries, or 1 for the backups: these from when no primary may serve until primaries have been well for
// Failback, or no backup is.
func (c *Core) levelInUse(l *[2]level) int {
	primaries, backups := l[0].able(), l[1].able()
	if c.onBackups {
		primaries = l[0].by[good] > 0 || l[0].able() && !backups
	}
	switch {
	case !primaries:
		c.wellSince = never
	case c.wellSince == never:
		c.wellSince = c.now
	}
	switch {
	case primaries && c.onBackups && backups && c.now-c.wellSince < c.rules.Failback:
		c.dueAt(c.wellSince + c.rules.Failback)
		return 1
	case primaries && c.onBackups:
		c.onBackups = false
		c.tell(FailedBack, nil, "primaries serve again")
	case !primaries && backups && !c.onBackups:
		c.onBackups = true
		c.tell(FailedOver, nil, "no primary may serve")
	case primaries, backups:
	case l[0].eligible == 0 && l[1].eligible > 0:
		return 1
	}
	return choice(!primaries && backups, 1, 0)
}

// judgePanic decides whether so few of a level are well that those few would be crushed by what is meant for all.
func (c *Core) judgePanic(l *level) {
	was := c.panicking
	c.panicking = l.eligible > 0 && l.well()*100 < c.rules.Panic*l.eligible
	switch {
	case c.panicking && !was:
		c.tell(PanicBegan, nil, share(l.well(), l.eligible)+" are well: all are used")
	case was && !c.panicking:
		c.tell(PanicEnded, nil, share(l.well(), l.eligible)+" are well")
	}
}

func share(n, of int) string { return strconv.Itoa(n) + " of " + strconv.Itoa(of) + " members" }
